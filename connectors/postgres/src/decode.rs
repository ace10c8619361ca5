//! COPY's binary rows into columns.
//!
//! The stream is a signature, then rows (a count of fields, each with its length, -1 for NULL), then
//! a count of -1. tokio-postgres hands out one message a row; the first may carry the signature too.

use syncline_types::{
    Column, Error, LogicalType, Result,
    build::ColumnBuilder,
    codes,
    interval::Interval,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
};

use crate::numeric::{NotScaled, Wire};

/// `PGCOPY\n\xff\r\n\0`, flags, and the length of a header extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = 19;

/// Days and microseconds from 1970 to 2000, where PostgreSQL counts from.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Why a timestamp of the server's may have no place here.
pub(crate) const TOO_LATE: &str =
    "the timestamp is later than the year 294246, which 64 bits of microseconds from 1970 cannot hold";

/// Why a field could not become a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadField {
    /// The bytes are not of the type's form: the row or the stream is broken.
    Form,
    /// The value exists there and has no place here; the row can be set aside.
    Value(&'static str),
}

/// Reads the columns of a stream's rows.
#[derive(Debug)]
pub(crate) struct RowDecoder {
    fields: Vec<(String, LogicalType)>,
    /// Whether texts may be something else than UTF-8, and each is looked at.
    checks_text: bool,
    seen_header: bool,
}

/// What a message held.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A row, in the builders.
    Row,
    /// A row that cannot be read into its columns' types; the builders are as before.
    Rejected(Error),
    /// Nothing but signature or end.
    Nothing,
}

impl RowDecoder {
    pub(crate) fn new(columns: &[Column], checks_text: bool) -> Self {
        let fields = columns.iter().map(|column| (column.name.clone(), column.logical)).collect();
        RowDecoder { fields, checks_text, seen_header: false }
    }

    pub(crate) fn builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.fields.iter().map(|(_, logical)| ColumnBuilder::new(*logical, rows)).collect()
    }

    /// Reads one message; `rows` is how many the builders hold.
    pub(crate) fn decode(
        &mut self,
        message: &[u8],
        builders: &mut [ColumnBuilder],
        rows: usize,
    ) -> Result<Decoded> {
        let message = self.strip_header(message).ok_or_else(broken)?;
        let Some((count, mut rest)) = message.split_at_checked(2) else {
            return if message.is_empty() { Ok(Decoded::Nothing) } else { Err(broken()) };
        };
        if count == [0xFF, 0xFF] {
            return Ok(Decoded::Nothing);
        }
        if usize::from(u16::from_be_bytes([count[0], count[1]])) != self.fields.len() {
            return Err(broken());
        }
        for ((name, logical), builder) in self.fields.iter().zip(builders.iter_mut()) {
            let (length, after) = rest.split_at_checked(4).ok_or_else(broken)?;
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let Ok(length) = usize::try_from(length) else {
                builder.push_null();
                rest = after;
                continue;
            };
            let (field, after) = after.split_at_checked(length).ok_or_else(broken)?;
            rest = after;
            let checked = if self.checks_text { check_text(field, *logical) } else { Ok(()) };
            match checked.and_then(|()| push(field, *logical, builder)) {
                Ok(()) => {}
                Err(BadField::Form) => return Err(broken()),
                Err(BadField::Value(reason)) => {
                    let error = Error::new(&codes::VALUE_UNREADABLE, "read column", format!("`{name}`"))
                        .because(reason);
                    builders.iter_mut().for_each(|builder| builder.truncate(rows));
                    return Ok(Decoded::Rejected(error));
                }
            }
        }
        if rest.is_empty() { Ok(Decoded::Row) } else { Err(broken()) }
    }

    /// Goes on with rows of a stream whose signature another one has seen.
    pub(crate) fn go_on(&mut self) {
        self.seen_header = true;
    }

    fn strip_header<'a>(&mut self, message: &'a [u8]) -> Option<&'a [u8]> {
        if self.seen_header {
            return Some(message);
        }
        self.seen_header = true;
        let rest = message.strip_prefix(SIGNATURE)?;
        let extension = u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?);
        message.get(HEADER_BYTES + usize::try_from(extension).ok()?..)
    }
}

