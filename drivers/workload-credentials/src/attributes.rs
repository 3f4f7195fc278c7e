//! What a pod may ask for in the attributes of its volume, strictly read: an attribute that is not known, or is of another kind of
//! exchange, is refused and not ignored.
//!
//! ```text
//! tokenFile.<path>: <audience>      the token for an audience as the file <path>
//! fileMode, fileMode.<path>         permission bits in octal; 0600 by default
//! exchange: <name>                  an exchange of the driver's configuration
//! exchangeAudience: <audience>      whose token is exchanged; by default the only one that the exchange takes
//! role                              assumeRoleWithWebIdentity: the ARN; jwtLogin: the role
//! durationSeconds                   assumeRoleWithWebIdentity: the life of the session
//! targetAudience, scope             tokenExchange: for what the new token is to be good
//! credentialsFile: <path>           where the credentials are written
//! credentialsFormat                 aws-credentials, env, json, raw
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenward_driver::tokens::Audience;
use tokenward_driver::{VolumePath, VolumePathError};
use tokenward_exchange::{Exchange, JwtLogin, ParameterError, SessionName, TokenExchange, WebIdentity};

use crate::Configuration;
use crate::configuration::{Client, Kind, NamedExchange};
use crate::pod::{KUBELET_KEYS, Pod};
use crate::record::{Fingerprint, fingerprint};
use crate::render::Format;

/// Keys of the CO that are not the kubelet's: a provisioner's, in PersistentVolumes.
const STORAGE_KEYS: &str = "storage.kubernetes.io/";
const DEFAULT_MODE: u32 = 0o600;
/// More than a pod can need, and little enough to be written at each republish.
const MOST_FILES: usize = 64;
/// Longest piece of an attribute that an error repeats.
const LONGEST_QUOTE: usize = 80;

/// What a volume shall hold.
#[derive(Debug)]
pub(crate) struct VolumePlan {
    pub(crate) token_files: Vec<TokenFile>,
    pub(crate) exchange: Option<ExchangePlan>,
}

/// A token as a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenFile {
    pub(crate) path: VolumePath,
    pub(crate) audience: Audience,
    pub(crate) mode: u32,
}

/// An exchange, and the file for what it gives.
#[derive(Debug)]
pub(crate) struct ExchangePlan {
    pub(crate) named: Arc<NamedExchange>,
    pub(crate) exchange: Box<dyn Exchange>,
    pub(crate) audience: Audience,
    pub(crate) path: VolumePath,
    pub(crate) mode: u32,
    pub(crate) format: Format,
    /// Of all that decides which credentials these are.
    pub(crate) fingerprint: Fingerprint,
}

