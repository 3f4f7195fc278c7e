//! The status over a Unix socket in the node's root directory, open to its owner alone: whoever connects is sent it as JSON.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokenward_transport::{BindError, SocketPath, SocketPathError, bind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{NodeStatus, StatusClient};

/// The socket's path in the root directory. In a directory of its own, which nobody else locks.
const NAME: &str = "tokenward/status.sock";
/// How long either side waits for the other.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a node cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody serves the socket.
    #[error("no node runs with the root directory `{root}`")]
    NoNode {
        /// The directory.
        root: String,
    },
    /// The path cannot be that of a socket.
    #[error("the root directory's path does not fit a socket's")]
    Path(#[from] SocketPathError),
    /// The socket belongs to another user.
    #[error("the node with the root directory `{root}` belongs to another user")]
    Permission {
        /// The directory.
        root: String,
    },
    /// It broke off.
    #[error("the node did not answer")]
    Exchange(#[source] io::Error),
    /// What it said is no status: it may be of another version.
    #[error("the node's answer is no status of one")]
    Answer,
}

/// Where a node with this root directory is asked.
///
/// # Errors
/// The path is too long for a socket's, or is not absolute.
pub fn path(root_dir: &Path) -> Result<SocketPath, SocketPathError> {
    SocketPath::new(root_dir.join(NAME))
}

/// Why a node cannot be asked how it stands.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The path cannot be that of a socket.
    #[error("the root directory's path does not fit a socket's")]
    Path(#[from] SocketPathError),
    /// The socket cannot be made.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Answers for the node with this root directory, until this is dropped; the socket goes with it.
///
/// # Errors
/// The socket cannot be made.
pub async fn serve(client: StatusClient, root_dir: &Path) -> Result<Infallible, ServeError> {
    let mut incoming = bind(&path(root_dir)?).await?.incoming();
    loop {
        match incoming.next().await {
            Some(Ok(stream)) => {
                // One after the other: people ask, and not often.
                if let Ok(Err(error)) = timeout(LIMIT, answer(stream, &client)).await {
                    debug!(%error, "whoever asked for the status has gone");
                }
            }
            Some(Err(error)) => warn!(%error, "the status cannot be asked for"),
            None => std::future::pending().await,
        }
    }
}

/// Runs a node and answers for it as long as it runs: when this returns, the socket has gone too. A node that cannot be asked
/// runs all the same, and the log says why.
pub async fn serve_while<T>(node: impl Future<Output = T>, client: StatusClient, root_dir: &Path) -> T {
    let answers = async {
        match serve(client, root_dir).await {
            Ok(never) => match never {},
            Err(error) => {
                warn!(%error, root_dir = %root_dir.display(), "`tokenward node status` will find no node here");
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        ended = node => ended,
        ended = answers => ended,
    }
}

async fn answer(mut stream: UnixStream, client: &StatusClient) -> io::Result<()> {
    let Some(status) = client.status().await else { return Ok(()) };
    let text = serde_json::to_vec(&status).map_err(io::Error::other)?;
    stream.write_all(&text).await?;
    stream.shutdown().await
}

/// Asks the node with this root directory.
///
/// # Errors
/// None runs there, or it does not answer.
pub async fn ask(root_dir: &Path) -> Result<NodeStatus, AskError> {
    let root = || root_dir.display().to_string();
    let exchange = async {
        let mut stream = UnixStream::connect(path(root_dir)?.as_path()).await.map_err(|error| match error
            .kind()
        {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoNode { root: root() },
            io::ErrorKind::PermissionDenied => AskError::Permission { root: root() },
            _ => AskError::Exchange(error),
        })?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.map_err(AskError::Exchange)?;
        // serde_json's error would quote what it found.
        serde_json::from_slice(&text).map_err(|_| AskError::Answer)
    };
    timeout(LIMIT, exchange).await.unwrap_or_else(|elapsed| Err(AskError::Exchange(elapsed.into())))
}
