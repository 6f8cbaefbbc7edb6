//! The client-facing edge of a distributor, on a real port: what clients may send, what they get, and how connections end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod admission;
mod auth;
mod leave;
mod limits;
mod node;
mod poll;
mod sse;
mod websocket;
