//! The driver's configuration file: the exchanges that volumes may name, each with the one place to which it sends tokens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokenward_driver::tokens::Audience;
use tokenward_exchange::{Authorities, ClientCredentials, Endpoint, HttpClient, Limits, Proxies, Secret};
use tokio::sync::Semaphore;

mod error;
mod file;
mod sources;

pub use error::ConfigurationError;

use file::{File, FileExchange, FileLimits};
pub(crate) use sources::Sources;

/// What the administrator of the driver allows.
#[derive(Clone, Debug)]
pub struct Configuration {
    exchanges: BTreeMap<String, Arc<NamedExchange>>,
    concurrent_exchanges: usize,
    /// Places for exchanges that go on at once.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) total_limit: Duration,
}

/// An exchange that volumes name.
#[derive(Debug)]
pub(crate) struct NamedExchange {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) endpoint: Endpoint,
    /// The audiences whose tokens may be sent there; at least one.
    pub(crate) audiences: Vec<Audience>,
    pub(crate) namespace: Option<String>,
    pub(crate) client: Option<Client>,
    pub(crate) http: HttpClient,
}

/// Who the driver is to a server of the kind [`Kind::TokenExchange`].
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Public(String),
    Confidential { id: String, credentials: ClientCredentials },
}

impl Client {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Public(id) | Self::Confidential { id, .. } => id,
        }
    }
}

/// The protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    AssumeRoleWithWebIdentity,
    JwtLogin,
    TokenExchange,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AssumeRoleWithWebIdentity => "assumeRoleWithWebIdentity",
            Self::JwtLogin => "jwtLogin",
            Self::TokenExchange => "tokenExchange",
        }
    }
}

impl Configuration {
    /// Reads a configuration file; relative paths in it are beside it, and servers are connected to directly.
    ///
    /// # Errors
    /// The first thing in it that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigurationError> {
        Self::read(&mut Sources::beside(path), path, &Proxies::none())
    }

    /// Reads a configuration file through `sources`; servers are connected to through `proxies`.
    pub(crate) fn read(
        sources: &mut Sources,
        path: &Path,
        proxies: &Proxies,
    ) -> Result<Self, ConfigurationError> {
        let text = sources.text(path)?;
        Self::of(&text, sources, proxies)
    }

    /// Reads the text of a configuration; relative paths in it are below `directory`.
    ///
    /// # Errors
    /// As [`Configuration::load`].
    pub fn parse(text: &str, directory: &Path) -> Result<Self, ConfigurationError> {
        Self::of(text, &mut Sources::below(directory), &Proxies::none())
    }

    pub(crate) fn of(
        text: &str,
        sources: &mut Sources,
        proxies: &Proxies,
    ) -> Result<Self, ConfigurationError> {
        // An empty document is a driver that only delivers tokens.
        let text = if text.trim().is_empty() { "{}" } else { text };
        // A snippet would print what stands around the error: perhaps a secret in the wrong place.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: File = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ConfigurationError::Yaml(Box::new(error)))?;
        let FileLimits { concurrent_exchanges, attempt_seconds, total_seconds } = file.limits;
        let concurrent_exchanges = within("concurrentExchanges", concurrent_exchanges, 1, 1000)?;
        // The kubelet waits for two minutes.
        let attempt = Duration::from_secs(within("attemptSeconds", attempt_seconds, 1, 60)?);
        let total = Duration::from_secs(within("totalSeconds", total_seconds, 1, 100)?);
        let limits = Limits { attempt, total, ..Limits::default() };
        let mut clients = Clients { sources, limits, proxies, made: BTreeMap::new() };
        let exchanges = file
            .exchanges
            .into_iter()
            .map(|(name, exchange)| {
                let exchange = NamedExchange::new(name.clone(), exchange, &mut clients)?;
                Ok((name, Arc::new(exchange)))
            })
            .collect::<Result<_, _>>()?;
        let concurrent_exchanges = usize::try_from(concurrent_exchanges).unwrap_or(1);
        let places = Arc::new(Semaphore::new(concurrent_exchanges));
        Ok(Self { exchanges, concurrent_exchanges, places, total_limit: total })
    }

    /// Goes on counting exchanges where `before` stands, if as many may go on at once.
    pub(crate) fn succeed(mut self, before: &Self) -> Self {
        if self.concurrent_exchanges == before.concurrent_exchanges {
            self.places = Arc::clone(&before.places);
        }
        self
    }

    pub(crate) fn exchange(&self, name: &str) -> Option<&Arc<NamedExchange>> {
        self.exchanges.get(name)
    }

    /// The names of the exchanges.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exchanges.keys().map(String::as_str)
    }
}

