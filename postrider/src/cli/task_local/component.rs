//! Makes a component of a core module that follows the canonical ABI of the world `task`, the way toolchains with component
//! tooling do it themselves.

use std::path::Path;

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// How a core module begins; a component has another version there.
const CORE: [u8; 8] = *b"\0asm\x01\0\0\0";

pub(super) fn is_core(wasm: &[u8]) -> bool {
    wasm.starts_with(&CORE)
}

/// A component of the world `task` of the WIT files in `wit`.
///
/// # Errors
/// When they have no such world, or the module does not follow it.
pub(super) fn of(module: &[u8], wit: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _files) = resolve.push_path(wit).with_context(|| wit.display().to_string())?;
    let world = resolve.select_world(&[package], Some("task"))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.encode().context("task.wasm is no task")
}
