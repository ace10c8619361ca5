//! Values that exist in some systems and have no place in the Arrow type that carries the column.
//!
//! PostgreSQL has infinite dates and timestamps and a NaN in `numeric(p,s)`. They travel as the
//! extreme of the carrying integer, which no finite value of the type uses. A sink that cannot
//! hold them refuses the row; an expression that meets one refuses the row.

use arrow_buffer::i256;

/// `infinity` in a `Date32` column.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `-infinity` in a `Date32` column.
pub const DATE_MINUS_INFINITY: i32 = i32::MIN;
/// `infinity` in a timestamp column.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
/// `-infinity` in a timestamp column.
pub const TIMESTAMP_MINUS_INFINITY: i64 = i64::MIN;
/// NaN in a `Decimal128` column.
pub const DECIMAL128_NAN: i128 = i128::MIN;
/// NaN in a `Decimal256` column.
pub const DECIMAL256_NAN: i256 = i256::MIN;