fn broken() -> Error {
    Error::new(&codes::BAD_BYTES, "read rows from", "COPY").because("they are not in its binary form")
}

fn fixed<const N: usize>(field: &[u8]) -> Result<[u8; N], BadField> {
    field.try_into().map_err(|_| BadField::Form)
}

/// Whether a text is one, for a server that takes any bytes.
pub(crate) fn check_text(field: &[u8], logical: LogicalType) -> Result<(), BadField> {
    let is_text =
        matches!(logical, LogicalType::Text { .. } | LogicalType::Json { .. } | LogicalType::Opaque);
    match is_text && std::str::from_utf8(field).is_err() {
        true => Err(BadField::Value("its bytes are not UTF-8")),
        false => Ok(()),
    }
}

/// Appends one field's value.
pub(crate) fn push(field: &[u8], logical: LogicalType, builder: &mut ColumnBuilder) -> Result<(), BadField> {
    match builder {
        ColumnBuilder::Bool(builder) => builder.push(fixed::<1>(field)? == [1]),
        ColumnBuilder::Int16(builder) => builder.push(i16::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Int32(builder) => builder.push(i32::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Int64(builder) => builder.push(i64::from_be_bytes(fixed(field)?)),
        ColumnBuilder::UInt32(builder) => builder.push(u32::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Float32(builder) => builder.push(f32::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Float64(builder) => builder.push(f64::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Decimal128(builder) => {
            let LogicalType::Decimal { scale, .. } = logical else { return Err(BadField::Form) };
            builder.push(match Wire::read(field).ok_or(BadField::Form)?.scaled_128(scale) {
                Ok(value) => value,
                Err(NotScaled::NotANumber) => DECIMAL128_NAN,
                Err(NotScaled::OutOfRange) => return Err(BadField::Form),
            });
        }
        ColumnBuilder::Decimal256(builder) => {
            let LogicalType::Decimal { scale, .. } = logical else { return Err(BadField::Form) };
            builder.push(match Wire::read(field).ok_or(BadField::Form)?.scaled_256(scale) {
                Ok(value) => value,
                Err(NotScaled::NotANumber) => DECIMAL256_NAN,
                Err(NotScaled::OutOfRange) => return Err(BadField::Form),
            });
        }
        ColumnBuilder::Date(builder) => builder.push(date(i32::from_be_bytes(fixed(field)?))?),
        ColumnBuilder::Time(builder) => builder.push(i64::from_be_bytes(fixed(field)?)),
        ColumnBuilder::Timestamp(builder) => builder.push(timestamp(i64::from_be_bytes(fixed(field)?))?),
        ColumnBuilder::Binary(builder) => builder.push(field),
        ColumnBuilder::Sixteen(builder) => {
            let bytes: [u8; 16] = fixed(field)?;
            // An interval travels in just this form.
            builder.push(if logical == LogicalType::Interval {
                Interval::from_bytes(bytes).to_bytes()
            } else {
                bytes
            });
        }
        ColumnBuilder::Text(builder) => match logical {
            LogicalType::Numeric => {
                let mut text = String::new();
                Wire::read(field).ok_or(BadField::Form)?.write(&mut text);
                builder.push(text.as_bytes());
            }
            // A version comes first.
            LogicalType::Json { normalized: true } => {
                builder.push(field.strip_prefix(&[1]).ok_or(BadField::Form)?)
            }
            LogicalType::Bits { .. } => {
                bits(field, builder.buffer())?;
                builder.end();
            }
            _ => builder.push(field),
        },
        // No column of PostgreSQL is read as one of these.
        ColumnBuilder::Int8(_)
        | ColumnBuilder::UInt8(_)
        | ColumnBuilder::UInt16(_)
        | ColumnBuilder::UInt64(_) => {
            return Err(BadField::Form);
        }
    }
    Ok(())
}

fn date(days: i32) -> Result<i32, BadField> {
    match days {
        i32::MAX => Ok(DATE_INFINITY),
        i32::MIN => Ok(DATE_MINUS_INFINITY),
        days => days.checked_add(EPOCH_DAYS).ok_or(BadField::Form),
    }
}

fn timestamp(micros: i64) -> Result<i64, BadField> {
    match micros {
        i64::MAX => Ok(TIMESTAMP_INFINITY),
        i64::MIN => Ok(TIMESTAMP_MINUS_INFINITY),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(BadField::Value(TOO_LATE)),
    }
}

/// Appends a string of bits as digits.
fn bits(field: &[u8], out: &mut Vec<u8>) -> Result<(), BadField> {
    let (length, bytes) = field.split_at_checked(4).ok_or(BadField::Form)?;
    let length = i32::from_be_bytes(fixed(length)?);
    let length = usize::try_from(length).map_err(|_| BadField::Form)?;
    if bytes.len() != length.div_ceil(8) {
        return Err(BadField::Form);
    }
    out.extend((0..length).map(|bit| b'0' + (bytes[bit / 8] >> (7 - bit % 8) & 1)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoder() -> RowDecoder {
        RowDecoder::new(
            &[Column::new("a", LogicalType::Int32), Column::new("b", LogicalType::TIMESTAMP)],
            false,
        )
    }

    fn row(b: i64) -> Vec<u8> {
        let mut row = vec![0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 8];
        row.extend(b.to_be_bytes());
        row
    }

    fn header() -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([0; 8]);
        header
    }

    #[test]
    fn a_row_that_cannot_be_held_leaves_the_others() {
        let mut decoder = decoder();
        let mut builders = decoder.builders(4);
        let first = [header(), row(0)].concat();
        assert!(matches!(decoder.decode(&first, &mut builders, 0).unwrap(), Decoded::Row));
        let rejected = decoder.decode(&row(i64::MAX - 1), &mut builders, 1).unwrap();
        assert!(matches!(rejected, Decoded::Rejected(error) if error.code() == &codes::VALUE_UNREADABLE));
        assert!(matches!(decoder.decode(&row(i64::MAX), &mut builders, 1).unwrap(), Decoded::Row));
        assert!(matches!(decoder.decode(&[0xFF, 0xFF], &mut builders, 2).unwrap(), Decoded::Nothing));
        let lengths: Vec<usize> =
            builders.into_iter().map(|builder| builder.finish().unwrap().len()).collect();
        assert_eq!(lengths, [2, 2]);
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        for message in [
            &b"PGCOPX"[..],
            &header()[..10],
            &[header(), vec![0, 3]].concat(),
            &[header(), row(0), vec![0]].concat(),
        ] {
            let mut decoder = decoder();
            let mut builders = decoder.builders(1);
            assert_eq!(decoder.decode(message, &mut builders, 0).unwrap_err().code(), &codes::BAD_BYTES);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), with_header: bool) {
            let mut decoder = decoder();
            let mut builders = decoder.builders(1);
            let message = if with_header { [header(), bytes].concat() } else { bytes };
            let _ = decoder.decode(&message, &mut builders, 0);
        }

        #[test]
        fn no_field_panics(field in proptest::collection::vec(any::<u8>(), 0..30)) {
            use LogicalType as L;
            for logical in [L::Bool, L::Decimal { precision: 12, scale: 2 }, L::Decimal { precision: 60, scale: 2 },
                L::Numeric, L::Date, L::TIMESTAMP, L::Bits { length: None, varying: true }, L::Uuid, L::Interval,
                L::Json { normalized: true }] {
                let _ = push(&field, logical, &mut ColumnBuilder::new(logical, 1));
            }
        }
    }
}
