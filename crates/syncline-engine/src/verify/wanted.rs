//! Which rows differ, for whoever is to do something about them.

use std::collections::BTreeMap;

use syncline_types::{Split, SplitId};

use super::Kind;

/// The hashes of the keys of rows that differ, and the splits they are in. Takes only so many: who
/// wants them all deals with these and compares again.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    room: usize,
    /// Rows that the target lacks or has otherwise.
    pub(crate) at_source: Side,
    /// Rows that the source lacks.
    pub(crate) at_target: Side,
    /// Whether there were more than there was room for.
    pub(crate) truncated: bool,
    /// Rows of the source that cannot be read, or on which a step fails.
    pub(crate) source_unreadable: u64,
    /// Whether rows that the source lacks are to stay, so that nobody wants to know of them.
    leaves_extra: bool,
    /// Row by row, for whoever is to look at them again; then they are not among those of a side.
    pub(crate) found: Option<Found>,
}

/// Rows that differ, to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<FoundRow>,
    pub(crate) splits: BTreeMap<SplitId, Split>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct FoundRow {
    /// The hash of its key.
    pub(crate) key: u128,
    /// The split it is in, where that is known.
    pub(crate) split: Option<SplitId>,
    /// The texts of its key's columns, where they are known.
    pub(crate) text: Option<Vec<String>>,
}

/// Rows of one side.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) keys: Vec<u128>,
    /// Where they are; empty where that is not known.
    pub(crate) splits: BTreeMap<SplitId, Split>,
}

impl Wanted {
    /// Nobody wants to know.
    pub(crate) fn none() -> Self {
        Wanted::default()
    }

    /// Room for so many rows.
    pub(crate) fn up_to(room: usize) -> Self {
        Wanted { room, ..Wanted::default() }
    }

    /// Room for so many rows, which are to be looked at again.
    pub(crate) fn found(room: usize) -> Self {
        Wanted { room, found: Some(Found::default()), ..Wanted::default() }
    }

    /// Leaves those out that the source lacks, if so.
    pub(crate) fn leaving_extra(self, leaves_extra: bool) -> Self {
        Wanted { leaves_extra, ..self }
    }

    /// Takes note of a row, by the hash of its key; `text` gives the texts of the key's columns.
    pub(crate) fn note(
        &mut self,
        kind: Kind,
        key: u128,
        split: Option<&Split>,
        text: impl FnOnce() -> Option<Vec<String>>,
    ) {
        if self.leaves_extra && kind == Kind::Extra {
            return;
        }
        let noted = self.at_source.keys.len() + self.at_target.keys.len();
        if noted + self.found.as_ref().map_or(0, |found| found.rows.len()) >= self.room {
            self.truncated = true;
            return;
        }
        if let Some(found) = &mut self.found {
            found.rows.push(FoundRow { key, split: split.map(|split| split.id), text: text() });
            if let Some(split) = split {
                found.splits.entry(split.id).or_insert_with(|| split.clone());
            }
            return;
        }
        self.note_side(kind, key, split);
    }

    /// Takes note of a row that does differ.
    pub(crate) fn note_side(&mut self, kind: Kind, key: u128, split: Option<&Split>) {
        let side = if kind == Kind::Extra { &mut self.at_target } else { &mut self.at_source };
        side.keys.push(key);
        if let Some(split) = split {
            side.splits.entry(split.id).or_insert_with(|| split.clone());
        }
    }
}

impl Side {
    /// The hashes in their order, to look them up in.
    pub(crate) fn sorted(&mut self) -> &[u128] {
        self.keys.sort_unstable();
        self.keys.dedup();
        &self.keys
    }
}
