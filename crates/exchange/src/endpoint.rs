//! Where a token may be sent.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

/// The URL of a server that exchanges tokens, or of an issuer's document.
///
/// HTTPS; HTTP only to this machine itself (`localhost`, 127.0.0.0/8, `[::1]`), where a proxy does the rest. No user, no fragment. Made from
/// an administrator's configuration, never from what the author of a pod has written.
///
/// ```
/// use tokenward_exchange::{Endpoint, EndpointError};
///
/// let vault = Endpoint::parse("https://vault.example:8200/v1")?;
/// let login = Endpoint::parse("https://vault.example:8200/v1/auth/jwt/login")?;
/// assert_eq!(vault.join("auth/jwt/login")?, login);
/// assert_eq!(vault.origin(), "https://vault.example:8200");
/// assert!(Endpoint::parse("http://127.0.0.1:8200/").is_ok());
/// assert_eq!(Endpoint::parse("http://vault.example:8200/"), Err(EndpointError::Plain));
/// # Ok::<(), EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    origin: String,
}

/// Why a text is not an [`Endpoint`].
///
/// Shown at [`Endpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A part behind `#`.
    #[error("the URL has a fragment, which is never sent; remove it")]
    Fragment,
    /// HTTP to another machine.
    #[error("tokens go over HTTPS; plain HTTP is for this machine alone (localhost, 127.0.0.1, [::1])")]
    Plain,
    /// Not a URL, or a relative one.
    #[error("wanted a URL such as https://sts.example/token")]
    Unreadable,
    /// Something before an `@`.
    #[error("the URL has a user or password in it; remove it")]
    User,
}

impl Endpoint {
    /// Checks a URL.
    ///
    /// Shown at [`Endpoint`].
    ///
    /// # Errors
    /// The rule that it breaks. The error quotes nothing of it.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        if url.contains('#') {
            return Err(EndpointError::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| EndpointError::Unreadable)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::Unreadable);
        };
        if authority.as_str().contains('@') {
            return Err(EndpointError::User);
        }
        let host = authority.host();
        match scheme {
            "https" => {}
            "http" if is_this_machine(host) => {}
            "http" => return Err(EndpointError::Plain),
            _ => return Err(EndpointError::Unreadable),
        }
        if host.is_empty() {
            return Err(EndpointError::Unreadable);
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Self { uri, origin })
    }

    /// The same server and path with `path` behind it.
    ///
    /// Shown at [`Endpoint`].
    ///
    /// # Errors
    /// When that makes no URL.
    pub fn join(&self, path: &str) -> Result<Self, EndpointError> {
        let own = self.uri.path().trim_end_matches('/');
        Self::parse(&format!("{}{own}/{}", self.origin, path.trim_start_matches('/')))
    }

    /// Scheme, host and port: what errors and logs call it.
    ///
    /// Shown at [`Endpoint`].
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// The path is left out: some servers have secrets in it.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin)
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine() {
        let table = [
            ("https://sts.example/token", Ok("https://sts.example")),
            ("https://sts.example:8443", Ok("https://sts.example:8443")),
            ("https://[2001:db8::1]/x?y=z", Ok("https://[2001:db8::1]")),
            ("http://localhost:8200/v1", Ok("http://localhost:8200")),
            ("http://127.0.0.1:1/", Ok("http://127.0.0.1:1")),
            ("http://[::1]:1/", Ok("http://[::1]:1")),
            ("http://sts.example/", Err(EndpointError::Plain)),
            ("http://10.0.0.1/", Err(EndpointError::Plain)),
            ("http://localhost.evil.example/", Err(EndpointError::Plain)),
            ("http://127.0.0.1.evil.example/", Err(EndpointError::Plain)),
            ("http://127.0.0.1@evil.example/", Err(EndpointError::User)),
            ("https://user:canary@sts.example/", Err(EndpointError::User)),
            ("https://sts.example/#a", Err(EndpointError::Fragment)),
            ("ftp://sts.example/", Err(EndpointError::Unreadable)),
            ("/token", Err(EndpointError::Unreadable)),
            ("sts.example", Err(EndpointError::Unreadable)),
            ("", Err(EndpointError::Unreadable)),
            ("https://", Err(EndpointError::Unreadable)),
        ];
        for (url, expected) in table {
            let found = Endpoint::parse(url);
            assert_eq!(found.as_ref().map(Endpoint::origin), expected.as_ref().copied(), "{url}");
        }
    }

    #[test]
    fn a_path_is_joined_and_not_shown() {
        for base in ["https://issuer.example/tenant/", "https://issuer.example/tenant"] {
            let joined = Endpoint::parse(base).unwrap().join("/.well-known/x").unwrap();
            assert_eq!(joined.uri().path(), "/tenant/.well-known/x");
            assert_eq!(format!("{joined:?}"), "Endpoint(https://issuer.example)");
        }
    }
}
