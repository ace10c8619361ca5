//! What the engine asks of a state store, whatever it is kept in.

use std::collections::BTreeMap;

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_types::{Position, Result, Split, SplitId};

use crate::{Letter, LetterPlace, NewLetter, NewRun, RunSummary, SavedRun, StreamPhase};

/// Keeps runs. Every call that returns has made its change durable, whole or not at all.
#[async_trait]
pub trait Store: Send + Sync {
    /// The pipeline's latest run.
    ///
    /// # Errors
    /// [`syncline_types::codes::STATE_FAILED`], as for every call.
    async fn load(&self, pipeline: &str) -> Result<Option<SavedRun>>;

    /// Saves a new run in the place of any other of the pipeline. Dead letters stay.
    ///
    /// # Errors
    /// As above.
    async fn create(&self, run: &NewRun) -> Result<()>;

    /// Saves that a run goes on under another epoch, and what only the target knew: progress, and
    /// the numbers of streams that are published.
    ///
    /// # Errors
    /// As above.
    async fn resume(&self, run: &str, epoch: u64, deltas: &[ProgressDelta], published: &[u32]) -> Result<()>;

    /// Saves that a run is at its end.
    ///
    /// # Errors
    /// As above.
    async fn finish(&self, run: &str) -> Result<()>;

    /// Saves a split of a stream.
    ///
    /// # Errors
    /// As above.
    async fn save_split(&self, run: &str, stream: u32, split: &Split) -> Result<()>;

    /// Saves that a stream has no more splits than those saved.
    ///
    /// # Errors
    /// As above.
    async fn save_planned(&self, run: &str, stream: u32) -> Result<()>;

    /// Saves how far a stream is.
    ///
    /// # Errors
    /// As above.
    async fn save_phase(&self, run: &str, stream: u32, phase: StreamPhase) -> Result<()>;

    /// Forgets a stream's splits, their progress, what attempts have found, and the dead letters of this
    /// run.
    ///
    /// # Errors
    /// As above.
    async fn reset_stream(&self, run: &str, stream: u32) -> Result<()>;

    /// Saves how far a split is.
    ///
    /// # Errors
    /// As above.
    async fn save_progress(&self, run: &str, delta: &ProgressDelta) -> Result<()>;

    /// Saves dead letters.
    ///
    /// # Errors
    /// As above.
    async fn save_letters(&self, place: &LetterPlace, letters: &[NewLetter]) -> Result<()>;

    /// Forgets the letters of an attempt that did not commit.
    ///
    /// # Errors
    /// As above.
    async fn forget_letters(&self, place: &LetterPlace) -> Result<()>;

    /// Saves what an attempt has found, in the place of what one from the same place has.
    ///
    /// # Errors
    /// As above.
    async fn save_found(&self, place: &LetterPlace, found: &str) -> Result<()>;

    /// What attempts at a stream's splits have found, with the split and where each began.
    ///
    /// # Errors
    /// As above.
    async fn found(&self, run: &str, stream: u32) -> Result<Vec<(SplitId, Option<Position>, String)>>;

    /// How far the incremental runs of a pipeline have come, by the stream's name at the source.
    ///
    /// # Errors
    /// As above.
    async fn marks(&self, pipeline: &str) -> Result<BTreeMap<String, String>>;

    /// Saves how far the runs of a stream have come, or forgets it.
    ///
    /// # Errors
    /// As above.
    async fn save_mark(&self, pipeline: &str, source: &str, mark: Option<&str>) -> Result<()>;

    /// The latest run of every pipeline.
    ///
    /// # Errors
    /// As above.
    async fn summaries(&self) -> Result<Vec<RunSummary>>;

    /// A pipeline's dead letters, oldest first: one by its id, or all.
    ///
    /// # Errors
    /// As above.
    async fn letters(&self, pipeline: &str, id: Option<i64>) -> Result<Vec<Letter>>;

    /// Deletes dead letters: one by its id, or all of a pipeline. Returns how many there were.
    ///
    /// # Errors
    /// As above.
    async fn drop_letters(&self, pipeline: &str, id: Option<i64>) -> Result<u64>;
}