/// Why attributes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttributeError {
    #[error("the exchange `{exchange}` does not take tokens for `{audience}`; it takes those for {allowed}")]
    Audience { exchange: String, audience: String, allowed: String },
    #[error("the exchange `{exchange}` takes tokens for {allowed}: say which with exchangeAudience")]
    AudienceOpen { exchange: String, allowed: String },
    #[error("the files `{path}` and `{other}` cannot stand side by side in one volume")]
    Conflict { path: VolumePath, other: VolumePath },
    #[error("credentialsFormat: `{format}` is not for exchanges of the kind {kind}; wanted one of {wanted}")]
    Format { format: String, kind: &'static str, wanted: String },
    #[error("`{key}` is missing; {why}")]
    Missing { key: &'static str, why: &'static str },
    #[error("{key}: wanted an octal number from 0400 to 0777 that lets the owner read and nobody else write")]
    Mode { key: String },
    #[error("nothing is asked for: name at least one tokenFile.PATH, or an exchange")]
    Nothing,
    #[error("{key}: wanted a whole number of seconds")]
    Number { key: &'static str },
    #[error("`{key}` is not for exchanges of the kind {kind}")]
    OtherKind { key: &'static str, kind: &'static str },
    #[error("exchange `{exchange}`")]
    Parameter { exchange: String, source: ParameterError },
    #[error("{key}")]
    Path { key: String, source: VolumePathError },
    #[error("more than {MOST_FILES} files are asked for")]
    TooMany,
    #[error("`{key}` is not an attribute of this driver; see docs/workload-credentials.md")]
    Unknown { key: String },
    #[error("the driver's configuration has no exchange `{exchange}`; it has {known}")]
    UnknownExchange { exchange: String, known: String },
    #[error("`{key}` says something of a file that is not asked for")]
    Unused { key: String },
    #[error("`{key}` says something of an exchange, and no `exchange` is named")]
    WithoutExchange { key: &'static str },
}

const OF_EXCHANGES: [&str; 7] = [
    "credentialsFile",
    "credentialsFormat",
    "durationSeconds",
    "exchangeAudience",
    "role",
    "scope",
    "targetAudience",
];

/// Reads the attributes of a volume for a pod.
pub(crate) fn parse(
    attributes: &BTreeMap<String, String>,
    volume_id: &str,
    pod: &Pod,
    configuration: &Configuration,
) -> Result<VolumePlan, AttributeError> {
    let own: BTreeMap<&str, &str> = attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .filter(|(key, _)| !key.starts_with(KUBELET_KEYS) && !key.starts_with(STORAGE_KEYS))
        .collect();
    check_keys(&own)?;
    let modes = Modes::read(&own)?;
    let mut token_files = Vec::new();
    for (key, audience) in &own {
        let Some(path) = key.strip_prefix("tokenFile.") else { continue };
        let path = volume_path(key, path)?;
        let mode = modes.of(&path);
        token_files.push(TokenFile { path, audience: Audience::new(*audience), mode });
    }
    let exchange = match own.get("exchange") {
        Some(name) => Some(exchange(name, &own, volume_id, pod, configuration, &modes)?),
        None => {
            if let Some(key) = OF_EXCHANGES.into_iter().find(|key| own.contains_key(key)) {
                return Err(AttributeError::WithoutExchange { key });
            }
            None
        }
    };
    let plan = VolumePlan { token_files, exchange };
    check_paths(&plan, &modes)?;
    Ok(plan)
}

fn check_keys(own: &BTreeMap<&str, &str>) -> Result<(), AttributeError> {
    for key in own.keys() {
        let is_known = *key == "exchange"
            || *key == "fileMode"
            || OF_EXCHANGES.contains(key)
            || key.starts_with("tokenFile.")
            || key.starts_with("fileMode.");
        if !is_known {
            return Err(AttributeError::Unknown { key: quote(key) });
        }
    }
    Ok(())
}

fn check_paths(plan: &VolumePlan, modes: &Modes<'_>) -> Result<(), AttributeError> {
    let paths: Vec<&VolumePath> = plan
        .token_files
        .iter()
        .map(|file| &file.path)
        .chain(plan.exchange.iter().map(|exchange| &exchange.path))
        .collect();
    if paths.is_empty() {
        return Err(AttributeError::Nothing);
    }
    if paths.len() > MOST_FILES {
        return Err(AttributeError::TooMany);
    }
    let is_under = |path: &VolumePath, other: &VolumePath| {
        path.as_str()
            .strip_prefix(other.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for (at, path) in paths.iter().enumerate() {
        let other = paths[..at].iter().find(|other| is_under(path, other) || is_under(other, path));
        if let Some(other) = other {
            return Err(AttributeError::Conflict { path: (*path).clone(), other: (**other).clone() });
        }
    }
    match modes.single.keys().find(|path| !paths.iter().any(|known| known.as_str() == **path)) {
        Some(path) => Err(AttributeError::Unused { key: quote(&format!("fileMode.{path}")) }),
        None => Ok(()),
    }
}

/// The permission bits of files, by path.
struct Modes<'a> {
    default: u32,
    single: BTreeMap<&'a str, u32>,
}

impl<'a> Modes<'a> {
    fn read(own: &BTreeMap<&'a str, &'a str>) -> Result<Self, AttributeError> {
        let mut modes = Self { default: DEFAULT_MODE, single: BTreeMap::new() };
        for (key, value) in own {
            if *key == "fileMode" {
                modes.default = mode(key, value)?;
            } else if let Some(path) = key.strip_prefix("fileMode.") {
                modes.single.insert(path, mode(key, value)?);
            }
        }
        Ok(modes)
    }

    fn of(&self, path: &VolumePath) -> u32 {
        self.single.get(path.as_str()).copied().unwrap_or(self.default)
    }
}

fn mode(key: &str, value: &str) -> Result<u32, AttributeError> {
    let is_octal = (3..=4).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(value, 8).ok().filter(|_| is_octal);
    mode.filter(|mode| *mode <= 0o777 && mode & 0o400 != 0 && mode & 0o022 == 0)
        .ok_or_else(|| AttributeError::Mode { key: quote(key) })
}

fn volume_path(key: &str, path: &str) -> Result<VolumePath, AttributeError> {
    VolumePath::parse(path).map_err(|source| AttributeError::Path { key: quote(key), source })
}

fn exchange(
    name: &str,
    own: &BTreeMap<&str, &str>,
    volume_id: &str,
    pod: &Pod,
    configuration: &Configuration,
    modes: &Modes<'_>,
) -> Result<ExchangePlan, AttributeError> {
    let named = configuration.exchange(name).ok_or_else(|| AttributeError::UnknownExchange {
        exchange: quote(name),
        known: list(configuration.names()),
    })?;
    let kind = named.kind;
    let of_kinds: [(&'static str, &[Kind]); 4] = [
        ("role", &[Kind::AssumeRoleWithWebIdentity, Kind::JwtLogin]),
        ("durationSeconds", &[Kind::AssumeRoleWithWebIdentity]),
        ("scope", &[Kind::TokenExchange]),
        ("targetAudience", &[Kind::TokenExchange]),
    ];
    for (key, kinds) in of_kinds {
        if own.contains_key(key) && !kinds.contains(&kind) {
            return Err(AttributeError::OtherKind { key, kind: kind.as_str() });
        }
    }
    let audience = audience(named, own.get("exchangeAudience").copied())?;
    let why = "it says where the credentials are written";
    let path = own.get("credentialsFile").ok_or(AttributeError::Missing { key: "credentialsFile", why })?;
    let path = volume_path("credentialsFile", path)?;
    let format = format(kind, own.get("credentialsFormat").copied())?;
    let exchange = build(named, own, pod)?;
    let parameter = |key: &str| own.get(key).copied().unwrap_or_default();
    let fingerprint = fingerprint(&[
        volume_id,
        &pod.uid,
        &pod.namespace,
        &pod.service_account,
        &named.name,
        kind.as_str(),
        &named.url,
        named.namespace.as_deref().unwrap_or_default(),
        named.client.as_ref().map(Client::id).unwrap_or_default(),
        audience.as_str(),
        parameter("role"),
        parameter("durationSeconds"),
        parameter("scope"),
        parameter("targetAudience"),
        path.as_str(),
        format.as_str(),
    ]);
    let mode = modes.of(&path);
    Ok(ExchangePlan { named: Arc::clone(named), exchange, audience, path, mode, format, fingerprint })
}

fn audience(named: &NamedExchange, wanted: Option<&str>) -> Result<Audience, AttributeError> {
    let allowed = || list(named.audiences.iter().map(Audience::as_str));
    match (wanted, named.audiences.as_slice()) {
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(AttributeError::AudienceOpen { exchange: named.name.clone(), allowed: allowed() }),
        (Some(wanted), known) => {
            known.iter().find(|known| known.as_str() == wanted).cloned().ok_or_else(|| {
                AttributeError::Audience {
                    exchange: named.name.clone(),
                    audience: quote(wanted),
                    allowed: allowed(),
                }
            })
        }
    }
}

fn format(kind: Kind, wanted: Option<&str>) -> Result<Format, AttributeError> {
    let formats = Format::of(kind);
    let Some(wanted) = wanted else { return Ok(formats[0]) };
    Format::parse(wanted).filter(|format| formats.contains(format)).ok_or_else(|| AttributeError::Format {
        format: quote(wanted),
        kind: kind.as_str(),
        wanted: list(formats.iter().map(|format| format.as_str())),
    })
}

fn build(
    named: &NamedExchange,
    own: &BTreeMap<&str, &str>,
    pod: &Pod,
) -> Result<Box<dyn Exchange>, AttributeError> {
    let wrong = |source| AttributeError::Parameter { exchange: named.name.clone(), source };
    let endpoint = named.endpoint.clone();
    let role = || {
        let why = "an exchange of this kind is for a role";
        own.get("role").copied().ok_or(AttributeError::Missing { key: "role", why })
    };
    match named.kind {
        Kind::AssumeRoleWithWebIdentity => {
            let session = SessionName::for_pod(&pod.namespace, &pod.name).map_err(wrong)?;
            let mut exchange = WebIdentity::new(endpoint, role()?, session).map_err(wrong)?;
            if let Some(seconds) = own.get("durationSeconds") {
                let seconds =
                    seconds.parse().map_err(|_| AttributeError::Number { key: "durationSeconds" })?;
                exchange = exchange.duration_seconds(seconds).map_err(wrong)?;
            }
            Ok(Box::new(exchange))
        }
        Kind::JwtLogin => {
            let mut exchange = JwtLogin::new(endpoint, role()?).map_err(wrong)?;
            if let Some(namespace) = &named.namespace {
                exchange = exchange.namespace(namespace).map_err(wrong)?;
            }
            Ok(Box::new(exchange))
        }
        Kind::TokenExchange => {
            let mut exchange = TokenExchange::new(endpoint);
            match &named.client {
                Some(Client::Public(id)) => exchange = exchange.client_id(id).map_err(wrong)?,
                Some(Client::Confidential { credentials, .. }) => {
                    exchange = exchange.client_credentials(credentials.clone());
                }
                None => {}
            }
            if let Some(audience) = own.get("targetAudience") {
                exchange = exchange.audience(*audience).map_err(wrong)?;
            }
            if let Some(scope) = own.get("scope") {
                exchange = exchange.scope(scope).map_err(wrong)?;
            }
            Ok(Box::new(exchange))
        }
    }
}

/// A piece of what a pod's author wrote, short enough for a message.
fn quote(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect();
    if clean.len() < text.len() { format!("{clean}...") } else { clean }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
