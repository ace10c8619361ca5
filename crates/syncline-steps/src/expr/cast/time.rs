//! Conversions into dates, times and intervals. The only time zone is UTC.

use arrow_array::{
    Date32Array, FixedSizeBinaryArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    types::{Date32Type, Time64MicrosecondType, TimestampMicrosecondType},
};
use syncline_types::{
    LogicalType, Result,
    civil::{self, DAY_MICROS},
    interval::Interval,
    special::{DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY},
};

use super::{impossible, trimmed};
use crate::expr::{
    fault::Fault,
    interval_text,
    kind::Kind,
    node::Call,
    operand::{Computed, Operand, primitives, sixteens},
};

/// PostgreSQL's first date, 4714-11-24 BC, and the day after its last, 5874897-12-31.
pub(crate) const DATE_START: i64 = -2_440_588;
pub(crate) const DATE_END: i64 = 2_145_042_906;
/// PostgreSQL's first moment, and the last that fits 64 bits of microseconds since 1970.
pub(crate) const TIMESTAMP_START: i64 = -210_866_803_200_000_000;
pub(crate) const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// 2000-01-01, from where PostgreSQL counts and rounds.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

const BAD_DATE: Fault = Fault("a text is not a valid date");
const BAD_TIME: Fault = Fault("a text is not a valid time");
const BAD_TIMESTAMP: Fault = Fault("a text is not a valid timestamp");
const BAD_INTERVAL: Fault = Fault("a text is not a valid interval");

/// A moment that is not infinite.
pub(crate) fn finite(micros: i64) -> Result<i64, Fault> {
    match micros {
        TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY => Err(Fault::INFINITE_TIME),
        micros => Ok(micros),
    }
}

/// A moment within PostgreSQL's range.
pub(crate) fn check_timestamp(micros: i64) -> Result<i64, Fault> {
    if (TIMESTAMP_START..TIMESTAMP_END).contains(&micros) { Ok(micros) } else { Err(Fault::TIME_RANGE) }
}

/// Dates.
pub(super) fn to_date(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    let to = LogicalType::Date;
    Ok(match Kind::of(from) {
        Kind::Timestamp | Kind::Timestamptz => {
            let view = value.view::<TimestampMicrosecondArray>()?;
            primitives::<Date32Type>(rows, to, |row| view.get(row).map(date_of).transpose())
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            primitives::<Date32Type>(rows, to, |row| view.get(row).map(parse_date).transpose())
        }
        _ => return Err(impossible(from, to)),
    })
}

fn date_of(micros: i64) -> Result<i32, Fault> {
    match micros {
        TIMESTAMP_INFINITY => Ok(DATE_INFINITY),
        TIMESTAMP_MINUS_INFINITY => Ok(DATE_MINUS_INFINITY),
        micros => i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(|_| Fault::TIME_RANGE),
    }
}

fn parse_date(text: &str) -> Result<i32, Fault> {
    let text = trimmed(text);
    match text.to_ascii_lowercase().as_str() {
        "infinity" => return Ok(DATE_INFINITY),
        "-infinity" => return Ok(DATE_MINUS_INFINITY),
        _ => {}
    }
    let days = match civil::parse_date(text) {
        Some(days) => days,
        // A time of day behind it is read and has no effect.
        None => local_timestamp(text).ok_or(BAD_DATE)?.div_euclid(DAY_MICROS),
    };
    if !(DATE_START..DATE_END).contains(&days) {
        return Err(Fault::TIME_RANGE);
    }
    i32::try_from(days).map_err(|_| Fault::TIME_RANGE)
}

/// Timestamps, zoned or not, rounded to their digits.
pub(super) fn to_timestamp(
    value: &Operand,
    from: LogicalType,
    to: LogicalType,
    rows: usize,
) -> Result<Computed> {
    let LogicalType::Timestamp { zoned, precision } = to else { return Err(impossible(from, to)) };
    let rounded = |micros| round_timestamp(micros, precision);
    Ok(match Kind::of(from) {
        Kind::Date => {
            let view = value.view::<Date32Array>()?;
            primitives::<TimestampMicrosecondType>(rows, to, |row| view.get(row).map(midnight).transpose())
        }
        Kind::Timestamp | Kind::Timestamptz => {
            let view = value.view::<TimestampMicrosecondArray>()?;
            primitives::<TimestampMicrosecondType>(rows, to, |row| view.get(row).map(rounded).transpose())
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            primitives::<TimestampMicrosecondType>(rows, to, |row| {
                view.get(row).map(|text| parse_timestamp(text, zoned).and_then(rounded)).transpose()
            })
        }
        _ => return Err(impossible(from, to)),
    })
}

/// The first moment of a day.
fn midnight(days: i32) -> Result<i64, Fault> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_MINUS_INFINITY => Ok(TIMESTAMP_MINUS_INFINITY),
        days => i64::from(days).checked_mul(DAY_MICROS).ok_or(Fault::TIME_RANGE).and_then(check_timestamp),
    }
}

