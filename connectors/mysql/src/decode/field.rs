//! One field's bytes into its column.

use std::fmt::Write as _;

use syncline_types::{
    build::{Bytes, ColumnBuilder},
    civil::{DAY_MICROS, days_from_date},
    decimal,
    interval::Interval,
    text,
};

use super::kind::Kind;
use crate::client::lenenc;

/// Why a field could not become a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadField {
    /// The bytes are not of the type's form: the row or the stream is broken.
    Form,
    /// The value exists there and has no place here; the row can be set aside. With what can be done.
    Value(&'static str, Option<&'static str>),
}

pub(crate) type Pushed<T = ()> = Result<T, BadField>;

const NO_DAY: BadField = BadField::Value(
    "a date in it is no day of the calendar",
    Some("zero_dates=null makes it NULL, zero_dates=text reads the column as text"),
);

pub(crate) const NO_BOOL: BadField =
    BadField::Value("it is neither 0 nor 1", Some("tinyint1=int reads such columns as numbers"));

/// Takes one value from the front of `rest` and appends it.
pub(super) fn push(rest: &mut &[u8], kind: Kind, builder: &mut ColumnBuilder) -> Pushed {
    match builder {
        ColumnBuilder::Int8(builder) => builder.push(i8::from_le_bytes(take(rest)?)),
        ColumnBuilder::Int16(builder) => builder.push(i16::from_le_bytes(take(rest)?)),
        ColumnBuilder::Int32(builder) => builder.push(i32::from_le_bytes(take(rest)?)),
        ColumnBuilder::Int64(builder) => builder.push(i64::from_le_bytes(take(rest)?)),
        ColumnBuilder::UInt8(builder) => builder.push(u8::from_le_bytes(take(rest)?)),
        ColumnBuilder::UInt16(builder) => builder.push(u16::from_le_bytes(take(rest)?)),
        ColumnBuilder::UInt32(builder) => builder.push(u32::from_le_bytes(take(rest)?)),
        ColumnBuilder::UInt64(builder) => builder.push(u64::from_le_bytes(take(rest)?)),
        ColumnBuilder::Float32(builder) => builder.push(f32::from_le_bytes(take(rest)?)),
        ColumnBuilder::Float64(builder) => builder.push(f64::from_le_bytes(take(rest)?)),
        ColumnBuilder::Bool(builder) => builder.push(match kind {
            Kind::Bit => bytes(rest)?.last().ok_or(BadField::Form)? & 1 == 1,
            _ => match take::<1>(rest)? {
                [0] => false,
                [1] => true,
                _ => return Err(NO_BOOL),
            },
        }),
        ColumnBuilder::Decimal128(builder) => {
            let Kind::Decimal { scale, .. } = kind else { return Err(BadField::Form) };
            builder.push(decimal_128(bytes(rest)?, scale).ok_or(BadField::Form)?);
        }
        ColumnBuilder::Decimal256(builder) => {
            let Kind::Decimal { precision, scale } = kind else { return Err(BadField::Form) };
            let digits = std::str::from_utf8(bytes(rest)?).map_err(|_| BadField::Form)?;
            builder.push(decimal::parse_256(digits, precision, scale).ok_or(BadField::Form)?);
        }
        ColumnBuilder::Date(_) | ColumnBuilder::Timestamp(_) => push_date(date(rest)?, kind, builder)?,
        ColumnBuilder::Binary(builder) => match kind {
            Kind::Geometry => geometry(bytes(rest)?, builder)?,
            _ => builder.push(bytes(rest)?),
        },
        ColumnBuilder::Sixteen(builder) => match kind {
            Kind::Uuid => {
                let uuid = std::str::from_utf8(bytes(rest)?).ok().and_then(text::parse_uuid);
                builder.push(uuid.ok_or(BadField::Form)?);
            }
            _ => builder.push(Interval { months: 0, days: 0, micros: time(rest)? }.to_bytes()),
        },
        ColumnBuilder::Text(builder) => match kind {
            Kind::Bits(count) => bits(bytes(rest)?, count, builder)?,
            Kind::DateText(precision) => date(rest)?.write(precision, builder),
            _ => push_text(bytes(rest)?, builder)?,
        },
        // A time is an interval here.
        ColumnBuilder::Time(_) => return Err(BadField::Form),
    }
    Ok(())
}