impl NamedExchange {
    fn new(name: String, file: FileExchange, clients: &mut Clients<'_>) -> Result<Self, ConfigurationError> {
        let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=63).contains(&name.len()) || !name.bytes().all(is_inside) {
            return Err(ConfigurationError::Name { exchange: name });
        }
        if file.audiences.is_empty() {
            return Err(ConfigurationError::Audiences { exchange: name });
        }
        let of_others = [
            ("namespace", file.namespace.is_some(), Kind::JwtLogin),
            ("clientId", file.client_id.is_some(), Kind::TokenExchange),
            ("clientSecretFile", file.client_secret_file.is_some(), Kind::TokenExchange),
            ("clientAuthentication", file.client_authentication.is_some(), Kind::TokenExchange),
        ];
        for (field, is_there, kind) in of_others {
            if is_there && kind != file.kind {
                let kind = file.kind.as_str();
                return Err(ConfigurationError::OtherKind { exchange: name, field, kind });
            }
        }
        let endpoint = Endpoint::parse(&file.url)
            .map_err(|source| ConfigurationError::Url { exchange: name.clone(), source })?;
        let client = Client::of(&name, &file, clients.sources)?;
        let http = clients.of(&name, file.certificate_authority)?;
        Ok(Self {
            kind: file.kind,
            url: file.url,
            endpoint,
            audiences: file.audiences,
            namespace: file.namespace,
            client,
            http,
            name,
        })
    }
}

impl Client {
    fn of(
        exchange: &str,
        file: &FileExchange,
        sources: &mut Sources,
    ) -> Result<Option<Self>, ConfigurationError> {
        let incomplete =
            |field, wanted| ConfigurationError::Incomplete { exchange: exchange.to_owned(), field, wanted };
        let Some(secret) = &file.client_secret_file else {
            if file.client_authentication.is_some() {
                return Err(incomplete("clientAuthentication", "clientSecretFile"));
            }
            return Ok(file.client_id.clone().map(Self::Public));
        };
        let Some(id) = file.client_id.clone() else { return Err(incomplete("clientSecretFile", "clientId")) };
        let text = sources.text(secret)?;
        // As editors and `kubectl create secret --from-file` leave it.
        let secret = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
        let authentication = file.client_authentication.map(Into::into).unwrap_or_default();
        let credentials = ClientCredentials::new(id.clone(), secret, authentication).map_err(|source| {
            ConfigurationError::ClientCredentials { exchange: exchange.to_owned(), source }
        })?;
        Ok(Some(Self::Confidential { id, credentials }))
    }
}

/// One client for all exchanges that believe the same authorities.
struct Clients<'a> {
    sources: &'a mut Sources,
    limits: Limits,
    proxies: &'a Proxies,
    made: BTreeMap<Option<PathBuf>, HttpClient>,
}

impl Clients<'_> {
    fn of(&mut self, exchange: &str, authority: Option<PathBuf>) -> Result<HttpClient, ConfigurationError> {
        if let Some(client) = self.made.get(&authority) {
            return Ok(client.clone());
        }
        let authorities = match &authority {
            None => Authorities::System,
            Some(path) => Authorities::Pem(self.sources.bytes(path)?.to_vec()),
        };
        let client = HttpClient::through(&authorities, self.limits, self.proxies.clone())
            .map_err(|source| ConfigurationError::Client { exchange: exchange.to_owned(), source })?;
        self.made.insert(authority, client.clone());
        Ok(client)
    }
}

