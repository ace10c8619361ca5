//! How far a pipeline has followed, as it is kept in the state and, in the transaction of the data, at
//! the target.

use std::collections::BTreeMap;

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
    /// Streams that are copied, by their names at the source, with what says how and with which columns:
    /// to these its changes are applied.
    pub copied: BTreeMap<String, String>,
    /// Rows that were copied may be from any time up to here: everything up to it is applied in one
    /// transaction, so that nobody sees the target as the source never was. Only in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_from: Option<Position>,
    /// The copy that is under way; only in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying: Option<Copying>,
    /// What each stream is at `position`; only in the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, Known>,
    /// Streams that were copied while the log was at this position, which is further on than where it is
    /// read from: what it tells of them before it is in the copy. Only in the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, Position>,
    /// Streams that are to be copied again, and which part of them; only in the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub again: BTreeMap<String, Wish>,
    /// Streams whose columns have changed at `position`, which are not to change there once more; only in
    /// the state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evolved: BTreeMap<String, Position>,
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
}

impl FollowMark {
    /// A following that begins here.
    pub fn new(life: String, position: Position) -> Self {
        FollowMark {
            life,
            position,
            changes: 0,
            copied: BTreeMap::new(),
            steady_from: None,
            copying: None,
            streams: BTreeMap::new(),
            since: BTreeMap::new(),
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

    pub(crate) fn write(&self) -> String {
        serde_json::to_string(self).expect("a mark of names and positions serialises")
    }

    /// For the target, to which a copy is nothing.
    pub(crate) fn for_target(&self) -> String {
        let new = FollowMark::new(self.life.clone(), self.position.clone());
        FollowMark { copied: self.copied.clone(), changes: self.changes, ..new }.write()
    }
}
