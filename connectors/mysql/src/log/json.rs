//! MySQL's binary JSON, written as `SELECT` shows it.
//!
//! Objects and arrays have a table of where their members lie; small values stand in that table
//! themselves. Nothing is copied but what is written.

mod diff;
mod number;

use base64::{Engine, engine::general_purpose::STANDARD};

pub(super) use self::diff::apply;
use self::number::{write_decimal, write_double, write_moment};
use super::{
    fields::{Broken, Fields},
    table_map::kind as k,
};

/// The servers' own limit is 100.
const DEPTH_MAX: usize = 128;

/// The server breaks what it shows of other bytes into lines of so many letters.
const LINE_LETTERS: usize = 76;

const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// A value where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    kind: u8,
    bytes: &'a [u8],
}

/// Writes a column's value. What an error leaves behind in `out` is the caller's to take away.
pub(super) fn write(document: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    write_raw(Raw::read(document)?, 0, out)
}

impl<'a> Raw<'a> {
    /// An empty document is what an old server has written for NULL in a column that takes none.
    fn read(document: &'a [u8]) -> Result<Self, Broken> {
        match document.split_first() {
            Some((kind, bytes)) => Ok(Raw { kind: *kind, bytes }),
            None => Ok(Raw { kind: LITERAL, bytes: &[0] }),
        }
    }

    fn container(self) -> Option<Container<'a>> {
        let (object, large) = match self.kind {
            SMALL_OBJECT => (true, false),
            LARGE_OBJECT => (true, true),
            SMALL_ARRAY => (false, false),
            LARGE_ARRAY => (false, true),
            _ => return None,
        };
        Some(Container { bytes: self.bytes, object, width: if large { 4 } else { 2 } })
    }
}

/// An object or array: how many members, how many bytes, where each key is and how long, where each
/// value is and of which kind.
#[derive(Clone, Copy)]
struct Container<'a> {
    bytes: &'a [u8],
    object: bool,
    /// Bytes of a number.
    width: usize,
}

impl<'a> Container<'a> {
    fn number(self, at: usize) -> Result<usize, Broken> {
        let mut fields = Fields(self.bytes.get(at..).ok_or(Broken)?);
        usize::try_from(fields.number(self.width)?).map_err(|_| Broken)
    }

    fn len(self) -> Result<usize, Broken> {
        let count = self.number(0)?;
        // Each member has an entry at least.
        if count > self.bytes.len() { Err(Broken) } else { Ok(count) }
    }

    fn key(self, at: usize) -> Result<&'a [u8], Broken> {
        let entry = 2 * self.width + at * (self.width + 2);
        let from = self.number(entry)?;
        let mut fields = Fields(self.bytes.get(entry + self.width..).ok_or(Broken)?);
        let length = usize::from(fields.u16()?);
        self.bytes.get(from..from.checked_add(length).ok_or(Broken)?).ok_or(Broken)
    }

    fn value(self, at: usize) -> Result<Raw<'a>, Broken> {
        let keys = if self.object { self.len()? * (self.width + 2) } else { 0 };
        let entry = 2 * self.width + keys + at * (self.width + 1);
        let kind = *self.bytes.get(entry).ok_or(Broken)?;
        let is_inlined = match kind {
            LITERAL | INT16 | UINT16 => true,
            INT32 | UINT32 => self.width == 4,
            _ => false,
        };
        let from = if is_inlined { entry + 1 } else { self.number(entry + 1)? };
        Ok(Raw { kind, bytes: self.bytes.get(from..).ok_or(Broken)? })
    }
}

