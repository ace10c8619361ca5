//! What happens to rows on their way: rename, drop, cast, set, filter, mask, validate, and the
//! expression language.
//!
//! [`StepSpec`] is how steps are written, [`Chain`] is a stream's steps bound to its schema and run
//! over its batches, [`evaluate`] runs one expression alone. Nothing here does IO, and no error
//! holds a value of a row. `README.md` describes steps and language for their users.

mod cast;
mod chain;
mod drop;
mod expr;
mod filter;
mod frame;
mod mask;
mod program;
mod pushdown;
mod rename;
mod set;
mod spec;
mod validate;

pub use chain::Chain;
pub use expr::evaluate;
pub use program::Applied;
pub use spec::{Columns, Mask, RowSchema, StepSpec};
