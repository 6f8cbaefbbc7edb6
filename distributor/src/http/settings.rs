//! Limits of the client-facing edge: table `[distributor.edge]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::config::{Mistakes, millis};

/// How long clients may take, and how much they may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeSettings {
    /// How long a WebSocket without a token may take to send `hello`.
    #[serde(with = "millis")]
    pub hello_ms: Duration,
    /// How long a WebSocket with a token is given to send `hello` before its session opens without. Longer than most
    /// round trips, so that what a `hello` asks for is rarely too late.
    #[serde(with = "millis")]
    pub hello_wait_ms: Duration,
    /// Between heartbeats, on WebSocket and SSE.
    #[serde(with = "millis")]
    pub ping_ms: Duration,
    /// Silent heartbeats in a row that end a WebSocket.
    pub missed_pings: u32,
    /// How long a WebSocket's writes may make no progress.
    #[serde(with = "millis")]
    pub write_ms: Duration,
    /// How long a client may take to answer a close frame.
    #[serde(with = "millis")]
    pub close_ms: Duration,
    /// Largest client frame.
    pub client_frame_bytes: usize,
    /// Read from a WebSocket at a time; one such buffer serves all of a thread.
    pub read_buffer_bytes: usize,
    /// Largest frame sent to a client; a notification that makes a larger one is refused for it.
    pub server_frame_bytes: usize,
    /// Bad frames on one WebSocket before it is closed.
    pub bad_frames: u32,
    /// Frames encoded ahead of a connection.
    pub batch: usize,
    /// Bytes encoded ahead of a connection; the frame that reaches them is the last.
    pub batch_bytes: usize,
    /// Shortest `retry:` of SSE.
    #[serde(with = "millis")]
    pub retry_min_ms: Duration,
    /// Longest `retry:` of SSE.
    #[serde(with = "millis")]
    pub retry_max_ms: Duration,
    /// How long a long-poll waits when it does not say.
    #[serde(with = "millis")]
    pub poll_wait_ms: Duration,
    /// How long a long-poll may wait.
    #[serde(with = "millis")]
    pub poll_wait_max_ms: Duration,
    /// How long a session outlives a long-poll.
    #[serde(with = "millis")]
    pub poll_linger_ms: Duration,
    /// Notifications in one long-poll's answer when it does not say.
    pub poll_notifications: usize,
    /// Most notifications in one long-poll's answer.
    pub poll_notifications_max: usize,
    /// Largest request body.
    pub body_bytes: usize,
    /// How long a request body may take.
    #[serde(with = "millis")]
    pub body_ms: Duration,
    /// Shortest `Retry-After`, in seconds; up to three times of it is added at random.
    pub retry_after_s: u64,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            hello_ms: Duration::from_secs(10),
            hello_wait_ms: Duration::from_secs(1),
            ping_ms: Duration::from_secs(25),
            missed_pings: 2,
            write_ms: Duration::from_secs(10),
            close_ms: Duration::from_secs(2),
            client_frame_bytes: 64 * 1024,
            read_buffer_bytes: 16 * 1024,
            server_frame_bytes: 8 * 1024 * 1024,
            bad_frames: 16,
            batch: 32,
            batch_bytes: 128 * 1024,
            retry_min_ms: Duration::from_secs(1),
            retry_max_ms: Duration::from_secs(5),
            poll_wait_ms: Duration::from_secs(25),
            poll_wait_max_ms: Duration::from_secs(60),
            poll_linger_ms: Duration::from_secs(15),
            poll_notifications: 64,
            poll_notifications_max: 256,
            body_bytes: 4 * 1024,
            body_ms: Duration::from_secs(15),
            retry_after_s: 2,
        }
    }
}

impl EdgeSettings {
    /// Refuses values that cannot work; keys are relative to the section that holds this table as `edge`.
    pub fn check(&self, mistakes: &mut Mistakes) {
        for (key, value) in [
            ("edge.hello_ms", self.hello_ms),
            ("edge.ping_ms", self.ping_ms),
            ("edge.write_ms", self.write_ms),
            ("edge.body_ms", self.body_ms),
        ] {
            if value < Duration::from_millis(10) {
                mistakes.report(key, "must be at least 10");
            }
        }
        if self.retry_min_ms > self.retry_max_ms {
            mistakes.report("edge.retry_min_ms", "must not be above retry_max_ms");
        }
        if self.poll_wait_ms > self.poll_wait_max_ms {
            mistakes.report("edge.poll_wait_ms", "must not be above poll_wait_max_ms");
        }
        mistakes.within("edge.missed_pings", self.missed_pings, 1..=100);
        mistakes.within("edge.client_frame_bytes", self.client_frame_bytes, 1024..=16 << 20);
        mistakes.within("edge.read_buffer_bytes", self.read_buffer_bytes, 512..=1 << 20);
        mistakes.within("edge.server_frame_bytes", self.server_frame_bytes, 64 << 10..=256 << 20);
        mistakes.within("edge.batch", self.batch, 1..=10_000);
        mistakes.within("edge.batch_bytes", self.batch_bytes, 1024..=64 << 20);
        mistakes.within("edge.poll_notifications_max", self.poll_notifications_max, 1..=10_000);
        mistakes.within("edge.poll_notifications", self.poll_notifications, 1..=self.poll_notifications_max);
        mistakes.within("edge.body_bytes", self.body_bytes, 256..=1 << 20);
        mistakes.within("edge.retry_after_s", self.retry_after_s, 1..=3600);
    }
}