fn within(limit: &'static str, value: u64, least: u64, most: u64) -> Result<u64, ConfigurationError> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigurationError::Limit { limit, least, most })
    }
}

#[cfg(test)]
mod tests {
    use tokenward_driver::with_causes;

    use super::*;

    fn parse(text: &str) -> Result<Configuration, String> {
        Configuration::parse(text, Path::new("/nowhere")).map_err(|error| with_causes(&error))
    }

    #[test]
    fn an_empty_file_is_a_driver_of_tokens_alone() {
        for text in ["", "\n", "{}", "exchanges: {}"] {
            let configuration = parse(text).unwrap();
            assert_eq!((configuration.names().count(), configuration.concurrent_exchanges), (0, 16));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let exchange = |rest: &str| format!("exchanges: {{aws: {{url: \"https://a/\", {rest}}}}}");
        let table = [
            ("nonsense: 1".to_owned(), "the configuration cannot be read"),
            ("exchanges: 1".to_owned(), "the configuration cannot be read"),
            (exchange("audiences: [a]"), "the configuration cannot be read"),
            (exchange("kind: other, audiences: [a]"), "the configuration cannot be read"),
            (exchange("kind: jwtLogin, audiences: [a], extra: 1"), "the configuration cannot be read"),
            (exchange("kind: jwtLogin, audiences: []"), "exchange `aws`: audiences is empty"),
            (
                exchange("kind: tokenExchange, audiences: [a], namespace: n"),
                "exchange `aws`: namespace is not for exchanges of the kind tokenExchange",
            ),
            (
                exchange("kind: jwtLogin, audiences: [a], clientId: n"),
                "exchange `aws`: clientId is not for exchanges of the kind jwtLogin",
            ),
            (
                exchange("kind: jwtLogin, audiences: [a], clientSecretFile: s"),
                "exchange `aws`: clientSecretFile is not for exchanges of the kind jwtLogin",
            ),
            (
                exchange("kind: tokenExchange, audiences: [a], clientSecretFile: s"),
                "exchange `aws`: clientSecretFile says something of clientId",
            ),
            (
                exchange("kind: tokenExchange, audiences: [a], clientAuthentication: client_secret_post"),
                "exchange `aws`: clientAuthentication says something of clientSecretFile",
            ),
            (
                exchange(
                    "kind: tokenExchange, audiences: [a], clientId: i, clientAuthentication: private_key_jwt",
                ),
                "the configuration cannot be read",
            ),
            (
                exchange("kind: tokenExchange, audiences: [a], clientId: i, clientSecretFile: s"),
                "cannot read `/nowhere/s`",
            ),
            (
                exchange("kind: jwtLogin, audiences: [a], certificateAuthority: ca.pem"),
                "cannot read `/nowhere/ca.pem`",
            ),
            (
                exchange("kind: jwtLogin, audiences: [a]").replace("https:", "http:"),
                "exchange `aws`: url: tokens go over HTTPS",
            ),
            (
                exchange("kind: jwtLogin, audiences: [a]").replace("aws", "A_W"),
                "exchange `A_W`: wanted a name",
            ),
            ("limits: {concurrentExchanges: 0}".to_owned(), "concurrentExchanges must be between 1 and 1000"),
            ("limits: {totalSeconds: 101}".to_owned(), "totalSeconds must be between 1 and 100"),
            ("limits: {attemptSeconds: 0}".to_owned(), "attemptSeconds must be between 1 and 60"),
        ];
        for (text, expected) in table {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_error_does_not_quote_what_stands_around_it() {
        let text = "exchanges: {sts: {kind: tokenExchange, url: 'https://a.example/', audiences: [a], clientId: i, clientSecret: s3cret}}";
        let error = parse(text).unwrap_err();
        assert!(error.contains("clientSecret") && !error.contains("s3cret"), "{error}");
    }
}
