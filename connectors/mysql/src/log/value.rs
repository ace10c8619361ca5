//! One value of the log into its column: the same as a `SELECT` gives.

use std::fmt::Write as _;

use syncline_types::{
    Column, LogicalType, Result,
    build::{Bytes, ColumnBuilder},
    civil::{DAY_MICROS, date_from_days},
    interval::Interval,
};

use super::{
    charset::Charset,
    fields::{Broken, Fields},
    fill::Fill,
    json,
    moment::{self, Moment},
    number::decimal,
    table_map::{Form, kind as k},
};
use crate::{
    decode::{BadField, Date, Kind, NO_BOOL, Pushed, bits, geometry, push_date},
    types::base,
};

impl From<Broken> for BadField {
    fn from(_: Broken) -> Self {
        BadField::Form
    }
}

/// How a stream's column is read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) name: String,
    pub(super) logical: LogicalType,
    /// What a new row has where the log leaves it out.
    pub(super) fill: Fill,
    kind: Kind,
    charset: Charset,
    labels: Option<Vec<String>>,
    /// How many bytes a `binary(n)` has, and which of the types it is that only the log shows in their
    /// own form.
    own: Own,
    /// Whether it is a time with a fraction of a second.
    has_fraction: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    None,
    Padded(usize),
    Inet4,
    Inet6,
    Vector,
}

impl Reading {
    /// `None` where values of the type are not understood in the log.
    pub(super) fn of(column: &Column, zero_dates_null: bool, charset: Charset, fill: Fill) -> Option<Self> {
        let native = column.native.as_deref()?;
        let own = match (base(native), column.logical) {
            ("binary", _) => Own::Padded(fixed_bytes(native)),
            ("inet4", LogicalType::Opaque) => Own::Inet4,
            ("inet6", LogicalType::Opaque) => Own::Inet6,
            ("vector", LogicalType::Opaque) => Own::Vector,
            (_, LogicalType::Opaque) => return None,
            _ => Own::None,
        };
        // What is compressed column by column has a form of its own.
        if native.contains("COMPRESSED") && !native.contains('\'') {
            return None;
        }
        Some(Reading {
            name: column.name.clone(),
            logical: column.logical,
            fill,
            kind: Kind::of(column, zero_dates_null),
            charset,
            labels: column.labels.clone(),
            own,
            has_fraction: native.ends_with(')') && !native.ends_with("(0)"),
        })
    }

    /// Whether values come in this form, of numbers with or without a sign where that is told.
    pub(super) fn reads(&self, form: Form, unsigned: Option<bool>) -> bool {
        use LogicalType as L;
        let is_unsigned = matches!(self.logical, L::UInt8 | L::UInt16 | L::UInt32 | L::UInt64);
        if self.logical.is_integer()
            && form.kind != k::YEAR
            && unsigned.is_some_and(|told| told != is_unsigned)
        {
            return false;
        }
        // Older forms have no fraction of a second, or one that is not known here.
        if matches!(form.kind, k::TIMESTAMP | k::DATETIME | k::TIME) && self.has_fraction {
            return false;
        }
        let is = |kinds: &[u8]| kinds.contains(&form.kind);
        let texts =
            [k::VARCHAR, k::VAR_STRING, k::STRING, k::TINY_BLOB, k::BLOB, k::MEDIUM_BLOB, k::LONG_BLOB];
        match self.own {
            Own::Inet4 | Own::Inet6 => return is(&[k::STRING]),
            Own::Vector => return is(&[k::VECTOR]),
            Own::None | Own::Padded(_) => {}
        }
        match self.kind {
            Kind::Number => match self.logical {
                L::Int8 | L::UInt8 => is(&[k::TINY]),
                L::Int16 => is(&[k::SHORT, k::YEAR]),
                L::UInt16 => is(&[k::SHORT]),
                L::Int32 | L::UInt32 => is(&[k::LONG, k::INT24]),
                L::Int64 | L::UInt64 => is(&[k::LONGLONG]),
                L::Float32 => is(&[k::FLOAT]),
                _ => is(&[k::DOUBLE]),
            },
            Kind::Bool => is(&[k::TINY]),
            Kind::Bit => is(&[k::BIT]) && form.meta == 1,
            Kind::Bits(bits) => {
                is(&[k::BIT]) && u32::from(form.meta >> 8) * 8 + u32::from(form.meta & 0xFF) == bits
            }
            Kind::Decimal { precision, scale } => {
                is(&[k::NEWDECIMAL]) && form.meta.to_be_bytes() == [precision, scale]
            }
            Kind::Date { .. } | Kind::DateText(None) => is(&[k::DATE, k::NEWDATE]),
            Kind::Timestamp { .. } => match self.logical {
                L::Timestamp { zoned: true, .. } => is(&[k::TIMESTAMP2, k::TIMESTAMP]),
                _ => is(&[k::DATETIME2, k::DATETIME]),
            },
            Kind::DateText(Some(_)) => is(&[k::TIMESTAMP2, k::TIMESTAMP, k::DATETIME2, k::DATETIME]),
            Kind::Time => is(&[k::TIME2, k::TIME]),
            Kind::Geometry => is(&[k::GEOMETRY]),
            Kind::Uuid => is(&[k::STRING]),
            Kind::Binary => is(&texts),
            Kind::Text if self.labels.is_some() => is(&[k::ENUM, k::SET]),
            Kind::Text => is(&texts) || is(&[k::JSON]),
        }
    }

