//! How a command fails: an error for a person and an exit code for a script.

use std::process::ExitCode;

use shared::process::EngineError;

use super::print;

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    error: anyhow::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Failed = 1,
    /// As clap's own.
    Usage = 2,
    Unreachable = 3,
    Refused = 4,
}

impl Failure {
    pub(super) fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    pub(super) fn usage(text: impl std::fmt::Display) -> Self {
        Self::new(Code::Usage, anyhow::anyhow!("{text}"))
    }

    pub(super) fn settings(error: shared::config::Error) -> Self {
        Self::new(Code::Usage, error)
    }

    /// An engine's error: away is another exit code than refusing.
    pub(super) fn engine(error: impl EngineError) -> Self {
        Self::new(if error.is_unavailable() { Code::Unreachable } else { Code::Refused }, error)
    }

    /// Whether somebody who was reached refused.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.code, Code::Refused)
    }

    /// Tells the person, and answers the code.
    pub(super) fn report(self) -> ExitCode {
        // `postrider listen alice | head -n 1`: the reader has what it wanted.
        let piped = self.error.downcast_ref::<std::io::Error>();
        if piped.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        print::note(format_args!("postrider: {self}"));
        ExitCode::from(self.code as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Code::Failed, error)
    }
}
