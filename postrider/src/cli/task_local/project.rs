//! The files of a new project: those of the examples, which are built and tested with everything else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::failure::Failure;

/// A file: where, and what is in it.
type File = (&'static str, &'static str);

macro_rules! file {
    ($example:literal, $path:literal) => {
        ($path, include_str!(concat!("../../../../examples/tasks/", $example, "/", $path)))
    };
}

/// A command in Rust.
pub(super) const RUST: &[File] = &[
    file!("rust-order", "Cargo.toml"),
    file!("rust-order", "src/main.rs"),
    file!("rust-order", "build"),
    file!("rust-order", "settings.json"),
    file!("rust-order", ".gitignore"),
    file!("rust-order", "samples/nothing.json"),
    file!("rust-order", "samples/paid.json"),
    file!("rust-order", "samples/pending.json"),
];

/// A component in C.
pub(super) const C: &[File] = &[
    file!("c-redact", "task.c"),
    file!("c-redact", "task.h"),
    file!("c-redact", "build"),
    file!("c-redact", "settings.json"),
    file!("c-redact", "samples/image.json"),
    file!("c-redact", "samples/json.json"),
    file!("c-redact", "samples/text.json"),
    ("wit/postrider-task.wit", include_str!("../../../../executor/wit/postrider-task.wit")),
];

/// Writes them.
///
/// # Errors
/// When there is something in `directory` already.
pub(super) fn write(directory: &Path, files: &[File]) -> Result<(), Failure> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(Failure::usage(format_args!("{} is not empty", directory.display())));
    }
    for (path, text) in files {
        let at = directory.join(path);
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&at, text)?;
        if *path == "build" {
            fs::set_permissions(&at, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}
