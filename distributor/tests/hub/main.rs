//! The hub between its edges: a scripted director over real gRPC on one side, sessions on the other, and a registry, a
//! store and a log that can be taken away.
#![expect(clippy::unwrap_used, reason = "tests, and what they share")]

mod caps;
mod delivery;
mod director;
mod engines;
mod links;
mod node;
mod outages;
mod storm;
