//! Finds records and fields in CSV, and tells quoted fields from others.
//!
//! A quote opens only at a field's beginning. Where text is not what it should be, the record is
//! read to its end all the same and its [`Flaw`] is kept, so that the next one begins where it does
//! and no value moves into another column. What a flawed record holds is the caller's to refuse.

use std::{
    io::{self, Read},
    ops::Range,
};

use memchr::{memchr, memchr_iter, memchr2};

use super::CsvOptions;
use crate::window::{WINDOW_BYTES, Window};

/// Records of a CSV text, one at a time.
pub(crate) struct Scanner<R> {
    window: Window<R>,
    /// Where the current record's line end begins, once it is complete.
    complete: Option<usize>,
    state: State,
    field: Field,
    fields: Vec<Field>,
    flaw: Option<Flaw>,
    /// The line that the record begins in, and how many line ends are inside it so far.
    line: u64,
    lines_inside: u64,
    ending: Option<Ending>,
    classes: [Class; 256],
    quote: u8,
    backslash: bool,
}

/// A field of the current record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// From the record's beginning, without quotes.
    start: usize,
    end: usize,
    /// Whether it stands in quotes.
    pub(crate) quoted: bool,
    /// Whether doubled quotes or backslashes have to be resolved.
    pub(crate) escaped: bool,
}

impl Field {
    /// Where it lies in its record.
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A quote inside a field that did not begin with one.
    StrayQuote,
    /// Something between a closing quote and the next delimiter.
    AfterQuote,
    /// The file ends inside quotes.
    Unterminated,
    /// A line end of another kind than the file's, outside of quotes.
    LineEnd,
    /// The file ends with a backslash.
    Backslash,
}

/// What [`Scanner::advance`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole record.
    Record,
    /// A record that does not go into the bytes allowed; twice the bytes could.
    TooWide,
    /// Nothing more.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    AfterQuote,
}

/// What ends the file's lines; its first line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Lf,
    CrLf,
    Cr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Ordinary,
    Delimiter,
    Quote,
    Lf,
    Cr,
    Backslash,
}

impl<R: Read> Scanner<R> {
    /// Over UTF-8 without a byte order mark.
    pub(crate) fn new(input: R, options: &CsvOptions) -> Self {
        let mut classes = [Class::Ordinary; 256];
        classes[usize::from(b'\n')] = Class::Lf;
        classes[usize::from(b'\r')] = Class::Cr;
        classes[usize::from(options.delimiter)] = Class::Delimiter;
        classes[usize::from(options.quote)] = Class::Quote;
        if options.backslash {
            classes[usize::from(b'\\')] = Class::Backslash;
        }
        Scanner {
            window: Window::new(input),
            complete: None,
            state: State::FieldStart,
            field: Field::default(),
            fields: vec![],
            flaw: None,
            line: 1,
            lines_inside: 0,
            ending: None,
            classes,
            quote: options.quote,
            backslash: options.backslash,
        }
    }

    /// Finds the next record's end, or comes back to one that has not been consumed. The buffer does
    /// not grow beyond `bytes_max`, or [`WINDOW_BYTES`] if that is more.
    pub(crate) fn advance(&mut self, bytes_max: usize) -> io::Result<Found> {
        while self.complete.is_none() {
            if self.scan() {
                break;
            }
            if !self.window.ended {
                if !self.window.fill(bytes_max.max(WINDOW_BYTES))? {
                    return Ok(Found::TooWide);
                }
            } else if self.state == State::FieldStart && self.window.start == self.window.filled {
                return Ok(Found::End);
            } else {
                self.end_of_input();
            }
        }
        Ok(Found::Record)
    }

