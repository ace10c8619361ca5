//! Does what the core decides: calls connectors and the state store, keeps what they hand out.
//!
//! [`Work`] knows how each action is done and is driven by two loops: [`drive`] runs actions side by
//! side on tokio, the simulation runs them one by one in any order.

mod ahead;
mod drive;
mod incremental;
mod lane;
mod limit;
mod prefetch;
pub(crate) mod prepare;
pub(crate) mod removal;
mod report;
pub(crate) mod run;
mod sift;
pub(crate) mod work;

pub use ahead::Ahead;
pub use drive::{Observer, drive};
pub use incremental::Incremental;
pub use lane::LaneState;
pub use limit::Limits;
pub use prepare::{Prepared, PreparedStream, Registry, prepare};
pub use removal::{ReadBack, Reopen};
pub use report::{StreamSummary, Summary, WindowSummary};
pub use run::{Outcome, RunOptions, run};
pub use work::{StreamState, StreamWork, Work};
