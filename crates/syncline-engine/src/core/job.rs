//! What the core has to know about a run; everything else stays with the shell.

pub use syncline_config::OnError;
use syncline_connect::WriteMode;

use super::RetryPolicy;

/// One run of one pipeline.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id for a run, should a new one begin.
    pub run_new: String,
    /// Changes whenever streams, schemas, steps or modes do; a run is only resumed under its own.
    pub fingerprint: String,
    /// Throw away what an unfinished run has left, and begin again.
    pub restart: bool,
    /// How many lanes may work at once.
    pub lanes: usize,
    /// What happens to rows that cannot go on.
    pub on_error: OnError,
    /// Whether an empty source may empty a filled target.
    pub allow_empty: bool,
    /// Commit inside a split after so many bytes, where the reader gives a position.
    pub commit_bytes: u64,
    /// How often and how patiently to try again.
    pub retry: RetryPolicy,
    /// Seed of the jitter.
    pub seed: u64,
    /// In the order in which they are to be copied.
    pub streams: Vec<StreamJob>,
}

/// One stream of a run.
#[derive(Clone, Copy, Debug)]
pub struct StreamJob {
    /// Whether splits that are done stay done when the snapshot is lost.
    pub outlives_snapshot: bool,
    /// Whether rows wait in staging until all have arrived.
    pub staged: bool,
    /// What happens to rows that are in the target.
    pub write: WriteMode,
    /// Whether the target had rows when the run was planned.
    pub target_has_rows: bool,
    /// Whether rows that the source no longer has are removed once all streams are published.
    pub removes: bool,
}
