//! The one binary that composes Postrider: [`standalone`], all four roles in one process on embedded engines, and
//! [`cli`], the command line. [`client`] is what listens to a distributor.

mod capacity;
pub mod cli;
pub mod client;
mod data_dir;
mod relations;
pub mod standalone;
mod tls;
