//! Bytes of files to and from batches of rows: CSV, JSON Lines and Parquet, plain, gzip or zstd.
//!
//! Everything blocks and nothing spawns; a connector calls it from its own blocking work. A part is
//! one file. [`writer`] makes one, [`reader`] reads one, [`infer()`] finds the types of files that
//! come without a schema, and [`schema_text`] keeps ours beside them. Which files there are, what
//! they are called and when they are published is the connector's business.
//!
//! # What a file keeps
//!
//! Read with the schema that it was written with, every value comes back as it was, but for this:
//!
//! | | CSV | JSON Lines | Parquet |
//! |---|---|---|---|
//! | types, keys, labels | in `_schema.json` beside it | in `_schema.json` beside it | in the file |
//! | NULL | the marker without quotes | `null`; no key at all in a column of JSON | NULL |
//! | text | all of Unicode, NUL too | the same | the same |
//! | decimal | digits | digits in quotes, so that no reader makes a float of it | DECIMAL; many readers stop at 38 digits |
//! | 64-bit integers | digits | a number; JavaScript rounds beyond 2^53 | INT64, unsigned where it is |
//! | NaN, Infinity of floats | by name | by name, in quotes | as they are |
//! | NaN of decimals, infinite dates and times | by name | by name | the row is refused |
//! | bytes | base64 or hex | base64 or hex | as they are |
//! | JSON | as it is written | nested; blanks around it are lost, line ends in it become blanks | as it is written |
//! | time, interval | text form | text form | text form, as STRING |
//! | timestamp | text form, `+00:00` if it is a point in time | the same with a `T` | microseconds, adjusted to UTC or not |
//!
//! The text forms are those of [`syncline_types::text`].
//!
//! # What a file of others may have
//!
//! CSV: any delimiter and quote, with or without header, LF, CRLF or CR, UTF-8 or UTF-16 with or without
//! its mark, Windows-1252 and ISO 8859-1 by name, MySQL's backslashes. JSON Lines: keys in any order and
//! left out, numbers of any length in numbers or texts. Parquet: plain columns of every type, Int96 too;
//! lists and structures are refused by name, since a column here has one value a row.
//!
//! A row that cannot be read is rejected with its line (or row) and column and without its value, and
//! those around it are read. What makes a file as a whole untrustworthy is an error: compressed data that
//! ends early, a checksum that is wrong, a quote that swallows the rest of the file.
//!
//! # Memory
//!
//! A reader holds a window of 256 KiB and what [`Limits`] allow. It asks for more ([`Step::Needs`])
//! before it takes in a record that is wider. A Parquet file's pages are decoded a few rows at a time; in
//! files of others, one page is held whatever its size.

mod build;
mod cell;
mod compress;
pub mod csv;
mod encoding;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod infer;
mod input;
pub mod jsonl;
pub mod parquet;
mod part;
mod schema;
mod window;

use std::io::Write;

use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

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

/// What a format does with columns that their reader should know of before the rows are written: the
/// column's name, and why.
pub fn remarks(format: &Format, schema: &TableSchema) -> Vec<(String, &'static str)> {
    let remark = |column: &Column| match (format, column.logical) {
        (Format::Parquet(_), LogicalType::Decimal { precision: 39.., .. }) => {
            Some("decimals of more than 38 digits are more than many readers of Parquet take")
        }
        (Format::Parquet(_), LogicalType::Numeric) => {
            Some("decimals of any size have no type in Parquet and are written as text")
        }
        (Format::Parquet(_), LogicalType::Time { .. } | LogicalType::Interval) => {
            Some("times of day up to 24:00 and intervals are written as text")
        }
        (Format::JsonLines(_), LogicalType::Json { normalized: false }) => {
            Some("line ends inside a JSON value become blanks")
        }
        _ => None,
    };
    schema.columns.iter().filter_map(|column| Some((column.name.clone(), remark(column)?))).collect()
}

/// The error for an option that has a value it cannot have.
fn bad_option(option: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`")).because(reason)
}
