//! Where a stage reads, and which of the records that come are the ones it asked for. Pure.
//!
//! After a seek, records that were on their way from elsewhere may still come. Those below the place asked for are
//! known by their offset. After a seek **backwards** they lie above it, and taking one would skip everything between:
//! the stage would say that it has come further than it has, and a flag or a row would be missing for good. So they are
//! left out until a record from below the old place shows that the seek has taken effect. Where nothing is left below
//! (the log's retention), no such record comes; records that still begin at or above the old place after several seeks,
//! each with time to settle, show that.

use std::time::{Duration, Instant};

/// How many seeks must show the same before it is believed that nothing is left below.
const SEEKS: u32 = 3;

/// Where one stage reads one partition; see the module.
#[derive(Debug)]
pub struct Reading {
    settle: Duration,
    /// The lowest offset that is taken.
    next: u64,
    /// Everything from here on may be from before the last seek.
    doubt: Option<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    from: u64,
    sought: Instant,
    seeks: u32,
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is the next one.
    Take,
    /// It is not one that was asked for.
    Skip,
    /// It is not one that was asked for: seek to this offset again.
    Seek(u64),
}

impl Reading {
    /// The log reads from `from`.
    #[must_use]
    pub fn new(from: u64, settle: Duration) -> Self {
        Self { settle, next: from, doubt: None }
    }

    /// Says whether the log must seek to have `to` next, and expects it.
    pub fn seek(&mut self, to: u64, now: Instant) -> bool {
        let before = self.doubt.as_ref().map_or(self.next, |doubt| doubt.from.max(self.next));
        if to < before {
            self.doubt = Some(Doubt { from: before, sought: now, seeks: 1 });
        }
        std::mem::replace(&mut self.next, to) != to
    }

    /// A record at `offset` has come.
    pub fn offer(&mut self, offset: u64, now: Instant) -> Offer {
        if offset < self.next {
            return Offer::Skip;
        }
        if let Some(doubt) = self.doubt.as_mut().filter(|doubt| offset >= doubt.from) {
            if now.saturating_duration_since(doubt.sought) < self.settle {
                return Offer::Skip;
            }
            if doubt.seeks < SEEKS {
                doubt.seeks += 1;
                doubt.sought = now;
            } else {
                self.doubt = None;
            }
            return Offer::Seek(self.next);
        }
        self.doubt = None;
        self.next = offset + 1;
        Offer::Take
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(1);

    #[test]
    fn records_on_their_way_from_before_a_seek_backwards_are_left_out() {
        let now = Instant::now();
        let mut reading = Reading::new(50, SETTLE);
        assert_eq!(reading.offer(50, now), Offer::Take);
        assert!(reading.seek(10, now));
        assert_eq!(reading.offer(51, now), Offer::Skip);
        assert_eq!(reading.offer(12, now), Offer::Take, "a gap is no reason to doubt");
        assert_eq!(reading.offer(12, now), Offer::Skip);
        assert_eq!(reading.offer(60, now), Offer::Take);
    }

    #[test]
    fn a_seek_forwards_skips_what_lies_below() {
        let now = Instant::now();
        let mut reading = Reading::new(0, SETTLE);
        assert!(reading.seek(5, now));
        assert_eq!(reading.offer(4, now), Offer::Skip);
        assert_eq!(reading.offer(7, now), Offer::Take);
    }

    #[test]
    fn what_keeps_coming_after_seeks_that_settled_is_all_there_is() {
        let mut now = Instant::now();
        let mut reading = Reading::new(50, SETTLE);
        reading.seek(10, now);
        let mut seeks = 0;
        while reading.offer(55, now) != Offer::Take {
            now += SETTLE / 2;
            seeks += 1;
            assert!(seeks < 20);
        }
        assert!(seeks >= 6, "believed too early");
    }

    #[test]
    fn a_second_seek_backwards_doubts_no_less_than_the_first() {
        let now = Instant::now();
        let mut reading = Reading::new(50, SETTLE);
        reading.seek(10, now);
        assert_eq!(reading.offer(50, now), Offer::Skip);
        reading.seek(5, now);
        assert_eq!(reading.offer(50, now), Offer::Skip);
        assert_eq!(reading.offer(5, now), Offer::Take);
    }
}
