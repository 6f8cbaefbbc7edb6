//! When to ping a client, and when to give its connection up. Pure: time is an argument. One per WebSocket; server-sent
//! events use only its rhythm.
//!
//! Beats fall on common instants, a hundred in a period: those of many connections, and the answers to them, wake a process
//! together and not one by one.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use shared::delivery::SessionId;

/// Into how many instants a period is cut.
const INSTANTS: u32 = 100;

/// What the instants count from: any moment does, as long as it is the same for all.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The common instant at or before `at`, but not before `now`.
fn common(at: Instant, now: Instant, every: Duration) -> Instant {
    let (step, since) = ((every / INSTANTS).as_nanos(), at.checked_duration_since(*ORIGIN));
    let Some(since) = since.filter(|_| step > 0) else { return at };
    let beyond = u64::try_from(since.as_nanos() % step).unwrap_or(0);
    at.checked_sub(Duration::from_nanos(beyond)).unwrap_or(at).max(now)
}

/// The heartbeat of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    every: Duration,
    patience: u32,
    next: Instant,
    unanswered: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing before [`Heartbeat::next`].
    Wait,
    /// A ping.
    Ping,
    /// The client is gone: `patience` pings in a row were not answered.
    Lost,
}

impl Heartbeat {
    /// Every `every`, or up to a hundredth of it sooner, given up after `patience` silent ones. The first comes at a phase that the session's id draws,
    /// so that connections that began together are not pinged together.
    #[must_use]
    pub fn new(session: SessionId, every: Duration, patience: u32, now: Instant) -> Self {
        // 53 bits of a random id make a uniform number between zero and one.
        let unit = (session.0 >> 11) as f64 / (1_u64 << 53) as f64;
        Self { every, patience, next: common(now + every.mul_f64(unit), now, every), unanswered: 0 }
    }

    /// The client was heard.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// When to ask for the next beat.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Asks at once whether the client is there, unless an answer is awaited already.
    pub fn probe(&mut self, now: Instant) {
        if self.unanswered == 0 {
            self.next = now;
        }
    }

    /// What is due at `now`; a ping counts as sent.
    pub fn beat(&mut self, now: Instant) -> Beat {
        if now < self.next {
            return Beat::Wait;
        }
        if self.unanswered >= self.patience {
            return Beat::Lost;
        }
        self.unanswered += 1;
        self.next = common(now + self.every, now, self.every);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_secs(25);

    #[test]
    fn two_silent_heartbeats_end_a_connection_and_one_does_not() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SessionId(0), EVERY, 2, start);
        assert_eq!(heartbeat.beat(start), Beat::Ping);
        assert_eq!(heartbeat.beat(start + EVERY), Beat::Ping);
        heartbeat.heard();
        assert_eq!(heartbeat.beat(start + 2 * EVERY), Beat::Ping);
        assert_eq!(heartbeat.beat(start + 3 * EVERY), Beat::Ping);
        assert_eq!(heartbeat.beat(start + 4 * EVERY), Beat::Lost);
    }

    #[test]
    fn a_probe_pings_at_once_but_not_while_an_answer_is_awaited() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(SessionId(u64::MAX), EVERY, 2, start);
        assert_eq!(heartbeat.beat(start), Beat::Wait);
        heartbeat.probe(start);
        assert_eq!(heartbeat.beat(start), Beat::Ping);
        heartbeat.probe(start);
        assert_eq!(heartbeat.beat(start), Beat::Wait);
    }

    #[test]
    fn beats_of_many_fall_together_and_stay_so() {
        let start = Instant::now();
        let mut many: Vec<Heartbeat> =
            (0..1000).map(|id| Heartbeat::new(SessionId(id << 54), EVERY, u32::MAX, start)).collect();
        for _period in 0..3 {
            let mut instants: Vec<Instant> = many.iter().map(Heartbeat::next).collect();
            instants.sort_unstable();
            instants.dedup();
            // One more: those whose instant had passed are due at once.
            assert!((50..=INSTANTS as usize + 2).contains(&instants.len()), "{}", instants.len());
            for heartbeat in &mut many {
                let late = heartbeat.next() + Duration::from_millis(3);
                assert_eq!(heartbeat.beat(late), Beat::Ping);
                assert!(
                    heartbeat.next() <= late + EVERY && heartbeat.next() + EVERY / INSTANTS > late + EVERY
                );
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_beat_lies_within_one_period(id: u64) {
            let start = Instant::now();
            let next = Heartbeat::new(SessionId(id), EVERY, 2, start).next();
            prop_assert!(next >= start && next <= start + EVERY);
        }
    }
}
