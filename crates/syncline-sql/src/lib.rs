//! What SQL connectors share. Statements are texts; nothing here connects to anything.
//!
//! A dialect says how names and constants are written ([`Dialect`]); key ranges, conditions, merges
//! and the bookkeeping tables are then the same everywhere.

pub mod bookkeeping;
mod dialect;
mod evolve;
mod fit;
mod publish;
mod range;
mod way;

pub use dialect::{Dialect, quote_double, quote_text};
pub use evolve::{Evolve, evolve};
pub use fit::{Fit, Reconciled, fit, reconcile};
pub use publish::{
    changing, count_changed, delete_staged, delete_vanished, insert_missing, insert_select, merge,
    on_conflict, same_key, update_changed,
};
pub use range::{cut_condition, key_range_condition, key_tuple, order_by, predicate_condition};
pub use way::{Way, key_problem};
