//! The one grammar behind every short name that producers and clients may write.

/// Why a text is not a name of the kind asked for. `Display` names the limit that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than the limit, in bytes.
    #[error("is longer than {max_bytes} bytes")]
    TooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// A byte outside the grammar.
    #[error("has a character outside {allowed} at byte {at}")]
    Character {
        /// Where, counted in bytes from zero.
        at: usize,
        /// What is allowed, in words.
        allowed: &'static str,
    },
}

/// Checks length and alphabet.
pub(crate) fn check(
    text: &str,
    max_bytes: usize,
    allowed: &'static str,
    accepts: impl Fn(u8) -> bool,
) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > max_bytes {
        return Err(InvalidName::TooLong { max_bytes });
    }
    match text.bytes().position(|byte| !accepts(byte)) {
        Some(at) => Err(InvalidName::Character { at, allowed }),
        None => Ok(()),
    }
}

/// Declares a validated, cheaply cloned name.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The longest one, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Checks `text` against the grammar.
            ///
            /// # Errors
            /// Says which limit was broken.
            pub fn parse(text: &str) -> Result<Self, $crate::name::InvalidName> {
                $crate::name::check(text, Self::MAX_BYTES, $allowed, $accepts)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::name::InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use name;
