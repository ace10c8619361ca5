//! Options of a `generate:` connection.

use schemars::JsonSchema;
use serde::Deserialize;

/// Options of a `generate:` connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateConfig {
    /// The table to make up, or several with commas: `orders`, `narrow`, `types`, or any name when
    /// `columns` says what is in it.
    pub path: String,
    /// How many rows each table has.
    #[serde(default = "default_rows")]
    pub rows: u64,
    /// The same seed gives the same rows.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Columns as `name:type`, with commas: `id:sequence,name:text(5..40),price:decimal(12,2)?10`. A
    /// type is any of `sequence`, `bool`, `int8` to `int64`, `uint8` to `uint64`, `float32`,
    /// `float64`, `decimal(p,s)`, `numeric`, `text(least..most)`, `binary(least..most)`, `bit(n)`,
    /// `date`, `time`, `timestamp`, `timestamptz`, `interval`, `json`, `jsonb`, `uuid`; `?10` makes
    /// ten percent of the values NULL. A `sequence` counts from 1 and is the key.
    #[serde(default)]
    pub columns: Option<String>,
    /// Rows a second that come into being, over each reader; without it, as fast as they are taken.
    #[serde(default)]
    pub rate: Option<u64>,
}

fn default_rows() -> u64 {
    1_000
}

fn default_seed() -> u64 {
    1
}
