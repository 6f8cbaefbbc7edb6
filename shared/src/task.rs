//! The words of tasks: which module, in which state, from where, and how a notification is enriched. Pure.

pub mod origins;
pub mod settings;
mod strict;
pub mod timing;

use std::fmt;
use std::time::Duration;

pub use strict::Invalid;

use crate::name::{InvalidName, name};

name! {
    /// What a module is called inside its tenant. At most 64 bytes.
    ModuleName, 64, "a-z 0-9 - _ .", |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
}

name! {
    /// One version of a module, or an alias for one: the same grammar, so that either may stand where one is named. At
    /// most 64 bytes.
    ModuleVersion, 64, "A-Z a-z 0-9 - _ . +", |byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
}

name! {
    /// A producer's own word for a task, to find it by its beginning. At most 128 bytes.
    TaskCode, 128, "A-Z a-z 0-9 - . _ : /", |byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte)
}

/// The alias that counts when no version is named.
pub const LIVE: &str = "live";

/// The version of what every executor brings along. It is no tenant's to give.
pub const BUILTIN: &str = "builtin";

/// The modules that every executor brings along: under `name@builtin`, and under their plain names for a tenant that has no
/// module of its own so named.
pub const BUILTINS: [&str; 7] = ["digest", "echo", "enrich", "filter", "sum", "template", "transform"];

/// A module as whoever asks for it names it: `name` or `name@version`, where the version may be an alias.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleRef {
    /// Which module.
    pub name: ModuleName,
    /// Which version, or which alias; none: [`LIVE`].
    pub version: Option<ModuleVersion>,
}

impl ModuleRef {
    /// Reads `name` or `name@version`.
    ///
    /// # Errors
    /// Says which limit was broken.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (name, version) =
            text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        Ok(Self { name: ModuleName::parse(name)?, version: version.map(ModuleVersion::parse).transpose()? })
    }

    /// Whether it asks for what every executor brings along, whatever modules a tenant has.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        self.version.as_ref().is_some_and(|version| version.as_str() == BUILTIN) && self.names_builtin()
    }

    /// Whether its name is that of one of [`BUILTINS`].
    #[must_use]
    pub fn names_builtin(&self) -> bool {
        BUILTINS.contains(&self.name.as_str())
    }
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{}", version.as_str()))
    }
}

/// Where a task stands in its life.
///
/// `pending` → `running` → `completed`, `failed`, `retrying` or `cancelled`; `retrying` → `running`, `failed` or
/// `cancelled`; `pending` → `failed` or `cancelled`; `failed` and `cancelled` → `pending` when somebody asks for it again.
/// `running` → `running` is another attempt after an instance was lost. Nothing else happens to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Nobody has begun it.
    #[default]
    Pending,
    /// An instance of the executor is at it.
    Running,
    /// An attempt did not succeed; there will be another.
    Retrying,
    /// It is done, and its outputs are published or about to be.
    Completed,
    /// It did not succeed and is not tried again by itself.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Retrying, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word on the wire and at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether `next` may follow.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Running => !matches!(next, Self::Pending),
            Self::Retrying => matches!(next, Self::Running | Self::Failed | Self::Cancelled),
            Self::Failed | Self::Cancelled => matches!(next, Self::Pending),
            Self::Completed => false,
        }
    }
}

/// Who asked for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `POST /v1/tasks`.
    Api,
    /// A record that a producer appended to the log itself.
    #[default]
    Record,
    /// A schedule.
    Schedule,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Record, Self::Schedule];

    /// The word on the wire and at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Record => "record",
            Self::Schedule => "schedule",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }
}

/// What becomes of a notification that was not enriched in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnTimeout {
    /// It is delivered as its producer sent it.
    #[default]
    DeliverPlain,
    /// It is tried again until its attempts are used up or it expires; then it is a dead letter.
    Retry,
    /// It is a dead letter at once.
    DeadLetter,
}

impl OnTimeout {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DeliverPlain, Self::Retry, Self::DeadLetter];

    /// The word on the wire and at rest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliverPlain => "deliver_plain",
            Self::Retry => "retry",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// How a notification is to be enriched before it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrichment {
    /// By which module.
    pub module: ModuleRef,
    /// How long after its acceptance it may at most be held back for it, over all attempts but for [`OnTimeout::Retry`],
    /// where it is how long one attempt may take.
    pub deadline: Duration,
    /// What becomes of it otherwise: when the deadline passes, and when the module fails.
    pub on_timeout: OnTimeout,
}

impl Enrichment {
    /// The deadline when nobody states one.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(2);
    /// The longest deadline.
    pub const MAX_DEADLINE: Duration = Duration::from_secs(60);
}

/// How a task is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// By which module.
    pub module: ModuleRef,
    /// The producer's own word for it.
    pub code: Option<TaskCode>,
    /// Who asked for it.
    pub origin: Origin,
    /// Whether its recipient is told of each change of its state.
    pub progress: bool,
    /// The schedule that asked for it, if one did.
    pub schedule: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_with_or_without_a_version() {
        let plain = ModuleRef::parse("sum").unwrap();
        assert_eq!((plain.name.as_str(), &plain.version), ("sum", &None));
        let pinned = ModuleRef::parse("order.total@1.2.0+b7").unwrap();
        assert_eq!(pinned.to_string(), "order.total@1.2.0+b7");
        for wrong in ["", "@1", "sum@", "Sum", "a/b", "sum@a@b"] {
            assert!(ModuleRef::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_every_executor_brings_along_is_named_by_its_version() {
        let is_builtin = |text: &str| ModuleRef::parse(text).unwrap().is_builtin();
        assert!(BUILTINS.iter().all(|name| is_builtin(&format!("{name}@{BUILTIN}"))));
        for other in ["sum", "sum@live", "total@builtin"] {
            assert!(!is_builtin(other), "{other}");
        }
    }

    #[test]
    fn nothing_follows_an_end_but_asking_again() {
        for state in TaskState::ALL {
            let next: Vec<TaskState> =
                TaskState::ALL.into_iter().filter(|next| state.may_become(*next)).collect();
            if state.is_end() {
                assert!(next.is_empty() || next == [TaskState::Pending], "{state:?} to {next:?}");
            } else {
                assert!(
                    next.contains(&TaskState::Cancelled) && !next.contains(&TaskState::Pending),
                    "{state:?}"
                );
            }
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
    }
}