    /// The record that [`Scanner::advance`] found, without its line end.
    pub(crate) fn record(&self) -> &[u8] {
        let end = self.complete.unwrap_or(self.window.at);
        self.window.bytes().get(self.window.start..end).unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Whether the record is an empty line.
    pub(crate) fn is_blank(&self) -> bool {
        self.complete == Some(self.window.start)
    }

    /// The line that the record begins in.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The line that the record ends in.
    pub(crate) fn line_end(&self) -> u64 {
        self.line + self.lines_inside
    }

    /// Bytes that the buffer has beyond its usual size.
    pub(crate) fn excess_bytes(&self) -> u64 {
        self.window.excess_bytes()
    }

    /// Goes on behind the record.
    pub(crate) fn consume(&mut self) {
        self.line += self.lines_inside + 1;
        self.window.consume();
        self.complete = None;
        self.state = State::FieldStart;
        self.fields.clear();
        self.flaw = None;
        self.lines_inside = 0;
    }

    /// Looks on from `at`; true once the record is complete.
    fn scan(&mut self) -> bool {
        loop {
            match self.state {
                State::FieldStart => {
                    let Some(byte) = self.window.byte(self.window.at) else { return false };
                    self.field = Field { start: self.window.at - self.window.start, ..Field::default() };
                    if byte == self.quote {
                        self.field.quoted = true;
                        self.field.start += 1;
                        self.window.at += 1;
                        self.state = State::Quoted;
                    } else {
                        self.state = State::Plain;
                    }
                }
                State::Plain => match self.scan_plain() {
                    Some(true) => return true,
                    Some(false) => {}
                    None => return false,
                },
                State::Quoted => {
                    if !self.scan_quoted() {
                        return false;
                    }
                }
                State::AfterQuote => {
                    let Some(byte) = self.window.byte(self.window.at) else { return false };
                    let class = self.classes[usize::from(byte)];
                    if !matches!(class, Class::Delimiter | Class::Lf | Class::Cr) {
                        self.flawed(Flaw::AfterQuote);
                    }
                    self.state = State::Plain;
                }
            }
        }
    }

    /// The first of several flaws is told.
    fn flawed(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }

    /// Looks on in a field without quotes, or behind its closing one: true at the record's end, false
    /// behind a delimiter or something odd, `None` when more bytes are needed.
    fn scan_plain(&mut self) -> Option<bool> {
        let rest = self.window.rest();
        let length = rest.iter().position(|byte| self.classes[usize::from(*byte)] != Class::Ordinary);
        let Some(length) = length else {
            self.window.at = self.window.filled;
            return None;
        };
        self.window.at += length;
        match self.classes[usize::from(self.window.rest()[0])] {
            Class::Delimiter => {
                self.end_field();
                self.window.at += 1;
                self.state = State::FieldStart;
                Some(false)
            }
            Class::Lf if self.ending == Some(Ending::Cr) => {
                self.flawed(Flaw::LineEnd);
                self.window.at += 1;
                Some(false)
            }
            Class::Lf => Some(self.end_record(Ending::Lf, 1)),
            Class::Cr => match self.window.byte(self.window.at + 1) {
                None if !self.window.ended => None,
                Some(b'\n') => Some(self.end_record(Ending::CrLf, 2)),
                _ if matches!(self.ending, None | Some(Ending::Cr)) => Some(self.end_record(Ending::Cr, 1)),
                _ => {
                    self.flawed(Flaw::LineEnd);
                    self.window.at += 1;
                    Some(false)
                }
            },
            Class::Quote => {
                self.flawed(Flaw::StrayQuote);
                self.window.at += 1;
                Some(false)
            }
            Class::Backslash => self.scan_backslash().then_some(false),
            Class::Ordinary => Some(false),
        }
    }

    /// Looks on inside quotes; false when more bytes are needed.
    fn scan_quoted(&mut self) -> bool {
        let rest = self.window.rest();
        let found = if self.backslash { memchr2(self.quote, b'\\', rest) } else { memchr(self.quote, rest) };
        let passed = &rest[..found.unwrap_or(rest.len())];
        let line_end = if self.ending == Some(Ending::Cr) { b'\r' } else { b'\n' };
        self.lines_inside += memchr_iter(line_end, passed).count() as u64;
        self.window.at += passed.len();
        match (found, self.window.byte(self.window.at), self.window.byte(self.window.at + 1)) {
            (None, ..) => false,
            (_, Some(b'\\'), _) if self.backslash => self.scan_backslash(),
            (_, _, None) if !self.window.ended => false,
            (_, _, Some(next)) if next == self.quote => {
                self.field.escaped = true;
                self.window.at += 2;
                true
            }
            _ => {
                self.field.end = self.window.at - self.window.start;
                self.window.at += 1;
                self.state = State::AfterQuote;
                true
            }
        }
    }

    /// Passes a backslash and what it escapes; false when more bytes are needed.
    fn scan_backslash(&mut self) -> bool {
        let Some(next) = self.window.byte(self.window.at + 1) else {
            if self.window.ended {
                self.flawed(Flaw::Backslash);
                self.window.at += 1;
            }
            return false;
        };
        self.field.escaped = true;
        self.lines_inside += u64::from(next == b'\n');
        self.window.at += 2;
        true
    }

    fn end_field(&mut self) {
        if !self.field.quoted {
            self.field.end = self.window.at - self.window.start;
        }
        self.fields.push(self.field);
    }

    /// Ends the record at a line end of `length` bytes; true, for [`Scanner::scan_plain`].
    fn end_record(&mut self, ending: Ending, length: usize) -> bool {
        if *self.ending.get_or_insert(ending) != ending {
            self.flawed(Flaw::LineEnd);
        }
        self.end_field();
        self.complete = Some(self.window.at);
        self.window.at += length;
        true
    }

    /// Ends the last record, which has no line end.
    fn end_of_input(&mut self) {
        match self.state {
            // Behind a delimiter there is one more field.
            State::FieldStart => {
                self.field = Field { start: self.window.at - self.window.start, ..Field::default() }
            }
            State::Quoted => {
                self.flawed(Flaw::Unterminated);
                self.field.end = self.window.at - self.window.start;
            }
            State::Plain | State::AfterQuote => {}
        }
        self.end_field();
        self.complete = Some(self.window.at);
    }
}

/// Appends a field's text with its doubled quotes and backslashes resolved.
pub(crate) fn unescape(raw: &[u8], quote: u8, backslash: bool, out: &mut Vec<u8>) {
    let mut rest = raw;
    loop {
        let found = if backslash { memchr2(quote, b'\\', rest) } else { memchr(quote, rest) };
        let Some(at) = found else {
            out.extend_from_slice(rest);
            return;
        };
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        match *from {
            [b'\\', next, ..] if backslash => out.push(unescaped(next)),
            [_, next, ..] => out.push(next),
            _ => {}
        }
        rest = from.get(2..).unwrap_or_default();
    }
}

/// What MySQL means by a letter behind a backslash.
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}
