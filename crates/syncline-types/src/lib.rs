//! The words that every other crate speaks: values, schemas, splits, positions and errors.
//!
//! Relies on Arrow's arrays for columns. Does no IO, reads no clock and knows no connector.

pub mod build;
pub mod civil;
pub mod codes;
pub mod decimal;
mod error;
pub mod fingerprint;
pub mod interval;
mod logical;
mod name;
mod predicate;
mod row;
mod schema;
pub mod special;
mod split;
pub mod text;

pub use error::{Code, Error, ErrorKind, Result, Retry};
pub use logical::LogicalType;
pub use name::{NameError, StreamName};
pub use predicate::{Comparison, Predicate};
pub use row::row_json;
pub use schema::{Column, DefaultValue, TableSchema};
pub use split::{Extent, KeyRange, Position, Progress, Split, SplitId};
