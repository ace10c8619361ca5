//! JSON Lines: one object a line, in UTF-8.
//!
//! Numbers keep all their digits. Whole numbers and floats are written as JSON numbers; decimals as
//! texts, since most readers would make floats of them; NaN and the infinities as texts by name;
//! times, intervals and UUIDs as texts, bytes in base64, JSON as itself. Reading takes numbers from
//! numbers and from texts.

pub(crate) mod infer;
mod lines;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod write;

use crate::BinaryText;

/// How a JSON Lines file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonLinesOptions {
    /// How bytes are written.
    pub binary: BinaryText,
    /// Whether `null` in a column of JSON is JSON's own null, and only an absent key is NULL. It is in
    /// files that we write; in those of others, whose schema was found from their values, it is not.
    pub json_null: bool,
}

impl Default for JsonLinesOptions {
    fn default() -> Self {
        JsonLinesOptions { binary: BinaryText::Base64, json_null: true }
    }
}
