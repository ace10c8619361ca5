//! A window over a text that is read once: the current record, and as much behind it as was at hand.

use std::io::{self, Read};

/// What the window normally holds; a wider record makes it grow for as long as it is there.
pub(crate) const WINDOW_BYTES: usize = 256 << 10;

/// By so much it is filled at once, so that room that a record does not need is never touched.
const STEP_BYTES: usize = 1 << 20;

pub(crate) struct Window<R> {
    input: R,
    /// Bytes from the input; the first `filled` of them are real.
    bytes: Vec<u8>,
    /// How long it may become without asking.
    room: usize,
    pub(crate) filled: usize,
    /// Whether the input has no more.
    pub(crate) ended: bool,
    /// Where the current record begins.
    pub(crate) start: usize,
    /// How far it has been looked at.
    pub(crate) at: usize,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(input: R) -> Self {
        Window {
            input,
            bytes: vec![0; WINDOW_BYTES],
            room: WINDOW_BYTES,
            filled: 0,
            ended: false,
            start: 0,
            at: 0,
        }
    }

    /// All bytes from the current record on.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Bytes that have not been looked at.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.filled]
    }

    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes().get(at).copied()
    }

    /// Bytes that it holds beyond its usual size.
    pub(crate) fn excess_bytes(&self) -> u64 {
        (self.room - WINDOW_BYTES) as u64
    }

    /// Gets more bytes; false when the current record already fills `bytes_max`.
    pub(crate) fn fill(&mut self, bytes_max: usize) -> io::Result<bool> {
        if self.filled == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.filled, 0);
                self.filled -= self.start;
                self.at -= self.start;
                self.start = 0;
            } else {
                let length = self.bytes.len();
                if length == self.room {
                    if self.room.saturating_mul(2) > bytes_max {
                        return Ok(false);
                    }
                    self.room *= 2;
                    self.bytes.reserve_exact(self.room - length);
                }
                self.bytes.resize(self.room.min(length + STEP_BYTES), 0);
            }
        }
        let count = loop {
            match self.input.read(&mut self.bytes[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.filled += count;
        self.ended = count == 0;
        Ok(true)
    }

    /// Goes on behind what has been looked at.
    pub(crate) fn consume(&mut self) {
        self.start = self.at;
        let rest = self.filled - self.start;
        if self.room > WINDOW_BYTES && rest <= WINDOW_BYTES {
            // A wide record does not keep its memory.
            let mut bytes = vec![0; WINDOW_BYTES];
            bytes[..rest].copy_from_slice(&self.bytes[self.start..self.filled]);
            (self.bytes, self.room) = (bytes, WINDOW_BYTES);
            (self.start, self.at, self.filled) = (0, 0, rest);
        }
    }
}
