//! The built-in modules, as they are committed, through the sandbox with its own limits: what each answers, and what it
//! says of input and configuration that it cannot use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "builtins/asked.rs"]
mod asked;
#[path = "builtins/digest.rs"]
mod digest;
#[path = "builtins/echo.rs"]
mod echo;
#[path = "builtins/enrich.rs"]
mod enrich;
#[path = "builtins/filter.rs"]
mod filter;
#[path = "builtins/limits.rs"]
mod limits;
#[path = "builtins/sum.rs"]
mod sum;
#[path = "builtins/template.rs"]
mod template;
#[path = "builtins/transform.rs"]
mod transform;
#[allow(dead_code, reason = "shared with the tests of the sandbox, which use all of it")]
#[path = "sandbox/world.rs"]
mod world;
