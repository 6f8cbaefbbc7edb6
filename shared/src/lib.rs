//! What the four services of Postrider have in common, and nothing they decide.
//!
//! Reading order:
//! 1. the vocabulary, without I/O: [`recipient`], [`notification`], [`position`], [`delivery`], [`outcome`], [`task`],
//!    [`credential`], [`clock`];
//! 2. what stands on the log: [`topic`], [`record`];
//! 3. the ports, each with its contract, its suite and its adapters: [`log`], [`registry`], [`store`];
//! 4. working on the log as a member of a [`group`];
//! 5. the wire between director and distributor: [`link`];
//! 6. process plumbing: [`config`], [`retry`], [`telemetry`], [`shutdown`], [`serve`], [`descriptors`], [`admin`], [`problem`],
//!    [`process`].

pub mod admin;
pub mod clock;
pub mod config;
pub mod credential;
pub mod delivery;
pub mod descriptors;
pub mod digest;
pub mod group;
mod leb128;
pub mod link;
pub mod log;
mod name;
pub mod notification;
pub mod outcome;
pub mod position;
pub mod problem;
pub mod process;
pub mod recipient;
pub mod record;
pub mod registry;
pub mod retry;
pub mod serve;
pub mod shutdown;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod topic;

pub use name::InvalidName;
