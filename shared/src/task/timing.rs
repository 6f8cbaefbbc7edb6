//! When a schedule fires, as JSON: the receiver takes it, the store keeps it, the executor asks it for times. Time is an
//! argument, and time zones are those compiled in, so that all machines agree. Pure.

mod cron;

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::cron::Cron;
use super::strict::{self, Invalid, at_most, within};
use crate::clock::Timestamp;

/// When a schedule fires.
#[derive(Clone, Debug)]
pub struct Timing {
    written: Written,
    when: When,
}

/// As people write it. One of `cron`, `every_ms` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// Minute, hour, day of the month, month, day of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of `cron`, by its IANA name. None: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// At each multiple of this since 1970-01-01T00:00:00Z, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Once, at this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What becomes of times at which nobody could fire.
    pub misfire: Misfire,
    /// With [`Misfire::FireAll`], most of those that are made up for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfire_limit: Option<u32>,
}

/// What becomes of times at which nobody could fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// The last of them fires, for all.
    #[default]
    FireOnce,
    /// Each fires, the oldest first; of too many, the newest.
    FireAll,
}

#[derive(Clone, Debug)]
enum When {
    Cron(Cron),
    Every(u64),
    At(Timestamp),
}

/// What is to be done about a schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The times that fire, ascending.
    pub times: Vec<Timestamp>,
    /// Whether there were others, which do not.
    pub skipped: bool,
    /// The next time; none: never again.
    pub next: Option<Timestamp>,
}

impl Timing {
    /// Most bytes of the JSON text.
    pub const MAX_BYTES: usize = 4096;
    /// What an interval may be, in milliseconds: a second to a year.
    pub const EVERY_MS: RangeInclusive<u64> = 1000..=31_536_000_000;
    /// What a misfire limit may be.
    pub const MISFIRE_LIMIT: RangeInclusive<u32> = 1..=1000;
    /// The misfire limit when none is stated.
    pub const DEFAULT_MISFIRE_LIMIT: u32 = 100;

    /// Reads it from JSON text.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        Self::of(strict::parse(json, Self::MAX_BYTES)?)
    }

    /// Reads it from what was written.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn of(written: Written) -> Result<Self, Invalid> {
        if written.timezone.is_some() && written.cron.is_none() {
            return Err(Invalid::value("timezone", "goes with cron only"));
        }
        if written.misfire_limit.is_some() && written.misfire != Misfire::FireAll {
            return Err(Invalid::value("misfire_limit", "goes with the misfire fire_all only"));
        }
        within("misfire_limit", written.misfire_limit, Self::MISFIRE_LIMIT)?;
        let when = match (&written.cron, written.every_ms, &written.at) {
            (Some(cron), None, None) => {
                at_most("cron", cron.len(), Cron::MAX_BYTES, "bytes")?;
                When::Cron(Cron::parse(cron, written.timezone.as_deref())?)
            }
            (None, Some(every), None) => {
                within("every_ms", Some(every), Self::EVERY_MS)?;
                When::Every(every)
            }
            (None, None, Some(at)) => {
                let time = Timestamp::parse_rfc3339(at);
                When::At(time.map_err(|error| Invalid::value("at", format!("is {error}")))?)
            }
            _ => return Err(Invalid::value(".", "takes one of cron, every_ms and at")),
        };
        Ok(Self { written, when })
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// The JSON text: what was written the same is the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self.written).to_string()
    }

    /// The first time after `time`; none: never again.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Cron(cron) => cron.next_after(time),
            When::Every(every) => {
                (time.as_millis() / every + 1).checked_mul(*every).map(Timestamp::from_millis)
            }
            When::At(at) => Some(*at).filter(|at| *at > time),
        }
    }

    /// What fires at `now` of the times from `from` on. A time that lies back further than `grace` was missed: what becomes
    /// of it, [`Written::misfire`] says.
    #[must_use]
    pub fn due(&self, from: Timestamp, now: Timestamp, grace: Duration) -> Due {
        let edge = now.before(grace);
        let most = match self.written.misfire {
            Misfire::Skip => 0,
            Misfire::FireOnce => 1,
            Misfire::FireAll => self.written.misfire_limit.unwrap_or(Self::DEFAULT_MISFIRE_LIMIT),
        };
        // One more than fires, to see whether there were others.
        let mut times = self.last_between(from, edge, most as usize + 1);
        let skipped = times.len() > most as usize;
        if skipped {
            times.remove(0);
        }
        times.extend(self.between(from.max(edge), now.after(MILLISECOND)));
        Due { times, skipped, next: self.next_after(now) }
    }

    /// Times from `from` to before `to`, ascending.
    fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let first = self.next_after(from.before(MILLISECOND));
        std::iter::successors(first, |time| self.next_after(*time)).take_while(move |time| *time < to)
    }

    /// The last `most` of them.
    fn last_between(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<Timestamp> {
        // From the end backwards in growing steps: of a long time only what counts is walked through.
        let mut span = Duration::from_secs(3600);
        loop {
            let start = from.max(to.before(span));
            let mut times: Vec<Timestamp> = self.between(start, to).collect();
            if times.len() >= most || start <= from {
                return times.split_off(times.len().saturating_sub(most));
            }
            span *= 8;
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
