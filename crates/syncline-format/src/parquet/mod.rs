//! Parquet: our types as Parquet's own where it has them, and our schema in the file's metadata.
//!
//! | ours | Parquet |
//! |---|---|
//! | boolean, integers, floats | the same, with width and sign |
//! | decimal to 76 digits | DECIMAL; beyond 38 digits many readers give up |
//! | numeric, text, bits, opaque, time, interval | STRING, in our text form |
//! | binary, uuid, json | BYTE_ARRAY, UUID, JSON |
//! | date | DATE |
//! | timestamp | TIMESTAMP in microseconds, adjusted to UTC if it is a point in time |
//!
//! Infinite dates and timestamps and NaN in a decimal have no place there: such rows are refused.

pub(crate) mod infer;
pub(crate) mod read;
mod rows;
mod source;
mod types;
mod value;
pub(crate) mod write;

use ::parquet::errors::ParquetError;
use syncline_types::{Code, Error, codes};

use crate::Compression;

/// The key under which a file's metadata has our schema.
const SCHEMA_KEY: &str = "syncline.schema";

/// How a Parquet file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetOptions {
    /// What is around each page inside the file.
    pub compression: Compression,
    /// Most bytes of values in a row group: about what writing and reading one takes of memory. A row
    /// that has more is a group of its own.
    pub row_group_bytes: u64,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions { compression: Compression::Zstd, row_group_bytes: 32 << 20 }
    }
}

/// A file that Parquet's reader does not understand.
fn unreadable(file: &str, error: &ParquetError) -> Error {
    if let ParquetError::External(inner) = error
        && let Some(failed) = inner.downcast_ref::<std::io::Error>()
    {
        return crate::error::read(file, failed);
    }
    crate::error::broken(file, error)
}

fn unwritable(file: &str, error: &ParquetError) -> Error {
    if let ParquetError::External(inner) = error
        && let Some(failed) = inner.downcast_ref::<std::io::Error>()
    {
        return crate::error::write(file, failed);
    }
    failed(&codes::BROKEN_INVARIANT, file).because(error)
}

fn failed(code: &'static Code, file: &str) -> Error {
    Error::new(code, "write", crate::error::quoted(file))
}
