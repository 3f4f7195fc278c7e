//! A part of a benchmark in a process of its own: this program, started again, which is handed what it is to do on standard
//! input, and from then on answers each line there with a line of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::process::Running;

/// The parent's side. The process ends when this is dropped.
pub struct Aside {
    process: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Aside {
    /// Starts this very program with `argument`, which must make it read its [`setup`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start<S: Serialize>(argument: &str, setup: &S) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = Running::new(child);
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err("a process without input and output".into());
        };
        serde_json::to_writer(&mut input, setup)?;
        input.write_all(b"\n")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// The next line that it says.
    ///
    /// # Errors
    /// When it has ended, which it then has explained on standard error.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process of the benchmark has ended too early".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks how things stand.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ask<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        self.input.write_all(b"\n")?;
        self.hear()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The child's side: what it is to do.
///
/// # Errors
/// When the parent says something else.
pub fn setup<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// The child's side: says a line.
///
/// # Errors
/// When the parent is gone.
pub fn say<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, value)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// The child's side: answers, on a thread of its own, as long as it is asked.
pub fn answer<T: Serialize>(how_things_stand: impl Fn() -> T + Send + 'static) {
    std::thread::spawn(move || {
        let asked = std::io::stdin().lines();
        // Nobody hears an error any more.
        asked.map_while(Result::ok).try_for_each(|_| say(&how_things_stand()).ok())
    });
}
