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
    /// What became of rows that differed at first, where changes are followed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
}

/// Rows that differ at first sight, and count as neither missing, different nor extra.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moving {
    /// Those that were seen equal later.
    pub settled: u64,
    /// Those of which it is not known whether they differ or are on their way.
    pub unsettled: u64,
    /// Rows that only the target has, which stay there because deletions are ignored.
    pub kept: u64,
}

impl StreamVerdict {
    pub(crate) fn new(stream: String) -> Self {
        StreamVerdict { stream, ..StreamVerdict::default() }
    }

    /// Whether both sides have the same rows.
    pub fn equal(&self) -> bool {
        self.differing() + self.unreadable + self.unsettled() == 0
    }

    /// Rows that differ.
    pub fn differing(&self) -> u64 {
        self.missing + self.different + self.extra
    }

    /// Rows that may differ.
    pub fn unsettled(&self) -> u64 {
        self.moving.map_or(0, |moving| moving.unsettled)
    }

    /// Rows that only the target has are no difference.
    pub(crate) fn keep_extra(&mut self) {
        let moving = self.moving.get_or_insert_default();
        moving.kept += std::mem::take(&mut self.extra);
    }

    pub(crate) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Different => self.different += 1,
            Kind::Extra => self.extra += 1,
        }
    }
}
