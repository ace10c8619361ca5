//! Options of a `file:` connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use syncline_types::{Error, Result, codes};

/// Options of a `file:` connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// A folder, a file, or a pattern with `*`, `**`, `[]` and `{}` (a `?` is written %3F). A sink makes a
    /// folder for each stream in it.
    // Without one the URL is at fault, and that is said where it is used.
    #[serde(default)]
    pub path: String,
    /// `csv`, `jsonl` or `parquet`. Needed for writing; else the files' names tell.
    #[serde(default)]
    pub format: Option<FormatName>,
    /// `none`, `gzip` or `zstd`. In Parquet it is that of the pages. When reading, the files' names tell.
    #[serde(default)]
    pub compression: Option<CompressionName>,
    /// CSV: the character between fields; `tab` is one, too. Default `,`.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// CSV: what stands for NULL where it is not quoted. By default it is nothing at all, so that `a,,b` has
    /// a NULL in it and `a,"",b` an empty text.
    #[serde(default)]
    pub null: Option<String>,
    /// CSV: whether the first line holds the columns' names. Default `true`.
    #[serde(default)]
    pub header: Option<bool>,
    /// CSV and JSON Lines: how bytes are written, `base64` or `hex`. Default `base64`.
    #[serde(default)]
    pub binary: Option<BinaryName>,
    /// Reading files that Syncline did not write: find the columns' types from all their values (`infer`), or
    /// take every column as text (`text`). Default `infer`.
    #[serde(default)]
    pub types: Option<Types>,
    /// Reading CSV that Syncline did not write: `utf-8`, `utf-16le`, `utf-16be`, `latin1` or `windows-1252`. By
    /// default it is UTF-8, or UTF-16 where the file begins with its byte order mark.
    #[serde(default)]
    pub encoding: Option<EncodingName>,
    /// Reading CSV that Syncline did not write: the character around fields. Default `"`.
    #[serde(default)]
    pub quote: Option<String>,
    /// Reading CSV that Syncline did not write: whether `\` escapes what follows, as in MySQL's exports (with
    /// `null=\N`). Default `false`.
    #[serde(default)]
    pub backslash: Option<bool>,
    /// Writing: a part is closed when it has about so many bytes on the disk.
    #[serde(default = "default_part_bytes")]
    pub part_bytes: u64,
    /// Writing: most keys that a merge holds in memory, at about 50 bytes each.
    #[serde(default = "default_merge_keys_max")]
    pub merge_keys_max: u64,
    /// Following: seconds for which changes are gathered before parts are written anew and published. Those
    /// that wait are at most 64 MiB.
    #[serde(default = "default_commit_seconds")]
    pub commit_seconds: u64,
}

/// How rows are written into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatName {
    /// Fields with a delimiter between them.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Columns, in pages.
    Parquet,
}

/// What is around the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompressionName {
    /// Nothing.
    #[default]
    None,
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
}

/// How bytes are written in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BinaryName {
    /// RFC 4648, with padding.
    #[default]
    Base64,
    /// `\x` and two digits a byte.
    Hex,
}

/// Where columns of strangers' files get their types from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Types {
    /// From their values.
    #[default]
    Infer,
    /// All are text.
    Text,
}

/// How characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EncodingName {
    /// UTF-8
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, low byte first
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, high byte first
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// ISO 8859-1
    #[serde(rename = "latin1")]
    Latin1,
    /// Windows' Western European
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// Small enough that a part is read again in seconds, large enough that a table is not thousands.
const PART_BYTES: u64 = 128 << 20;

/// Less is more files than rows are worth.
const PART_BYTES_MIN: u64 = 64 << 10;

/// About 200 MiB.
const MERGE_KEYS_MAX: u64 = 4_000_000;

/// A part is written anew for a single row of it, and every part's keys are read to find out.
const COMMIT_SECONDS: u64 = 30;

fn default_commit_seconds() -> u64 {
    COMMIT_SECONDS
}

fn default_part_bytes() -> u64 {
    PART_BYTES
}

fn default_merge_keys_max() -> u64 {
    MERGE_KEYS_MAX
}

