//! One recipient's side of the ledger, for scenarios of a few notifications: the same [`Stream`] judges the order.

use std::collections::HashSet;

use serde_json::Value;
use shared::position::Cursor;

use super::stream::{Stream, place};
use crate::stack::clients::Received;

/// What one recipient's client saw, as a client library would show it: redeliveries dropped.
#[derive(Default)]
pub struct Seen {
    shown: Vec<Received>,
    stream: Stream,
    pub duplicates_on_the_wire: usize,
}

impl Seen {
    /// Takes what came next; answers whether a client library would show it. Whether it came on the same connection as
    /// the last is not told, so that any redelivery may begin another one.
    pub fn take(&mut self, received: Received) -> bool {
        let at = place(Cursor::decode(&received.cursor).unwrap());
        let old = self.shown.iter().position(|earlier| earlier.id == received.id);
        let attempt = old.unwrap_or(self.shown.len()) as u64;
        if old.is_some() {
            self.stream.opened(self.stream.session + 1, None, |_| ());
        }
        let order = self.stream.came(at, attempt, old.is_some());
        if let Err(disorder) = order {
            panic!("order: {} at {:?} after {:?}", received.id, disorder.place, disorder.after);
        }
        let Some(old) = old else {
            self.shown.push(received);
            return true;
        };
        let (id, place) = (&received.id, self.shown[old].position());
        assert_eq!(place, received.position(), "a redelivery of {id} has another position");
        self.duplicates_on_the_wire += 1;
        false
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
