//! The distributor: holds client connections, drains the stored before the new, delivers, collects acknowledgements.

pub mod session;
