//! How rows are written into a file, and what becomes of each type in it.

use serde::{Deserialize, Serialize};
use syncline_format::{
    BinaryText, Compression, CsvOptions, Encoding, Format, JsonLinesOptions, ParquetOptions,
};
use syncline_types::{Column, Error, LogicalType, Result, codes};

use crate::config::{BinaryName, CompressionName, EncodingName, FileConfig, FormatName};

/// How files are written. What is not said has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) format: FormatName,
    pub(crate) compression: CompressionName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delimiter: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    null: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary: Option<BinaryName>,
    #[serde(skip)]
    encoding: Option<EncodingName>,
    #[serde(skip)]
    quote: Option<char>,
    #[serde(skip)]
    backslash: Option<bool>,
    /// Whether somebody else has written them, without a schema.
    #[serde(skip)]
    strangers: bool,
}

/// What a lane holds in memory of a Parquet file, next to what it is just taking.
const ROW_GROUP_BYTES: u64 = 16 << 20;

impl Layout {
    /// Of a format, with what else the options say.
    ///
    /// # Errors
    /// When an option does not suit the format.
    pub(crate) fn new(format: FormatName, compression: CompressionName, config: &FileConfig) -> Result<Self> {
        config.must_suit(format)?;
        Ok(Layout {
            format,
            compression,
            delimiter: config.delimiter()?.map(char::from).filter(|delimiter| *delimiter != ','),
            null: config.null.clone().filter(|null| !null.is_empty()),
            header: config.header.filter(|header| !header),
            binary: config.binary.filter(|binary| *binary != BinaryName::Base64),
            encoding: config.encoding,
            quote: config.quote()?.map(char::from),
            backslash: config.backslash.filter(|backslash| *backslash),
            strangers: false,
        })
    }

