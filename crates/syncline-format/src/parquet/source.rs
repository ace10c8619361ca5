//! A file that Parquet's reader may jump about in. It never asks a file for more than there is of it,
//! whatever the offsets in a damaged one say.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek, SeekFrom},
};

use ::parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::reader::{ChunkReader, Length},
};
use bytes::Bytes;
use syncline_types::{Error, Result, codes};

use crate::{Compression, Input, Source, bad_option, error};

pub(super) enum Seekable {
    File(File, u64),
    Bytes(Bytes),
}

impl Seekable {
    /// The name and bytes of a file that is not compressed as a whole.
    pub(super) fn open(input: Input, compression: Compression) -> Result<(String, Self)> {
        if compression != Compression::None {
            return Err(bad_option("compression", "Parquet compresses inside its files; unpack them first"));
        }
        let Input { name, source } = input;
        let seekable = match source {
            Source::File(file) => {
                let length = file.metadata().map_err(|failed| error::read(&name, &failed))?.len();
                Seekable::File(file, length)
            }
            Source::Bytes(bytes) => Seekable::Bytes(bytes.into()),
            Source::Stream(_) => {
                return Err(Error::new(&codes::UNSUPPORTED, "read", error::quoted(&name))
                    .because("Parquet can only be read from a file"));
            }
        };
        Ok((name, seekable))
    }

    fn check(&self, start: u64, length: u64) -> ParquetResult<()> {
        match start.checked_add(length) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(ParquetError::EOF("it refers to bytes behind its end".to_owned())),
        }
    }
}

/// The file from `start` on.
fn at(file: &File, start: u64) -> std::io::Result<File> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

fn failed(failed: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(failed))
}

impl Length for Seekable {
    fn len(&self) -> u64 {
        match self {
            Seekable::File(_, length) => *length,
            Seekable::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Seekable {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        self.check(start, 0)?;
        match self {
            Seekable::File(file, _) => Ok(Box::new(BufReader::new(at(file, start).map_err(failed)?))),
            Seekable::Bytes(bytes) => {
                Ok(Box::new(Cursor::new(bytes.slice(usize::try_from(start).unwrap_or(usize::MAX)..))))
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.check(start, length as u64)?;
        match self {
            Seekable::File(file, _) => {
                let mut bytes = vec![0; length];
                at(file, start).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed)?;
                Ok(bytes.into())
            }
            Seekable::Bytes(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                Ok(bytes.slice(start..start + length))
            }
        }
    }
}
