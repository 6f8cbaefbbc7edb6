//! What Redis does on its side, each in one step. The scripts mirror `registry/entry.rs`; a script touches the one key
//! it is given, and bears repetition.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, Script};

pub(super) static REGISTER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("register.lua")));
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("remove.lua")));
pub(super) static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mark.lua")));
pub(super) static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clear.lua")));
pub(super) static ADVANCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("advance.lua")));
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
pub(super) static NODES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("nodes.lua")));

/// The call of `script` on `key`, to which arguments are added.
pub(super) fn call(script: &Script, key: &str) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(1).arg(key);
    command
}

/// Makes Redis know every script.
pub(super) fn load() -> Pipeline {
    let mut pipeline = redis::pipe();
    for script in [&REGISTER, &REMOVE, &MARK, &CLEAR, &ADVANCE, &RENEW, &NODES] {
        pipeline.load_script(script).ignore();
    }
    pipeline
}
