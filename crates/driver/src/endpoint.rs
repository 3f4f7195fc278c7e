//! Where a plugin is served: a Unix socket, or an address of this machine.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tokenward_transport::{BoundSocket, Services, SocketPath, SocketPathError, bind, serve_draining};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint as Dialled};

use crate::name::DriverName;
use crate::plugin::ServeError;

/// Where a plugin is served.
///
/// ```
/// use tokenward_driver::Endpoint;
///
/// let socket: Endpoint = "unix:///run/vault/csi.sock".parse()?;
/// assert_eq!(socket.to_string(), "unix:///run/vault/csi.sock");
/// let address: Endpoint = "tcp://127.0.0.1:10000".parse()?;
/// assert!(matches!(address, Endpoint::Tcp(_)));
/// // Whoever can connect can publish volumes, and nothing on TCP says who that is.
/// assert!("tcp://0.0.0.0:10000".parse::<Endpoint>().is_err());
/// # Ok::<(), tokenward_driver::EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket that its owner alone can connect to. The kubelet knows no other kind.
    Unix(SocketPath),
    /// An address, for tests on this machine. Made by hand it may be any; a text is taken only if it is a loopback address.
    Tcp(SocketAddr),
}

/// Why a text is no [`Endpoint`].
///
/// ```
/// use tokenward_driver::{Endpoint, EndpointError};
///
/// assert_eq!("tcp://[::]:1".parse::<Endpoint>(), Err(EndpointError::NotLoopback));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// What follows `tcp://` is no address.
    #[error("wanted an address and a port after `tcp://`, such as `tcp://127.0.0.1:10000`")]
    Address,
    /// The address can be reached from other machines.
    #[error(
        "wanted a loopback address: whoever can reach another one could publish volumes; a Unix socket is better still"
    )]
    NotLoopback,
    /// It is no socket path either.
    #[error(transparent)]
    Socket(#[from] SocketPathError),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// `unix:///path`, `/path`, or `tcp://` and a loopback address with its port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(address) = text.strip_prefix("tcp://") else {
            return Ok(Self::Unix(SocketPath::parse(text)?));
        };
        let address: SocketAddr = address.parse().map_err(|_| EndpointError::Address)?;
        if address.ip().is_loopback() { Ok(Self::Tcp(address)) } else { Err(EndpointError::NotLoopback) }
    }
}

impl From<SocketPath> for Endpoint {
    fn from(path: SocketPath) -> Self {
        Self::Unix(path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Endpoint {
    /// A channel to whoever serves it.
    pub(crate) async fn connect(&self) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Unix(path) => Ok(tokenward_transport::connect(path).await?),
            Self::Tcp(address) => Ok(Dialled::from_shared(format!("http://{address}"))?.connect().await?),
        }
    }
}

/// An endpoint that accepts connections.
#[derive(Debug)]
pub(crate) enum Listening {
    Unix(BoundSocket),
    Tcp(TcpListener, SocketAddr),
}

/// Why an address was not served to the end.
#[derive(Debug, thiserror::Error)]
enum TcpError {
    #[error("calls had not finished {0:?} after the stop and were given up")]
    Drain(Duration),
    #[error(transparent)]
    Server(#[from] tonic::transport::Error),
}

impl Listening {
    pub(crate) async fn at(endpoint: &Endpoint, driver: &DriverName) -> Result<Self, ServeError> {
        match endpoint {
            Endpoint::Unix(path) => bind(path)
                .await
                .map(Self::Unix)
                .map_err(|source| ServeError::Bind { driver: driver.clone(), source }),
            Endpoint::Tcp(address) => listen(*address, driver).await.map(|(tcp, at)| Self::Tcp(tcp, at)),
        }
    }

    /// The endpoint; a port that was left to the kernel is known now.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Unix(socket) => Endpoint::Unix(socket.path().clone()),
            Self::Tcp(_, address) => Endpoint::Tcp(*address),
        }
    }

    /// Serves until `stop`, then lets the calls that have begun end within `limit`.
    pub(crate) async fn serve(
        self,
        services: Services,
        driver: &DriverName,
        stop: CancellationToken,
        limit: Duration,
    ) -> Result<(), ServeError> {
        match self {
            Self::Unix(socket) => serve_draining(socket, services, stop, limit)
                .await
                .map_err(|source| ServeError::Serve { driver: driver.clone(), source }),
            Self::Tcp(listener, address) => serve_tcp(listener, services, stop, limit)
                .await
                .map_err(|error| ServeError::Tcp { driver: driver.clone(), address, source: error.into() }),
        }
    }
}

/// Listens on an address, and says which it is.
pub(crate) async fn listen(
    address: SocketAddr,
    driver: &DriverName,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed =
        |source: io::Error| ServeError::Tcp { driver: driver.clone(), address, source: source.into() };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn serve_tcp(
    listener: TcpListener,
    services: Services,
    stop: CancellationToken,
    limit: Duration,
) -> Result<(), TcpError> {
    let too_late = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(limit).await;
        }
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = tonic::transport::Server::builder().serve_with_incoming_shutdown(
        services,
        incoming,
        stop.cancelled_owned(),
    );
    tokio::select! {
        served = served => Ok(served?),
        () = too_late => Err(TcpError::Drain(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_endpoint() {
        for (text, shown) in [
            ("/run/csi.sock", "unix:///run/csi.sock"),
            ("unix:///run/csi.sock", "unix:///run/csi.sock"),
            ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
            ("tcp://[::1]:1", "tcp://[::1]:1"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("tcp://10.0.0.1:1", EndpointError::NotLoopback),
            ("tcp://localhost:1", EndpointError::Address),
            ("tcp://127.0.0.1", EndpointError::Address),
            ("", EndpointError::Socket(SocketPathError::Empty)),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
