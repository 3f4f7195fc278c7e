//! What an issuer is told: its URLs, its audiences, how long tokens may live.

/// The settings of an issuer; kube-apiserver's `--service-account-*` and `--api-audiences` flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    issuers: Vec<String>,
    api_audiences: Vec<String>,
    max_expiration_seconds: Option<i64>,
    extend_expiration: bool,
    lookup: bool,
    jwks_uri: Option<String>,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The same issuer twice.
    #[error("issuer {0:?} is given twice")]
    DuplicateIssuer(String),
    /// An empty issuer.
    #[error("an issuer must not be empty")]
    EmptyIssuer,
    /// The longest lifetime is out of bounds.
    #[error("wanted a maximum token expiration between 3600 and 4294967296 seconds, found {0}")]
    MaxExpiration(i64),
    /// No issuer at all.
    #[error("at least one issuer is needed: it signs")]
    NoIssuer,
}

impl IssuerConfig {
    /// Settings with these issuer URLs: the first signs, all are accepted. The api audiences are the issuers, there is
    /// no maximum, and tokens of automounted volumes are extended, as upstream's defaults have it.
    ///
    /// # Errors
    /// Without an issuer, with an empty one, or one twice.
    pub fn new<S: Into<String>>(issuers: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let issuers = issuers.into_iter().map(Into::into).collect::<Vec<String>>();
        if issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        for (index, issuer) in issuers.iter().enumerate() {
            if issuer.is_empty() {
                return Err(ConfigError::EmptyIssuer);
            }
            if issuers[..index].contains(issuer) {
                return Err(ConfigError::DuplicateIssuer(issuer.clone()));
            }
        }
        Ok(Self {
            api_audiences: issuers.clone(),
            issuers,
            max_expiration_seconds: None,
            extend_expiration: true,
            lookup: true,
            jwks_uri: None,
        })
    }

    /// `--api-audiences`; an empty list keeps the default, the issuers.
    #[must_use]
    pub fn with_api_audiences<S: Into<String>>(mut self, audiences: impl IntoIterator<Item = S>) -> Self {
        let audiences = audiences.into_iter().map(Into::into).collect::<Vec<String>>();
        self.api_audiences = if audiences.is_empty() { self.issuers.clone() } else { audiences };
        self
    }

    /// `--service-account-max-token-expiration`, in seconds.
    ///
    /// # Errors
    /// Below an hour or above 2^32 seconds.
    pub fn with_max_expiration_seconds(mut self, seconds: i64) -> Result<Self, ConfigError> {
        if !(3600..=1 << 32).contains(&seconds) {
            return Err(ConfigError::MaxExpiration(seconds));
        }
        self.max_expiration_seconds = Some(seconds);
        Ok(self)
    }

    /// `--service-account-extend-token-expiration`.
    #[must_use]
    pub fn with_extended_expiration(mut self, extend: bool) -> Self {
        self.extend_expiration = extend;
        self
    }

    /// `--service-account-lookup`: whether a token without an audience, of the old kind that lives in Secrets, is good
    /// only while its objects exist. For tokens of today they always have to.
    #[must_use]
    pub fn with_lookup(mut self, lookup: bool) -> Self {
        self.lookup = lookup;
        self
    }

    /// `--service-account-jwks-uri`.
    #[must_use]
    pub fn with_jwks_uri(mut self, uri: impl Into<String>) -> Self {
        self.jwks_uri = Some(uri.into());
        self
    }

    /// The issuer that signs.
    pub fn issuer(&self) -> &str {
        &self.issuers[0]
    }

    /// All issuers whose tokens are accepted.
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// The audiences of the API server itself.
    pub fn api_audiences(&self) -> &[String] {
        &self.api_audiences
    }

    /// The longest lifetime that is granted, in seconds.
    pub fn max_expiration_seconds(&self) -> Option<i64> {
        self.max_expiration_seconds
    }

    /// Whether tokens of automounted volumes live for a year.
    pub fn extends_expiration(&self) -> bool {
        self.extend_expiration
    }

    /// Whether the objects of tokens of the old kind are looked up.
    pub fn looks_up(&self) -> bool {
        self.lookup
    }

    /// Where clients are told to fetch the keys; `None` for the server's own address.
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_refused() {
        assert_eq!(IssuerConfig::new([""; 0]), Err(ConfigError::NoIssuer));
        assert_eq!(IssuerConfig::new([""]), Err(ConfigError::EmptyIssuer));
        assert_eq!(IssuerConfig::new(["a", "b", "a"]), Err(ConfigError::DuplicateIssuer("a".into())));
        let config = IssuerConfig::new(["a"]).unwrap();
        for (seconds, good) in [(3599, false), (3600, true), (1 << 32, true), ((1 << 32) + 1, false)] {
            assert_eq!(config.clone().with_max_expiration_seconds(seconds).is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn api_audiences_default_to_the_issuers() {
        let config = IssuerConfig::new(["a", "b"]).unwrap();
        assert_eq!(config.api_audiences(), ["a", "b"]);
        assert_eq!(config.clone().with_api_audiences(["api"]).api_audiences(), ["api"]);
        assert_eq!(config.with_api_audiences([""; 0]).api_audiences(), ["a", "b"]);
    }
}
