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
mod encoding;
mod error;
mod infer;
mod input;
pub mod jsonl;
pub mod parquet;
mod part;
mod schema;
mod window;

use std::io::Write;

use syncline_types::{Error, Result, TableSchema, codes};

pub use cell::BinaryText;
pub use compress::Compression;
pub use csv::CsvOptions;
pub use encoding::Encoding;
pub use infer::{Types, infer};
pub use input::{Input, Source};
pub use jsonl::JsonLinesOptions;
pub use parquet::ParquetOptions;
pub use part::{BadRow, Limits, PartReader, PartWriter, Refusal, Rows, Step};
pub use schema::{parse_schema, schema_text};

/// How rows are written into bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields with a delimiter between them.
    Csv(CsvOptions),
    /// One JSON object a line.
    JsonLines(JsonLinesOptions),
    /// Columns in row groups.
    Parquet(ParquetOptions),
}

impl Format {
    /// The name, which is also a file's extension.
    pub fn name(&self) -> &'static str {
        match self {
            Format::Csv(_) => "csv",
            Format::JsonLines(_) => "jsonl",
            Format::Parquet(_) => "parquet",
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
    let encoder = |out| compress::encoder(compression, name, out);
    Ok(match format {
        Format::Csv(options) => Box::new(csv::write::Writer::new(options, schema, encoder(out)?)?),
        Format::JsonLines(options) => Box::new(jsonl::write::Writer::new(options, schema, encoder(out)?)?),
        Format::Parquet(_) if compression != Compression::None => {
            return Err(bad_option("compression", "Parquet compresses inside its files, by its own option"));
        }
        Format::Parquet(options) => Box::new(parquet::write::Writer::new(options, schema, name, out)?),
    })
}

/// Begins to read the columns `wanted` of a part whose rows have `schema`, in the order asked for.
///
/// # Errors
/// [`codes::BAD_VALUE`] for options that do not go together, [`codes::UNKNOWN_COLUMN`] for a column
/// that the schema lacks, and whatever the file's first bytes fail with. Whether the rest is what it
/// should be shows in [`PartReader::next`].
pub fn reader(
    format: &Format,
    compression: Compression,
    schema: &TableSchema,
    wanted: &[String],
    input: Input,
) -> Result<Box<dyn PartReader>> {
    let indexes = schema.indexes(wanted)?;
    Ok(match format {
        Format::Csv(options) => {
            let (name, read) = input.open(compression)?;
            Box::new(csv::read::Reader::new(options, schema, &indexes, &name, read)?)
        }
        Format::JsonLines(options) => {
            let (name, read) = input.open(compression)?;
            Box::new(jsonl::read::Reader::new(options, schema, &indexes, &name, read)?)
        }
        Format::Parquet(_) => Box::new(parquet::read::Reader::new(schema, &indexes, compression, input)?),
    })
}

/// The error for an option that has a value it cannot have.
fn bad_option(option: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`")).because(reason)
}
