//! Whether a place on disk is this process's alone, the way SSH asks it of its keys: owned by it or by root, written by
//! nobody else, and so is everything above it.

use std::fs::{self, DirBuilder, File, Metadata};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::Unusable;

/// Group and others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Only the owner of an entry may remove it, as in `/tmp`.
const STICKY: u32 = 0o1000;

/// Makes `directory` if it is not there, and answers where it really is.
///
/// # Errors
/// [`Unusable`].
pub(super) fn make(directory: &Path) -> Result<PathBuf, Unusable> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let directory = fs::canonicalize(directory)?;
    check(&directory)?;
    Ok(directory)
}

/// Checks `directory`, which has no links in it, and all above it.
///
/// # Errors
/// [`Unusable`].
pub(super) fn check(directory: &Path) -> Result<(), Unusable> {
    let own = fs::symlink_metadata(directory)?;
    if !own.is_dir() || own.uid() != me() || own.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(Unusable::Exposed(directory.to_owned()));
    }
    for above in directory.ancestors().skip(1) {
        let metadata = fs::symlink_metadata(above)?;
        let shared = metadata.mode() & WRITABLE_BY_OTHERS != 0 && metadata.mode() & STICKY == 0;
        if shared || !(metadata.uid() == 0 || metadata.uid() == me()) {
            return Err(Unusable::Exposed(above.to_owned()));
        }
    }
    Ok(())
}

/// Checks an open file.
///
/// # Errors
/// [`Unusable`].
pub(super) fn check_file(file: &File, path: &Path) -> Result<(), Unusable> {
    let metadata: Metadata = file.metadata()?;
    if metadata.is_file() && metadata.uid() == me() && metadata.mode() & WRITABLE_BY_OTHERS == 0 {
        Ok(())
    } else {
        Err(Unusable::Exposed(path.to_owned()))
    }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}
