//! Times by a cron expression in a time zone. Pure.
//!
//! Where clocks change, it is as with Vixie's cron: an expression whose hours are `*` fires by the time that passes; one
//! with hours that are named fires once a day at each, later by the change if the clocks leave it out, and the first time if
//! they show it twice.

use cronexpr::{Crontab, MakeTimestamp};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::super::strict::Invalid;
use crate::clock::Timestamp;

/// 9000-01-01T00:00:00Z: nothing fires later, where calendars end.
const END_MS: u64 = 221_845_392_000_000;

/// One search looks four years ahead. 29 February is at most eight years off, and on a given day of the week forty.
const SEARCHES: usize = 11;

/// A cron expression.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    zone: TimeZone,
    /// In UTC, which stands for any clock: in a zone whose clocks change the library may search for ever.
    shown: Crontab,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// By the time that passes.
    Passing,
    /// By what clocks show.
    Shown,
}

/// Clocks of two places, or of one before and after a change, differ by no more.
const APART: SignedDuration = SignedDuration::from_hours(27);

/// Most changes of clocks that a search stops at. Near the time that it finds there are two at most, and a few where a
/// country could not decide.
const CHANGES: usize = 32;

impl Cron {
    /// Most bytes of an expression.
    pub(super) const MAX_BYTES: usize = 512;

    pub(super) fn parse(text: &str, zone: Option<&str>) -> Result<Self, Invalid> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [_minute, hour, _day, _month, _weekday] = fields[..] else {
            return Err(Invalid::value("cron", "is not minute, hour, day, month and day of the week"));
        };
        let name = zone.unwrap_or("UTC");
        let zone = TimeZone::get(name)
            .map_err(|error| Invalid::value("timezone", format!("is no IANA time zone: {error}")))?;
        let shown = cronexpr::parse_crontab(&format!("{} UTC", fields.join(" ")))
            .map_err(|error| Invalid::value("cron", format!("is no cron expression: {error}")))?;
        let pace = if hour.starts_with('*') { Pace::Passing } else { Pace::Shown };
        let cron = Self { zone, shown, pace };
        match cron.next_after(Timestamp::default()) {
            Some(_first) => Ok(cron),
            None => Err(Invalid::value("cron", "never fires")),
        }
    }

    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let at = instant(time)?;
        match self.pace {
            Pace::Passing => timestamp(self.passing(at)?),
            Pace::Shown => {
                let mut shown = TimeZone::UTC.to_timestamp(self.zone.to_datetime(at)).ok()?;
                loop {
                    shown = search(&self.shown, shown)?;
                    let clock = TimeZone::UTC.to_datetime(shown);
                    let next = timestamp(self.zone.to_ambiguous_timestamp(clock).compatible().ok()?)?;
                    // Not so in the second of two hours that look the same.
                    if next > time {
                        return Some(next);
                    }
                }
            }
        }
    }

    /// The first match after `at`: from one change of clocks to the next they run evenly.
    fn passing(&self, at: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let (mut begin, mut after) = (at, self.clock(at)?);
        for _change in 0..CHANGES {
            let found = search(&self.shown, after)?;
            let next = found.checked_sub(SignedDuration::from(self.zone.to_offset(begin))).ok()?;
            let change = self.zone.following(begin).next().map(|change| change.timestamp());
            let Some(change) = change.filter(|change| *change <= next) else { return Some(next) };
            // What clocks show after a change that is near may match once more; long before `found` nothing matches.
            let far = change.duration_since(begin) > APART;
            begin = if far { change.max(next.checked_sub(APART).ok()?) } else { change };
            // The very moment counts.
            after = self.clock(begin)?.checked_sub(SignedDuration::from_millis(1)).ok()?;
        }
        None
    }

    /// What the clock shows at `instant`, as if it were UTC.
    fn clock(&self, instant: jiff::Timestamp) -> Option<jiff::Timestamp> {
        instant.checked_add(SignedDuration::from(self.zone.to_offset(instant))).ok()
    }
}

fn search(cron: &Crontab, mut after: jiff::Timestamp) -> Option<jiff::Timestamp> {
    for _search in 0..SEARCHES {
        if after.as_millisecond() > END_MS.cast_signed() {
            return None;
        }
        if let Ok(found) = cron.find_next(MakeTimestamp(after)) {
            return Some(found.timestamp());
        }
        // A day less than it looked at.
        after += SignedDuration::from_hours((4 * 365 - 1) * 24);
    }
    None
}

fn instant(time: Timestamp) -> Option<jiff::Timestamp> {
    let millis = i64::try_from(time.as_millis().min(END_MS)).ok()?;
    jiff::Timestamp::from_millisecond(millis).ok()
}

fn timestamp(instant: jiff::Timestamp) -> Option<Timestamp> {
    let millis = u64::try_from(instant.as_millisecond()).ok()?;
    (millis < END_MS).then_some(Timestamp::from_millis(millis))
}
