//! Guests. A component is a core module in WAT that follows the canonical ABI, wrapped by `wit-component` as toolchains
//! do it. A command is a core module as it is.

use std::path::PathBuf;
use std::sync::OnceLock;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// Where `run` answers: all zero is a success without outputs.
pub(crate) const ANSWER: &str = "(i32.const 1024)";

/// A component whose `run` has this body. It is given `$input`, and answers with the address of a
/// `result<list<output>, failure>`.
pub(crate) fn component(body: &str) -> Vec<u8> {
    component_with("", body)
}

/// A component with imports, functions and data before it.
pub(crate) fn component_with(before: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {before}
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 8192))
            ;; Never frees: an instance lives for one attempt.
            (func $realloc (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32)
                (result i32)
                (local $at i32)
                (local.set $at (i32.and
                    (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $top (i32.add (local.get $at) (local.get $size)))
                (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                    (then (drop (memory.grow (i32.add (i32.const 1)
                        (i32.shr_u (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                            (i32.const 16)))))))
                (local.get $at))
            (func (export "run") (param $input i32) (result i32)
                {body}))"#
    );
    let mut module = wat::parse_str(&text).unwrap();
    let (resolve, world) = wit();
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// The world of tasks and what of WASI a guest may import beside it. What a guest does not call is not imported.
fn wit() -> &'static (Resolve, WorldId) {
    static WIT: OnceLock<(Resolve, WorldId)> = OnceLock::new();
    WIT.get_or_init(|| {
        let mut resolve = Resolve::default();
        resolve.push_dir(wasi_wit()).unwrap();
        resolve
            .push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../executor/wit/postrider-task.wit"))
            .unwrap();
        let version = version_of(&resolve, "wasi", "http");
        let guest = format!(
            "package tests:guest;
            world guest {{
                include postrider:task/task@1.0.0;
                import wasi:clocks/monotonic-clock@{version};
                import wasi:clocks/wall-clock@{version};
                import wasi:http/outgoing-handler@{version};
            }}"
        );
        let package = resolve.push_str("guest.wit", &guest).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        (resolve, world)
    })
}

/// The version of WASI that the host speaks.
pub(crate) fn wasi_version() -> String {
    version_of(&wit().0, "wasi", "http")
}

fn version_of(resolve: &Resolve, namespace: &str, name: &str) -> String {
    let named =
        |package: &&wit_parser::Package| package.name.namespace == namespace && package.name.name == name;
    let package = resolve.packages.iter().map(|(_, package)| package).find(named).unwrap();
    package.name.version.as_ref().unwrap().to_string()
}

/// The WIT files of WASI as the host's own dependency carries them.
fn wasi_wit() -> PathBuf {
    // What other platforms need was never fetched.
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(["--offline", "--filter-platform", &platform()].map(str::to_owned))
        .exec()
        .unwrap();
    let host =
        metadata.packages.iter().find(|package| package.name.as_str() == "wasmtime-wasi-http").unwrap();
    host.manifest_path.parent().unwrap().join("wit").into()
}

/// The platform that this is, as the compiler calls it.
fn platform() -> String {
    let told = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// A command whose `_start` has this body, with `$write` (to a file descriptor: address, length) and `$exit` at hand,
/// and the text `said` in memory at 64.
pub(crate) fn command(said: &str, body: &str) -> Vec<u8> {
    let said: String = said.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read"
                (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff"
                (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2)
            (data (i32.const 64) "{said}")
            (func $write (param $fd i32) (param $at i32) (param $len i32)
                (i32.store (i32.const 16) (local.get $at))
                (i32.store (i32.const 20) (local.get $len))
                (drop (call $fd_write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 24))))
            (func (export "_start")
                {body}))"#
    );
    wat::parse_str(&text).unwrap()
}

/// A component that computes for ever.
pub(crate) fn endless() -> Vec<u8> {
    component("(loop $again (br $again)) (unreachable)")
}

/// A component that succeeds without outputs.
pub(crate) fn quiet() -> Vec<u8> {
    component(ANSWER)
}

/// A component with one output, of the input's type, content type and content.
pub(crate) fn echo() -> Vec<u8> {
    component(
        "(i32.store (i32.const 1032) (i32.const 1152))
         (i32.store (i32.const 1036) (i32.const 1))
         (memory.copy (i32.const 1164) (i32.add (local.get $input) (i32.const 32)) (i32.const 24))
         (i32.const 1024)",
    )
}
