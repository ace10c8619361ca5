//! The fields of an event, one after the other.

use syncline_types::{Error, codes};

use crate::client::lenenc;

/// An event's bytes are not of its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl From<Broken> for Error {
    fn from(_: Broken) -> Self {
        Error::new(&codes::BAD_BYTES, "read", "the binary log")
            .because("an event is not of the form that its type has")
            .hint("Look at what stands between here and the server, and at the server's own log with mysqlbinlog")
    }
}

/// What is left of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Broken)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Broken> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of so many bytes, eight at most.
    pub(super) fn number(&mut self, bytes: usize) -> Result<u64, Broken> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A number in as few bytes as it needs.
    pub(super) fn lenenc(&mut self) -> Result<u64, Broken> {
        let (number, rest) = lenenc(self.0).ok_or(Broken)?;
        self.0 = rest;
        Ok(number)
    }

    /// A length in as few bytes as it needs.
    pub(super) fn length(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.lenenc()?).map_err(|_| Broken)
    }

    /// Bytes behind their length.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.length()?;
        self.take(length)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
