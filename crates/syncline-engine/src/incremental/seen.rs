//! Which rows of a run that appends have been appended before, and which the next run has to know.
//!
//! A row is known by its hash, and as often as it was there. What an attempt at a part of a split has
//! found is kept under the place where it began: an attempt that is made again from there takes the
//! place of the one that did not commit, and nothing is used up twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use syncline_types::{Error, Position, Result, SplitId, codes};

use super::mark::packed;

/// Rows that can be remembered for one stream. Their hashes travel in one statement, which has to stay
/// below what servers take by default (16 MiB), and in one row.
pub const SEEN_MAX: usize = 500_000;

/// Where an attempt began.
pub(crate) type Place = (SplitId, Option<Position>);

/// What one attempt has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Rows that had been appended before.
    #[serde(with = "packed")]
    skipped: Vec<u128>,
    /// Rows that the next run may meet again.
    #[serde(with = "packed")]
    kept: Vec<u128>,
}

/// What is known of one stream's rows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Rows appended before, as often as they were not met yet.
    left: HashMap<u128, u32>,
    found: BTreeMap<Key, Found>,
    kept: usize,
    /// Places of which something is saved, though it may be that of an attempt before.
    saved: BTreeSet<Key>,
}

type Key = (SplitId, Option<String>);

fn key((split, at): &Place) -> Key {
    (*split, at.as_ref().map(|at| at.0.clone()))
}

impl Ledger {
    /// For the rows that the run before has left, and what attempts of this run have found already.
    pub(crate) fn new(before: &[u128], found: impl IntoIterator<Item = (Place, Found)>) -> Self {
        let mut ledger = Ledger::default();
        before.iter().for_each(|hash| *ledger.left.entry(*hash).or_default() += 1);
        for (place, found) in found {
            for hash in &found.skipped {
                ledger.use_up(*hash);
            }
            ledger.kept += found.kept.len();
            ledger.saved.insert(key(&place));
            ledger.found.insert(key(&place), found);
        }
        ledger
    }

    /// An attempt begins. One that began there before has not come to its end.
    pub(crate) fn begin(&mut self, place: &Place) {
        if let Some(old) = self.found.remove(&key(place)) {
            self.kept -= old.kept.len();
            old.skipped.into_iter().for_each(|hash| *self.left.entry(hash).or_default() += 1);
        }
    }

    /// Whether a row has been appended before. If so, it is met.
    pub(crate) fn meet(&mut self, place: &Place, hash: u128) -> bool {
        let met = self.use_up(hash);
        if met {
            self.found.entry(key(place)).or_default().skipped.push(hash);
        }
        met
    }

    fn use_up(&mut self, hash: u128) -> bool {
        match self.left.get_mut(&hash) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Remembers a row for the next run.
    ///
    /// # Errors
    /// [`codes::LOOKBACK_TOO_WIDE`]
    pub(crate) fn keep(&mut self, place: &Place, hash: u128) -> Result<()> {
        if self.kept >= SEEN_MAX {
            return Err(Error::new(&codes::LOOKBACK_TOO_WIDE, "remember the rows", "near the mark").because(
                format!("more than {SEEN_MAX} rows lie within the look-back or have the highest value"),
            ));
        }
        self.kept += 1;
        self.found.entry(key(place)).or_default().kept.push(hash);
        Ok(())
    }

    /// What an attempt has found so far, to be saved before the target commits it; `None` where nothing
    /// is found and nothing else was saved for its place.
    pub(crate) fn take_down(&mut self, place: &Place) -> Option<String> {
        let key = key(place);
        let nothing = Found::default();
        let found = self.found.get(&key).unwrap_or(&nothing);
        if *found == nothing && !self.saved.contains(&key) {
            return None;
        }
        self.saved.insert(key);
        Some(serde_json::to_string(found).expect("hashes serialise"))
    }

    /// Whether there is any row that may be met.
    pub(crate) fn expects(&self) -> bool {
        !self.left.is_empty()
    }

    /// Everything that was found is of no use: the stream begins again.
    pub(crate) fn clear(&mut self) {
        self.saved.clear();
        let places: Vec<Key> = self.found.keys().cloned().collect();
        for (split, at) in places {
            self.begin(&(split, at.map(Position)));
        }
    }

    /// All rows that the next run may meet again, in an order of their own.
    pub(crate) fn kept(&self) -> Vec<u128> {
        let mut all: Vec<u128> = self.found.values().flat_map(|found| found.kept.iter().copied()).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(split: u32, at: Option<&str>) -> Place {
        (SplitId(split), at.map(|at| Position(at.into())))
    }

    #[test]
    fn a_row_is_met_as_often_as_it_was_there() {
        let mut ledger = Ledger::new(&[7, 7, 8], []);
        let met: Vec<bool> = [7, 7, 7, 9].map(|hash| ledger.meet(&place(0, None), hash)).to_vec();
        assert_eq!(met, [true, true, false, false]);
        assert!(ledger.meet(&place(1, None), 8));
    }

    #[test]
    fn an_attempt_that_is_made_again_takes_the_place_of_the_first() {
        let mut ledger = Ledger::new(&[7, 8], []);
        let (first, second) = (place(0, None), place(0, Some("x")));
        assert!(ledger.meet(&first, 7));
        ledger.keep(&first, 7).unwrap();
        assert!(ledger.meet(&second, 8));
        ledger.keep(&second, 8).unwrap();
        ledger.begin(&second);
        assert_eq!(ledger.kept(), [7]);
        assert!(ledger.meet(&second, 8) && !ledger.meet(&second, 7));
    }

    #[test]
    fn another_process_knows_what_was_found() {
        let mut ledger = Ledger::new(&[7, 8], []);
        let at = place(0, None);
        assert!(ledger.meet(&at, 7));
        ledger.keep(&at, 9).unwrap();
        let saved = serde_json::from_str(&ledger.take_down(&at).unwrap()).unwrap();
        let mut other = Ledger::new(&[7, 8], [(at.clone(), saved)]);
        assert_eq!(other.kept(), [9]);
        assert!(!other.meet(&place(1, None), 7), "it is met already");
        other.begin(&at);
        assert!(other.meet(&place(1, None), 7), "the attempt did not come to its end");
        assert!(other.take_down(&at).is_some(), "what was saved for the place is no longer so");
        assert_eq!(other.take_down(&place(2, None)), None);
        other.clear();
        assert!(other.kept().is_empty() && other.meet(&at, 7));
    }

    #[test]
    fn there_is_a_limit() {
        let mut ledger = Ledger::default();
        let at = place(0, None);
        assert!((0..SEEN_MAX).all(|hash| ledger.keep(&at, hash as u128).is_ok()));
        assert_eq!(ledger.keep(&at, 0).unwrap_err().code(), &codes::LOOKBACK_TOO_WIDE);
        ledger.begin(&at);
        assert!(ledger.keep(&at, 0).is_ok());
    }
}
