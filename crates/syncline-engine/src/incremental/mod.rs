//! Incremental runs: what is read of a stream, and what the next run has to know. Pure; the shell asks
//! the source, keeps the mark and sorts the rows.

mod cursor;
mod mark;
mod seen;
mod window;

pub use cursor::Kind;
pub use mark::{Mark, Seen};
pub use seen::SEEN_MAX;
pub(crate) use seen::{Found, Ledger, Place};
pub use window::{Cursor, Window};
