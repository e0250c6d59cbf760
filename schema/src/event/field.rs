//! What fields of several payloads are made of: free JSON, changes, words of a closed list.

use serde::{Deserialize, Serialize};

use crate::free_json;

/// Gives the words of a closed list their names on the wire.
macro_rules! words {
    ($type:ident { $($variant:ident $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every name on the wire, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)+ }
            }

            /// The value with this wire name.
            pub fn from_name(name: &str) -> Option<$type> {
                match name { $($name => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

/// JSON that somebody else defined, kept as its text without white space between tokens.
///
/// Numbers and the order of keys stay as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonText(pub(crate) String);

impl JsonText {
    /// Takes any valid JSON text that every common parser can read.
    ///
    /// # Errors
    ///
    /// The parser's own error if the text is no JSON, has half a surrogate pair or a number that is
    /// beyond all floating point numbers, or nests deeper than
    /// [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX) levels.
    pub fn parse(text: &str) -> Result<JsonText, serde_json::Error> {
        free_json::check(text)?;
        Ok(JsonText(free_json::compact(text)))
    }

    /// The compact JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change to a value that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Keep,
    /// `null` on the wire: taken away.
    Remove,
    /// Replaced.
    Set(T),
}
