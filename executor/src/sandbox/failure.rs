//! Why an attempt came to nothing without the task saying so. Every way a guest can go wrong is a value here, with a code
//! that never changes: dead letters, histories and metrics are read by it. Pure.

use thiserror::Error;

/// Whether another attempt can go otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The task has failed.
    Terminal,
    /// Nothing was tried; come again later.
    Retry,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// It took longer than `deadline_ms`.
    #[error("took longer than it may")]
    Deadline,
    /// It executed more than `fuel`.
    #[error("computed more than it may")]
    Fuel,
    /// It was refused memory or table elements, and gave up.
    #[error("needed more memory than it may have")]
    Memory,
    /// Its calls nested deeper than `stack_bytes` hold.
    #[error("called itself deeper than its stack holds")]
    Stack,
    /// It did what WASM forbids, or gave up: the trap.
    #[error("trapped: {0}")]
    Trap(String),
    /// Content and metadata are more than `input_bytes`.
    #[error("the input has {bytes} bytes, at most {most} are taken")]
    InputTooLarge {
        /// What it has.
        bytes: usize,
        /// What is taken.
        most: usize,
    },
    /// The record is not what it says it is.
    #[error("the input is invalid: {0}")]
    InvalidInput(String),
    /// It handed out more than it may: outputs, standard output, or in one call.
    #[error("handed out more than it may: {0}")]
    OutputTooLarge(String),
    /// It holds more host resources than `handles`.
    #[error("held more host resources than it may")]
    Handles,
    /// Its answer is none.
    #[error("its answer is none: {0}")]
    InvalidOutput(String),
    /// The module cannot be compiled, is no task, or asks for more than the limits allow.
    #[error("the module is none: {0}")]
    InvalidModule(String),
    /// It needs what it was not granted.
    #[error("not granted: {0}")]
    Denied(String),
    /// There is no module with this digest.
    #[error("there is no such module")]
    NoModule,
    /// The host did not do its part.
    #[error("the executor failed: {0}")]
    Host(String),
    /// As many attempts run and wait as may.
    #[error("too many attempts run and wait")]
    Busy,
    /// The module is being compiled, or cannot be fetched.
    #[error("the module is not at hand yet: {0}")]
    Unavailable(String),
}

impl Failure {
    /// The word in histories, dead letters and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Trap(_) => "trap",
            Self::InputTooLarge { .. } => "input_too_large",
            Self::InvalidInput(_) => "invalid_input",
            Self::OutputTooLarge(_) => "output_too_large",
            Self::Handles => "handles",
            Self::InvalidOutput(_) => "invalid_output",
            Self::InvalidModule(_) => "invalid_module",
            Self::Denied(_) => "denied",
            Self::NoModule => "no_module",
            Self::Host(_) => "host",
            Self::Busy => "busy",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// With at most `most_bytes` of text: it may repeat what the guest or its module says.
    pub(super) fn cut(mut self, most_bytes: usize) -> Self {
        match &mut self {
            Self::Trap(text)
            | Self::InvalidInput(text)
            | Self::OutputTooLarge(text)
            | Self::InvalidOutput(text)
            | Self::InvalidModule(text)
            | Self::Denied(text)
            | Self::Host(text)
            | Self::Unavailable(text) => text.truncate(text.floor_char_boundary(most_bytes)),
            Self::Deadline
            | Self::Fuel
            | Self::Memory
            | Self::Stack
            | Self::InputTooLarge { .. }
            | Self::Handles
            | Self::NoModule
            | Self::Busy => {}
        }
        self
    }

    /// Whether another attempt can go otherwise.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Deadline
            | Self::Fuel
            | Self::Memory
            | Self::Stack
            | Self::Trap(_)
            | Self::InputTooLarge { .. }
            | Self::InvalidInput(_)
            | Self::OutputTooLarge(_)
            | Self::Handles
            | Self::InvalidOutput(_)
            | Self::InvalidModule(_)
            | Self::Denied(_)
            | Self::NoModule => Class::Terminal,
            Self::Host(_) | Self::Busy | Self::Unavailable(_) => Class::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_guide_with_its_class() {
        let guide = include_str!("../../../docs/TASKS.md");
        let text = String::new;
        for failure in [
            Failure::Deadline,
            Failure::Fuel,
            Failure::Memory,
            Failure::Stack,
            Failure::Trap(text()),
            Failure::InputTooLarge { bytes: 2, most: 1 },
            Failure::InvalidInput(text()),
            Failure::OutputTooLarge(text()),
            Failure::Handles,
            Failure::InvalidOutput(text()),
            Failure::InvalidModule(text()),
            Failure::Denied(text()),
            Failure::NoModule,
            Failure::Host(text()),
            Failure::Busy,
            Failure::Unavailable(text()),
        ] {
            let class = match failure.class() {
                Class::Terminal => "| terminal |",
                Class::Retry => "| retry |",
            };
            let code = format!("`{}`", failure.code());
            let told = |line: &str| line.starts_with('|') && line.contains(&code) && line.contains(class);
            assert!(guide.lines().any(told), "{code} {class}");
        }
    }
}
