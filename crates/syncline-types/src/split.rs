//! What a source reads is cut into splits; how far each is, is progress; where in it, a position.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a split within its stream, in the order they were planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SplitId(pub u32);

impl fmt::Display for SplitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A part of a stream that is read in one go: a range of keys or pages, a whole table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Unique within the stream.
    pub id: SplitId,
    /// Where it begins and ends.
    pub extent: Extent,
    /// Rows in it, as far as the source can tell cheaply.
    pub rows_estimate: Option<u64>,
}

/// Which part of a stream a split is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// All of it.
    Whole,
    /// The rows of a range of keys. It outlives the snapshot it was planned in.
    Keys(KeyRange),
    /// Something in the source's own words, such as a range of pages.
    Own(String),
}

/// A place inside a split from which reading can go on. Only its source understands it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub String);

/// How far a split is: durable at the target up to here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Everything before this position.
    At(Position),
    /// All of it.
    Done,
}

/// Rows whose key lies in `(after, upto]`, both ends optional; bounds are key values in the text
/// form of [`crate::text`], one per key column. Only keys whose types [order
/// alike](crate::LogicalType::orders_alike) everywhere may cross from one system to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Excluded lower bound.
    pub after: Option<Vec<String>>,
    /// Included upper bound.
    pub upto: Option<Vec<String>>,
}
