//! The words between a client and this server: one JSON object per frame. Pure encoding and decoding, used by the three
//! transports; `docs/PROTOCOL.md` is the same for people who write clients.
//!
//! A frame says what it is in its field `frame`. The field `type` is the notification's own type.

mod client;
mod close;
mod server;

pub use client::{ClientFrame, Code, Hello, MAX_REFERENCE_BYTES, Mistake, Nack};
pub use close::Close;
pub use server::{Opened, cursor_after, encode, encode_error, encode_goaway, encode_into, encode_pong};

/// The WebSocket subprotocol (RFC 6455, section 1.9) that this server speaks.
pub const SUBPROTOCOL: &str = "postrider.v1.json";

/// A subprotocol that starts like this carries a client token; it is never selected.
pub const BEARER_SUBPROTOCOL: &str = "bearer.";

/// The largest sequence number: the largest integer that every JSON reader keeps exact.
pub const MAX_SEQ: u64 = (1 << 53) - 1;
