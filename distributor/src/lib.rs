//! The distributor: holds client connections, drains the stored before the new, delivers, collects acknowledgements.

pub mod auth;
pub mod protocol;
pub mod session;
