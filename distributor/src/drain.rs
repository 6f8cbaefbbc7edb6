//! Output edge to the store: pages that sessions ask for, read many sessions to a query; what clients acknowledged,
//! deleted in batches; what they refused, dead-lettered. A session has one page on its way at a time, so what waits is
//! bounded by the sessions.

mod deletes;
mod pages;
mod refusals;

use std::sync::Arc;

use shared::delivery::{Rejection, SessionId};
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use shared::recipient::Recipient;

use self::deletes::Deletes;
pub(crate) use self::deletes::run as run_deletes;
use self::pages::Asked;
pub(crate) use self::pages::{Causes, note, run as run_pages};
use self::refusals::Refusal;
pub(crate) use self::refusals::run as run_refusals;
use crate::hub::Pending;

/// What waits for the store.
#[derive(Debug)]
pub(crate) struct Drain {
    pages: Pending<Asked>,
    deletes: Deletes,
    refusals: Pending<Refusal>,
    most_refusals: usize,
}

impl Drain {
    /// Nothing waiting; at most `deletes` recipients' deletions may, and `refusals` dead letters.
    pub(crate) fn new(deletes: usize, refusals: usize) -> Self {
        Self {
            pages: Pending::default(),
            deletes: Deletes::new(deletes),
            refusals: Pending::default(),
            most_refusals: refusals,
        }
    }

    /// A session wants a page; answered by `Input::Page`.
    pub(crate) fn ask_page(&self, session: SessionId, from: Cursor, limit: u32) {
        self.pages.push(Asked { session, from, limit });
    }

    /// A client has everything of `recipient` behind `cursor`.
    pub(crate) fn ask_delete(&self, recipient: &Recipient, cursor: Cursor) {
        self.deletes.put(recipient, cursor);
    }

    /// A session found nothing stored, and wants its flag cleared at `version`: answers whether that may be done at once.
    /// Otherwise it is asked for when what is stored behind its client is deleted.
    pub(crate) fn may_clear(&self, recipient: &Recipient, session: SessionId, version: u64) -> bool {
        !self.deletes.put_behind(recipient, (session, version))
    }

    /// A client refused this for good. Nothing of its recipient is deleted before it stands on `dead`.
    pub(crate) fn reject(&self, position: Position, notification: Arc<Notification>, rejection: Rejection) {
        self.deletes.hold(&notification.recipient);
        self.refusals.push(Refusal::new(position, notification, rejection));
    }

    /// Whether another refusal may wait.
    pub(crate) fn takes_refusals(&self) -> bool {
        self.refusals.len() < self.most_refusals
    }
}
