//! How a command ends when it does not end well: one type with kind, cause, hints and exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::terminal::Style;

/// Why a command ended.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

/// What kind of end it was; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The reader of the output went away, as `head` does: no failure, and nobody is left to tell.
    BrokenPipe,
    /// The command could not run: something it needs is missing or refused.
    CouldNotRun,
    /// The command ran, and the answer is no.
    No,
    /// What was typed makes no sense.
    Usage,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, hints: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self::new(FailureKind::No, message)
    }

    pub(crate) fn could_not_run(message: impl Into<String>) -> Self {
        Self::new(FailureKind::CouldNotRun, message)
    }

    /// The command could not run because of `error`, whose own text says it best.
    pub(crate) fn because(error: impl Error + Send + Sync + 'static) -> Self {
        let mut failure = Self::new(FailureKind::CouldNotRun, error.to_string());
        let mut source = error.source();
        let mut chain = String::new();
        while let Some(cause) = source {
            let _ = write!(chain, "{}{cause}", if chain.is_empty() { "" } else { ": " });
            source = cause.source();
        }
        if !chain.is_empty() {
            failure.cause = Some(chain.into());
        }
        failure
    }

    /// Writing the result failed.
    pub(crate) fn output(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(FailureKind::BrokenPipe, "the output was closed");
        }
        Self {
            cause: Some(error.into()),
            ..Self::new(FailureKind::CouldNotRun, "could not write the output")
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What went wrong and why, for the log.
    pub(crate) fn text(&self) -> String {
        let mut text = self.message.clone();
        if let Some(cause) = &self.cause {
            let _ = write!(text, ": {cause}");
        }
        text
    }

    /// 1 when the answer is no, 2 when there is no answer.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            FailureKind::BrokenPipe => ExitCode::SUCCESS,
            FailureKind::No => ExitCode::from(1),
            FailureKind::CouldNotRun | FailureKind::Usage => ExitCode::from(2),
        }
    }

    /// The lines for standard error; none when nobody is left to read them.
    pub(crate) fn render(&self, style: Style) -> String {
        if self.kind == FailureKind::BrokenPipe {
            return String::new();
        }
        let mut text = format!("{} {}\n", style.error("Error:"), self.text());
        for hint in &self.hints {
            let _ = writeln!(text, "{} {hint}", style.hint("Hint:"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read `a`")]
    struct Outer(#[source] io::Error);

    #[test]
    fn message_causes_and_hints_each_have_their_place() {
        let failure = Failure::because(Outer(io::Error::other("the disk is gone"))).hint("Plug it in.");
        assert_eq!(
            failure.render(Style::plain()),
            "Error: could not read `a`: the disk is gone\nHint: Plug it in.\n"
        );
        assert_eq!(failure.exit_code(), ExitCode::from(2));
    }

    #[test]
    fn kinds_decide_the_exit_code() {
        for (failure, code) in [
            (Failure::usage("u"), 2),
            (Failure::no("n"), 1),
            (Failure::output(io::Error::other("o")), 2),
            (Failure::output(io::ErrorKind::BrokenPipe.into()), 0),
        ] {
            assert_eq!(failure.exit_code(), ExitCode::from(code), "{failure:?}");
        }
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        assert_eq!(Failure::output(io::ErrorKind::BrokenPipe.into()).render(Style::plain()), "");
    }
}