    /// How a sink writes.
    ///
    /// # Errors
    /// When no format is said, or an option is only for reading.
    pub(crate) fn to_write(config: &FileConfig) -> Result<Self> {
        let Some(format) = config.format else {
            return Err(Error::new(&codes::BAD_URL, "write to", format!("`file:{}`", config.path))
                .because("it says no format")
                .hint("Write ?format=csv, ?format=jsonl or ?format=parquet behind the folder"));
        };
        let for_reading = [
            ("types", config.types.is_some()),
            ("encoding", config.encoding.is_some_and(|encoding| encoding != EncodingName::Utf8)),
            ("quote", config.quote.is_some()),
            ("backslash", config.backslash.is_some()),
        ];
        if let Some((option, _)) = for_reading.iter().find(|(_, given)| *given) {
            return Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`"))
                .because("it is for reading files, and not for writing them")
                .hint("Leave it out"));
        }
        // Readers of Parquet know zstd; of texts they may expect none.
        let compression = match format {
            FormatName::Parquet => CompressionName::Zstd,
            FormatName::Csv | FormatName::Jsonl => CompressionName::None,
        };
        Layout::new(format, config.compression.unwrap_or(compression), config)
    }

    /// Refuses options that say something else than the files are.
    pub(crate) fn must_agree(&self, config: &FileConfig, with: &str) -> Result<()> {
        config.must_suit(self.format)?;
        let delimiter = config.delimiter()?.map(char::from);
        let differs = [
            ("format", config.format.is_some_and(|format| format != self.format)),
            ("compression", config.compression.is_some_and(|compression| compression != self.compression)),
            ("delimiter", delimiter.is_some_and(|delimiter| delimiter != self.delimiter.unwrap_or(','))),
            ("null", config.null.as_deref().is_some_and(|null| null != self.null.as_deref().unwrap_or(""))),
            ("header", config.header.is_some_and(|header| header != self.header.unwrap_or(true))),
            ("binary", config.binary.is_some_and(|binary| binary != self.binary.unwrap_or_default())),
            ("types", config.types.is_some()),
            ("encoding", config.encoding.is_some_and(|encoding| encoding != EncodingName::Utf8)),
            ("quote", config.quote.as_deref().is_some_and(|quote| quote != "\"")),
            ("backslash", config.backslash.is_some_and(|backslash| backslash)),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((option, _)) => Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`"))
                .because(format!("{with} was written otherwise, as its manifest says"))
                .hint("Leave it out: the manifest tells how the files are to be read")),
        }
    }

    /// As the format crate takes it.
    pub(crate) fn format(&self) -> Format {
        let binary = match self.binary.unwrap_or_default() {
            BinaryName::Base64 => BinaryText::Base64,
            BinaryName::Hex => BinaryText::Hex,
        };
        match self.format {
            FormatName::Csv => {
                let byte =
                    |c: Option<char>, default: u8| c.and_then(|c| u8::try_from(c).ok()).unwrap_or(default);
                Format::Csv(CsvOptions {
                    delimiter: byte(self.delimiter, b','),
                    quote: byte(self.quote, b'"'),
                    header: self.header.unwrap_or(true),
                    null: self.null.clone().unwrap_or_default(),
                    binary,
                    backslash: self.backslash.unwrap_or(false),
                    encoding: self.encoding.map_or(Encoding::Detect, |encoding| match encoding {
                        EncodingName::Utf8 => Encoding::Utf8,
                        EncodingName::Utf16Le => Encoding::Utf16Le,
                        EncodingName::Utf16Be => Encoding::Utf16Be,
                        EncodingName::Latin1 => Encoding::Latin1,
                        EncodingName::Windows1252 => Encoding::Windows1252,
                    }),
                })
            }
            FormatName::Jsonl => Format::JsonLines(JsonLinesOptions { binary, json_null: !self.strangers }),
            FormatName::Parquet => Format::Parquet(ParquetOptions {
                compression: self.named_compression(),
                row_group_bytes: ROW_GROUP_BYTES,
            }),
        }
    }

    /// The format of what follows in a part that has a beginning: one header is enough.
    pub(crate) fn format_going_on(&self) -> Format {
        match self.format() {
            Format::Csv(options) => Format::Csv(CsvOptions { header: false, ..options }),
            other => other,
        }
    }

    /// What is around the files' bytes; Parquet's is within.
    pub(crate) fn compression(&self) -> Compression {
        match self.format {
            FormatName::Parquet => Compression::None,
            FormatName::Csv | FormatName::Jsonl => self.named_compression(),
        }
    }

    fn named_compression(&self) -> Compression {
        match self.compression {
            CompressionName::None => Compression::None,
            CompressionName::Gzip => Compression::Gzip,
            CompressionName::Zstd => Compression::Zstd,
        }
    }

    /// Whether a file that has an end can be gone on with behind it.
    pub(crate) fn can_go_on(&self) -> bool {
        self.format != FormatName::Parquet
    }

    /// What the files' names end with, without the first dot.
    pub(crate) fn extension(&self) -> String {
        let name = match self.format {
            FormatName::Csv => "csv",
            FormatName::Jsonl => "jsonl",
            FormatName::Parquet => return "parquet".into(),
        };
        match self.compression().extension() {
            Some(extension) => format!("{name}.{extension}"),
            None => name.into(),
        }
    }

    /// As somebody else writes, from whose values the types are found.
    pub(crate) fn of_strangers(self) -> Self {
        Layout { strangers: true, ..self }
    }

    /// With tabs between fields, unless something else is said.
    pub(crate) fn with_tabs(self) -> Self {
        match (self.format, self.delimiter) {
            (FormatName::Csv, None) => Layout { delimiter: Some('\t'), ..self },
            _ => self,
        }
    }

    /// For people: `CSV, gzip`.
    pub(crate) fn describe(&self) -> String {
        let compression = match self.compression {
            CompressionName::None => "",
            CompressionName::Gzip => ", gzip",
            CompressionName::Zstd => ", zstd",
        };
        format!("{}{compression}", self.format.title())
    }

    /// What a file's name tells of itself, ending by ending: `a.csv.gz` is CSV in gzip.
    pub(crate) fn of_name(name: &str) -> (Option<FormatName>, CompressionName) {
        let compression = match Compression::of_name(name) {
            Compression::None => CompressionName::None,
            Compression::Gzip => CompressionName::Gzip,
            Compression::Zstd => CompressionName::Zstd,
        };
        let stem = match (compression, name.rsplit_once('.')) {
            (CompressionName::Gzip | CompressionName::Zstd, Some((stem, _))) => stem,
            _ => name,
        };
        let extension = stem.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("csv" | "tsv") => Some(FormatName::Csv),
            Some("jsonl" | "ndjson") => Some(FormatName::Jsonl),
            Some("parquet") => Some(FormatName::Parquet),
            _ => None,
        };
        (format, compression)
    }
}

