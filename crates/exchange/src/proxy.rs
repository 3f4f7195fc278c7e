//! The way to a server: directly, or through an HTTP proxy that passes bytes on (CONNECT) and sees nothing of them.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Through which proxy servers are reached; by default through none.
///
/// TLS ends at the server and not at the proxy. Plain HTTP, which an [`Endpoint`](crate::Endpoint) allows to this machine alone, goes through
/// no proxy: it would leave the machine.
///
/// ```
/// use tokenward_exchange::{Authorities, ClientError, HttpClient, Limits, Proxies};
///
/// fn direct() -> Result<HttpClient, ClientError> {
///     HttpClient::through(&Authorities::System, Limits::default(), Proxies::none())
/// }
/// ```
#[derive(Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// Why proxies cannot be used.
///
/// ```
/// use tokenward_exchange::{Proxies, ProxyError};
///
/// let socks = |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://proxy.example".to_owned());
/// assert_eq!(Proxies::from_environment(socks).unwrap_err(), ProxyError::Url { variable: "HTTPS_PROXY" });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Not the URL of a proxy of the kind that is spoken to.
    #[error(
        "{variable}: wanted the URL of an HTTP proxy, such as http://proxy.example:3128; TLS or SOCKS to the proxy is not spoken"
    )]
    Url {
        /// The environment variable.
        variable: &'static str,
    },
}

/// The variables in which the proxy for HTTPS may stand, the first that is set counts.
const HTTPS_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxies {
    /// Everything directly.
    ///
    /// Shown at [`Proxies`].
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// As the environment says it, read by `variable`: HTTPS goes through `HTTPS_PROXY`, except to what `NO_PROXY` lists (names with all below
    /// them, addresses, networks such as 10.0.0.0/8, `*`); each in lower case too. User and password may stand in the proxy's URL.
    ///
    /// ```
    /// use tokenward_exchange::Proxies;
    ///
    /// let proxies = Proxies::from_environment(|name| match name {
    ///     "HTTPS_PROXY" => Some("http://proxy.example:3128".to_owned()),
    ///     "NO_PROXY" => Some(".internal.example,10.0.0.0/8".to_owned()),
    ///     _ => None,
    /// })?;
    /// # let _ = proxies;
    /// # Ok::<(), tokenward_exchange::ProxyError>(())
    /// ```
    ///
    /// # Errors
    /// When the proxy's URL is not one of an HTTP proxy. It is not quoted: it may hold a password.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
        };
        let Some((name, url)) = first(HTTPS_PROXY) else { return Ok(Self::none()) };
        let error = ProxyError::Url { variable: name };
        // As is usual, a name and a port alone are a proxy too.
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        let is_proxy = url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_proxy {
            return Err(error);
        }
        let no_proxy = first(NO_PROXY).map(|(_, list)| list).unwrap_or_default();
        // The matcher knows `*` for names alone.
        if no_proxy.split(',').any(|entry| entry.trim() == "*") {
            return Ok(Self::none());
        }
        let matcher = Matcher::builder().https(url).no(no_proxy).build();
        Ok(Self(Some(Arc::new(matcher))))
    }

    fn to(&self, server: &Uri) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        if server.scheme_str() == Some("https") { matcher.intercept(server) } else { None }
    }
}

/// Without the URL: it may hold a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Proxies(as configured)" } else { "Proxies(none)" })
    }
}

/// Connects to servers, TLS not included.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) tcp: HttpConnector,
    pub(crate) proxies: Proxies,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.to(&server) else {
            let connecting = self.tcp.call(server);
            return Box::pin(async move { Ok(connecting.await?) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
        if let Some(user) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(user.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn https_goes_through_the_proxy_except_where_it_must_not() {
        let table = [
            (&[][..], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "")], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "http://p.example:3128")], "https://sts.example/", Some("p.example:3128")),
            (&[("https_proxy", "p.example:3128")], "https://sts.example/", Some("p.example:3128")),
            (
                &[("HTTPS_PROXY", "http://a.example"), ("https_proxy", "http://b.example")],
                "https://sts.example/",
                Some("a.example"),
            ),
            (&[("HTTP_PROXY", "http://p.example")], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "http://p.example")], "http://127.0.0.1:8080/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "example")], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("no_proxy", ".example")], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "*")], "https://sts.example/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "*")], "https://10.1.2.3/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "a.example, *")], "https://[::1]/", None),
            (&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "10.0.0.0/8")], "https://10.1.2.3/", None),
            (
                &[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "other.example")],
                "https://sts.example/",
                Some("p.example"),
            ),
        ];
        for (variables, server, expected) in table {
            let found = proxies(variables).unwrap().to(&server.parse().unwrap());
            let found = found
                .and_then(|proxy| proxy.uri().authority().map(|authority| authority.as_str().to_owned()));
            assert_eq!(found.as_deref(), expected, "{variables:?} {server}");
        }
    }

    #[test]
    fn other_proxies_are_refused_and_passwords_are_not_shown() {
        for url in ["https://p.example", "socks5://p.example", "http://", "http:// p", "://p"] {
            let error = proxies(&[("https_proxy", url)]).unwrap_err();
            assert_eq!(error, ProxyError::Url { variable: "https_proxy" }, "{url}");
        }
        let error = proxies(&[("HTTPS_PROXY", "ftp://user:s3cret@p.example")]).unwrap_err();
        let good = proxies(&[("HTTPS_PROXY", "http://user:s3cret@p.example")]).unwrap();
        assert!(good.to(&"https://sts.example/".parse().unwrap()).unwrap().basic_auth().is_some());
        for shown in [format!("{error} {error:?}"), format!("{good:?}")] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
