//! The client's side: a channel to a socket that somebody serves.

use std::io;
use std::os::unix::fs::FileTypeExt as _;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::SocketPath;

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is at the path.
    #[error("no socket at `{path}`: start the process that serves it, or correct the path")]
    Missing {
        /// What was dialled.
        path: SocketPath,
    },
    /// A socket is there, and nobody serves it.
    #[error("nobody serves the socket `{path}`, its process is gone: start that process again")]
    Refused {
        /// What was dialled.
        path: SocketPath,
    },
    /// This user may not connect.
    #[error(
        "no permission to connect to `{path}`: run as the socket's owner, or give access to it and its directory"
    )]
    Permission {
        /// What was dialled.
        path: SocketPath,
    },
    /// Something else is at the path.
    #[error("a socket is wanted at `{path}`, found another kind of file: correct the path")]
    NotASocket {
        /// What was dialled.
        path: SocketPath,
    },
    /// The kernel said something else, or the server does not speak HTTP/2.
    #[error("cannot connect to `{path}`")]
    Other {
        /// What was dialled.
        path: SocketPath,
        /// What the kernel or the channel said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ConnectError {
    /// The socket that was dialled.
    #[must_use]
    pub fn path(&self) -> &SocketPath {
        match self {
            Self::Missing { path }
            | Self::Refused { path }
            | Self::Permission { path }
            | Self::NotASocket { path }
            | Self::Other { path, .. } => path,
        }
    }

    pub(crate) fn new(path: &SocketPath, source: io::Error) -> Self {
        let path = path.clone();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            // The kernel refuses for a dead socket and for a plain file alike.
            io::ErrorKind::ConnectionRefused => match std::fs::metadata(&path) {
                Ok(found) if !found.file_type().is_socket() => Self::NotASocket { path },
                _ => Self::Refused { path },
            },
            _ => Self::Other { path, source: source.into() },
        }
    }
}

/// Connects to the server at `path`. Later, the channel connects anew by itself whenever the server has gone and come
/// back at the same path.
///
/// The authority is `localhost`, as grpc-go sends it: some servers reject what tonic would send for a socket.
///
/// # Errors
/// When nobody serves the socket, or this user may not use it.
pub async fn connect(path: &SocketPath) -> Result<Channel, ConnectError> {
    let first = UnixStream::connect(path).await.map_err(|source| ConnectError::new(path, source))?;
    let mut first = Some(first);
    let dialled = path.clone();
    let connector = service_fn(move |_: Uri| {
        let first = first.take();
        let dialled = dialled.clone();
        async move {
            let stream = match first {
                Some(stream) => stream,
                // The channel's errors name no socket; this one does.
                None => UnixStream::connect(&dialled)
                    .await
                    .map_err(|source| ConnectError::new(&dialled, source))?,
            };
            Ok::<_, ConnectError>(TokioIo::new(stream))
        }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Other { path: path.clone(), source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_text() {
        let path = SocketPath::parse("/nowhere/csi.sock").unwrap();
        let error = |kind: io::ErrorKind| ConnectError::new(&path, kind.into());
        assert!(matches!(error(io::ErrorKind::PermissionDenied), ConnectError::Permission { .. }));
        assert!(matches!(error(io::ErrorKind::NotFound), ConnectError::Missing { .. }));
        assert!(matches!(error(io::ErrorKind::ConnectionRefused), ConnectError::Refused { .. }));
        let other = error(io::ErrorKind::WouldBlock);
        assert!(std::error::Error::source(&other).is_some());
        assert_eq!(other.path(), &path);
        assert_eq!(
            error(io::ErrorKind::NotFound).to_string(),
            "no socket at `/nowhere/csi.sock`: start the process that serves it, or correct the path"
        );
    }
}
