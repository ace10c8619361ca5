//! What the server's short packets say.

use std::io;

use mysql_common::{
    constants::{CapabilityFlags, StatusFlags},
    io::ParseBuf,
    packets::{Column, CommonOkPacket, ErrPacket, OkPacketDeserializer, ServerError, StmtPacket},
};

/// How a statement ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Rows that were inserted, deleted or really changed: a row that is updated to what it already
    /// was does not count.
    pub(crate) affected: u64,
    /// How many warnings `SHOW WARNINGS` would tell of. Notes count.
    pub(crate) warnings: u16,
    /// Whether another answer follows, to the next of several statements.
    pub(crate) more: bool,
    /// As in `Records: 3  Deleted: 0  Skipped: 1  Warnings: 0`.
    pub(crate) info: String,
}

impl Outcome {
    /// A number of the info, such as `Skipped`.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let after = self.info.split_once(&format!("{name}: "))?.1;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// What a server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// As in `8.4.2` or `5.5.5-10.11.6-MariaDB`.
    pub(crate) version: String,
    pub(crate) capabilities: CapabilityFlags,
    /// How the server would like us to log in.
    pub(crate) plugin: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
}

/// How many bytes the scramble of every known way of logging in has.
const NONCE_BYTES: usize = 20;

/// Takes a first packet apart. `None` when it is not one of a MySQL server.
pub(crate) fn greeting(packet: &[u8]) -> Option<Greeting> {
    let rest = packet.strip_prefix(&[10])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (version, rest) = rest.split_at(end);
    // A zero, the connection's number, the nonce's first part, a zero, capabilities, the collation,
    // the status, more capabilities, the nonce's length, and ten bytes for later.
    let (fixed, rest) = rest.split_at_checked(32)?;
    let low = u16::from_le_bytes([fixed[14], fixed[15]]);
    let high = u16::from_le_bytes([fixed[19], fixed[20]]);
    let second_bytes = usize::from(fixed[21]).saturating_sub(8).max(13);
    let (second, name) = rest.split_at_checked(second_bytes)?;
    let mut nonce = [&fixed[5..13], second].concat();
    nonce.truncate(NONCE_BYTES);
    let plugin = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Greeting {
        version: String::from_utf8_lossy(version).into_owned(),
        capabilities: CapabilityFlags::from_bits_truncate(u32::from(high) << 16 | u32::from(low)),
        plugin: plugin.to_vec(),
        nonce,
    })
}

/// The plugin and nonce of a request to log in in another way. `None` when it is none.
pub(crate) fn auth_switch(packet: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let rest = packet.strip_prefix(&[0xFE])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let mut nonce = rest[end + 1..].to_vec();
    nonce.truncate(NONCE_BYTES);
    Some((rest[..end].to_vec(), nonce))
}

/// What comes in answer to a command.
pub(crate) enum Answer {
    Ok(Outcome),
    /// The server wants a file.
    Infile,
    /// Rows of so many columns follow.
    Columns(usize),
}

/// The first packet of an answer, unless it is an error.
pub(crate) fn answer(packet: &[u8]) -> io::Result<Answer> {
    match packet.first() {
        Some(0x00) => ok(packet).map(Answer::Ok),
        Some(0xFB) => Ok(Answer::Infile),
        Some(_) => {
            let (count, rest) = lenenc(packet).ok_or_else(garbled)?;
            let count = usize::try_from(count).map_err(|_| garbled())?;
            if rest.is_empty() { Ok(Answer::Columns(count)) } else { Err(garbled()) }
        }
        None => Err(garbled()),
    }
}

pub(crate) fn ok(packet: &[u8]) -> io::Result<Outcome> {
    let parsed: OkPacketDeserializer<'_, CommonOkPacket> = ParseBuf(packet).parse(CAPABILITIES)?;
    let ok = parsed.into_inner();
    Ok(Outcome {
        affected: ok.affected_rows(),
        warnings: ok.warnings(),
        more: ok.status_flags().contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS),
        info: ok.info_str().unwrap_or_default().into_owned(),
    })
}

