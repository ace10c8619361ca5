//! How far a pipeline has followed, as it is kept in the state and, in the transaction of the data, at
//! the target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
pub(crate) use syncline_connect::LOG_MARK as LOG;
use syncline_types::{Error, Position, Result, codes};

/// How far a pipeline has followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowMark {
    /// Which following it is: one that began anew has nothing to do with what the target remembers.
    pub life: String,
    /// All changes before it are applied.
    pub position: Position,
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
}

/// A copy that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copying {
    /// What is copied, and how.
    pub fingerprint: String,
    /// The epoch of the pipeline's last run before it.
    pub epoch: u64,
}

impl FollowMark {
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
        FollowMark { copying: None, steady_from: None, ..self.clone() }.write()
    }
}
