//! Days and times as the log has them.

use super::{
    cells::fraction_bytes,
    fields::{Broken, Fields},
    table_map::{Form, kind as k},
};
use crate::decode::Date;

/// A day, with or without a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// As it was written, which need not be a day.
    Date(Date),
    /// Microseconds since 1970.
    Micros(i64),
}

/// Reads a date, a date with time, or a timestamp.
pub(super) fn moment(bytes: &[u8], form: Form) -> Result<Moment, Broken> {
    let mut fields = Fields(bytes);
    let moment = match form.kind {
        k::DATE | k::NEWDATE => {
            let packed = fields.number(3)?;
            Moment::Date(Date {
                year: narrow(packed >> 9)?,
                month: narrow(packed >> 5 & 15)?,
                day: narrow(packed & 31)?,
                ..Date::default()
            })
        }
        k::DATETIME2 => datetime(&mut fields, form)?,
        k::DATETIME => {
            // Its digits as one number.
            let digits = fields.u64()?;
            let part = |power: u64| digits / power % 100;
            Moment::Date(Date {
                year: narrow(digits / 10_000_000_000)?,
                month: narrow(part(100_000_000))?,
                day: narrow(part(1_000_000))?,
                hour: narrow(part(10_000))?,
                minute: narrow(part(100))?,
                second: narrow(part(1))?,
                micros: 0,
            })
        }
        k::TIMESTAMP2 => {
            let seconds = i64::from(u32::from_be_bytes(fields.array()?));
            timestamp(seconds, fraction(&mut fields, form)?)
        }
        k::TIMESTAMP => timestamp(i64::from(fields.u32()?), 0),
        _ => return Err(Broken),
    };
    if fields.is_empty() { Ok(moment) } else { Err(Broken) }
}

/// 0 is no moment, but `0000-00-00 00:00:00`.
fn timestamp(seconds: i64, micros: u32) -> Moment {
    match (seconds, micros) {
        (0, 0) => Moment::Date(Date::default()),
        (seconds, micros) => Moment::Micros(seconds * 1_000_000 + i64::from(micros)),
    }
}

/// 13 months a year, 32 days a month, hours, minutes and seconds, each in as many bits as they need.
fn datetime(fields: &mut Fields<'_>, form: Form) -> Result<Moment, Broken> {
    let packed = fields.take(5)?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let packed = packed.checked_sub(0x80_0000_0000).ok_or(Broken)?;
    let months = packed >> 22;
    Ok(Moment::Date(Date {
        year: narrow(months / 13)?,
        month: narrow(months % 13)?,
        day: narrow(packed >> 17 & 31)?,
        hour: narrow(packed >> 12 & 31)?,
        minute: narrow(packed >> 6 & 63)?,
        second: narrow(packed & 63)?,
        micros: fraction(fields, form)?,
    }))
}

/// Microseconds of a second's fraction.
fn fraction(fields: &mut Fields<'_>, form: Form) -> Result<u32, Broken> {
    let bytes = fields.take(fraction_bytes(usize::from(form.meta)))?;
    let parts = bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    let micros = match bytes.len() {
        0 => 0,
        1 => parts * 10_000,
        2 => parts * 100,
        3 => parts,
        _ => return Err(Broken),
    };
    if micros < 1_000_000 { Ok(micros) } else { Err(Broken) }
}

/// Microseconds of a time, which may be negative and longer than a day.
pub(super) fn time(bytes: &[u8], form: Form) -> Result<i64, Broken> {
    if form.kind == k::TIME {
        let [low, middle, high] = bytes.try_into().map_err(|_| Broken)?;
        let digits = i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8);
        let part = |power: i64| digits / power % 100;
        return Ok(((digits / 10_000 * 60 + part(100)) * 60 + part(1)) * 1_000_000);
    }
    let fraction_bytes = fraction_bytes(usize::from(form.meta));
    if form.kind != k::TIME2 || fraction_bytes > 3 || bytes.len() != 3 + fraction_bytes {
        return Err(Broken);
    }
    let bits = 8 * u32::try_from(fraction_bytes).map_err(|_| Broken)?;
    let raw = bytes.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    let packed = raw - (0x80_0000 << bits);
    let (whole, mut parts) = (packed.abs() >> bits, packed.abs() & ((1 << bits) - 1));
    parts *= [1, 10_000, 100, 1][fraction_bytes];
    let (hour, minute, second) = (whole >> 12 & 0x3FF, whole >> 6 & 63, whole & 63);
    if parts >= 1_000_000 || minute > 59 || second > 59 {
        return Err(Broken);
    }
    let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + parts;
    Ok(if packed < 0 { -micros } else { micros })
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, Broken> {
    T::try_from(number).map_err(|_| Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(kind: u8, meta: u16, bytes: &[u8]) -> Option<i64> {
        time(bytes, Form { kind, meta }).ok()
    }

    #[test]
    fn times_go_below_zero() {
        assert_eq!(micros(k::TIME2, 0, &[0x80, 0, 0]), Some(0));
        assert_eq!(micros(k::TIME2, 2, &[0x7F, 0xFF, 0xFF, 0xFF]), Some(-10_000));
        assert_eq!(micros(k::TIME2, 6, &[0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), Some(-1));
        assert_eq!(micros(k::TIME2, 0, &[0x80, 0x10, 0x83]), Some(3_723_000_000));
        assert_eq!(micros(k::TIME, 0, &[0x60, 0x79, 0xFE]), Some(-36_000_000_000));
        assert_eq!(micros(k::TIME2, 0, &[0x80]), None);
        assert_eq!(micros(k::TIME2, 7, &[0x80; 7]), None);
    }

    #[test]
    fn a_date_need_not_be_a_day() {
        let Ok(Moment::Date(date)) = moment(&[0, 0, 0], Form { kind: k::DATE, meta: 0 }) else {
            panic!("it is a date")
        };
        assert_eq!((date.year, date.month, date.day), (0, 0, 0));
        let form = Form { kind: k::TIMESTAMP2, meta: 3 };
        assert!(matches!(moment(&[0; 6], form), Ok(Moment::Date(_))));
        assert!(matches!(moment(&[0, 0, 0, 1, 0, 5], form), Ok(Moment::Micros(1_000_500))));
        assert!(matches!(moment(&[0; 5], Form { kind: k::DATETIME2, meta: 0 }), Err(Broken)));
    }
}
