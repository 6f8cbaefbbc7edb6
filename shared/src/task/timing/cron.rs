//! Times by a cron expression in a time zone. Pure.
//!
//! Where clocks change, it is as with Vixie's cron: an expression whose hours are `*` fires by the time that passes; one
//! with hours that are named fires once a day at each, later by the change if the clocks leave it out, and the first time if
//! they show it twice.

use cronexpr::{Crontab, MakeTimestamp};
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
    pace: Pace,
}

#[derive(Clone, Debug)]
enum Pace {
    /// By the time that passes. In its time zone.
    Passing(Crontab),
    /// By what clocks show. In UTC, which stands for any clock.
    Shown(Crontab),
}

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
        let read = |zone: &str| {
            let read = cronexpr::parse_crontab(&format!("{} {zone}", fields.join(" ")));
            read.map_err(|error| Invalid::value("cron", format!("is no cron expression: {error}")))
        };
        let pace = if hour.starts_with('*') { Pace::Passing(read(name)?) } else { Pace::Shown(read("UTC")?) };
        let cron = Self { zone, pace };
        match cron.next_after(Timestamp::default()) {
            Some(_first) => Ok(cron),
            None => Err(Invalid::value("cron", "never fires")),
        }
    }

    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let at = instant(time)?;
        match &self.pace {
            Pace::Passing(cron) => timestamp(search(cron, at)?),
            Pace::Shown(cron) => {
                let mut shown = TimeZone::UTC.to_timestamp(self.zone.to_datetime(at)).ok()?;
                loop {
                    shown = search(cron, shown)?;
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
        after += jiff::SignedDuration::from_hours((4 * 365 - 1) * 24);
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
