//! The machine's monotonic clock, which all its processes share: what one process stamps another can subtract.

use rustix::time::{ClockId, clock_gettime};

/// Now, in microseconds.
pub(crate) fn micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}