    /// Appends a value.
    pub(super) fn push(&self, bytes: &[u8], form: Form, builder: &mut ColumnBuilder) -> Pushed {
        match builder {
            ColumnBuilder::Int8(out) => out.push(i8::from_le_bytes(all(bytes)?)),
            ColumnBuilder::UInt8(out) => out.push(u8::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Int16(out) if form.kind == k::YEAR => out.push(match all(bytes)? {
                [0] => 0,
                [years] => 1900 + i16::from(years),
            }),
            ColumnBuilder::Int16(out) => out.push(i16::from_le_bytes(all(bytes)?)),
            ColumnBuilder::UInt16(out) => out.push(u16::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Int32(out) if form.kind == k::INT24 => {
                let [low, middle, high] = all(bytes)?;
                out.push(i32::from_le_bytes([0, low, middle, high]) >> 8);
            }
            ColumnBuilder::Int32(out) => out.push(i32::from_le_bytes(all(bytes)?)),
            ColumnBuilder::UInt32(out) if form.kind == k::INT24 => {
                let [low, middle, high] = all(bytes)?;
                out.push(u32::from_le_bytes([low, middle, high, 0]));
            }
            ColumnBuilder::UInt32(out) => out.push(u32::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Int64(out) => out.push(i64::from_le_bytes(all(bytes)?)),
            ColumnBuilder::UInt64(out) => out.push(u64::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Float32(out) => out.push(f32::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Float64(out) => out.push(f64::from_le_bytes(all(bytes)?)),
            ColumnBuilder::Bool(out) => out.push(match (self.kind, bytes) {
                (Kind::Bit, [bit]) => bit & 1 == 1,
                (Kind::Bool, [0]) => false,
                (Kind::Bool, [1]) => true,
                (Kind::Bool, [_]) => return Err(NO_BOOL),
                _ => return Err(BadField::Form),
            }),
            ColumnBuilder::Decimal128(out) => {
                let [precision, scale] = form.meta.to_be_bytes();
                out.push(decimal(bytes, precision, scale)?);
            }
            ColumnBuilder::Decimal256(out) => {
                let [precision, scale] = form.meta.to_be_bytes();
                out.push(decimal(bytes, precision, scale)?);
            }
            ColumnBuilder::Date(_) | ColumnBuilder::Timestamp(_) => return self.moment(bytes, form, builder),
            ColumnBuilder::Text(_) if matches!(self.kind, Kind::DateText(_)) => {
                return self.moment(bytes, form, builder);
            }
            ColumnBuilder::Sixteen(out) => match self.kind {
                Kind::Uuid => out.push(uuid(padded(bytes)?)),
                _ => {
                    let micros = moment::time(bytes, form)?;
                    out.push(Interval { months: 0, days: 0, micros }.to_bytes());
                }
            },
            ColumnBuilder::Binary(out) => match (self.kind, self.own) {
                (Kind::Geometry, _) => return geometry(bytes, out),
                // The log leaves zeros at the end out.
                (_, Own::Padded(length)) if bytes.len() < length => {
                    let buffer = out.buffer();
                    buffer.extend_from_slice(bytes);
                    buffer.resize(buffer.len() + length - bytes.len(), 0);
                    out.end();
                }
                _ => out.push(bytes),
            },
            ColumnBuilder::Text(out) => return self.text(bytes, form, out),
            // A time is an interval here.
            ColumnBuilder::Time(_) => return Err(BadField::Form),
        }
        Ok(())
    }

    /// Appends the document that `changes` make of the one before.
    pub(super) fn push_changed(&self, before: &[u8], changes: &[u8], builder: &mut ColumnBuilder) -> Pushed {
        let ColumnBuilder::Text(out) = builder else { return Err(BadField::Form) };
        written(out, |buffer| json::apply(before, changes, buffer))
    }

    fn moment(&self, bytes: &[u8], form: Form, builder: &mut ColumnBuilder) -> Pushed {
        let date = match (moment::moment(bytes, form)?, &mut *builder) {
            (Moment::Micros(micros), ColumnBuilder::Timestamp(out)) => {
                out.push(micros);
                return Ok(());
            }
            (Moment::Micros(micros), _) => date_of(micros)?,
            (Moment::Date(date), _) => date,
        };
        push_date(date, self.kind, builder)
    }

    fn text(&self, bytes: &[u8], form: Form, out: &mut Bytes) -> Pushed {
        match (self.kind, self.own) {
            (Kind::Bits(count), _) => return bits(bytes, count, out),
            (_, Own::Inet4) => return written(out, |buffer| inet4(bytes, buffer)),
            (_, Own::Inet6) => return written(out, |buffer| inet6(bytes, buffer)),
            (_, Own::Vector) => return written(out, |buffer| vector(bytes, buffer)),
            _ => {}
        }
        match form.kind {
            k::JSON => written(out, |buffer| json::write(bytes, buffer)),
            k::ENUM | k::SET => {
                let labels = self.labels.as_deref().ok_or(BadField::Form)?;
                written(out, |buffer| labelled(bytes, form, labels, buffer))
            }
            _ => self.charset.push(bytes, form.kind == k::STRING, out),
        }
    }
}

/// Appends what is written; nothing when that fails.
fn written(out: &mut Bytes, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Broken>) -> Pushed {
    let from = out.buffer().len();
    if let Err(broken) = write(out.buffer()) {
        out.buffer().truncate(from);
        return Err(broken.into());
    }
    out.end();
    Ok(())
}

fn all<const N: usize>(bytes: &[u8]) -> Pushed<[u8; N]> {
    bytes.try_into().map_err(|_| BadField::Form)
}

/// The length in the brackets; one where there are none.
fn fixed_bytes(native: &str) -> usize {
    let inside = native.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.map_or(Some(1), |(digits, _)| digits.parse().ok()).unwrap_or(0)
}

/// A moment in UTC as the day and time that it is.
fn date_of(micros: i64) -> Pushed<Date> {
    let (year, month, day) = date_from_days(micros.div_euclid(DAY_MICROS));
    let of_day = micros.rem_euclid(DAY_MICROS);
    let seconds = of_day / 1_000_000;
    let part = |number: i64| u8::try_from(number).map_err(|_| BadField::Form);
    Ok(Date {
        year: u16::try_from(year).map_err(|_| BadField::Form)?,
        month: part(month.into())?,
        day: part(day.into())?,
        hour: part(seconds / 3600)?,
        minute: part(seconds / 60 % 60)?,
        second: part(seconds % 60)?,
        micros: u32::try_from(of_day % 1_000_000).map_err(|_| BadField::Form)?,
    })
}

/// A label by its number, or labels by their bits.
fn labelled(bytes: &[u8], form: Form, labels: &[String], out: &mut Vec<u8>) -> Result<(), Broken> {
    let number = Fields(bytes).number(bytes.len())?;
    if form.kind == k::ENUM {
        // A value that was none of them has the number 0 and is empty.
        if let Some(at) = number.checked_sub(1) {
            let at = usize::try_from(at).map_err(|_| Broken)?;
            out.extend_from_slice(labels.get(at).ok_or(Broken)?.as_bytes());
        }
        return Ok(());
    }
    if labels.len() < 64 && number >> labels.len() != 0 {
        return Err(Broken);
    }
    let chosen = labels.iter().enumerate().filter(|(at, _)| number >> at & 1 == 1);
    for (at, (_, label)) in chosen.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.as_bytes());
    }
    Ok(())
}

/// MariaDB keeps the parts of a UUID in the order in which they sort by time; those that are made to
/// sort by themselves stay as they are.
fn uuid(kept: [u8; 16]) -> [u8; 16] {
    let is_turned = kept[0] & 0x80 != 0 && (1..0x60).contains(&kept[8]);
    if !is_turned {
        return kept;
    }
    let mut uuid = [0; 16];
    for (to, from, length) in [(0, 12, 4), (4, 10, 2), (6, 8, 2), (8, 0, 2), (10, 2, 6)] {
        uuid[to..to + length].copy_from_slice(&kept[from..from + length]);
    }
    uuid
}

fn inet4(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let parts = padded::<4>(bytes)?;
    out.extend_from_slice(std::net::Ipv4Addr::from(parts).to_string().as_bytes());
    Ok(())
}

fn inet6(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let parts = padded::<16>(bytes)?;
    let text = match parts {
        // The server writes the last four as it does in an older address, unless nearly all is zero.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if a != 0 || b != 0 => {
            format!("::{a}.{b}.{c}.{d}")
        }
        parts => std::net::Ipv6Addr::from(parts).to_string(),
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The log leaves zeros at the end out.
fn padded<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Broken> {
    let mut whole = [0; N];
    whole.get_mut(..bytes.len()).ok_or(Broken)?.copy_from_slice(bytes);
    Ok(whole)
}

/// As `VECTOR_TO_STRING` writes it: `[1.00000e+00,2.50000e+00]`.
fn vector(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    if !bytes.len().is_multiple_of(4) {
        return Err(Broken);
    }
    let mut text = String::from("[");
    for (at, four) in bytes.chunks_exact(4).enumerate() {
        let value = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        let scientific = format!("{value:.5e}");
        let (digits, exponent) = scientific.split_once('e').ok_or(Broken)?;
        let exponent: i32 = exponent.parse().map_err(|_| Broken)?;
        let comma = if at > 0 { "," } else { "" };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{comma}{digits}e{exponent:+03}");
    }
    text.push(']');
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
