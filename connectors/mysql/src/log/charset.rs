//! Texts in the log are in their columns' character sets. Here they become UTF-8, as a `SELECT` would
//! make them.
//!
//! Of character sets with one byte a letter the server itself is asked what each byte is.

use std::sync::Arc;

use syncline_types::{Error, Result, codes};

use crate::{
    client::Client,
    decode::{BadField, push_text},
    dialect::text_constant,
};

/// What the texts of a column are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// UTF-16 with the higher byte first or last, with pairs of units for a letter or without.
    Utf16 {
        little: bool,
    },
    Utf32,
    /// What each byte is.
    Single(Arc<[String; 256]>),
}

/// Bytes of one letter at most, and what is known of the others.
const NO_TEXT: BadField = BadField::Value("its bytes are no text of the column's character set", None);

impl Charset {
    /// The character set of this name.
    ///
    /// # Errors
    /// [`codes::UNSUPPORTED`] when letters have several bytes in a way that is not known here.
    pub(super) async fn find(client: &mut Client, name: &str) -> Result<Self> {
        match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => return Ok(Charset::Utf8),
            "utf16" | "ucs2" => return Ok(Charset::Utf16 { little: false }),
            "utf16le" => return Ok(Charset::Utf16 { little: true }),
            "utf32" => return Ok(Charset::Utf32),
            _ => {}
        }
        let object = format!("`{name}`");
        let sql = format!(
            "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = {}",
            text_constant(name)
        );
        let letters = client.text(&sql, "look up the character set", &object).await?;
        // The name becomes a part of a statement.
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if letters.as_deref() != Some("1") || !plain {
            return Err(Error::new(&codes::UNSUPPORTED, "follow texts in the character set", object)
                .because("its letters have several bytes, in a way that Syncline does not know")
                .hint("Leave such columns out with --columns, make them utf8mb4, or use sync: incremental"));
        }
        let bytes: Vec<String> =
            (0..=255).map(|byte| format!("CONVERT(_{name} X'{byte:02X}' USING utf8mb4)")).collect();
        let sql = format!("SELECT {}", bytes.join(", "));
        let rows = client.texts(&sql, "look up the character set", &object).await?;
        let letters: Vec<String> = rows.into_iter().flatten().flatten().collect();
        let letters = <[String; 256]>::try_from(letters).map_err(|_| {
            Error::new(&codes::UNSUPPORTED, "look up the character set", object)
                .because("the server does not say what each of its bytes is")
        })?;
        Ok(Charset::Single(Arc::new(letters)))
    }

    /// Appends a text, without the blanks that pad it where it is padded.
    pub(super) fn push(
        &self,
        text: &[u8],
        padded: bool,
        out: &mut syncline_types::build::Bytes,
    ) -> std::result::Result<(), BadField> {
        let from = out.buffer().len();
        match self {
            Charset::Utf8 => {
                let end = if padded { text.len() - blanks(text) } else { text.len() };
                return push_text(text.get(..end).unwrap_or_default(), out);
            }
            Charset::Single(letters) => {
                let buffer = out.buffer();
                text.iter().for_each(|byte| buffer.extend_from_slice(letters[usize::from(*byte)].as_bytes()));
            }
            Charset::Utf16 { .. } | Charset::Utf32 => {
                let buffer = out.buffer();
                let written = match self {
                    Charset::Utf16 { little } => utf16(text, *little, buffer),
                    _ => utf32(text, buffer),
                };
                if written.is_none() {
                    // What was appended is no value yet, and must not become a part of the next.
                    buffer.truncate(from);
                    return Err(NO_TEXT);
                }
            }
        }
        if padded {
            let buffer = out.buffer();
            let blanks = blanks(buffer.get(from..).unwrap_or_default());
            buffer.truncate(buffer.len() - blanks);
        }
        out.end();
        Ok(())
    }
}

/// How many blanks stand at the end.
fn blanks(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| **byte == b' ').count()
}

fn utf16(text: &[u8], little: bool, out: &mut Vec<u8>) -> Option<()> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let unit = |pair: &[u8]| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    for letter in char::decode_utf16(text.chunks_exact(2).map(unit)) {
        push_letter(letter.ok()?, out);
    }
    Some(())
}

fn utf32(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    for four in text.chunks_exact(4) {
        push_letter(char::from_u32(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))?, out);
    }
    Some(())
}

fn push_letter(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use syncline_types::{LogicalType, build::ColumnBuilder};

    use super::*;

    fn text(charset: &Charset, bytes: &[u8], padded: bool) -> Option<String> {
        let mut column = ColumnBuilder::new(LogicalType::TEXT, 1);
        let ColumnBuilder::Text(out) = &mut column else { panic!("a text is built as one") };
        charset.push(bytes, padded, out).ok()?;
        Some(column.finish().unwrap().as_string::<i32>().value(0).to_owned())
    }

    #[test]
    fn texts_become_utf8() {
        let big = Charset::Utf16 { little: false };
        let letters: Vec<String> =
            (0_u32..256).map(|byte| char::from_u32(byte).unwrap().to_string()).collect();
        let single = Charset::Single(Arc::new(letters.try_into().unwrap()));
        for (charset, bytes, padded, expected) in [
            (&Charset::Utf8, "ä  ".as_bytes(), true, Some("ä")),
            (&Charset::Utf8, b"a  ", false, Some("a  ")),
            (&Charset::Utf8, b"\xFF", false, None),
            (&single, b"\xE4b ", true, Some("äb")),
            (&big, b"\0a\xD8\x3D\xDE\x00\0 ", true, Some("a\u{1F600}")),
            (&big, b"\xD8\x3D", false, None),
            (&big, b"\0", false, None),
            (&Charset::Utf16 { little: true }, b"a\0", false, Some("a")),
            (&Charset::Utf32, b"\0\x01\xF6\0", false, Some("\u{1F600}")),
            (&Charset::Utf32, b"\0\x11\0\0", false, None),
        ] {
            assert_eq!(text(charset, bytes, padded).as_deref(), expected, "{charset:?} {bytes:?}");
        }
    }
}
