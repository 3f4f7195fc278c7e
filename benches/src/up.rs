//! `tokenward up`, or the API server alone, as a process under measurement.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::Failure;
use crate::client::Plain;
use crate::process::{self, Running};

/// Between two attempts to reach a server that is starting.
const BETWEEN_ATTEMPTS: Duration = Duration::from_micros(200);
/// How long it may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A started `tokenward`, in a directory of its own. It ends when this is dropped.
pub struct Up {
    process: Running,
    directory: TempDir,
    address: SocketAddr,
    started: Instant,
}

impl Up {
    /// Starts `binary` with `up`, what this benchmark needs, and `arguments`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        binary: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Self, Failure> {
        Self::spawn(binary, arguments, |directory| {
            ["up".into(), "--root-dir".into(), directory.join("root").into_os_string()].into()
        })
    }

    /// Starts `binary` with `apiserver`, what this benchmark needs, and `arguments`, on one processor.
    ///
    /// # Errors
    /// When it cannot be started, or not there.
    pub fn apiserver<S: AsRef<OsStr> + Sync>(
        binary: &Path,
        cpu: usize,
        arguments: &[S],
    ) -> Result<Self, Failure> {
        // A process starts where the thread runs that starts it.
        std::thread::scope(|scope| {
            let started = scope.spawn(|| {
                process::pin(cpu)?;
                Self::spawn(binary, arguments, |_| ["apiserver".into()].into())
            });
            started.join().map_err(|_| "the thread that starts the server has panicked")?
        })
    }

    fn spawn<S: AsRef<OsStr>>(
        binary: &Path,
        arguments: impl IntoIterator<Item = S>,
        command_in: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let address = free_address()?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = Command::new(binary);
        command.args(command_in(directory.path()));
        command.arg("--kubeconfig-out").arg(directory.path().join("kubeconfig"));
        command.arg("--listen").arg(address.to_string()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        Ok(Self { process: Running::new(child), directory, address, started })
    }

    /// Asks for `/readyz` until the answer is 200, and gives the time since the start.
    ///
    /// # Errors
    /// When it ends first, or is not ready within `limit`.
    pub fn wait_until_ready(
        &mut self,
        tls: &Arc<ClientConfig>,
        limit: Duration,
    ) -> Result<Duration, Failure> {
        while self.started.elapsed() < limit {
            // Nobody listens yet, or whoever does is not ready: ask again.
            if let Ok(mut connection) = Plain::open(self.address, Arc::clone(tls), limit) {
                while let Ok(status) = connection.get("/readyz") {
                    if status == StatusCode::OK {
                        return Ok(self.started.elapsed());
                    }
                    process::pause(BETWEEN_ATTEMPTS);
                }
            }
            if let Some(status) = self.process.ended()? {
                return Err(format!("it ended with {status} before it was ready:\n{}", self.log()).into());
            }
            process::pause(BETWEEN_ATTEMPTS);
        }
        Err(format!("it was not ready within {limit:?}:\n{}", self.log()).into())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the administrator's kubeconfig is there: a moment after the server answers.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn wait_for_kubeconfig(&self, limit: Duration) -> Result<(), Failure> {
        while self.started.elapsed() < limit {
            // It appears whole.
            if self.kubeconfig().exists() {
                return Ok(());
            }
            process::pause(BETWEEN_ATTEMPTS);
        }
        Err(format!("no kubeconfig within {limit:?}:\n{}", self.log()).into())
    }

    /// Where the administrator's kubeconfig is.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// What it has written to standard error, which never has a token.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Asks it to end, and says how it did and how long that took.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(self) -> Result<(ExitStatus, Duration), Failure> {
        self.process.terminate(STOP_LIMIT)
    }
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