impl FileConfig {
    /// That the options make sense by themselves.
    ///
    /// # Errors
    /// When there is no path, or an option is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |reason: &str| {
            Error::new(&codes::BAD_URL, "use connection", format!("`file:{}`", self.path))
                .because(reason)
                .hint(
                    "Write a folder, a file or a pattern, as in file:export?format=csv or 'file:in/*.csv.gz'",
                )
        };
        if self.path.is_empty() {
            return Err(wrong("it names no folder and no file"));
        }
        if self.path.contains('\0') {
            return Err(wrong("no file can have such a name"));
        }
        if self.path == "~" || self.path.starts_with("~/") {
            return Err(wrong("`~` is the shell's word, and means nothing here"));
        }
        if self.part_bytes < PART_BYTES_MIN {
            return Err(bad_option(
                "part_bytes",
                self.part_bytes,
                &format!("it is less than {PART_BYTES_MIN}"),
            ));
        }
        if self.merge_keys_max == 0 {
            return Err(bad_option("merge_keys_max", 0, "a merge has one key at least"));
        }
        self.delimiter()?;
        self.quote().map(drop)
    }

    /// The character between fields, where one is said.
    ///
    /// # Errors
    /// When it is not one character, or one that means something else.
    pub(crate) fn delimiter(&self) -> Result<Option<u8>> {
        one_character("delimiter", self.delimiter.as_deref())
    }

    /// The character around fields, where one is said.
    ///
    /// # Errors
    /// As [`FileConfig::delimiter`].
    pub(crate) fn quote(&self) -> Result<Option<u8>> {
        one_character("quote", self.quote.as_deref())
    }

    /// Refuses what only CSV has, where the format is another.
    pub(crate) fn must_suit(&self, format: FormatName) -> Result<()> {
        if format == FormatName::Csv {
            return Ok(());
        }
        let given = [
            ("delimiter", self.delimiter.is_some()),
            ("null", self.null.is_some()),
            ("header", self.header.is_some()),
            ("quote", self.quote.is_some()),
            ("backslash", self.backslash.is_some()),
            ("encoding", self.encoding.is_some()),
            ("binary", self.binary.is_some() && format == FormatName::Parquet),
            ("types", self.types.is_some() && format == FormatName::Parquet),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{option}`"))
                .because(format!("{} has no use for it", format.title()))
                .hint("Leave it out")),
        }
    }
}

fn one_character(option: &str, text: Option<&str>) -> Result<Option<u8>> {
    let Some(text) = text else { return Ok(None) };
    match text.as_bytes() {
        _ if text == "tab" => Ok(Some(b'\t')),
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Ok(Some(*byte)),
        _ => Err(bad_option(option, text, "it is not one character of ASCII")
            .hint("Write %3B for a semicolon, `tab` for a tab")),
    }
}

fn bad_option(name: &str, value: impl std::fmt::Display, reason: &str) -> Error {
    Error::new(&codes::BAD_VALUE, "use option", format!("`{name}={value}`")).because(reason)
}

impl FormatName {
    /// As people call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            FormatName::Csv => "CSV",
            FormatName::Jsonl => "JSON Lines",
            FormatName::Parquet => "Parquet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str) -> FileConfig {
        FileConfig { path: path.into(), part_bytes: PART_BYTES, merge_keys_max: 1, ..FileConfig::default() }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(config("a/b").check().is_ok());
        for path in ["", "a\0b", "~/x", "~"] {
            assert_eq!(config(path).check().unwrap_err().code(), &codes::BAD_URL, "{path}");
        }
        for delimiter in ["", "ab", "\n", "ü"] {
            let config = FileConfig { delimiter: Some(delimiter.into()), ..config("a") };
            assert_eq!(config.check().unwrap_err().code(), &codes::BAD_VALUE, "{delimiter}");
        }
        for (delimiter, byte) in [(";", b';'), ("tab", b'\t'), ("\t", b'\t'), ("|", b'|')] {
            let config = FileConfig { delimiter: Some(delimiter.into()), ..config("a") };
            assert_eq!(config.delimiter().unwrap(), Some(byte));
        }
        assert!(FileConfig { part_bytes: 1, ..config("a") }.check().is_err());
        let with_null = FileConfig { null: Some("x".into()), ..config("a") };
        assert!(with_null.must_suit(FormatName::Csv).is_ok());
        assert!(with_null.must_suit(FormatName::Parquet).is_err());
    }
}
