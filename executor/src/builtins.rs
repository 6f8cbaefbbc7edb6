//! Modules that come with the executor, in its binary: every tenant has them, under `name@builtin`, and under the plain name
//! while it has no module of its own that is called so.

use std::collections::HashMap;
use std::sync::LazyLock;

use shared::digest::Digest;
use shared::task::ModuleName;

/// A module in the binary.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What it is called.
    pub name: &'static str,
    /// A component or a command.
    pub wasm: &'static [u8],
    /// Its grants, its limits, the schema of its input and what it is for: the JSON object that `docs/TASKS.md` describes.
    pub settings: &'static str,
}

/// A command of `modules/`, which needs no grant: what it is configured with comes with its input.
macro_rules! command {
    ($name:literal, $description:literal) => {
        Builtin {
            name: $name,
            wasm: include_bytes!(concat!("../../modules/dist/", $name, ".wasm")),
            settings: concat!("{\"description\":\"", $description, "\"}"),
        }
    };
}

/// All of them, by name.
pub static ALL: &[Builtin] = &[
    command!("digest", "one notification that sums up the items of an array"),
    command!("echo", "the input back"),
    command!("enrich", "adds fields to content and metadata"),
    command!("filter", "passes its input on, or not, by conditions"),
    command!("sum", "adds the numbers of an array"),
    command!("template", "a text, or JSON, made of a template and the input's values"),
    command!("transform", "JSON content in another shape"),
];

/// The digests of all, in the same order: computed once, when somebody asks first.
static DIGESTS: LazyLock<Vec<Digest>> =
    LazyLock::new(|| ALL.iter().map(|builtin| Digest::of(builtin.wasm)).collect());

static BY_DIGEST: LazyLock<HashMap<Digest, &'static Builtin>> =
    LazyLock::new(|| DIGESTS.iter().copied().zip(ALL).collect());

/// The one of this name, and the digest of its bytes.
#[must_use]
pub fn find(name: &ModuleName) -> Option<(Digest, &'static Builtin)> {
    let at = ALL.iter().position(|builtin| builtin.name == name.as_str())?;
    Some((DIGESTS[at], &ALL[at]))
}

/// The bytes of this digest, if they are in the binary.
#[must_use]
pub fn bytes(digest: &Digest) -> Option<&'static [u8]> {
    BY_DIGEST.get(digest).map(|builtin| builtin.wasm)
}

#[cfg(test)]
mod tests {
    use shared::task::settings::Settings;

    use super::*;

    #[test]
    fn the_settings_of_each_are_settings() {
        for builtin in ALL {
            assert!(Settings::parse(builtin.settings).unwrap().description.is_some(), "{}", builtin.name);
        }
    }

    #[test]
    fn each_is_found_by_its_name_and_by_its_digest() {
        for builtin in ALL {
            let (digest, found) = find(&ModuleName::parse(builtin.name).unwrap()).unwrap();
            assert_eq!((found.name, digest), (builtin.name, Digest::of(builtin.wasm)));
            assert_eq!(bytes(&digest), Some(builtin.wasm));
        }
        assert!(find(&ModuleName::parse("none").unwrap()).is_none());
    }
}