fn write_raw(raw: Raw<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Broken> {
    if depth > DEPTH_MAX {
        return Err(Broken);
    }
    let Some(container) = raw.container() else { return write_scalar(raw, out) };
    out.push(if container.object { b'{' } else { b'[' });
    for at in 0..container.len()? {
        if at > 0 {
            out.extend(b", ");
        }
        if container.object {
            write_text(container.key(at)?, out)?;
            out.extend(b": ");
        }
        write_raw(container.value(at)?, depth + 1, out)?;
    }
    out.push(if container.object { b'}' } else { b']' });
    Ok(())
}

fn write_scalar(raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut fields = Fields(raw.bytes);
    match raw.kind {
        LITERAL => out.extend(match fields.u8()? {
            0 => &b"null"[..],
            1 => b"true",
            2 => b"false",
            _ => return Err(Broken),
        }),
        INT16 => out.extend(i16::from_le_bytes(fields.array()?).to_string().as_bytes()),
        UINT16 => out.extend(fields.u16()?.to_string().as_bytes()),
        INT32 => out.extend(i32::from_le_bytes(fields.array()?).to_string().as_bytes()),
        UINT32 => out.extend(fields.u32()?.to_string().as_bytes()),
        INT64 => out.extend(i64::from_le_bytes(fields.array()?).to_string().as_bytes()),
        UINT64 => out.extend(fields.u64()?.to_string().as_bytes()),
        DOUBLE => write_double(f64::from_le_bytes(fields.array()?), out),
        STRING => {
            let length = length(&mut fields)?;
            write_text(fields.take(length)?, out)?;
        }
        OPAQUE => {
            let kind = fields.u8()?;
            let length = length(&mut fields)?;
            write_opaque(kind, fields.take(length)?, out)?;
        }
        _ => return Err(Broken),
    }
    Ok(())
}

/// A length of seven bits a byte, of which the last has no eighth.
fn length(fields: &mut Fields<'_>) -> Result<usize, Broken> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = fields.u8()?;
        length |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(length).map_err(|_| Broken);
        }
    }
    Err(Broken)
}

/// What JSON itself has no type for.
fn write_opaque(kind: u8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    match kind {
        k::NEWDECIMAL => write_decimal(bytes, out),
        k::DATE | k::TIME | k::DATETIME | k::TIMESTAMP => write_moment(kind, bytes, out),
        _ => {
            let letters = STANDARD.encode(bytes);
            let lines: Vec<&[u8]> = letters.as_bytes().chunks(LINE_LETTERS).collect();
            out.extend(format!("\"base64:type{kind}:").as_bytes());
            out.extend(lines.join(&b"\\n"[..]));
            out.push(b'"');
            Ok(())
        }
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    if std::str::from_utf8(text).is_err() {
        return Err(Broken);
    }
    out.push(b'"');
    for byte in text {
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            0x09 => b't',
            0x0A => b'n',
            0x0C => b'f',
            0x0D => b'r',
            0..=0x1F => {
                out.extend(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            _ => {
                out.push(*byte);
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(document: &[u8]) -> Result<String, Broken> {
        let mut out = vec![];
        write(document, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn documents_as_the_server_shows_them() {
        // {"a": 1, "bc": ["x\n", true]}
        let array = [2, 0, 12, 0, STRING, 10, 0, LITERAL, 1, 0, 2, b'x', b'\n'];
        let object = [
            &[2, 0, 34, 0][..],
            &[18, 0, 1, 0, 19, 0, 2, 0],
            &[INT16, 1, 0, SMALL_ARRAY, 21, 0],
            b"abc",
            &array,
        ]
        .concat();
        assert_eq!(
            text(&[&[SMALL_OBJECT], object.as_slice()].concat()).unwrap(),
            r#"{"a": 1, "bc": ["x\n", true]}"#
        );
        assert_eq!(text(&[]).unwrap(), "null");
        assert_eq!(text(&[OPAQUE, k::BLOB, 2, 0, 255]).unwrap(), "\"base64:type252:AP8=\"");
        assert_eq!(text(&[STRING, 1, 1]).unwrap(), "\"\\u0001\"");
        assert_eq!(text(&[STRING, 1, 0xFF]), Err(Broken));
        // One that holds itself.
        assert_eq!(text(&[SMALL_ARRAY, 1, 0, 7, 0, SMALL_ARRAY, 0, 0]), Err(Broken));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0_u8..16) {
            let _ = text(&bytes);
            let _ = text(&[&[kind], bytes.as_slice()].concat());
            let mut out = vec![];
            let _ = apply(&bytes, &[&[kind % 3], bytes.as_slice()].concat(), &mut out);
        }
    }
}
