//! Devices that register while routes are remembered, and what the registry tells of it.

use shared::registry::Fingerprint;

use super::world::{Session, World, name};
use crate::lane::*;

impl World {
    /// A client has ended it: no other device that was there may have been left out.
    pub(super) fn was_sent_to_everybody(&self, offset: u64) {
        for index in self.due.get(&offset).into_iter().flatten() {
            let session = &self.sessions[*index];
            assert!(
                !session.alive || session.was_behind || self.sent.contains(&(*index, offset)),
                "{offset} ends although session {index} was never sent it"
            );
        }
    }

    /// A session registers.
    pub(super) fn connect(&mut self, recipient: u64) {
        self.sessions.push(Session { recipient, alive: true, registered: true, ..Session::default() });
        self.entered.push(name(recipient));
    }

    /// News are asked for, said, or heard: one after the other.
    pub(super) fn hear_news(&mut self, away: bool) {
        match self.news.take() {
            None => self.news = self.lanes.unproved().map(|upto| (upto, None)),
            Some(_) if away => self.feed(Input::Unprovable),
            Some((upto, None)) => self.news = Some((upto, Some(self.entered.len()))),
            Some((upto, Some(said))) => {
                let mut prints: Vec<_> = self.entered[self.told..said].iter().map(Fingerprint::of).collect();
                prints.sort_unstable();
                self.told = said;
                self.feed(Input::Entered(Arc::new(Entered::Of(prints))));
                self.feed(Input::Proved(upto));
            }
        }
    }
}
