//! Wall-clock time as a value. Pure code takes a [`Timestamp`]; whoever drives it asks a [`Clock`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. The pipeline's only notion of time on the wire and at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant plus `delay`, saturating.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This instant minus `delay`, not below 1970.
    #[must_use]
    pub fn before(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads an RFC 3339 date-time.
    ///
    /// # Errors
    /// When `text` is no RFC 3339 date-time or lies before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed: jiff::Timestamp = text.parse().map_err(InvalidTimestamp::Grammar)?;
        u64::try_from(parsed.as_millisecond()).map(Self).map_err(InvalidTimestamp::BeforeEpoch)
    }
}

/// Why a text is no [`Timestamp`].
#[derive(Debug, thiserror::Error)]
pub enum InvalidTimestamp {
    /// Not RFC 3339.
    #[error("not an RFC 3339 date-time")]
    Grammar(#[source] jiff::Error),
    /// Negative.
    #[error("before 1970-01-01T00:00:00Z")]
    BeforeEpoch(#[source] std::num::TryFromIntError),
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with millisecond precision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_beyond_calendar) => write!(f, "{}ms", self.0),
        }
    }
}

/// Where the time comes from. Services are handed one, so that tests can hold it still.
pub trait Clock: Send + Sync + 'static {
    /// The current wall-clock time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves forward by `step`.
    pub fn advance(&self, step: Duration) {
        self.0.fetch_add(u64::try_from(step.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_survives_a_round_trip() {
        let instant = Timestamp::parse_rfc3339("2026-11-21T06:27:00.250Z").unwrap();
        assert_eq!(instant.to_string(), "2026-11-21T06:27:00.250Z");
        assert_eq!(Timestamp::parse_rfc3339(&instant.to_string()).unwrap(), instant);
    }

    #[test]
    fn before_the_epoch_is_refused() {
        assert!(matches!(
            Timestamp::parse_rfc3339("1969-12-31T23:59:59Z"),
            Err(InvalidTimestamp::BeforeEpoch(_))
        ));
    }
}
