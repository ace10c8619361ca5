//! What was found.

use serde::Serialize;
use serde_json::Value;

/// How a row is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The source has it, the target has not.
    Missing,
    /// Both have it, with other values.
    Different,
    /// The target has it, the source has not.
    Extra,
}

/// A row that is not the same on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// Its key after the steps, by column; the whole row where there is no key.
    pub key: Value,
}

/// What was found of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamVerdict {
    /// Its name at the source.
    pub stream: String,
    /// Rows at the source, after the steps.
    pub source_rows: u64,
    /// Rows at the target.
    pub target_rows: u64,
    /// Rows that only the source has.
    pub missing: u64,
    /// Rows that both have, with other values.
    pub different: u64,
    /// Rows that only the target has.
    pub extra: u64,
    /// Rows of either side that cannot be read, or on which a step fails. They count as missing.
    pub unreadable: u64,
}

impl StreamVerdict {
    pub(crate) fn new(stream: String) -> Self {
        StreamVerdict { stream, ..StreamVerdict::default() }
    }

    /// Whether both sides have the same rows.
    pub fn equal(&self) -> bool {
        self.missing + self.different + self.extra + self.unreadable == 0
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Different => self.different += 1,
            Kind::Extra => self.extra += 1,
        }
    }
}
