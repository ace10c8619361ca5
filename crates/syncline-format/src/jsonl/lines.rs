//! Lines of a text, one at a time, and their numbers.

use std::io::{self, Read};

use memchr::memchr;

use crate::window::{WINDOW_BYTES, Window};

pub(crate) struct Lines<R> {
    window: Window<R>,
    /// Where the current line ends, without its line end.
    complete: Option<usize>,
    line: u64,
}

/// What [`Lines::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A line that is not blank.
    Line,
    /// A line that does not go into the bytes allowed; twice the bytes could.
    TooWide,
    /// Nothing more.
    End,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Lines { window: Window::new(input), complete: None, line: 1 }
    }

    /// Finds the next line that is not blank, or comes back to one that has not been consumed.
    pub(crate) fn advance(&mut self, bytes_max: usize) -> io::Result<Found> {
        loop {
            if self.complete.is_none() && !self.find(bytes_max.max(WINDOW_BYTES))? {
                return Ok(Found::TooWide);
            }
            if !self.text().iter().all(u8::is_ascii_whitespace) {
                return Ok(Found::Line);
            }
            if self.window.ended && self.window.at == self.window.filled {
                return Ok(Found::End);
            }
            self.consume();
        }
    }

    /// The line without its line end.
    pub(crate) fn text(&self) -> &[u8] {
        let end = self.complete.unwrap_or(self.window.at);
        self.window.bytes().get(self.window.start..end).unwrap_or_default()
    }

    pub(crate) fn number(&self) -> u64 {
        self.line
    }

    /// Bytes held beyond the usual.
    pub(crate) fn excess_bytes(&self) -> u64 {
        self.window.excess_bytes()
    }

    /// Goes on behind the line.
    pub(crate) fn consume(&mut self) {
        self.line += 1;
        self.window.consume();
        self.complete = None;
    }

    /// Finds the line's end; false when it is too wide.
    fn find(&mut self, bytes_max: usize) -> io::Result<bool> {
        loop {
            if let Some(length) = memchr(b'\n', self.window.rest()) {
                self.complete = Some(self.window.at + length);
                self.window.at += length + 1;
                return Ok(true);
            }
            self.window.at = self.window.filled;
            if self.window.ended {
                self.complete = Some(self.window.at);
                return Ok(true);
            }
            if !self.window.fill(bytes_max)? {
                return Ok(false);
            }
        }
    }
}
