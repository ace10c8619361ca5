//! Other encodings than UTF-8, turned into UTF-8 before the text is looked at.
//!
//! What is no character becomes a byte that UTF-8 never has. So the record that holds it is refused
//! with its line like any other bad text, and those around it are read.

use std::io::{self, Read};

use crate::input::read_full;

/// Bytes read at once.
const CHUNK_BYTES: usize = 32 << 10;
/// Stands for what is no character.
const NO_CHARACTER: u8 = 0xFF;

/// How characters are written in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, or UTF-16 where the file begins with its byte order mark.
    #[default]
    Detect,
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16, lower byte first, with or without a byte order mark.
    Utf16Le,
    /// UTF-16, higher byte first, with or without a byte order mark.
    Utf16Be,
    /// Windows' Western European; a superset of ISO 8859-1's printable characters.
    Windows1252,
    /// ISO 8859-1, byte for byte the first 256 characters of Unicode.
    Latin1,
}

impl Encoding {
    /// The encoding of a name, as it is commonly written.
    pub fn parse(name: &str) -> Option<Self> {
        let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        Some(match name.as_str() {
            "detect" | "auto" => Encoding::Detect,
            "utf8" => Encoding::Utf8,
            "utf16le" => Encoding::Utf16Le,
            "utf16be" => Encoding::Utf16Be,
            "windows1252" | "cp1252" => Encoding::Windows1252,
            "latin1" | "iso88591" => Encoding::Latin1,
            _ => return None,
        })
    }
}

/// The text of `input` in UTF-8, without its byte order mark.
pub(crate) fn utf8(encoding: Encoding, mut input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut first = [0; 3];
    let count = read_full(&mut input, &mut first)?;
    let first = &first[..count];
    let encoding = match (encoding, first) {
        (Encoding::Detect, [0xFF, 0xFE, ..]) => Encoding::Utf16Le,
        (Encoding::Detect, [0xFE, 0xFF, ..]) => Encoding::Utf16Be,
        (Encoding::Detect, _) => Encoding::Utf8,
        (known, _) => known,
    };
    let mark = match (encoding, first) {
        (Encoding::Utf8, [0xEF, 0xBB, 0xBF]) => 3,
        (Encoding::Utf16Le, [0xFF, 0xFE, ..]) | (Encoding::Utf16Be, [0xFE, 0xFF, ..]) => 2,
        _ => 0,
    };
    let kept = io::Cursor::new(first[mark..].to_vec());
    let input = kept.chain(input);
    Ok(match encoding {
        Encoding::Utf8 | Encoding::Detect => Box::new(input),
        other => Box::new(Transcoder {
            input: Box::new(input),
            encoding: other,
            chunk: vec![],
            text: vec![],
            at: 0,
        }),
    })
}

struct Transcoder {
    input: Box<dyn Read + Send>,
    encoding: Encoding,
    /// Bytes that could not be decoded yet: half a unit, or half a pair of surrogates.
    chunk: Vec<u8>,
    /// Decoded, from `at` on not yet given out.
    text: Vec<u8>,
    at: usize,
}

impl Read for Transcoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() && !self.refill()? {
            return Ok(0);
        }
        let count = (&self.text[self.at..]).read(out)?;
        self.at += count;
        Ok(count)
    }
}

impl Transcoder {
    /// Decodes the next bytes; false when there are none.
    fn refill(&mut self) -> io::Result<bool> {
        let kept = self.chunk.len();
        self.chunk.resize(kept + CHUNK_BYTES, 0);
        let count = read_full(&mut self.input, &mut self.chunk[kept..])?;
        self.chunk.truncate(kept + count);
        self.text.clear();
        self.at = 0;
        let ended = count < CHUNK_BYTES;
        let used = match self.encoding {
            Encoding::Utf16Le => utf16(&self.chunk, u16::from_le_bytes, ended, &mut self.text),
            Encoding::Utf16Be => utf16(&self.chunk, u16::from_be_bytes, ended, &mut self.text),
            encoding => single_bytes(&self.chunk, encoding, &mut self.text),
        };
        self.chunk.drain(..used);
        Ok(!self.text.is_empty())
    }
}

/// Decodes whole characters and says how many bytes they took; at the end, all of them.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, ended: bool, out: &mut Vec<u8>) -> usize {
    let units = || bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let whole = bytes.len() / 2;
    let half_pair = units().next_back().is_some_and(|last| (0xD800..0xDC00).contains(&last));
    let taken = if half_pair && !ended { whole - 1 } else { whole };
    let mut character = [0; 4];
    for decoded in char::decode_utf16(units().take(taken)) {
        match decoded {
            Ok(c) => out.extend_from_slice(c.encode_utf8(&mut character).as_bytes()),
            Err(_) => out.push(NO_CHARACTER),
        }
    }
    if ended && !bytes.len().is_multiple_of(2) {
        out.push(NO_CHARACTER);
        return bytes.len();
    }
    taken * 2
}

fn single_bytes(bytes: &[u8], encoding: Encoding, out: &mut Vec<u8>) -> usize {
    let mut character = [0; 4];
    for byte in bytes {
        let c = match (encoding, byte) {
            (Encoding::Windows1252, 0x80..=0x9F) => WINDOWS_1252[usize::from(byte - 0x80)],
            _ => char::from(*byte),
        };
        match c {
            '\u{FFFD}' => out.push(NO_CHARACTER),
            c => out.extend_from_slice(c.encode_utf8(&mut character).as_bytes()),
        }
    }
    bytes.len()
}

/// What Windows-1252 has from 0x80 to 0x9F; five places are not used.
const WINDOWS_1252: [char; 32] = [
    '\u{20AC}', '\u{FFFD}', '\u{201A}', '\u{0192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{02C6}', '\u{2030}', '\u{0160}', '\u{2039}', '\u{0152}', '\u{FFFD}', '\u{017D}', '\u{FFFD}',
    '\u{FFFD}', '\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{02DC}', '\u{2122}', '\u{0161}', '\u{203A}', '\u{0153}', '\u{FFFD}', '\u{017E}', '\u{0178}',
];
