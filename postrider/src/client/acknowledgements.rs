//! What the caller has processed, and what of it the server does not know yet.

use std::collections::VecDeque;

use shared::position::Cursor;
use tokio::time::Instant;

/// Most frames remembered as given and not acknowledged: more than any window.
const OUTSTANDING: usize = 65_536;

/// Acknowledgements of one listener, over all its sessions.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    /// Up to where the caller has processed.
    cursor: Option<String>,
    /// Frames of this session that are not acknowledged, in order.
    outstanding: VecDeque<Outstanding>,
    seq: u64,
    count: usize,
    since: Option<Instant>,
}

#[derive(Debug)]
struct Outstanding {
    cursor: String,
    seq: u64,
    /// Not given to the caller, who had it already.
    repeated: bool,
}

impl Acknowledgements {
    pub(super) fn from_cursor(cursor: Option<String>) -> Self {
        Self { cursor, ..Self::default() }
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The connection is gone: sequence numbers mean nothing any more, the cursor still does.
    pub(super) fn session_ended(&mut self) {
        *self = Self::from_cursor(self.cursor.take());
    }

    /// A session starts at `cursor`. The server's word counts: after the topics were rebuilt it is another one.
    pub(super) fn session_began(&mut self, cursor: &str) {
        self.cursor = Some(cursor.to_owned());
    }

    /// A frame came. One that was processed before, in an earlier session, is acknowledged at once.
    pub(super) fn came(&mut self, cursor: &str, seq: u64) {
        self.outstanding.push_back(Outstanding { cursor: cursor.to_owned(), seq, repeated: false });
        if self.outstanding.len() > OUTSTANDING {
            self.outstanding.pop_front();
        }
        if !self.is_ahead(cursor) {
            self.finish(cursor);
        }
    }

    /// The frame that came with `cursor` is one that the caller had before, from another position: it is processed as soon as
    /// everything before it is.
    pub(super) fn repeated(&mut self, cursor: &str) {
        if let Some(frame) = self.outstanding.iter_mut().rev().find(|frame| frame.cursor == cursor) {
            frame.repeated = true;
        }
        self.pass_repeated();
    }

    /// The caller has processed everything up to `cursor`.
    pub(super) fn processed(&mut self, cursor: &str) {
        if self.is_ahead(cursor) {
            self.cursor = Some(cursor.to_owned());
            self.finish(cursor);
        }
    }

    /// What waits to be sent: how many, up to which sequence number, since when.
    pub(super) fn unsent(&self) -> Option<(usize, u64, Instant)> {
        self.since.map(|since| (self.count, self.seq, since))
    }

    pub(super) fn sent(&mut self) {
        self.count = 0;
        self.since = None;
    }

    fn finish(&mut self, cursor: &str) {
        let Some(at) = self.outstanding.iter().position(|frame| frame.cursor == cursor) else {
            return;
        };
        for frame in self.outstanding.drain(..=at) {
            self.seq = frame.seq;
            self.count += 1;
        }
        self.since.get_or_insert_with(Instant::now);
        self.pass_repeated();
    }

    fn pass_repeated(&mut self) {
        while let Some(frame) = self.outstanding.pop_front_if(|frame| frame.repeated) {
            if self.is_ahead(&frame.cursor) {
                self.cursor = Some(frame.cursor);
            }
            self.seq = frame.seq;
            self.count += 1;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_ahead(&self, cursor: &str) -> bool {
        let decoded = self.cursor.as_deref().map(|held| (Cursor::decode(cursor), Cursor::decode(held)));
        match decoded {
            Some((Ok(new), Ok(held))) => (new.epoch, new.next) > (held.epoch, held.next),
            Some(_another_servers) => self.cursor.as_deref() != Some(cursor),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};

    use super::*;

    fn cursor(next: u64) -> String {
        Cursor { epoch: Epoch(1), partition: PartitionId(0), next }.encode()
    }

    fn unsent(acknowledgements: &Acknowledgements) -> Option<(usize, u64)> {
        acknowledgements.unsent().map(|(count, seq, _since)| (count, seq))
    }

    #[tokio::test]
    async fn a_redelivery_is_not_acknowledged_before_its_caller_has_processed_it() {
        let mut held = Acknowledgements::default();
        held.session_began(&cursor(0));
        held.came(&cursor(1), 1);
        held.session_ended();
        held.came(&cursor(1), 1);
        assert_eq!(unsent(&held), None);
        held.processed(&cursor(1));
        assert_eq!(unsent(&held), Some((1, 1)));
    }

    #[tokio::test]
    async fn what_was_processed_while_disconnected_is_acknowledged_when_it_comes_again() {
        let mut held = Acknowledgements::default();
        held.came(&cursor(4), 9);
        held.session_ended();
        held.processed(&cursor(4));
        assert_eq!(unsent(&held), None);
        held.came(&cursor(4), 1);
        assert_eq!(unsent(&held), Some((1, 1)));
    }

    #[tokio::test]
    async fn an_older_one_takes_nothing_back() {
        let mut held = Acknowledgements::default();
        for next in 1..=3 {
            held.came(&cursor(next), next);
        }
        held.processed(&cursor(3));
        held.processed(&cursor(1));
        assert_eq!((held.cursor(), unsent(&held)), (Some(cursor(3).as_str()), Some((3, 3))));
    }

    #[test]
    fn what_is_repeated_is_acknowledged_with_what_came_before_it() {
        let mut acknowledgements = Acknowledgements::default();
        acknowledgements.session_began(&cursor(0));
        for seq in 1..=3 {
            acknowledgements.came(&cursor(seq), seq);
        }
        acknowledgements.repeated(&cursor(2));
        assert!(acknowledgements.unsent().is_none(), "the one before is not processed");
        acknowledgements.processed(&cursor(1));
        assert_eq!(acknowledgements.unsent().map(|(count, seq, _)| (count, seq)), Some((2, 2)));
        assert_eq!(acknowledgements.cursor(), Some(cursor(2).as_str()));
        acknowledgements.processed(&cursor(3));
        acknowledgements.came(&cursor(4), 4);
        acknowledgements.repeated(&cursor(4));
        assert_eq!(acknowledgements.unsent().map(|(count, seq, _)| (count, seq)), Some((4, 4)));
    }
}
