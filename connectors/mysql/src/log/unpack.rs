//! What the servers compress in their logs: rows and statements of MariaDB with zlib, whole transactions
//! of MySQL with zstd.

use std::io::{Cursor, Read};

use flate2::read::ZlibDecoder;
use syncline_types::{Error, Result, codes};
use zstd::stream::read::Decoder;

use super::{
    event::{HEADER_BYTES, Header},
    fields::{Broken, Fields},
};
use crate::client::PAYLOAD_BYTES_MAX;

/// How many bytes MariaDB's compressed bytes come to. A byte says how, and how many bytes the number has.
pub(super) fn unpacked_bytes(packed: &[u8]) -> Result<usize, Broken> {
    let (head, rest) = packed.split_first().ok_or(Broken)?;
    let (method, width) = (head & 0x70, usize::from(head & 7));
    // The highest bit is always there, and zlib is the only method.
    if head & 0x80 == 0 || method != 0 || !(1..=4).contains(&width) {
        return Err(Broken);
    }
    let length = rest.get(..width).ok_or(Broken)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if length > PAYLOAD_BYTES_MAX { Err(Broken) } else { Ok(length) }
}

/// Unpacks what MariaDB has compressed, behind what is in `out` already.
pub(super) fn unpack(packed: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let length = unpacked_bytes(packed)?;
    let from = 1 + usize::from(packed[0] & 7);
    let begin = out.len();
    // One more than it should be tells that it is not.
    let mut bytes = ZlibDecoder::new(packed.get(from..).ok_or(Broken)?).take(length as u64 + 1);
    bytes.read_to_end(out).map_err(|_| Broken)?;
    if out.len() - begin == length { Ok(()) } else { Err(Broken) }
}

/// The events of a compressed transaction, one after the other.
pub(super) struct Unpacked {
    events: Box<dyn Read + Send>,
    /// The event in front, without a checksum: it is the whole transaction that has one.
    event: Vec<u8>,
    /// Bytes of the transaction that are still to be unpacked.
    left: u64,
}

const HEADER_END: u64 = 0;
const SIZE: u64 = 1;
const METHOD: u64 = 2;
const UNPACKED_SIZE: u64 = 3;

const ZSTD: u64 = 0;
const NOT_PACKED: u64 = 255;

impl Unpacked {
    /// # Errors
    /// [`codes::BAD_BYTES`] when the bytes are no compressed transaction; [`codes::UNSUPPORTED`] when it is
    /// compressed in a way that is not known.
    pub(super) fn new(payload: &[u8]) -> Result<Self> {
        let mut fields = Fields(payload);
        let (mut size, mut method, mut left) = (None, None, None);
        loop {
            let field = fields.lenenc()?;
            if field == HEADER_END {
                break;
            }
            let mut value = Fields(fields.counted()?);
            match field {
                SIZE => size = Some(value.length()?),
                METHOD => method = Some(value.lenenc()?),
                UNPACKED_SIZE => left = Some(value.lenenc()?),
                _ => {}
            }
        }
        let packed = Cursor::new(fields.take(size.ok_or(Broken)?)?.to_vec());
        let left = left.unwrap_or(packed.get_ref().len() as u64);
        let events: Box<dyn Read + Send> = match method {
            Some(ZSTD) => Box::new(Decoder::new(packed).map_err(|_| Broken)?),
            Some(NOT_PACKED) => Box::new(packed),
            _ => {
                return Err(Error::new(&codes::UNSUPPORTED, "read", "the binary log")
                    .because("a transaction is compressed in a way that Syncline does not know")
                    .hint("Run SET GLOBAL binlog_transaction_compression = OFF"));
            }
        };
        Ok(Unpacked { events, event: vec![], left })
    }

    /// The event in front; `None` behind the last.
    pub(super) fn front(&mut self) -> Result<Option<&[u8]>, Broken> {
        if self.event.is_empty() && self.left > 0 {
            self.event.resize(HEADER_BYTES, 0);
            self.events.read_exact(&mut self.event).map_err(|_| Broken)?;
            let length = Header::read(&self.event)?.length as usize;
            if !(HEADER_BYTES..=PAYLOAD_BYTES_MAX).contains(&length) || length as u64 > self.left {
                return Err(Broken);
            }
            // As far as the bytes are there: the length alone is to take no memory.
            let body = (length - HEADER_BYTES) as u64;
            self.events.by_ref().take(body).read_to_end(&mut self.event).map_err(|_| Broken)?;
            if self.event.len() != length {
                return Err(Broken);
            }
        }
        Ok(Some(self.event.as_slice()).filter(|event| !event.is_empty()))
    }

    /// Lets go of the event in front.
    pub(super) fn advance(&mut self) {
        self.left = self.left.saturating_sub(self.event.len() as u64);
        self.event.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(vec![0x82], Compression::fast());
        encoder.get_mut().extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn rows_are_unpacked_to_the_length_that_is_told() {
        let mut bytes = packed(&[7; 1000]);
        let mut out = b"before".to_vec();
        unpack(&bytes, &mut out).unwrap();
        assert_eq!((out.len(), unpacked_bytes(&bytes)), (1006, Ok(1000)));
        bytes[2] ^= 1;
        assert_eq!(unpack(&bytes, &mut out), Err(Broken));
        for broken in
            [&[][..], &[0x02, 0, 1], &[0x92, 0, 1], &[0x85, 0, 0, 0, 0, 1], &[0x84, 0xFF, 0xFF, 0xFF, 0xFF]]
        {
            assert_eq!(unpack(broken, &mut out), Err(Broken));
        }
    }

    #[test]
    fn a_transaction_is_unpacked_event_by_event() {
        let event = |body: &[u8]| {
            let length = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_le_bytes();
            [&[0; 9][..], &length, &[0; 6], body].concat()
        };
        let events = [event(b"one"), event(b""), event(&[9; 5000])].concat();
        let unpacked_size = u16::try_from(events.len()).unwrap().to_le_bytes();
        let packed = zstd::bulk::compress(&events, 3).unwrap();
        let head = [
            &[
                METHOD as u8,
                1,
                0,
                SIZE as u8,
                1,
                u8::try_from(packed.len()).unwrap(),
                UNPACKED_SIZE as u8,
                3,
                0xFC,
            ][..],
            &unpacked_size,
            &[0],
        ]
        .concat();
        let mut unpacked = Unpacked::new(&[head.as_slice(), packed.as_slice()].concat()).unwrap();
        for length in [HEADER_BYTES + 3, HEADER_BYTES, HEADER_BYTES + 5000] {
            assert_eq!(unpacked.front().unwrap().unwrap().len(), length);
            assert_eq!(unpacked.front().unwrap().unwrap().len(), length);
            unpacked.advance();
        }
        assert_eq!(unpacked.front(), Ok(None));
        let other = Unpacked::new(&[METHOD as u8, 1, 7, SIZE as u8, 1, 0, 0]);
        assert_eq!(other.err().unwrap().code(), &codes::UNSUPPORTED);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpack(&bytes, &mut vec![]);
            if let Ok(mut unpacked) = Unpacked::new(&bytes) {
                let _ = unpacked.front();
            }
        }
    }
}
