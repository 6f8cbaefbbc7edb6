//! Accounts: what was accepted against what a client saw.

use std::collections::HashSet;

use serde_json::Value;

use crate::stack::clients::Received;

/// What one recipient's client saw, as a client library would show it: redeliveries at or below its cursor dropped.
#[derive(Default)]
pub struct Seen {
    shown: Vec<Received>,
    pub duplicates_on_the_wire: usize,
}

impl Seen {
    /// Takes what came next; answers whether a client library would show it.
    pub fn take(&mut self, received: Received) -> bool {
        let old = self.shown.iter().find(|earlier| earlier.id == received.id);
        if let Some(old) = old {
            assert_eq!(
                old.position(),
                received.position(),
                "a redelivery of {} has another position",
                received.id
            );
            self.duplicates_on_the_wire += 1;
            return false;
        }
        if let Some(last) = self.shown.last() {
            assert!(
                last.position() < received.position(),
                "order: {} {:?} after {} {:?}",
                received.id,
                received.position(),
                last.id,
                last.position()
            );
        }
        self.shown.push(received);
        true
    }

    pub fn len(&self) -> usize {
        self.shown.len()
    }

    pub fn has(&self, id: &str) -> bool {
        self.shown.iter().any(|received| received.id == id)
    }

    /// The cursor to come back with.
    pub fn cursor(&self) -> Option<&str> {
        self.shown.last().map(|received| received.cursor.as_str())
    }

    pub fn contents(&self) -> Vec<Value> {
        self.shown.iter().map(|received| received.content.clone()).collect()
    }

    /// Fails unless exactly the accepted ones were shown, each once; and at most `unanswered` others, whose producer got
    /// no answer.
    pub fn balance(&self, accepted: &[String], unanswered: usize) {
        let shown: HashSet<&str> = self.shown.iter().map(|received| received.id.as_str()).collect();
        let lost: Vec<_> = accepted.iter().filter(|id| !shown.contains(id.as_str())).collect();
        assert!(lost.is_empty(), "lost {} of {}: {lost:?}", lost.len(), accepted.len());
        let invented = shown.iter().filter(|id| !accepted.iter().any(|known| known == **id)).count();
        assert!(
            invented <= unanswered,
            "{invented} shown that were not accepted, {unanswered} without an answer"
        );
    }
}
