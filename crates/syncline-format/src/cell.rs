//! A value's text into a column, exactly or not at all.
//!
//! The forms are those of [`syncline_types::text`], and what other systems commonly write for the
//! same values. What a column's type would round or cut is refused.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use syncline_types::{
    LogicalType,
    build::{Bytes, ColumnBuilder},
    civil::{self, DAY_MICROS},
    decimal::{self, Digits},
    interval::Interval,
    special, text,
};

/// How bytes are written in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryText {
    /// RFC 4648 with padding; without it is read too.
    #[default]
    Base64,
    /// `\x` and two digits a byte, as PostgreSQL writes `bytea`; without `\x` is read too.
    Hex,
}

/// Why a text is not a value of its column: a noun phrase that goes on "it is".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) &'static str);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Appends the value that `text` stands for. When it does not fit, something may have been appended.
#[inline]
pub(crate) fn push(
    text: &str,
    logical: LogicalType,
    binary: BinaryText,
    builder: &mut ColumnBuilder,
) -> Result<(), Misfit> {
    const WHOLE: Misfit = Misfit("no whole number that the type holds");
    match builder {
        ColumnBuilder::Bool(column) => column.push(boolean(text)?),
        ColumnBuilder::Int8(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::Int16(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::Int32(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::Int64(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::UInt8(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::UInt16(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::UInt32(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::UInt64(column) => column.push(text.parse().map_err(|_| WHOLE)?),
        ColumnBuilder::Float32(column) => {
            column.push(float(text, |value: f32| value == 0.0, f32::is_infinite)?)
        }
        ColumnBuilder::Float64(column) => {
            column.push(float(text, |value: f64| value == 0.0, f64::is_infinite)?)
        }
        ColumnBuilder::Decimal128(column) => column.push(match quick_decimal(text, logical) {
            Some(value) => value,
            None => exact(text, logical, special::DECIMAL128_NAN, decimal::parse_128)?,
        }),
        ColumnBuilder::Decimal256(column) => {
            column.push(exact(text, logical, special::DECIMAL256_NAN, decimal::parse_256)?);
        }
        ColumnBuilder::Date(column) => column.push(date(text)?),
        ColumnBuilder::Time(column) => {
            let micros = civil::parse_time(text).ok_or(Misfit("no time of day"))?;
            column.push(in_precision(micros, logical)?);
        }
        ColumnBuilder::Timestamp(column) => column.push(timestamp(text, logical)?),
        ColumnBuilder::Text(column) => {
            is_text_of(text, logical)?;
            column.push(text.as_bytes());
        }
        ColumnBuilder::Binary(column) => bytes(text, binary, column)?,
        ColumnBuilder::Sixteen(column) => column.push(match logical {
            LogicalType::Interval => Interval::parse(text).ok_or(Misfit("no interval"))?.to_bytes(),
            _ => text::parse_uuid(text).ok_or(Misfit("no UUID"))?,
        }),
    }
    Ok(())
}

/// Bytes of a row's values of a fixed width, for counting memory.
pub(crate) fn fixed_width(logical: LogicalType) -> u64 {
    // Text and bytes have an offset; their own length is counted value by value.
    logical.arrow().primitive_width().map_or(16, |width| width as u64)
}

/// What PostgreSQL, MySQL and most programs write.
fn boolean(text: &str) -> Result<bool, Misfit> {
    match text {
        "true" | "t" | "1" | "TRUE" | "True" => Ok(true),
        "false" | "f" | "0" | "FALSE" | "False" => Ok(false),
        _ => Err(Misfit("neither true nor false")),
    }
}

/// A float by its digits or name. What would become infinite or zero without being it is refused.
fn float<T: std::str::FromStr + Copy>(
    text: &str,
    is_zero: impl Fn(T) -> bool,
    is_infinite: impl Fn(T) -> bool,
) -> Result<T, Misfit> {
    let value: T = text.parse().map_err(|_| Misfit("no number"))?;
    let unsigned = text.trim_start_matches(['-', '+']);
    if is_infinite(value) && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(Misfit("a number too large for the type"));
    }
    let mantissa = || unsigned.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    if is_zero(value) && mantissa().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Err(Misfit("a number too small for the type"));
    }
    Ok(value)
}

/// A decimal written plainly, as most are; `None` leaves it to those who look closer.
fn quick_decimal(text: &str, logical: LogicalType) -> Option<i128> {
    let LogicalType::Decimal { precision, scale } = logical else { return None };
    // 18 digits always fit 64 bits.
    if text.len() > 18 || precision > 18 {
        return None;
    }
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut value, mut count, mut fraction) = (0_i64, 0_u8, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                count += 1;
            }
            b'.' if fraction.is_none() => fraction = Some(count),
            _ => return None,
        }
    }
    let shift = scale.checked_sub(fraction.map_or(0, |before| count - before))?;
    if count == 0 || count + shift > 18 {
        return None;
    }
    let value = value * 10_i64.pow(shift.into());
    (value < 10_i64.pow(precision.into())).then_some(i128::from(if negative { -value } else { value }))
}

fn exact<T>(
    text: &str,
    logical: LogicalType,
    nan: T,
    parse: impl Fn(&str, u8, u8) -> Option<T>,
) -> Result<T, Misfit> {
    let LogicalType::Decimal { precision, scale } = logical else { return Err(Misfit("no number")) };
    if text == "NaN" {
        return Ok(nan);
    }
    parse(text, precision, scale).ok_or_else(|| match Digits::parse(text) {
        Some(_) => Misfit("a number with more digits than the type holds"),
        None => Misfit("no number"),
    })
}

fn date(text: &str) -> Result<i32, Misfit> {
    match text {
        "infinity" => return Ok(special::DATE_INFINITY),
        "-infinity" => return Ok(special::DATE_MINUS_INFINITY),
        _ => {}
    }
    let days = match quick_date(text.as_bytes()) {
        Some(days) => days,
        None => civil::parse_date(text).ok_or(Misfit("no date"))?,
    };
    let days = i32::try_from(days).ok();
    let finite = |days: &i32| ![special::DATE_INFINITY, special::DATE_MINUS_INFINITY].contains(days);
    days.filter(finite).ok_or(Misfit("a date that is too far away"))
}

fn timestamp(text: &str, logical: LogicalType) -> Result<i64, Misfit> {
    match text {
        "infinity" => return Ok(special::TIMESTAMP_INFINITY),
        "-infinity" => return Ok(special::TIMESTAMP_MINUS_INFINITY),
        _ => {}
    }
    let zoned = matches!(logical, LogicalType::Timestamp { zoned: true, .. });
    let (micros, has_zone) = match quick_timestamp(text.as_bytes()) {
        Some(found) => found,
        None => civil::parse_timestamp(text).ok_or(Misfit("no date with a time of day"))?,
    };
    match (zoned, has_zone) {
        (false, true) => return Err(Misfit("a time with a zone, and the type has none")),
        (true, false) => return Err(Misfit("a time without a zone, and the type is a point in time")),
        _ => {}
    }
    if [special::TIMESTAMP_INFINITY, special::TIMESTAMP_MINUS_INFINITY].contains(&micros) {
        return Err(Misfit("a date that is too far away"));
    }
    in_precision(micros, logical)
}

/// `YYYY-MM-DD`; `None` leaves it to those who look closer.
fn quick_date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    // Every month has 28 days.
    (year > 0 && (1..=12).contains(&month) && (1..=28).contains(&day))
        .then(|| civil::days_from_date(year.into(), month, day))
}

/// `YYYY-MM-DD HH:MM:SS`, with a fraction and with `+00:00`, `+00` or `Z`; `None` leaves it to those
/// who look closer.
fn quick_timestamp(text: &[u8]) -> Option<(i64, bool)> {
    let (date, rest) = text.split_at_checked(10)?;
    let [b' ' | b'T', h1, h2, b':', i1, i2, b':', s1, s2, rest @ ..] = rest else { return None };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*i1, *i2)?, two(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (mut fraction, mut unit, mut rest) = (0, 1_000_000_i64, rest);
    if let [b'.', digits @ ..] = rest {
        rest = digits;
        while let [digit @ b'0'..=b'9', more @ ..] = rest {
            unit /= 10;
            fraction += i64::from(digit - b'0') * unit;
            rest = more;
            if unit == 0 {
                return None;
            }
        }
        if unit == 1_000_000 {
            return None;
        }
    }
    let zoned = match rest {
        b"" => false,
        b"Z" | b"+00:00" | b"+00" => true,
        _ => return None,
    };
    let seconds = i64::from((hour * 60 + minute) * 60 + second);
    Some((quick_date(date)? * DAY_MICROS + seconds * 1_000_000 + fraction, zoned))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// A target would round the digits that the type does not have.
pub(crate) fn in_precision(micros: i64, logical: LogicalType) -> Result<i64, Misfit> {
    let (LogicalType::Time { precision } | LogicalType::Timestamp { precision, .. }) = logical else {
        return Ok(micros);
    };
    let unit = 10_i64.pow(6_u32.saturating_sub(precision.into()));
    if micros % unit == 0 {
        Ok(micros)
    } else {
        Err(Misfit("a time with more digits of a second than the type"))
    }
}

/// Whether a text is one of its type, where not every text is.
fn is_text_of(text: &str, logical: LogicalType) -> Result<(), Misfit> {
    match logical {
        LogicalType::Numeric => {
            let named = matches!(text, "NaN" | "Infinity" | "-Infinity");
            if named || Digits::parse(text).is_some() { Ok(()) } else { Err(Misfit("no number")) }
        }
        LogicalType::Bits { length, varying } => {
            let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
            let fits = length.is_none_or(|length| if varying { count <= length } else { count == length });
            if fits && text.bytes().all(|digit| matches!(digit, b'0' | b'1')) {
                Ok(())
            } else {
                Err(Misfit("no string of bits of the type's length"))
            }
        }
        _ => Ok(()),
    }
}

fn bytes(text: &str, binary: BinaryText, column: &mut Bytes) -> Result<(), Misfit> {
    match binary {
        BinaryText::Base64 => {
            let buffer = column.buffer();
            make_room(buffer, text.len() / 4 * 3 + 3);
            BASE64.decode_vec(text, buffer).map_err(|_| Misfit("no bytes in base64"))?;
        }
        BinaryText::Hex => {
            const MISFIT: Misfit = Misfit("no bytes in hexadecimal digits");
            let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
            if !digits.len().is_multiple_of(2) {
                return Err(MISFIT);
            }
            let buffer = column.buffer();
            make_room(buffer, digits.len() / 2);
            for pair in digits.chunks_exact(2) {
                buffer.push(hex(pair[0]).ok_or(MISFIT)? << 4 | hex(pair[1]).ok_or(MISFIT)?);
            }
        }
    }
    column.end();
    Ok(())
}

/// Appends the text of bytes, without a copy in between: they may be most of a process's memory.
pub(crate) fn write_bytes(bytes: &[u8], binary: BinaryText, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    /// Whole groups of three, so that only the last piece has padding.
    const PIECE_BYTES: usize = 3 << 10;
    match binary {
        BinaryText::Base64 => {
            make_room(out, bytes.len().div_ceil(3) * 4);
            let mut piece = [0; PIECE_BYTES / 3 * 4];
            for bytes in bytes.chunks(PIECE_BYTES) {
                // The piece has room for what it is given.
                let written = BASE64.encode_slice(bytes, &mut piece).unwrap_or(0);
                out.extend_from_slice(&piece[..written]);
            }
        }
        BinaryText::Hex => {
            make_room(out, 2 + 2 * bytes.len());
            out.extend_from_slice(b"\\x");
            for byte in bytes {
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
}

/// Room for a value. A wide one takes no more than it needs; small ones must not move the buffer each time.
fn make_room(buffer: &mut Vec<u8>, bytes: usize) {
    const WIDE_BYTES: usize = 64 << 10;
    if bytes < WIDE_BYTES { buffer.reserve(bytes) } else { buffer.reserve_exact(bytes) }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
