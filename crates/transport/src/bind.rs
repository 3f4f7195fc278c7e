//! The server's side of a path: taking it without taking it away from anybody, and giving it back.

use std::fs::{self, DirBuilder, File, Permissions};
use std::future::Future as _;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Sleep;

use crate::SocketPath;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// How often and how long to wait for others who bind in the same directory; each of them needs microseconds.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
const LOCK_TRIES: u32 = 200;

/// How long to leave the kernel alone after it could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers at the path.
    #[error(
        "the socket `{path}` is in use, another process serves it: stop that one, or choose another path"
    )]
    InUse {
        /// What was to be bound.
        path: SocketPath,
    },
    /// Something that is no socket is at the path; it was left alone.
    #[error(
        "a socket is to be made at `{path}`, but another kind of file is there: move it away, or choose another path"
    )]
    NotASocket {
        /// What was to be bound.
        path: SocketPath,
    },
    /// This user may not make the directory or the socket, or may not ask who serves it.
    #[error("no permission to {action} `{}`: run as its owner, or choose another path", path.display())]
    Permission {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel said something else.
    #[error("cannot {action} `{}`", path.display())]
    Other {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl BindError {
    fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { action, path, source },
            _ => Self::Other { action, path, source },
        }
    }
}

/// A socket that listens. Its file is removed when this, or the [`Incoming`] made of it, is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    // Before the listener: while that is open, no other file can get the inode that `file` compares.
    file: SocketFile,
    listener: UnixListener,
}

/// The connections to a [`BoundSocket`], one after the other, for tonic's `serve_with_incoming_shutdown`. Without end and
/// without errors: where the kernel cannot give a connection, out of file descriptors for instance, it is asked again
/// after a pause. (tonic would ask at once, and for ever.)
#[derive(Debug)]
pub struct Incoming {
    socket: BoundSocket,
    pause: Option<Pin<Box<Sleep>>>,
}

/// The file of our socket, told from a later one at the same path by its inode.
#[derive(Debug)]
struct SocketFile {
    path: SocketPath,
    device: u64,
    inode: u64,
}

/// Listens at `path`.
///
/// A missing parent directory is made with mode 0700; an existing one is left as it is. The socket's mode is 0600
/// before anybody can connect. A socket that a dead process left behind is replaced, which is decided by
/// connecting to it: only a refusal proves that nobody answers.
///
/// # Errors
/// When somebody serves the path, something that is no socket is there, or the kernel refuses.
///
/// # Panics
/// Outside a tokio runtime with I/O enabled.
pub async fn bind(path: &SocketPath) -> Result<BoundSocket, BindError> {
    let directory = path.as_path().parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| BindError::new("make the directory", directory, source))?;
    // Whoever binds here holds the directory: nobody sees our socket between its bind and its listen, and two who find
    // the same dead socket do not remove each other's new one.
    let _held = hold(directory).await?;
    clear(path)?;
    listen(path)
}

/// Whoever binds holds the lock for microseconds. A lock that stays is a stranger's, who only needs to read the directory
/// to take it: then it is done without, and an answer to [`dial`] still tells the living from the dead.
async fn hold(directory: &Path) -> Result<Option<File>, BindError> {
    let failed = |source| BindError::new("lock the directory", directory, source);
    let file = File::open(directory).map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => tokio::time::sleep(LOCK_PAUSE).await,
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    tracing::warn!(directory = %directory.display(), "another process keeps the directory locked; going on without");
    Ok(None)
}

/// Removes a dead socket; refuses whatever else is at the path.
fn clear(path: &SocketPath) -> Result<(), BindError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::new("look at", path.as_path(), error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.clone() });
    }
    match dial(path) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) => {
            tracing::info!(socket = %path, "removing the socket of a process that is gone");
            fs::remove_file(path)
                .map_err(|source| BindError::new("remove the dead socket", path.as_path(), source))
        }
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => {
            Err(BindError::new("ask who serves", path.as_path(), errno.into()))
        }
        // Connected; or the backlog is full, or it is no stream socket: somebody is there all the same.
        Ok(()) | Err(_) => Err(BindError::InUse { path: path.clone() }),
    }
}

/// Connects once, without waiting for a place in the backlog.
fn dial(path: &SocketPath) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path.as_path())?)
}

fn listen(path: &SocketPath) -> Result<BoundSocket, BindError> {
    let failed = |source: io::Error| BindError::new("listen at", path.as_path(), source);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|errno| failed(errno.into()))?;
    let address = SocketAddrUnix::new(path.as_path()).map_err(|errno| failed(errno.into()))?;
    match rustix::net::bind(&socket, &address) {
        Ok(()) => {}
        // Made since we looked, by somebody who does not hold the directory.
        Err(Errno::ADDRINUSE) => return Err(BindError::InUse { path: path.clone() }),
        Err(errno) => return Err(failed(errno.into())),
    }
    let file = SocketFile::of(path).map_err(failed)?;
    // Nobody can connect before `listen`, so the mode that the umask left does no harm until here.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    rustix::net::listen(&socket, BACKLOG).map_err(|errno| failed(errno.into()))?;
    let listener = UnixListener::from_std(socket.into()).map_err(failed)?;
    Ok(BoundSocket { file, listener })
}

impl BoundSocket {
    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &SocketPath {
        &self.file.path
    }

    /// The connections, for tonic's `serve_with_incoming_shutdown`.
    #[must_use]
    pub fn incoming(self) -> Incoming {
        Incoming { socket: self, pause: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<UnixStream>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<UnixStream>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.socket.listener.poll_accept(context)) {
                Ok((stream, _)) => return Poll::Ready(Some(Ok(stream))),
                Err(error) => {
                    tracing::warn!(socket = %self.socket.path(), %error, "cannot accept a connection");
                    self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

impl SocketFile {
    fn of(path: &SocketPath) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.clone(), device: found.dev(), inode: found.ino() })
    }

    fn is_still_there(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_still_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(socket = %self.path, %error, "cannot remove the socket");
        }
    }
}
