//! Compiled modules on disk, so that a restart does not compile again. What is read there is run as machine code: it is
//! taken only from a directory that nobody else can write, and only if it is what was written.

mod code;
mod place;

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use wasmtime::Engine;

pub(super) use self::code::Code;
use shared::digest::Digest;

const SUFFIX: &str = ".compiled";

/// A directory of compiled modules. All calls block: they belong on threads for that.
#[derive(Debug)]
pub(super) struct Artefacts {
    directory: PathBuf,
    most_bytes: u64,
    /// Names what this engine can load: version, settings and processor.
    compatibility: u64,
}

/// Why the directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be made or looked at.
    #[error("the directory of compiled modules cannot be used")]
    Io(#[from] io::Error),
    /// Somebody else could put code there.
    #[error(
        "{0} can be written by others, or is not this process's own: compiled modules are not read from there"
    )]
    Exposed(PathBuf),
}

impl Artefacts {
    /// Makes the directory if it is not there, for this process alone.
    ///
    /// # Errors
    /// [`Unusable`] when it, or a directory above it, can be written by others.
    pub(super) fn open(
        engine: &Engine,
        directory: &std::path::Path,
        most_bytes: u64,
    ) -> Result<Self, Unusable> {
        let directory = place::make(directory)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory, most_bytes, compatibility: hasher.finish() })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}-{:016x}{SUFFIX}", digest.hex(), self.compatibility))
    }

    /// The compiled module, if it is there and sound. One that is not is removed.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Code> {
        let path = self.path(digest);
        let loaded = self.read(&path).and_then(|file| match file {
            Some(file) => code::load(engine, &file).map(Some),
            None => Ok(None),
        });
        match loaded {
            Ok(code) => code,
            Err(error) => {
                tracing::warn!(module = %digest, %error, "a compiled module is not sound and is made again");
                self.remove(&path);
                None
            }
        }
    }

    fn read(&self, path: &std::path::Path) -> io::Result<Option<Vec<u8>>> {
        place::check(&self.directory).map_err(io::Error::other)?;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        place::check_file(&file, path).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        file.take(self.most_bytes).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Keeps a compiled module. Failing is not worth more than a line: it will be compiled again.
    pub(super) fn save(&self, digest: &Digest, code: &Code) {
        let saved = code.serialize().and_then(|file| {
            let place = self.path(digest);
            if file.len() as u64 > self.most_bytes {
                return Ok(());
            }
            // Under another name until it is whole; a number keeps two processes apart.
            let draft = place.with_extension(format!("{}.draft", std::process::id()));
            let written = write(&draft, &file).and_then(|()| fs::rename(&draft, &place));
            if written.is_err() {
                self.remove(&draft);
            }
            written?;
            self.prune()
        });
        if let Err(error) = saved {
            tracing::warn!(module = %digest, %error, "a compiled module cannot be kept");
        }
    }

    /// Removes the oldest until the rest fits. What a process that died left half written is old one day, too.
    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, len, path) in files {
            if bytes <= self.most_bytes {
                break;
            }
            self.remove(&path);
            bytes -= len;
        }
        Ok(())
    }

    fn remove(&self, path: &std::path::Path) {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled module cannot be removed")
            }
        }
    }
}

fn write(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
