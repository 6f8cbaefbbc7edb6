//! How long it took from an acceptance to its acknowledgement, before, during and after an outage, and how long the
//! pipeline needed to be itself again. Counted are the recipients that stay connected: another's delay is its own. Pure.

use std::time::Duration;

use crate::stack::ledger::book::Book;
use crate::stack::ledger::entry::Answer;

/// Figures of one part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    pub count: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub longest: Duration,
}

impl Quantiles {
    fn of(mut delays: Vec<Duration>) -> Self {
        delays.sort_unstable();
        let at = |share: f64| {
            let index = (delays.len() as f64 * share) as usize;
            delays.get(index.min(delays.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Self { count: delays.len(), p50: at(0.5), p99: at(0.99), longest: at(1.0) }
    }
}

/// By when they were accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    pub before: Quantiles,
    pub during: Quantiles,
    pub after: Quantiles,
    /// From the healing to the first second whose p99 is back and from which on no backlog is left.
    pub recovered_in: Option<Duration>,
    pub outage: Duration,
}

impl Delays {
    /// The longest of all.
    pub fn longest(&self) -> Duration {
        self.before.longest.max(self.during.longest).max(self.after.longest)
    }
}

/// Over how long the figures of recovery are taken.
pub const WINDOW: Duration = Duration::from_secs(1);

/// From a fault to its healing, in the ledger's time.
pub type Outage = (Duration, Duration);

/// A p99 below this is a good one, whatever it was before: the clocks of a busy machine are not finer.
const GOOD: Duration = Duration::from_millis(500);

/// The delays of the recipients that `counts`, from `steady_at` on, around the outages from the first fault to the last healing.
pub fn measure(book: &Book, steady_at: Duration, outages: &[Outage], counts: impl Fn(u32) -> bool) -> Delays {
    let fault = outages.iter().map(|outage| outage.0).min().unwrap_or(Duration::MAX);
    let healed = outages.iter().map(|outage| outage.1).max().unwrap_or(Duration::MAX);
    // When it was accepted, and when it was acknowledged.
    let mut spans: Vec<(Duration, Duration)> = book
        .tries
        .iter()
        .filter(|known| matches!(known.answer, Some(Answer::Accepted(_))) && counts(known.recipient))
        .filter(|known| known.refused_on.is_none())
        // A client may be quicker than the answer to the producer. What is still open is so for ever.
        .map(|known| (known.answered, known.acknowledged.map_or(Duration::MAX, |at| at.max(known.answered))))
        .collect();
    spans.sort_unstable();
    let within = |from: Duration, to: Duration| -> Vec<Duration> {
        let those = spans.iter().filter(|(accepted, acknowledged)| {
            (from..to).contains(accepted) && *acknowledged < Duration::MAX
        });
        those.map(|(accepted, acknowledged)| *acknowledged - *accepted).collect()
    };
    let before = Quantiles::of(within(steady_at.min(fault), fault));
    Delays {
        before,
        during: Quantiles::of(within(fault, healed)),
        after: Quantiles::of(within(healed, Duration::MAX)),
        recovered_in: recovered_in(&spans, healed, (2 * before.p99).max(GOOD)),
        outage: outages.iter().map(|(from, to)| *to - *from).sum(),
    }
}

/// The first second after `healed` whose p99 is not above `good`, and at whose begin nothing older than `good` was open.
fn recovered_in(spans: &[(Duration, Duration)], healed: Duration, good: Duration) -> Option<Duration> {
    const STEP: Duration = Duration::from_millis(250);
    let last = spans.last()?.0;
    // Those accepted longer ago than is good, and when the last of them was through.
    let (mut overdue, mut through) = (0, Duration::ZERO);
    let mut from = healed;
    while from <= last {
        while let Some((_, acknowledged)) = spans.get(overdue).filter(|(accepted, _)| *accepted + good < from)
        {
            through = through.max(*acknowledged);
            overdue += 1;
        }
        let index = |at: Duration| spans.partition_point(|(accepted, _)| *accepted < at);
        let window = &spans[index(from)..index(from + WINDOW)];
        let delays: Vec<_> =
            window.iter().map(|(accepted, acknowledged)| *acknowledged - *accepted).collect();
        if !delays.is_empty() && through <= from && Quantiles::of(delays).p99 <= good {
            return Some(from - healed);
        }
        from += STEP;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(value: f64) -> Duration {
        Duration::from_secs_f64(value)
    }

    #[test]
    fn recovery_is_when_new_ones_are_quick_and_old_ones_are_through() {
        let quick =
            |accepted: u32| (seconds(f64::from(accepted) / 10.0), seconds(f64::from(accepted) / 10.0 + 0.01));
        // Those accepted from 1 s to 3 s wait until 4.2 s; the outage ends at 3 s.
        let spans: Vec<_> = (0..100)
            .map(
                |tenth| if (10..30).contains(&tenth) { (quick(tenth).0, seconds(4.2)) } else { quick(tenth) },
            )
            .collect();
        assert_eq!(recovered_in(&spans, seconds(3.0), GOOD), Some(seconds(1.25)));
        assert_eq!(recovered_in(&spans[..30], seconds(3.0), GOOD), None, "nothing came after it");
    }

    #[test]
    fn quantiles_are_of_the_sorted_delays() {
        let quantiles = Quantiles::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (quantiles.p50.as_millis(), quantiles.p99.as_millis(), quantiles.longest.as_millis()),
            (51, 100, 100)
        );
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