/// What a column becomes in a format.
pub(crate) fn written_as(column: &Column, layout: &Layout) -> String {
    match layout.format {
        FormatName::Csv => in_text(column.logical, layout).to_owned(),
        FormatName::Jsonl => in_json(column.logical, layout).to_owned(),
        FormatName::Parquet => in_parquet(column.logical),
    }
}

fn in_text(logical: LogicalType, layout: &Layout) -> &'static str {
    match logical {
        LogicalType::Binary => binary_text(layout),
        _ => "text",
    }
}

fn in_json(logical: LogicalType, layout: &Layout) -> &'static str {
    use LogicalType as L;
    match logical {
        L::Bool => "boolean",
        L::Float32 | L::Float64 => "number",
        logical if logical.is_integer() => "number",
        L::Json { .. } => "any",
        L::Binary => binary_text(layout),
        _ => "string",
    }
}

fn binary_text(layout: &Layout) -> &'static str {
    match layout.binary.unwrap_or_default() {
        BinaryName::Base64 => "base64",
        BinaryName::Hex => "hex",
    }
}

fn in_parquet(logical: LogicalType) -> String {
    use LogicalType as L;
    let name = match logical {
        L::Decimal { precision, scale } => return format!("DECIMAL({precision},{scale})"),
        L::Bool => "BOOLEAN",
        L::Int8 => "INT(8,true)",
        L::Int16 => "INT(16,true)",
        L::Int32 => "INT32",
        L::Int64 => "INT64",
        L::UInt8 => "INT(8,false)",
        L::UInt16 => "INT(16,false)",
        L::UInt32 => "INT(32,false)",
        L::UInt64 => "INT(64,false)",
        L::Float32 => "FLOAT",
        L::Float64 => "DOUBLE",
        L::Date => "DATE",
        L::Timestamp { zoned: true, .. } => "TIMESTAMP(MICROS,UTC)",
        L::Timestamp { zoned: false, .. } => "TIMESTAMP(MICROS)",
        L::Json { .. } => "JSON",
        L::Uuid => "UUID",
        L::Binary => "BYTE_ARRAY",
        L::Numeric | L::Text { .. } | L::Opaque | L::Bits { .. } | L::Time { .. } | L::Interval => "STRING",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_format_and_compression() {
        use {CompressionName as C, FormatName as F};
        for (name, format, compression) in [
            ("a.csv", Some(F::Csv), C::None),
            ("a.CSV.GZ", Some(F::Csv), C::Gzip),
            ("a.b.ndjson.zst", Some(F::Jsonl), C::Zstd),
            ("a.jsonl", Some(F::Jsonl), C::None),
            ("a.snappy.parquet", Some(F::Parquet), C::None),
            ("a.gz", None, C::Gzip),
            ("csv", None, C::None),
        ] {
            assert_eq!(Layout::of_name(name), (format, compression), "{name}");
        }
    }
}
