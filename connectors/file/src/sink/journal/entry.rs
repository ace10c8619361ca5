//! The entries of a journal, and what they come to.

use std::{collections::BTreeMap, io::Write};

use serde::{Deserialize, Serialize};
use syncline_connect::{ProgressDelta, ProgressRow, TargetProgress};
use syncline_types::{SplitId, TableSchema};
use xxhash_rust::xxh3::xxh3_64;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A process has taken over.
    Epoch { epoch: u64 },
    /// The run that all that follows belongs to.
    Run { run: String },
    /// A stream has begun.
    Landing { stream: u32, landing: Landing },
    /// Rows are the run's from here on.
    Commit { splits: Vec<SplitProgress>, parts: Vec<PartState> },
    /// All that a stream has so far is of no use.
    Reset { stream: u32 },
    /// A stream's rows are where everybody sees them.
    Published { stream: u32 },
}

/// How far a split is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SplitProgress {
    stream: u32,
    split: SplitId,
    row: ProgressRow,
}

/// Where a stream's rows go, and as what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Landing {
    /// The name of its folder.
    pub(crate) folder: String,
    /// The columns of its parts.
    pub(crate) schema: TableSchema,
    /// Whether its parts wait for the end.
    pub(crate) staged: bool,
    /// By which a manifest knows that it has been published: no other landing has it.
    pub(crate) token: String,
}

/// A part as it was when a commit ended. It may be longer by now, with rows that are nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartState {
    pub(crate) stream: u32,
    /// Its name once it is published.
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) checksum: String,
}

/// What all entries come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) epoch: u64,
    pub(crate) run: Option<String>,
    pub(crate) landings: BTreeMap<u32, Landing>,
    pub(crate) splits: BTreeMap<(u32, SplitId), ProgressRow>,
    /// By stream and name.
    pub(crate) parts: BTreeMap<(u32, String), PartState>,
    pub(crate) published: Vec<u32>,
    /// How often each stream has begun again.
    pub(crate) resets: BTreeMap<u32, u32>,
}

impl Entry {
    pub(crate) fn commit(deltas: &[ProgressDelta], parts: Vec<PartState>) -> Self {
        let split = |delta: &ProgressDelta| SplitProgress {
            stream: delta.stream,
            split: delta.split,
            row: delta.row.clone(),
        };
        Entry::Commit { splits: deltas.iter().map(split).collect(), parts }
    }
}

impl Known {
    pub(super) fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Epoch { epoch } => self.epoch = epoch,
            Entry::Run { run } => self.run = Some(run),
            Entry::Landing { stream, landing } => {
                self.landings.insert(stream, landing);
            }
            Entry::Commit { splits, parts } => {
                self.splits.extend(splits.into_iter().map(|one| ((one.stream, one.split), one.row)));
                self.parts.extend(parts.into_iter().map(|part| ((part.stream, part.file.clone()), part)));
            }
            Entry::Reset { stream } => {
                self.splits.retain(|(of, _), _| *of != stream);
                self.parts.retain(|(of, _), _| *of != stream);
                *self.resets.entry(stream).or_default() += 1;
            }
            Entry::Published { stream } => self.published.push(stream),
        }
    }

    /// The parts of a stream, in the order of their names.
    pub(crate) fn parts_of(&self, stream: u32) -> impl Iterator<Item = &PartState> {
        self.parts.values().filter(move |part| part.stream == stream)
    }

    pub(crate) fn resets_of(&self, stream: u32) -> u32 {
        self.resets.get(&stream).copied().unwrap_or(0)
    }

    pub(crate) fn progress(&self) -> TargetProgress {
        TargetProgress {
            run: self.run.clone(),
            epoch: self.epoch,
            splits: self.splits.clone(),
            published: self.published.clone(),
        }
    }
}

/// Adds an entry's line: its checksum, a blank, and the entry.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) {
    let text = serde_json::to_string(entry).expect("an entry serialises");
    // Writing to memory does not fail.
    let _ = writeln!(out, "{:016x} {text}", xxh3_64(text.as_bytes()));
}

/// The entry of a whole line.
pub(super) fn parse(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, text) = line.split_once(' ')?;
    let sum = u64::from_str_radix(sum, 16).ok()?;
    if xxh3_64(text.as_bytes()) != sum {
        return None;
    }
    serde_json::from_str(text).ok()
}