/// The first moment of a day for comparisons only: a day after all that timestamps reach comes
/// after all timestamps but `infinity`.
pub(crate) fn comparable_midnight(call: &Call<'_>) -> Result<Computed> {
    let view = call.date(0)?;
    Ok(primitives::<TimestampMicrosecondType>(call.rows, call.returns, |row| {
        Ok(view.get(row).map(|days| midnight(days).unwrap_or(TIMESTAMP_INFINITY - 1)))
    }))
}

fn round_timestamp(micros: i64, precision: u8) -> Result<i64, Fault> {
    if precision >= 6 || matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY) {
        return Ok(micros);
    }
    let since = i128::from(micros) - i128::from(POSTGRES_EPOCH);
    let rounded = round_half_away(since, precision) + i128::from(POSTGRES_EPOCH);
    i64::try_from(rounded).map_err(|_| Fault::TIME_RANGE).and_then(check_timestamp)
}

fn round_half_away(micros: i128, precision: u8) -> i128 {
    let unit = 10_i128.pow(u32::from(6_u8.saturating_sub(precision)));
    let half = unit / 2;
    if micros < 0 { (micros - half) / unit * unit } else { (micros + half) / unit * unit }
}

fn parse_timestamp(text: &str, zoned: bool) -> Result<i64, Fault> {
    let text = trimmed(text);
    match text.to_ascii_lowercase().as_str() {
        "infinity" => return Ok(TIMESTAMP_INFINITY),
        "-infinity" => return Ok(TIMESTAMP_MINUS_INFINITY),
        _ => {}
    }
    let micros =
        if zoned { civil::parse_timestamp(text).map(|(micros, _)| micros) } else { local_timestamp(text) };
    check_timestamp(micros.ok_or(BAD_TIMESTAMP)?)
}

/// What the clock shows in a text, whatever zone it names: PostgreSQL ignores the zone where the
/// type has none.
fn local_timestamp(text: &str) -> Option<i64> {
    let (micros, zoned) = civil::parse_timestamp(text)?;
    if !zoned {
        return Some(micros);
    }
    let (body, era) = match text.strip_suffix(" BC") {
        Some(body) => (body, " BC"),
        None => (text, ""),
    };
    let time = body.find([' ', 'T'])? + 1;
    let zone = time + body.get(time..)?.find(['Z', '+', '-'])?;
    let local = format!("{}{era}", body.get(..zone)?);
    civil::parse_timestamp(&local).map(|(micros, _)| micros)
}

/// Times of day.
pub(super) fn to_time(value: &Operand, from: LogicalType, to: LogicalType, rows: usize) -> Result<Computed> {
    let LogicalType::Time { precision } = to else { return Err(impossible(from, to)) };
    let rounded = |micros: i64| {
        // A time of day is small and not negative.
        i64::try_from(round_half_away(i128::from(micros), precision)).unwrap_or(micros)
    };
    Ok(match Kind::of(from) {
        Kind::Time => {
            let view = value.view::<Time64MicrosecondArray>()?;
            primitives::<Time64MicrosecondType>(rows, to, |row| Ok(view.get(row).map(rounded)))
        }
        Kind::Timestamp | Kind::Timestamptz => {
            let view = value.view::<TimestampMicrosecondArray>()?;
            primitives::<Time64MicrosecondType>(rows, to, |row| {
                view.get(row).map(|micros| Ok(rounded(finite(micros)?.rem_euclid(DAY_MICROS)))).transpose()
            })
        }
        Kind::Interval => {
            let view = value.view::<FixedSizeBinaryArray>()?;
            primitives::<Time64MicrosecondType>(rows, to, |row| {
                Ok(view.get(row).map(|bytes| rounded(interval(bytes).micros.rem_euclid(DAY_MICROS))))
            })
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            primitives::<Time64MicrosecondType>(rows, to, |row| {
                view.get(row)
                    .map(|text| civil::parse_time(trimmed(text)).map(rounded).ok_or(BAD_TIME))
                    .transpose()
            })
        }
        _ => return Err(impossible(from, to)),
    })
}

/// Intervals.
pub(super) fn to_interval(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    match Kind::of(from) {
        Kind::Time => {
            let view = value.view::<Time64MicrosecondArray>()?;
            sixteens(rows, |row| {
                Ok(view.get(row).map(|micros| Interval { micros, ..Interval::default() }.to_bytes()))
            })
        }
        Kind::Text => {
            let view = value.view::<StringArray>()?;
            sixteens(rows, |row| {
                let parse = |text| interval_text::parse(trimmed(text)).ok_or(BAD_INTERVAL);
                view.get(row).map(|text| parse(text).map(Interval::to_bytes)).transpose()
            })
        }
        _ => Err(impossible(from, LogicalType::Interval)),
    }
}

/// An interval from its carried form.
pub(crate) fn interval(bytes: &[u8]) -> Interval {
    // The array's width is 16 by its type.
    Interval::from_bytes(bytes.try_into().unwrap_or_default())
}
