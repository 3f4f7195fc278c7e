//! The command as a process: all that it writes is kept, and everything is waited for with a limit.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::LIMIT;

/// A command that has not been started.
pub(crate) struct Command {
    command: process::Command,
    label: String,
}

/// A started command. It is killed when this is dropped.
pub(crate) struct Run {
    process: OwnedFd,
    shared: Arc<Shared>,
    label: String,
}

/// What is left of a command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none of one that was killed by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How many streams have come to their end.
    closed: usize,
    status: Option<ExitStatus>,
}

impl Command {
    pub(crate) fn new<S: AsRef<OsStr>>(
        temporary: &Path,
        user: Option<u32>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_tokenward"));
        let mut this = Self::of(program, &[("TMPDIR", temporary)], arguments);
        this.command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        if let Some(user) = user {
            this.command.uid(user).gid(user).current_dir("/");
        }
        this
    }

    /// Any program, with these paths in its environment.
    pub(crate) fn of<S: AsRef<OsStr>>(
        program: &Path,
        environment: &[(&str, &Path)],
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let arguments: Vec<OsString> =
            arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let mut command = process::Command::new(program);
        command.args(&arguments).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = program.file_name().unwrap_or_default().display();
        Self { command, label: format!("{name} {}", arguments.join(OsStr::new(" ")).display()) }
    }

    /// Gives standard output another end than this test.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    pub(crate) fn start(mut self) -> Run {
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.label));
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let shared = Arc::new(Shared::default());
        read(&shared, child.stdout.take(), |state| &mut state.stdout);
        read(&shared, child.stderr.take(), |state| &mut state.stderr);
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let status = child.wait().unwrap();
                shared.state.lock().status = Some(status);
                shared.changed.notify_all();
            }
        });
        Run { process, shared, label: self.label }
    }

    /// Starts it and waits until it has ended.
    pub(crate) fn run(self) -> Ended {
        self.start().wait()
    }
}

impl Run {
    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.process, signal).unwrap();
    }

    /// Waits for a line on standard output, and returns it.
    pub(crate) fn stdout_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.line("a line on standard output", |state| &state.stdout, wanted)
    }

    /// Waits for a line on standard error, and returns it.
    pub(crate) fn stderr_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.line("a line on standard error", |state| &state.stderr, wanted)
    }

    /// Waits until `ready` stands on standard output.
    pub(crate) fn ready(&self) {
        self.stdout_line(|line| line == "ready");
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.shared.state.lock().status.is_none()
    }

    /// Waits until it has ended and all it wrote has been read.
    pub(crate) fn wait(self) -> Ended {
        self.until("its end", |state| {
            let status = state.status.filter(|_| state.closed == 2)?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some(Ended { code: status.code(), stdout: text(&state.stdout), stderr: text(&state.stderr) })
        })
    }

    fn line(&self, what: &str, stream: fn(&State) -> &[u8], wanted: impl Fn(&str) -> bool) -> String {
        self.until(what, |state| {
            let text = String::from_utf8_lossy(stream(state));
            text.split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find(|line| wanted(line))
                .map(str::to_owned)
        })
    }

    fn until<T>(&self, what: &str, probe: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(found) = probe(&state) {
                return found;
            }
            let ended = state.status.is_some() && state.closed == 2;
            if ended || self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                panic!("waited in vain for {what} of {}\n{}", self.label, show(&state));
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

fn read(
    shared: &Arc<Shared>,
    stream: Option<impl Read + Send + 'static>,
    buffer: fn(&mut State) -> &mut Vec<u8>,
) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        if let Some(mut stream) = stream {
            loop {
                match stream.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(count) => {
                        buffer(&mut shared.state.lock()).extend_from_slice(&chunk[..count]);
                        shared.changed.notify_all();
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => panic!("cannot read what the command writes: {error}"),
                }
            }
        }
        shared.state.lock().closed += 1;
        shared.changed.notify_all();
    });
}

fn show(state: &MutexGuard<'_, State>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "status: {:?}\n--- stdout\n{}\n--- stderr\n{}",
        state.status,
        text(&state.stdout),
        text(&state.stderr)
    )
}
