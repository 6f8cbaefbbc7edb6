//! The sandbox against guests that behave and guests that do not: each limit obeyed and violated, each grant given and
//! withheld. Guests are WAT text, made components of by the tools that authors use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "sandbox/answers.rs"]
mod answers;
#[path = "sandbox/artefacts.rs"]
mod artefacts;
#[path = "sandbox/commands.rs"]
mod commands;
#[path = "sandbox/egress.rs"]
mod egress;
#[path = "sandbox/gets.rs"]
mod gets;
#[path = "sandbox/grants.rs"]
mod grants;
#[path = "sandbox/guests.rs"]
mod guests;
#[path = "sandbox/limits.rs"]
mod limits;
#[path = "sandbox/modules.rs"]
mod modules;
#[path = "sandbox/neighbours.rs"]
mod neighbours;
#[path = "sandbox/world.rs"]
mod world;
