//! The driver's configuration file: the exchanges that volumes may name, each with the one place to which it sends tokens.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokenward_driver::tokens::Audience;
use tokenward_exchange::{Authorities, ClientError, Endpoint, EndpointError, HttpClient, Limits};

/// What the administrator of the driver allows.
#[derive(Clone, Debug)]
pub struct Configuration {
    exchanges: BTreeMap<String, Arc<NamedExchange>>,
    pub(crate) concurrent_exchanges: usize,
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
    pub(crate) client_id: Option<String>,
    pub(crate) client: HttpClient,
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

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// An exchange that no token may be sent to.
    #[error("exchange `{exchange}`: audiences is empty; name those whose tokens may be sent there")]
    Audiences {
        /// The exchange.
        exchange: String,
    },
    /// The authorities' certificates cannot be used.
    #[error("exchange `{exchange}`: there is no client for it")]
    Client {
        /// The exchange.
        exchange: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A limit that makes no sense.
    #[error("limits: {limit} must be between {least} and {most}")]
    Limit {
        /// Its name.
        limit: &'static str,
        /// The least that it can be.
        least: u64,
        /// The most that it can be.
        most: u64,
    },
    /// A name that would be hard to write.
    #[error("exchange `{exchange}`: wanted a name of 1 to 63 lower-case letters, digits and `-`")]
    Name {
        /// The exchange.
        exchange: String,
    },
    /// A field that is of another kind of exchange.
    #[error("exchange `{exchange}`: {field} is not for exchanges of the kind {kind}")]
    OtherKind {
        /// The exchange.
        exchange: String,
        /// The field.
        field: &'static str,
        /// The exchange's kind.
        kind: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The URL is not one that tokens may be sent to.
    #[error("exchange `{exchange}`: url")]
    Url {
        /// The exchange.
        exchange: String,
        /// Why.
        #[source]
        source: EndpointError,
    },
    /// Not the YAML of a configuration.
    #[error("the configuration cannot be read")]
    Yaml(#[source] Box<serde_saphyr::Error>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    exchanges: BTreeMap<String, FileExchange>,
    #[serde(default)]
    limits: FileLimits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileExchange {
    kind: Kind,
    url: String,
    audiences: Vec<Audience>,
    certificate_authority: Option<PathBuf>,
    namespace: Option<String>,
    client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileLimits {
    concurrent_exchanges: u64,
    attempt_seconds: u64,
    total_seconds: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            concurrent_exchanges: 16,
            attempt_seconds: limits.attempt.as_secs(),
            total_seconds: limits.total.as_secs(),
        }
    }
}

impl Configuration {
    /// Reads a configuration file; relative paths in it are beside it.
    ///
    /// # Errors
    /// The first thing in it that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigurationError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads the text of a configuration; relative paths in it are below `directory`.
    ///
    /// # Errors
    /// As [`Configuration::load`].
    pub fn parse(text: &str, directory: &Path) -> Result<Self, ConfigurationError> {
        // An empty document is a driver that only delivers tokens.
        let text = if text.trim().is_empty() { "{}" } else { text };
        let file: File =
            serde_saphyr::from_str(text).map_err(|error| ConfigurationError::Yaml(Box::new(error)))?;
        let FileLimits { concurrent_exchanges, attempt_seconds, total_seconds } = file.limits;
        let concurrent_exchanges = within("concurrentExchanges", concurrent_exchanges, 1, 1000)?;
        // The kubelet waits for two minutes.
        let attempt = Duration::from_secs(within("attemptSeconds", attempt_seconds, 1, 60)?);
        let total = Duration::from_secs(within("totalSeconds", total_seconds, 1, 100)?);
        let limits = Limits { attempt, total, ..Limits::default() };
        let mut clients = Clients { directory, limits, made: BTreeMap::new() };
        let exchanges = file
            .exchanges
            .into_iter()
            .map(|(name, exchange)| {
                let exchange = NamedExchange::new(name.clone(), exchange, &mut clients)?;
                Ok((name, Arc::new(exchange)))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            exchanges,
            concurrent_exchanges: usize::try_from(concurrent_exchanges).unwrap_or(1),
            total_limit: total,
        })
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
        ];
        for (field, is_there, kind) in of_others {
            if is_there && kind != file.kind {
                let kind = file.kind.as_str();
                return Err(ConfigurationError::OtherKind { exchange: name, field, kind });
            }
        }
        let endpoint = Endpoint::parse(&file.url)
            .map_err(|source| ConfigurationError::Url { exchange: name.clone(), source })?;
        let client = clients.of(&name, file.certificate_authority)?;
        Ok(Self {
            kind: file.kind,
            url: file.url,
            endpoint,
            audiences: file.audiences,
            namespace: file.namespace,
            client_id: file.client_id,
            client,
            name,
        })
    }
}

/// One client for all exchanges that believe the same authorities.
struct Clients<'a> {
    directory: &'a Path,
    limits: Limits,
    made: BTreeMap<Option<PathBuf>, HttpClient>,
}

impl Clients<'_> {
    fn of(&mut self, exchange: &str, authority: Option<PathBuf>) -> Result<HttpClient, ConfigurationError> {
        if let Some(client) = self.made.get(&authority) {
            return Ok(client.clone());
        }
        let authorities = match &authority {
            None => Authorities::System,
            Some(path) => {
                let path = self.directory.join(path);
                let pem = fs::read(&path).map_err(|source| ConfigurationError::Read { path, source })?;
                Authorities::Pem(pem)
            }
        };
        let client = HttpClient::new(&authorities, self.limits)
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
}
