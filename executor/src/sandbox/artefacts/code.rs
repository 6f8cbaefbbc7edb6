//! A compiled module, and its form at rest: a digest of what follows, so that a torn or rotten file is known; a byte for
//! the kind; wasmtime's own format, which names its version and settings. The one place with unsafe code.

use std::io;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Bytes of the digest before everything else.
const SEAL_BYTES: usize = 32;

/// Which kind of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Component = b'c' as isize,
    Core = b'm' as isize,
}

/// A compiled module. Cloning shares it.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Component),
    Core(Module),
}

impl Code {
    /// Bytes of machine code and data in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let image = match self {
            Self::Component(component) => component.image_range(),
            Self::Core(module) => module.image_range(),
        };
        (image.end as usize).saturating_sub(image.start as usize) as u64
    }

    /// As it is kept on disk.
    pub(super) fn serialize(&self) -> io::Result<Vec<u8>> {
        let (kind, code) = match self {
            Self::Component(component) => (Kind::Component, component.serialize()),
            Self::Core(module) => (Kind::Core, module.serialize()),
        };
        let code = code.map_err(io::Error::other)?;
        let mut file = vec![0; SEAL_BYTES];
        file.push(kind as u8);
        file.extend_from_slice(&code);
        let seal = Sha256::digest(&file[SEAL_BYTES..]);
        file[..SEAL_BYTES].copy_from_slice(&seal);
        Ok(file)
    }
}

/// Reads what [`Code::serialize`] wrote.
///
/// # Errors
/// When it is anything else, or was written by another engine.
#[expect(unsafe_code, reason = "wasmtime runs what is read here as machine code")]
pub(super) fn load(engine: &Engine, file: &[u8]) -> io::Result<Code> {
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "is not what was written");
    let (seal, rest) = file.split_at_checked(SEAL_BYTES).ok_or_else(torn)?;
    if Sha256::digest(rest)[..] != *seal {
        return Err(torn());
    }
    let (kind, code) = rest.split_first().ok_or_else(torn)?;
    // SAFETY: the bytes are the output of `serialize` of this program: they come from a directory that only this process
    // can write (`place`), and their digest is the one written with them. They are a copy in memory, which no later
    // change of the file reaches. Wasmtime itself refuses those of another version, other settings, another processor.
    let code = unsafe {
        if *kind == Kind::Component as u8 {
            Component::deserialize(engine, code).map(Code::Component)
        } else if *kind == Kind::Core as u8 {
            Module::deserialize(engine, code).map(Code::Core)
        } else {
            return Err(torn());
        }
    };
    code.map_err(io::Error::other)
}
