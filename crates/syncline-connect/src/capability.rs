//! What a connector claims. The conformance suite is chosen from it and proves each claim.

use std::fmt;

use serde::Serialize;

/// Everything a connector claims.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Capabilities {
    /// Reading tables whole; `None`: it is no source.
    pub snapshot: Option<SnapshotCapability>,
    /// Writing; `None`: it is no sink.
    pub sink: Option<SinkCapability>,
    /// Telling what changes ([`crate::Log`]).
    pub log: bool,
}

/// How tables are read.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SnapshotCapability {
    /// A table is cut into several splits that can be read in parallel.
    pub chunks: bool,
    /// A split that was not finished can be read again by a later process.
    pub resume: bool,
    /// All splits of one session see the same state of all tables.
    pub exact: bool,
    /// It can compute checksums of key ranges itself.
    pub digest: bool,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SinkCapability {
    /// The best guarantee it can give; [`crate::Sink::guarantee`] says what holds for one target.
    pub delivery: Delivery,
    /// Replaces a table's rows at once, after all have arrived.
    pub overwrite: bool,
    /// Adds rows.
    pub append: bool,
    /// Updates rows by key and adds what is missing.
    pub merge: bool,
    /// Updates and removes single rows by key ([`crate::Task`]).
    pub keyed: bool,
    /// Takes changes as a log tells them ([`crate::Applier`]).
    pub changes: bool,
    /// Among these, changes of rows without a key, which are found by all their values.
    pub whole_rows: bool,
    /// Rows may be written by somebody else while a pipeline follows into the same table.
    pub shared: bool,
    /// What it wrote can be read back through its own source.
    pub readable: bool,
}

/// How often a row arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Every row, some perhaps twice after a crash.
    AtLeastOnce,
    /// Every row; a repetition changes nothing.
    Idempotent,
    /// Every row once: progress is kept in the transaction of the data.
    ExactlyOnce,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delivery::AtLeastOnce => "at least once",
            Delivery::Idempotent => "at least once, same end state",
            Delivery::ExactlyOnce => "exactly once",
        })
    }
}
