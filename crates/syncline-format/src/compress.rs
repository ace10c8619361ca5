//! gzip and zstd around a file's bytes.
//!
//! Reading accepts several gzip members or zstd frames one after the other, checks their checksums,
//! and never takes a file that was cut off for one that has ended.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::{bufread::MultiGzDecoder, write::GzEncoder};
use syncline_types::Result;

use crate::error;

/// Bytes taken from the file at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes handed to the file at once.
pub(crate) const WRITE_BYTES: usize = 128 << 10;
/// zstd's own default: fast, and a quarter smaller than gzip's.
const ZSTD_LEVEL: i32 = 3;

/// What is around the bytes of a whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// The extension that a compressed file's name ends with.
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gz"),
            Compression::Zstd => Some("zst"),
        }
    }

    /// The compression that a file's name tells of.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("gz" | "gzip") => Compression::Gzip,
            Some("zst" | "zstd") => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// Bytes without their compression.
pub(crate) fn decoder(
    compression: Compression,
    read: Box<dyn Read + Send>,
) -> io::Result<Box<dyn Read + Send>> {
    if compression == Compression::None {
        return Ok(read);
    }
    let mut read = BufReader::with_capacity(READ_BYTES, read);
    // The decoders take a file of no bytes at all for an empty one; compressed emptiness has some.
    if read.fill_buf()?.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(read)),
        _ => Box::new(zstd::stream::read::Decoder::with_buffer(read)?),
    })
}

/// A file under way, with its compression.
pub(crate) struct Encoder<W: Write> {
    name: String,
    /// What waits to be compressed, or written.
    buffer: Vec<u8>,
    stage: Stage<W>,
}

enum Stage<W: Write> {
    Plain(Counted<W>),
    Gzip(GzEncoder<Counted<W>>),
    Zstd(zstd::stream::write::Encoder<'static, Counted<W>>),
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

/// Compresses into `out`.
pub(crate) fn encoder<W: Write>(compression: Compression, name: &str, out: W) -> Result<Encoder<W>> {
    let out = Counted { out, bytes: 0 };
    let stage = match compression {
        Compression::None => Stage::Plain(out),
        Compression::Gzip => Stage::Gzip(GzEncoder::new(out, flate2::Compression::default())),
        Compression::Zstd => {
            let encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL).and_then(|mut encoder| {
                encoder.include_checksum(true)?;
                Ok(encoder)
            });
            Stage::Zstd(encoder.map_err(|failed| error::write(name, &failed))?)
        }
    };
    Ok(Encoder { name: name.to_owned(), buffer: vec![], stage })
}

impl<W: Write> Encoder<W> {
    /// Where to append bytes to; [`Encoder::pass_on`] then writes them in large pieces.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes what has been appended once it is enough to be worth it.
    pub(crate) fn pass_on(&mut self) -> Result<()> {
        if self.buffer.len() < WRITE_BYTES { Ok(()) } else { self.drain() }
    }

    /// Bytes that have gone out, compressed.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.stage {
            Stage::Plain(out) => out.bytes,
            Stage::Gzip(encoder) => encoder.get_ref().bytes,
            Stage::Zstd(encoder) => encoder.get_ref().bytes,
        }
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.drain()?;
        let finished = match self.stage {
            Stage::Plain(out) => Ok(out),
            Stage::Gzip(encoder) => encoder.finish(),
            Stage::Zstd(encoder) => encoder.finish(),
        };
        let flushed = finished.and_then(|mut out| {
            out.out.flush()?;
            Ok(out.out)
        });
        flushed.map_err(|failed| error::write(&self.name, &failed))
    }

    fn drain(&mut self) -> Result<()> {
        let written = match &mut self.stage {
            Stage::Plain(out) => out.write_all(&self.buffer),
            Stage::Gzip(encoder) => encoder.write_all(&self.buffer),
            Stage::Zstd(encoder) => encoder.write_all(&self.buffer),
        };
        self.buffer.clear();
        // One wide row does not keep its memory.
        self.buffer.shrink_to(2 * WRITE_BYTES);
        written.map_err(|failed| error::write(&self.name, &failed))
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