/// Appends a day, with or without a time, or what it becomes when it is none.
pub(crate) fn push_date(date: Date, kind: Kind, builder: &mut ColumnBuilder) -> Pushed {
    match (builder, kind) {
        (ColumnBuilder::Date(builder), _) => match date.days() {
            Some(days) => builder.push(i32::try_from(days).map_err(|_| BadField::Form)?),
            None if kind == (Kind::Date { zero_null: true }) => builder.push_null(),
            None => return Err(NO_DAY),
        },
        (ColumnBuilder::Timestamp(builder), _) => match date.micros()? {
            Some(micros) => builder.push(micros),
            None if kind == (Kind::Timestamp { zero_null: true }) => builder.push_null(),
            None => return Err(NO_DAY),
        },
        (ColumnBuilder::Text(builder), Kind::DateText(precision)) => date.write(precision, builder),
        _ => return Err(BadField::Form),
    }
    Ok(())
}

/// Appends a text, which has to be one.
pub(crate) fn push_text(text: &[u8], out: &mut Bytes) -> Pushed {
    if std::str::from_utf8(text).is_err() {
        return Err(BadField::Value("its bytes are not UTF-8", None));
    }
    out.push(text);
    Ok(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Pushed<[u8; N]> {
    let (head, tail) = rest.split_first_chunk().ok_or(BadField::Form)?;
    *rest = tail;
    Ok(*head)
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Pushed<&'a [u8]> {
    let (length, tail) = lenenc(rest).ok_or(BadField::Form)?;
    let length = usize::try_from(length).map_err(|_| BadField::Form)?;
    let (value, tail) = tail.split_at_checked(length).ok_or(BadField::Form)?;
    *rest = tail;
    Ok(value)
}

/// The scaled integer of digits with `scale` of them behind the point.
fn decimal_128(digits: &[u8], scale: u8) -> Option<i128> {
    let (negative, digits) = match digits.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = digits.split_at(point);
    let fraction = fraction.get(1..).unwrap_or_default();
    if whole.len() + fraction.len() == 0 || fraction.len() > usize::from(scale) {
        return None;
    }
    let mut value = number(whole, 0)?;
    value = number(fraction, value)?;
    for _ in fraction.len()..usize::from(scale) {
        value = value.checked_mul(10)?;
    }
    Some(if negative { -value } else { value })
}

/// `before` followed by the digits. Most numbers fit into 64 bits, which are faster.
fn number(digits: &[u8], before: i128) -> Option<i128> {
    let mut value = before;
    for part in digits.chunks(18) {
        let mut small = 0_u64;
        for byte in part {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            small = small * 10 + u64::from(digit);
        }
        let power = 10_i128.pow(u32::try_from(part.len()).unwrap_or(0));
        value = value.checked_mul(power)?.checked_add(i128::from(small))?;
    }
    Some(value)
}

/// A date as it is sent, which need not be a day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Date {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

fn date(rest: &mut &[u8]) -> Pushed<Date> {
    let [length] = take(rest)?;
    let mut date = Date::default();
    if !matches!(length, 0 | 4 | 7 | 11) {
        return Err(BadField::Form);
    }
    if length >= 4 {
        date.year = u16::from_le_bytes(take(rest)?);
        [date.month, date.day] = take(rest)?;
    }
    if length >= 7 {
        [date.hour, date.minute, date.second] = take(rest)?;
    }
    if length == 11 {
        date.micros = u32::from_le_bytes(take(rest)?);
    }
    Ok(date)
}

impl Date {
    /// Days since 1970; `None` when it is no day.
    fn days(self) -> Option<i64> {
        let (year, month) = (i64::from(self.year), self.month);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        (1..=last).contains(&self.day).then(|| days_from_date(year, month.into(), self.day.into()))
    }

    fn micros(self) -> Pushed<Option<i64>> {
        if self.hour > 23 || self.minute > 59 || self.second > 59 || self.micros > 999_999 {
            return Err(BadField::Form);
        }
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        let of_day = seconds * 1_000_000 + i64::from(self.micros);
        Ok(self.days().map(|days| days * DAY_MICROS + of_day))
    }

    /// As the server writes it.
    fn write(self, precision: Option<u8>, out: &mut Bytes) {
        let mut text = String::with_capacity(26);
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{:04}-{:02}-{:02}", self.year, self.month, self.day);
        if let Some(precision) = precision {
            let _ = write!(text, " {:02}:{:02}:{:02}", self.hour, self.minute, self.second);
            if precision > 0 {
                let fraction = format!("{:06}", self.micros);
                let _ = write!(text, ".{}", fraction.get(..usize::from(precision)).unwrap_or(&fraction));
            }
        }
        out.push(text.as_bytes());
    }
}

/// A time ends at 838:59:59.
const TIME_DAYS_MAX: u32 = 34;

/// Microseconds of a time, which may be negative and longer than a day.
fn time(rest: &mut &[u8]) -> Pushed<i64> {
    let [length] = take(rest)?;
    if length == 0 {
        return Ok(0);
    }
    if !matches!(length, 8 | 12) {
        return Err(BadField::Form);
    }
    let [negative] = take(rest)?;
    let days = u32::from_le_bytes(take(rest)?);
    if days > TIME_DAYS_MAX {
        return Err(BadField::Form);
    }
    let [hour, minute, second] = take(rest)?;
    let micros = if length == 12 { u32::from_le_bytes(take(rest)?) } else { 0 };
    let seconds =
        ((i64::from(days) * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
    let total = seconds * 1_000_000 + i64::from(micros);
    Ok(if negative == 0 { total } else { -total })
}

/// Appends the last `count` bits as digits.
pub(crate) fn bits(bytes: &[u8], count: u32, out: &mut Bytes) -> Pushed {
    let count = usize::try_from(count).map_err(|_| BadField::Form)?;
    let unused = (bytes.len() * 8).checked_sub(count).ok_or(BadField::Form)?;
    let digits = (unused..bytes.len() * 8).map(|bit| b'0' + (bytes[bit / 8] >> (7 - bit % 8) & 1));
    out.buffer().extend(digits);
    out.end();
    Ok(())
}

/// The bit of EWKB's type that says that a reference system's number follows.
const HAS_SYSTEM: u32 = 0x2000_0000;

/// Appends WKB, or EWKB where there is a reference system.
pub(crate) fn geometry(bytes: &[u8], out: &mut Bytes) -> Pushed {
    let mut rest = bytes;
    let system = u32::from_le_bytes(take(&mut rest)?);
    if system == 0 {
        out.push(rest);
        return Ok(());
    }
    let [order] = take(&mut rest)?;
    let shape: [u8; 4] = take(&mut rest)?;
    let buffer = out.buffer();
    buffer.push(order);
    match order {
        1 => {
            buffer.extend((u32::from_le_bytes(shape) | HAS_SYSTEM).to_le_bytes());
            buffer.extend(system.to_le_bytes());
        }
        0 => {
            buffer.extend((u32::from_be_bytes(shape) | HAS_SYSTEM).to_be_bytes());
            buffer.extend(system.to_be_bytes());
        }
        _ => {
            // What was appended is no value yet, and must not become a part of the next.
            buffer.pop();
            return Err(BadField::Form);
        }
    }
    buffer.extend_from_slice(rest);
    out.end();
    Ok(())
}
