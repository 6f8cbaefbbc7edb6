//! What a module may beyond computing. Everything is denied that is not here. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::egress::AllowList;
pub use shared::task::settings::Publish;

/// What a module may. The default is nothing but to answer the recipient of its input.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Constants of `postrider:task/config`; for a command, its environment.
    pub config: Option<Arc<BTreeMap<String, String>>>,
    /// The name of its entries in the key-value store; the tenant is put before it.
    pub key_value: Option<Arc<str>>,
    /// Whether it may know the time.
    pub clock: Clock,
    /// Where it may send HTTP requests.
    pub http: Option<Arc<AllowList>>,
    /// Whom it may publish to.
    pub publish: Publish,
}

/// Whether a module may know the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Clocks stand still at the time the input was accepted.
    #[default]
    Frozen,
    /// Clocks go.
    Real,
}

/// Which interfaces are there for a module: what its imports are checked against, once, when it is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Interfaces {
    pub(super) config: bool,
    pub(super) key_value: bool,
    pub(super) clock: bool,
    pub(super) http: bool,
}

impl Grants {
    pub(super) fn interfaces(&self) -> Interfaces {
        Interfaces {
            config: self.config.is_some(),
            key_value: self.key_value.is_some(),
            clock: self.clock == Clock::Real,
            http: self.http.is_some(),
        }
    }
}
