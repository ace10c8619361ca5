//! CSV: RFC 4180, and what PostgreSQL, MySQL and spreadsheets make of it.
//!
//! A field without quotes that equals the NULL marker is NULL; in quotes it is a text. That keeps
//! NULL and the empty text apart in both directions, and reads `COPY ... CSV` of PostgreSQL as it is.
//! For `SELECT ... INTO OUTFILE` of MySQL the marker is `\N` and `backslash` is to be set.

pub(crate) mod infer;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod write;

use syncline_types::{Error, Result, codes};

use crate::{BinaryText, Encoding, bad_option};

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between fields; one byte of ASCII.
    pub delimiter: u8,
    /// Around fields that need it; one byte of ASCII.
    pub quote: u8,
    /// Whether the first line has the columns' names. Without it columns are taken in their order.
    pub header: bool,
    /// What NULL looks like without quotes; by default nothing at all.
    pub null: String,
    /// How bytes are written.
    pub binary: BinaryText,
    /// Whether `\` escapes what follows, as in MySQL's exports. Only for reading.
    pub backslash: bool,
    /// How characters are written. Only for reading: what is written is UTF-8.
    pub encoding: Encoding,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: b',',
            quote: b'"',
            header: true,
            null: String::new(),
            binary: BinaryText::Base64,
            backslash: false,
            encoding: Encoding::Detect,
        }
    }
}

impl CsvOptions {
    /// Whether the options can go together.
    fn check(&self) -> Result<()> {
        let reserved = |byte: u8| !byte.is_ascii() || matches!(byte, b'\n' | b'\r' | 0);
        if reserved(self.delimiter) || (self.backslash && self.delimiter == b'\\') {
            return Err(bad_option("delimiter", "it must be one ASCII character that is no line end"));
        }
        if reserved(self.quote) || self.quote == self.delimiter || (self.backslash && self.quote == b'\\') {
            return Err(bad_option("quote", "it must be one ASCII character other than the delimiter"));
        }
        let special = [self.delimiter, self.quote, b'\n', b'\r'];
        if self.null.bytes().any(|byte| special.contains(&byte)) || self.null.starts_with('\u{FEFF}') {
            return Err(bad_option("null", "it must not hold a delimiter, a quote or a line end"));
        }
        Ok(())
    }

    /// Whether the text of some bytes, if there are any, may be taken for something else, since a
    /// delimiter or the marker is made of what it is made of.
    fn binary_needs_quotes(&self) -> bool {
        let in_text = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\\".contains(&byte);
        let marker = !self.null.is_empty() && self.null.bytes().all(in_text);
        marker || in_text(self.delimiter) || in_text(self.quote)
    }

    fn check_for_writing(&self) -> Result<()> {
        self.check()?;
        if self.backslash {
            return Err(bad_option("backslash", "it is for reading; quotes are what is written"));
        }
        if !matches!(self.encoding, Encoding::Detect | Encoding::Utf8) {
            return Err(bad_option("encoding", "files are written in UTF-8"));
        }
        Ok(())
    }
}

/// The names of a header's columns; those without one are called by their place.
pub(crate) fn header_names(texts: impl Iterator<Item = String>, file: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = vec![];
    for (index, text) in texts.enumerate() {
        let name = if text.is_empty() { unnamed(index) } else { text };
        if names.contains(&name) {
            return Err(Error::new(&codes::NAME_TAKEN, "read the header of", crate::error::quoted(file))
                .because(format!("two columns are called `{name}`"))
                .hint("Give each column a name of its own, or write header=false"));
        }
        names.push(name);
    }
    Ok(names)
}

/// The name of a column that has none.
pub(crate) fn unnamed(index: usize) -> String {
    format!("column_{}", index + 1)
}
