//! The director.

pub mod lane;
pub mod offsets;
pub mod routing;
#[cfg(test)]
mod testing;
