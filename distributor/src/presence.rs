//! Output edge to the registry, and to the ends of `parked`: keeps the connection map true. What sessions ask for waits
//! here until one of the loops below takes it, in batches:
//! [`lease`] renews the node's lease and has everything announced again when the registry lost it; [`routes`] registers
//! and removes; [`flags`] reads and clears; [`ends`] reads how far `parked` goes; [`sweep`] makes good the poke that
//! never came, as [`owed`] decides.

pub(crate) mod ends;
pub(crate) mod flags;
pub(crate) mod lease;
pub mod owed;
pub(crate) mod routes;
pub(crate) mod sweep;

use shared::delivery::SessionId;
use shared::position::PartitionId;
use shared::recipient::Recipient;

use self::ends::Questions;
use self::routes::Removal;
use crate::hub::Pending;
use crate::metrics;

/// What waits for the registry.
#[derive(Debug)]
pub(crate) struct Presence {
    registrations: Pending<SessionId>,
    removals: Pending<Removal>,
    most_removals: usize,
    flags: Pending<SessionId>,
    clears: Pending<(SessionId, u64)>,
    ends: Questions,
}

impl Presence {
    /// Nothing waiting; at most `removals` routes may wait to be removed.
    pub(crate) fn new(removals: usize) -> Self {
        Self {
            registrations: Pending::default(),
            removals: Pending::default(),
            most_removals: removals,
            flags: Pending::default(),
            clears: Pending::default(),
            ends: Questions::default(),
        }
    }

    /// A session wants its route registered; answered by `Input::Registered`.
    pub(crate) fn register(&self, session: SessionId) {
        self.registrations.push(session);
    }

    /// A session is over. Beyond the bound its route is left to rot: directors are told `gone` and remove it.
    pub(crate) fn remove(&self, recipient: &Recipient, session: SessionId) {
        if self.removals.len() < self.most_removals {
            self.removals.push(Removal { recipient: recipient.clone(), session, attempts: 0 });
        } else {
            metrics::given_up("removal", 1);
        }
    }

    /// A session wants to know its flag; answered by `Input::Flag`.
    pub(crate) fn ask_flag(&self, session: SessionId) {
        self.flags.push(session);
    }

    /// A session found nothing stored; answered by `Input::FlagCleared`.
    pub(crate) fn ask_clear(&self, session: SessionId, version: u64) {
        self.clears.push((session, version));
    }

    /// A session wants to know how far `parked` goes; answered through `Hub::parked_end` with the same `asked`.
    pub(crate) fn ask_end(&self, partition: PartitionId, session: SessionId, asked: u64) {
        self.ends.ask(partition, session, asked);
    }
}