/// The error that a packet is, if it is one.
pub(crate) fn error(packet: &[u8]) -> io::Result<Option<ServerError<'_>>> {
    if packet.first() != Some(&0xFF) {
        return Ok(None);
    }
    // Before the server knows that we understand it, it leaves the SQLSTATE out.
    let has_state = packet.get(3) == Some(&b'#');
    let capabilities = if has_state { CAPABILITIES } else { CapabilityFlags::empty() };
    match ParseBuf(packet).parse::<ErrPacket<'_>>(capabilities)? {
        ErrPacket::Error(error) => Ok(Some(error)),
        ErrPacket::Progress(_) => Err(garbled()),
    }
}

/// Whether a packet ends rows or descriptions of columns.
pub(crate) fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xFE) && packet.len() < 9
}

/// Whether another answer follows behind the rows that a packet ends.
pub(crate) fn has_more(end: &[u8]) -> bool {
    let [_, _, _, low, high, ..] = end else { return false };
    StatusFlags::from_bits_truncate(u16::from_le_bytes([*low, *high]))
        .contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
}

pub(crate) fn column(packet: &[u8]) -> io::Result<Column> {
    ParseBuf(packet).parse(())
}

/// The number of a prepared statement, and how many parameters and columns it has.
pub(crate) fn prepared(packet: &[u8]) -> io::Result<(u32, u16, u16)> {
    let statement: StmtPacket = ParseBuf(packet).parse(())?;
    Ok((statement.statement_id(), statement.num_params(), statement.num_columns()))
}

/// A row of texts.
pub(crate) fn text_row(mut packet: &[u8], columns: usize) -> io::Result<Vec<Option<String>>> {
    let mut row = Vec::with_capacity(columns);
    for _ in 0..columns {
        if let Some(rest) = packet.strip_prefix(&[0xFB]) {
            (packet, _) = (rest, row.push(None));
            continue;
        }
        let (length, rest) = lenenc(packet).ok_or_else(garbled)?;
        let length = usize::try_from(length).map_err(|_| garbled())?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(garbled)?;
        row.push(Some(String::from_utf8_lossy(value).into_owned()));
        packet = rest;
    }
    if packet.is_empty() { Ok(row) } else { Err(garbled()) }
}

/// A number in as few bytes as it needs, and what follows it.
pub(crate) fn lenenc(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xFA => return Some((u64::from(*first), rest)),
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        _ => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    let number = number.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some((number, rest))
}

/// What both sides have agreed on, as far as it changes how packets are read.
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;

pub(crate) fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its packets do not follow their own form")
}

/// Lets every reader of a packet look at these bytes.
#[cfg(any(test, fuzzing))]
pub(crate) fn look_into(packet: &[u8]) {
    let _ = (greeting(packet), auth_switch(packet), answer(packet).map(|_| ()), ok(packet));
    let _ = (error(packet).map(|_| ()), column(packet), prepared(packet), is_end(packet), has_more(packet));
    let _ = (text_row(packet, 3), lenenc(packet), super::public_key::seal(b"secret", &[7; 20], packet));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90), first: u8) {
            for packet in [bytes.clone(), [&[first], bytes.as_slice()].concat(), [&[10], bytes.as_slice()].concat()] {
                look_into(&packet);
            }
        }
    }

    #[test]
    fn numbers_of_every_width() {
        for (bytes, expected) in [
            (&[7][..], Some(7)),
            (&[0xFC, 1, 2], Some(0x0201)),
            (&[0xFD, 1, 2, 3], Some(0x03_0201)),
            (&[0xFE, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
            (&[0xFD, 1, 2], None),
            (&[0xFB], None),
            (&[], None),
        ] {
            assert_eq!(lenenc(bytes).map(|(number, _)| number), expected, "{bytes:?}");
        }
    }

    #[test]
    fn numbers_in_an_outcome() {
        let info = "Records: 12  Deleted: 0  Skipped: 3  Warnings: 1".to_owned();
        let outcome = Outcome { affected: 9, warnings: 1, more: false, info };
        assert_eq!((outcome.count("Records"), outcome.count("Skipped")), (Some(12), Some(3)));
        assert_eq!(outcome.count("Duplicates"), None);
    }

    #[test]
    fn a_row_ends_with_its_columns() {
        let row = text_row(&[1, b'a', 0xFB, 0], 3).unwrap();
        assert_eq!(row, [Some("a".into()), None, Some(String::new())]);
        for bytes in [&[1, b'a'][..], &[1, b'a', 0xFB, 0, 0], &[5, b'a', 0xFB, 0]] {
            assert!(text_row(bytes, 3).is_err(), "{bytes:?}");
        }
    }
}
