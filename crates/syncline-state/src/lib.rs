//! What survives a process: runs, splits, how far each is, and dead letters.
//!
//! One embedded SQLite file in the state directory; anybody may look into it. Another store can sit
//! behind [`Store`]. Knows nothing of connectors beyond progress and splits.

mod directory;
mod letter;
mod run;
mod sqlite;
mod store;

pub use directory::{PipelineLock, StateDirectory};
pub use letter::{Letter, LetterPlace, NewLetter};
pub use run::{NewRun, NewStream, RunSummary, SavedRun, SavedSplit, SavedStream, StreamPhase};
pub use sqlite::SqliteStore;
pub use store::Store;
