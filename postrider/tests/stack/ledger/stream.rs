//! What one recipient's clients saw, over all connections: order, redeliveries, what is not acknowledged, gaps. Pure.

use std::collections::VecDeque;

use shared::position::Cursor;

/// A place in a recipient's order. Its partition never changes, so epoch and offset compare.
pub type Place = (u32, u64);

/// Where a cursor stands.
pub fn place(cursor: Cursor) -> Place {
    (cursor.epoch.0, cursor.next)
}

/// A recipient's side of the story.
#[derive(Debug, Default)]
pub struct Stream {
    /// The connection that is open, and the highest place that came on it.
    pub session: u32,
    on_session: Option<Place>,
    /// The highest place that ever came, of a notification or a gap.
    highest: Option<Place>,
    /// Came and not acknowledged, by place.
    open: VecDeque<(Place, u64)>,
    /// The client's cursor, as far as it ever said.
    pub acknowledged: Option<Place>,
    gaps: Vec<Gap>,
    /// Told by gaps of another cause than expiry.
    pub over_quota: u64,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    /// The connection it came on.
    on: u32,
    from: Place,
    to: Place,
    count: u64,
}

/// What is wrong with the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disorder {
    /// What came,
    pub place: Place,
    /// although this came before.
    pub after: Place,
}

impl Stream {
    /// A client connects, standing at `cursor`, which acknowledges; hands what it covers to `done`.
    pub fn opened(&mut self, session: u32, cursor: Option<Cursor>, done: impl FnMut(u64)) {
        self.session = session;
        self.on_session = None;
        if let Some(cursor) = cursor {
            self.acknowledge(place(cursor), done);
        }
    }

    /// A notification came; `again` when it did before.
    ///
    /// # Errors
    /// When it breaks the order: within a connection places only grow, and what comes for the first time stands above
    /// everything that came before it.
    pub fn came(&mut self, at: Place, attempt: u64, again: bool) -> Result<(), Disorder> {
        let before = if again { self.on_session } else { self.on_session.max(self.highest) };
        let index = self.open.partition_point(|(open, _)| *open < at);
        if self.open.get(index).is_none_or(|(open, _)| *open != at) {
            self.open.insert(index, (at, attempt));
        }
        self.pass(at, before)
    }

    fn pass(&mut self, at: Place, before: Option<Place>) -> Result<(), Disorder> {
        self.on_session = self.on_session.max(Some(at));
        self.highest = self.highest.max(Some(at));
        match before {
            Some(after) if after >= at => Err(Disorder { place: at, after }),
            Some(_) | None => Ok(()),
        }
    }

    /// A gap came.
    ///
    /// # Errors
    /// As [`Stream::came`], within a connection.
    pub fn gap(&mut self, from: Place, to: Place, count: u64) -> Result<(), Disorder> {
        // On another connection, one that begins or ends where this one does is the same one, told again, perhaps grown.
        let on = self.session;
        self.gaps.retain(|gap| gap.on == on || (gap.from != from && gap.to != to));
        self.gaps.push(Gap { on, from, to, count });
        self.pass(to, self.on_session)
    }

    /// The client said that everything up to `upto` is processed; hands what that was to `done`.
    pub fn acknowledge(&mut self, upto: Place, mut done: impl FnMut(u64)) {
        self.acknowledged = self.acknowledged.max(Some(upto));
        while let Some((_, attempt)) = self.open.pop_front_if(|(at, _)| *at <= upto) {
            done(attempt);
        }
    }

    /// How many expired, as its clients were told.
    pub fn expired(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(stream: &mut Stream, upto: u64) -> Vec<u64> {
        let mut done = Vec::new();
        stream.acknowledge((1, upto), |attempt| done.push(attempt));
        done
    }

    #[test]
    fn a_redelivery_on_a_new_connection_is_in_order_and_a_newcomer_below_is_not() {
        let mut stream = Stream::default();
        stream.opened(1, None, |_| ());
        assert_eq!((stream.came((1, 3), 30, false), stream.came((1, 5), 50, false)), (Ok(()), Ok(())));
        stream.opened(2, None, |_| ());
        assert_eq!((stream.came((1, 3), 30, true), stream.came((1, 5), 50, true)), (Ok(()), Ok(())));
        assert_eq!(stream.came((1, 4), 40, false), Err(Disorder { place: (1, 4), after: (1, 5) }));
        stream.opened(3, None, |_| ());
        assert!(stream.came((1, 4), 40, true).is_ok() && stream.came((1, 3), 30, true).is_err());
        assert_eq!(acknowledged(&mut stream, 4), [30, 40]);
    }

    #[test]
    fn a_gap_told_again_counts_once_and_one_that_grew_counts_as_it_is_now() {
        let mut stream = Stream::default();
        for (session, (from, to, count)) in (1..).zip([(4, 9, 3), (4, 9, 3), (4, 12, 5)]) {
            stream.opened(session, None, |_| ());
            stream.gap((1, from), (1, to), count).unwrap();
        }
        // What expired under the eyes of the session stands inside the one of the store.
        stream.opened(4, None, |_| ());
        for (from, to, count) in [(6, 7, 1), (4, 14, 6), (20, 21, 1)] {
            stream.gap((1, from), (1, to), count).unwrap();
        }
        assert_eq!(stream.expired(), 8);
    }
}
