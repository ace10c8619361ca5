//! Where a file's bytes come from.

use std::{
    fs::File,
    io::{self, Cursor, Read},
};

use syncline_types::Result;

use crate::{Compression, compress};

/// A file to read, with the name that messages call it by.
#[derive(Debug)]
pub struct Input {
    /// As the user knows it, such as a path.
    pub name: String,
    /// Its bytes.
    pub source: Source,
}

/// Bytes to read.
pub enum Source {
    /// A file on disk.
    File(File),
    /// All of it, in memory.
    Bytes(Vec<u8>),
    /// What can only be read once, from front to back. Parquet cannot be read from it.
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// A file on disk.
    pub fn file(name: impl Into<String>, file: File) -> Self {
        Input { name: name.into(), source: Source::File(file) }
    }

    /// Bytes in memory.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Input { name: name.into(), source: Source::Bytes(bytes.into()) }
    }

    /// What can only be read once.
    pub fn stream(name: impl Into<String>, read: impl Read + Send + 'static) -> Self {
        Input { name: name.into(), source: Source::Stream(Box::new(read)) }
    }

    /// The name, and the bytes behind the compression.
    pub(crate) fn open(self, compression: Compression) -> Result<(String, Box<dyn Read + Send>)> {
        let read: Box<dyn Read + Send> = match self.source {
            Source::File(file) => Box::new(file),
            Source::Bytes(bytes) => Box::new(Cursor::new(bytes)),
            Source::Stream(read) => read,
        };
        let read =
            compress::decoder(compression, read).map_err(|error| crate::error::read(&self.name, &error))?;
        Ok((self.name, read))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::File(_) => "File",
            Source::Bytes(_) => "Bytes",
            Source::Stream(_) => "Stream",
        })
    }
}

/// Reads until `buffer` is full or there is no more, and says how much came.
pub(crate) fn read_full(read: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match read.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
