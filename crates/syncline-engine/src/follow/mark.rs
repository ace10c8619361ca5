//! How far a pipeline has followed, as it is kept in the state and, in the transaction of the data, at
//! the target.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
pub(crate) use syncline_connect::LOG_MARK as LOG;
use syncline_types::{Error, Position, Result, codes};

use super::{evolve::Known, recopy::Wish};

/// How far a pipeline has followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowMark {
    /// Which following it is: one that began anew has nothing to do with what the target remembers.
    pub life: String,
    /// All changes before it are applied.
    pub position: Position,
    /// How many changes there were up to it.
    #[serde(default)]
    pub changes: u64,
    /// How often streams have been left behind by the others.
    #[serde(default)]
    pub turns: u64,
    /// Streams that are not as far as `position`: their changes are applied up to another one. Either they are being
    /// copied beside the others, or they are copied and have to catch up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub behind: BTreeMap<String, Behind>,
    /// Streams that are copied, by their names at the source, with what says how and with which columns:
    /// to these its changes are applied.
    pub copied: BTreeMap<String, String>,
    /// Rows that were copied may be from any time up to here: everything up to it is applied in one
    /// transaction, so that nobody sees the target as the source never was. Only in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_from: Option<Position>,
    /// Of which streams that is so; of all, where none is named. Only in the state.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsteady: BTreeSet<String>,
    /// The copy that is under way; only in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying: Option<Copying>,
    /// What each stream is at `position`; only in the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, Known>,
    /// Streams that were copied while the log was at this position, which is further on than where it is
    /// read from: what it tells of them before it is in the copy. Of streams without a key it is the place
    /// of the copy itself, to the transaction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, Position>,
    /// Those of `since` of which only a part was copied: of the other rows nothing may be passed over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<String>,
    /// Streams that are to be copied again, and which part of them; only in the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub again: BTreeMap<String, Wish>,
    /// Streams whose columns have changed at `position`, which are not to change there once more; only in
    /// the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evolved: BTreeMap<String, Position>,
}

/// How far a stream is that the others have left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    /// All its changes before this are applied, or in its copy.
    pub position: Position,
    /// Which time it was: a mark that knows of it, and not of the stream, says that the stream has caught up.
    pub turn: u64,
}

/// A copy that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copying {
    /// What is copied, and how.
    pub fingerprint: String,
    /// The epoch of the pipeline's last run before it.
    pub epoch: u64,
    /// Where the log ended before it began.
    pub since: Position,
    /// Of which streams.
    #[serde(default)]
    pub streams: BTreeSet<String>,
}

impl FollowMark {
    /// A following that begins here.
    pub fn new(life: String, position: Position) -> Self {
        FollowMark {
            life,
            position,
            changes: 0,
            turns: 0,
            behind: BTreeMap::new(),
            copied: BTreeMap::new(),
            steady_from: None,
            unsteady: BTreeSet::new(),
            copying: None,
            streams: BTreeMap::new(),
            since: BTreeMap::new(),
            parts: BTreeSet::new(),
            again: BTreeMap::new(),
            evolved: BTreeMap::new(),
        }
    }

    /// Reads one as it is kept.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when it is none.
    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| {
            Error::new(&codes::BAD_BYTES, "read the mark of", "the log")
                .because("it was written by another version, or changed by hand")
                .hint("Begin again with --restart")
        })
    }

    /// How far a stream is.
    pub(crate) fn place_of(&self, stream: &str) -> &Position {
        self.behind.get(stream).map_or(&self.position, |behind| &behind.position)
    }

    /// These streams stay behind, where they are not already.
    pub fn leave<'a>(&mut self, streams: impl IntoIterator<Item = &'a String>) {
        let behind = Behind { position: self.position.clone(), turn: self.turns + 1 };
        for stream in streams {
            if !self.behind.contains_key(stream) {
                self.turns = behind.turn;
                self.behind.insert(stream.clone(), behind.clone());
            }
        }
    }

    /// The rows of these streams may be from any time up to here.
    pub fn copied_until(&mut self, streams: &BTreeSet<String>, position: Position) {
        let is_of_all = self.steady_from.is_some() && self.unsteady.is_empty();
        if !is_of_all {
            self.unsteady.extend(streams.iter().cloned());
        }
        self.steady_from = Some(position);
    }

    /// Whether rows of a stream may be from a later time than others, while [`FollowMark::steady_from`] is set.
    pub(crate) fn is_unsteady(&self, stream: &str) -> bool {
        self.unsteady.is_empty() || self.unsteady.contains(stream)
    }

    /// With what the target tells, which is more than the state may know.
    pub(crate) fn told(mut self, target: FollowMark) -> Self {
        self.behind.retain(|stream, behind| {
            let told = target.behind.get(stream).filter(|told| told.turn == behind.turn);
            if let Some(told) = told {
                behind.position.clone_from(&told.position);
            }
            // What it has never heard of is still so.
            told.is_some() || behind.turn > target.turns
        });
        FollowMark { position: target.position, changes: target.changes, ..self }
    }

    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).expect("a mark of names and positions serialises")
    }

    /// For the target, to which a copy is nothing but what it has of the log.
    pub(crate) fn for_target(&self) -> String {
        let new = FollowMark::new(self.life.clone(), self.position.clone());
        let (copied, since, behind) = (self.copied.clone(), self.since.clone(), self.behind.clone());
        let parts = self.parts.clone();
        FollowMark { copied, since, parts, behind, changes: self.changes, turns: self.turns, ..new }.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> Position {
        Position(number.to_string())
    }

    #[test]
    fn the_target_says_who_has_caught_up_but_not_of_what_it_has_not_heard() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let mut saved = FollowMark::new("life".into(), at(5));
        saved.leave([&a]);
        saved.leave([&a]);
        assert_eq!((saved.turns, saved.place_of("a"), saved.place_of("b")), (1, &at(5), &at(5)));
        let unaware = FollowMark::new("life".into(), at(7));
        let known = saved.clone().told(unaware);
        assert_eq!((known.place_of("a"), &known.position), (&at(5), &at(7)));
        // It was told of it, and then that the stream was a little further.
        let mut aware = FollowMark::read(&saved.for_target()).unwrap();
        aware.position = at(9);
        aware.behind.get_mut("a").unwrap().position = at(6);
        assert_eq!(saved.clone().told(aware.clone()).place_of("a"), &at(6));
        aware.behind.clear();
        let caught_up = saved.clone().told(aware.clone());
        assert!(caught_up.behind.is_empty());
        // The next time is another one.
        let mut again = caught_up;
        again.leave([&a, &b]);
        assert_eq!(again.turns, 2);
        assert_eq!(again.clone().told(aware).behind, again.behind);
    }
}
