//! Places in the server's log, and the text that the engine keeps them as: `0/16B3748`.

use std::fmt;

use syncline_types::{Error, Position, Result, codes};

/// A place in the write-ahead log: the bytes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    /// Reads the server's own form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |digits: &str| {
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            u32::from_str_radix(digits, 16).ok().filter(|_| plain)
        };
        Some(Lsn(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }

    /// Reads a position that this log has given out.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when it is none.
    pub(crate) fn of(position: &Position) -> Result<Self> {
        Lsn::parse(&position.0).ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "read a position of", "PostgreSQL's log")
                .because("it is not of the form 0/16B3748")
        })
    }

    pub(crate) fn position(self) -> Position {
        Position(self.to_string())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_the_server_writes_them() {
        for (text, bytes) in [("0/0", 0), ("0/16B3748", 0x16B_3748), ("2A/FF", 0x2A_0000_00FF)] {
            assert_eq!(Lsn::parse(text), Some(Lsn(bytes)));
            assert_eq!(Lsn(bytes).to_string(), text);
        }
        for bad in ["", "1", "/", "0/", "/1", "0/+1", "0/1/2", "0/123456789", "x/1"] {
            assert_eq!(Lsn::parse(bad), None, "{bad}");
        }
        let error = Lsn::of(&Position("here".into())).unwrap_err();
        assert_eq!(error.code(), &codes::BAD_BYTES);
    }

    #[test]
    fn they_are_ordered_as_numbers() {
        assert!(Lsn::parse("0/FF") < Lsn::parse("0/100"));
        assert!(Lsn::parse("9/0") < Lsn::parse("10/0"));
    }
}
