//! Bytes of files to and from batches of rows: CSV, JSON Lines and Parquet, plain, gzip or zstd.
//!
//! Everything blocks and nothing spawns; a connector calls it from its own blocking work. A part is
//! one file. [`writer`] makes one, [`reader`] reads one, [`infer()`] finds the types of files that
//! come without a schema, and [`schema_text`] keeps ours beside them. Which files there are, what
//! they are called and when they are published is the connector's business.

mod build;
mod cell;
mod compress;
pub mod csv;
mod error;
mod infer;
mod input;
mod part;
mod schema;

use std::io::Write;

use syncline_types::{Error, Result, TableSchema, codes};

pub use cell::BinaryText;
pub use compress::Compression;
pub use csv::{CsvOptions, Encoding};
pub use infer::{Types, infer};
pub use input::{Input, Source};
pub use part::{BadRow, Limits, PartReader, PartWriter, Refusal, Rows, Step};
pub use schema::{parse_schema, schema_text};

/// How rows are written into bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields with a delimiter between them.
    Csv(CsvOptions),
}

impl Format {
    /// The name, which is also a file's extension.
    pub fn name(&self) -> &'static str {
        match self {
            Format::Csv(_) => "csv",
        }
    }
}

/// Begins a part that holds rows of `schema`.
///
/// # Errors
/// [`codes::BAD_VALUE`] for options that do not go together; whatever `out` fails with.
pub fn writer<W: Write + Send + 'static>(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    name: &str,
    out: W,
) -> Result<Box<dyn PartWriter<W>>> {
    match format {
        Format::Csv(options) => {
            let out = compress::encoder(compression, name, out)?;
            Ok(Box::new(csv::write::Writer::new(options, schema, out)?))
        }
    }
}

/// Begins to read the columns `wanted` of a part whose rows have `schema`, in the order asked for.
///
/// # Errors
/// [`codes::BAD_VALUE`] for options that do not go together, [`codes::UNKNOWN_COLUMN`] for a column
/// that the schema lacks. Whether the file itself is what it should be shows at the first
/// [`PartReader::next`].
pub fn reader(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    wanted: &[String],
    input: Input,
) -> Result<Box<dyn PartReader>> {
    let indexes = schema.indexes(wanted)?;
    match format {
        Format::Csv(options) => {
            let (name, read) = input.open(compression)?;
            Ok(Box::new(csv::read::Reader::new(options, schema, &indexes, &name, read)?))
        }
    }
}

/// The error for an option that has a value it cannot have.
fn bad_option(option: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`")).because(reason)
}
