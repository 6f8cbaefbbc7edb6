//! What the built-in modules share: reading a command's input, its configuration, paths and templates, and answering.
//! Each file of `bin/` is one module; `docs/TASKS.md` says what each does. Nothing here knows the time, the machine or
//! what other inputs there were: the same input and configuration make the same answer.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

mod config;
mod date;
mod input;
mod number;
mod output;
mod path;
mod text;

pub use config::Config;
pub use input::Input;
pub use number::{compare, equal, Decimal};
pub use output::{run, Answer, Content, Output};
pub use path::{Path, Pointer};
pub use text::{render_value, Escape, Text};

/// Why a module rejects: what is wrong, and whether with its configuration or with its input.
pub type Reason = String;

/// What a JSON value is, as people say it.
pub fn kind_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
