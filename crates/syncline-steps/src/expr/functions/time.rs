//! Functions of dates, times and intervals. Time zones are UTC.

use arrow_array::types::{Date32Type, Float64Type, TimestampMicrosecondType};
use syncline_types::{
    LogicalType, Result,
    civil::{self, DAY_MICROS},
    interval::Interval,
};

use super::{Function, Returns, strict};
use crate::expr::{
    calendar::{check_date, finite_date},
    cast::{check_timestamp, finite, interval},
    exact,
    fault::Fault,
    kind::Kind::{self, Date, Int4, Interval as Span, Text, Time, Timestamp, Timestamptz},
    node::Call,
    number::Number,
    operand::{Computed, Operand, primitives, sixteens},
};

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "date_trunc",
        overloads: &[
            strict(&[Text, Timestamp], Returns::Type(LogicalType::TIMESTAMP), truncate_timestamp),
            strict(&[Text, Timestamptz], Returns::Type(LogicalType::TIMESTAMPTZ), truncate_timestamp),
            strict(&[Text, Span], Returns::Type(LogicalType::Interval), truncate_interval),
        ],
    },
    Function {
        name: "make_date",
        overloads: &[strict(&[Int4, Int4, Int4], Returns::Type(LogicalType::Date), make_date)],
    },
];

/// A part of a date, time or interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
}

const FIELDS: &[(&[&str], Field)] = &[
    (&["microsecond", "microseconds", "us", "usec", "usecs"], Field::Microsecond),
    (&["millisecond", "milliseconds", "ms", "msec", "msecs"], Field::Millisecond),
    (&["second", "seconds", "sec", "secs", "s"], Field::Second),
    (&["minute", "minutes", "min", "mins", "m"], Field::Minute),
    (&["hour", "hours", "hr", "hrs", "h"], Field::Hour),
    (&["day", "days", "d"], Field::Day),
    (&["week", "weeks", "w"], Field::Week),
    (&["month", "months", "mon", "mons"], Field::Month),
    (&["quarter"], Field::Quarter),
    (&["year", "years", "yr", "yrs", "y"], Field::Year),
    (&["decade", "decades"], Field::Decade),
    (&["century", "centuries"], Field::Century),
    (&["millennium", "millennia"], Field::Millennium),
    (&["dow"], Field::DayOfWeek),
    (&["isodow"], Field::IsoDayOfWeek),
    (&["doy"], Field::DayOfYear),
    (&["isoyear"], Field::IsoYear),
    (&["epoch"], Field::Epoch),
];

/// The field of this name, in any case.
pub(crate) fn field_named(name: &str) -> Option<Field> {
    let name = name.to_lowercase();
    FIELDS.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, field)| *field)
}

/// The first name of every field.
pub(crate) fn field_names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().filter_map(|(names, _)| names.first().copied())
}

/// The type of a field of such a value; `None` where it has no such field.
pub(crate) fn extract_type(field: Field, of: Kind) -> Option<LogicalType> {
    use Field as F;
    let clock = matches!(field, F::Microsecond | F::Millisecond | F::Second | F::Minute | F::Hour | F::Epoch);
    let calendar =
        matches!(field, F::Day | F::Month | F::Quarter | F::Year | F::Decade | F::Century | F::Millennium);
    let has = match of {
        Date => !clock || field == F::Epoch,
        Time => clock,
        Timestamp | Timestamptz => true,
        Span => clock || calendar,
        _ => false,
    };
    let decimal = |precision, scale| LogicalType::Decimal { precision, scale };
    has.then(|| match field {
        F::Second => decimal(8, 6),
        F::Millisecond => decimal(8, 3),
        F::Epoch if of == Date => decimal(16, 0),
        F::Epoch => decimal(24, 6),
        _ => decimal(19, 0),
    })
}

/// `extract(field from value)`, exact.
pub(crate) fn extract(field: Field, call: &Call<'_>) -> Result<Computed> {
    let parts = fields_of(&call.args[0], call.types[0])?;
    if call.returns == LogicalType::Float64 {
        return Ok(primitives::<Float64Type>(call.rows, call.returns, |row| {
            let Some(parts) = parts(row)? else { return Ok(None) };
            let (units, scale) = parts.get(field)?;
            Ok(Some(units as f64 / 10_f64.powi(scale)))
        }));
    }
    exact::column(call.rows, call.returns, |row| {
        let Some(parts) = parts(row)? else { return Ok(None) };
        let (units, scale) = parts.get(field)?;
        Number::new(units.into(), scale.unsigned_abs()).map(Some)
    })
}

/// A value taken apart.
enum Parts {
    Moment { days: i64, micros: i64, dated: bool },
    Clock(i64),
    Span(Interval),
}

type ReadParts<'a> = Box<dyn Fn(usize) -> Result<Option<Parts>, Fault> + 'a>;

fn fields_of(operand: &Operand, logical: LogicalType) -> Result<ReadParts<'_>> {
    use arrow_array::{Date32Array, FixedSizeBinaryArray, Time64MicrosecondArray, TimestampMicrosecondArray};
    Ok(match Kind::of(logical) {
        Kind::Date => {
            let view = operand.view::<Date32Array>()?;
            Box::new(move |row| {
                let parts = |days| Ok(Parts::Moment { days: finite_date(days)?, micros: 0, dated: true });
                view.get(row).map(parts).transpose()
            })
        }
        Kind::Time => {
            let view = operand.view::<Time64MicrosecondArray>()?;
            Box::new(move |row| Ok(view.get(row).map(Parts::Clock)))
        }
        Kind::Interval => {
            let view = operand.view::<FixedSizeBinaryArray>()?;
            Box::new(move |row| Ok(view.get(row).map(|bytes| Parts::Span(interval(bytes)))))
        }
        _ => {
            let view = operand.view::<TimestampMicrosecondArray>()?;
            Box::new(move |row| {
                let parts = |micros| {
                    let micros = finite(micros)?;
                    let (days, micros) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
                    Ok(Parts::Moment { days, micros, dated: false })
                };
                view.get(row).map(parts).transpose()
            })
        }
    })
}

impl Parts {
    /// The field as a whole number and how many of its digits stand after the point.
    fn get(&self, field: Field) -> Result<(i128, i32), Fault> {
        match self {
            Parts::Moment { days, dated: true, .. } if field == Field::Epoch => {
                Ok((i128::from(*days) * 86_400, 0))
            }
            Parts::Moment { days, micros, .. } if field == Field::Epoch => {
                Ok((i128::from(*days) * i128::from(DAY_MICROS) + i128::from(*micros), 6))
            }
            Parts::Moment { days, micros, .. } => {
                clock_field(field, *micros).or_else(|| day_field(field, *days)).ok_or(NO_FIELD)
            }
            Parts::Clock(micros) if field == Field::Epoch => Ok((i128::from(*micros), 6)),
            Parts::Clock(micros) => clock_field(field, *micros).ok_or(NO_FIELD),
            Parts::Span(interval) => span_field(field, *interval).ok_or(NO_FIELD),
        }
    }
}

/// The binder asks [`extract_type`] first.
const NO_FIELD: Fault = Fault("a value has no such field");

fn clock_field(field: Field, micros: i64) -> Option<(i128, i32)> {
    let micros = i128::from(micros);
    Some(match field {
        Field::Microsecond => (micros % 60_000_000, 0),
        Field::Millisecond => (micros % 60_000_000, 3),
        Field::Second => (micros % 60_000_000, 6),
        Field::Minute => (micros / 60_000_000 % 60, 0),
        Field::Hour => (micros / 3_600_000_000, 0),
        _ => return None,
    })
}

fn day_field(field: Field, days: i64) -> Option<(i128, i32)> {
    let (year, month, day) = civil::date_from_days(days);
    let month = i64::from(month);
    // 1970-01-01 was a Thursday.
    let day_of_week = (days + 4).rem_euclid(7);
    let value = match field {
        Field::Day => i64::from(day),
        Field::Month => month,
        Field::Quarter => (month - 1) / 3 + 1,
        // There is no year 0: 1 BC is -1.
        Field::Year => shown_year(year),
        Field::Decade => year.div_euclid(10),
        Field::Century => hundreds(year, 100),
        Field::Millennium => hundreds(year, 1_000),
        Field::DayOfWeek => day_of_week,
        Field::IsoDayOfWeek => (day_of_week + 6) % 7 + 1,
        Field::DayOfYear => days - civil::days_from_date(year, 1, 1) + 1,
        Field::Week => iso_week(days).1,
        Field::IsoYear => shown_year(iso_week(days).0),
        _ => return None,
    };
    Some((i128::from(value), 0))
}

fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// The number of a century or millennium: the first begins with year 1, the one before is -1.
fn hundreds(year: i64, size: i64) -> i64 {
    if year > 0 { (year + size - 1) / size } else { -((size - year) / size) }
}

/// Year and week by ISO 8601: the week belongs to the year that has its Thursday.
fn iso_week(days: i64) -> (i64, i64) {
    let monday = monday_of(days);
    let (year, _, _) = civil::date_from_days(monday + 3);
    let first = monday_of(civil::days_from_date(year, 1, 4));
    (year, (monday - first) / 7 + 1)
}

fn monday_of(days: i64) -> i64 {
    days - (days + 3).rem_euclid(7)
}

fn span_field(field: Field, interval: Interval) -> Option<(i128, i32)> {
    let (years, months) = (interval.months / 12, interval.months % 12);
    let value = match field {
        Field::Epoch => return Some((span_micros(interval), 6)),
        Field::Day => interval.days,
        Field::Month => months,
        Field::Quarter => months / 3 + 1,
        Field::Year => years,
        Field::Decade => years / 10,
        Field::Century => years / 100,
        Field::Millennium => years / 1_000,
        _ => return clock_field(field, interval.micros),
    };
    Some((i128::from(value), 0))
}

/// An interval in microseconds, a year being 365.25 days and a month 30.
fn span_micros(interval: Interval) -> i128 {
    const YEAR_MICROS: i128 = 31_557_600_000_000;
    let day = i128::from(DAY_MICROS);
    i128::from(interval.months / 12) * YEAR_MICROS
        + i128::from(interval.months % 12) * 30 * day
        + i128::from(interval.days) * day
        + i128::from(interval.micros)
}

/// The field that a text names.
fn truncation(name: &str) -> Result<Field, Fault> {
    field_named(name).ok_or(Fault("a unit of time has no such name"))
}

fn truncate_timestamp(call: &Call<'_>) -> Result<Computed> {
    let (names, moments) = (call.text(0)?, call.timestamp(1)?);
    Ok(primitives::<TimestampMicrosecondType>(call.rows, call.returns, |row| {
        let Some((name, micros)) = names.get(row).zip(moments.get(row)) else { return Ok(None) };
        truncated(truncation(name)?, finite(micros)?).map(Some)
    }))
}

fn truncated(field: Field, micros: i64) -> Result<i64, Fault> {
    let unit = match field {
        Field::Microsecond => 1,
        Field::Millisecond => 1_000,
        Field::Second => 1_000_000,
        Field::Minute => 60_000_000,
        Field::Hour => 3_600_000_000,
        Field::Day => DAY_MICROS,
        _ => {
            let days = first_day(field, micros.div_euclid(DAY_MICROS))?;
            return days.checked_mul(DAY_MICROS).ok_or(Fault::TIME_RANGE).and_then(check_timestamp);
        }
    };
    check_timestamp(micros.div_euclid(unit) * unit)
}

/// The first day of the week, month or longer that a day lies in.
fn first_day(field: Field, days: i64) -> Result<i64, Fault> {
    let (year, month, _) = civil::date_from_days(days);
    // The first year of a century or millennium ends in 1; before year 1 they are counted backwards.
    let first_of = |size: i64| {
        if year > 0 {
            (year + size - 1) / size * size - (size - 1)
        } else {
            -((size - year) / size * size) + 1
        }
    };
    let (year, month) = match field {
        Field::Week => return Ok(monday_of(days)),
        Field::Month => (year, month),
        Field::Quarter => (year, (month - 1) / 3 * 3 + 1),
        Field::Year => (year, 1),
        Field::Decade => (year.div_euclid(10) * 10, 1),
        Field::Century => (first_of(100), 1),
        Field::Millennium => (first_of(1_000), 1),
        _ => return Err(Fault("a timestamp cannot be cut to this unit")),
    };
    Ok(civil::days_from_date(year, month, 1))
}

fn truncate_interval(call: &Call<'_>) -> Result<Computed> {
    let (names, intervals) = (call.text(0)?, call.sixteen(1)?);
    sixteens(call.rows, |row| {
        let Some((name, bytes)) = names.get(row).zip(intervals.get(row)) else { return Ok(None) };
        truncated_interval(truncation(name)?, interval(bytes)).map(|interval| Some(interval.to_bytes()))
    })
}

fn truncated_interval(field: Field, interval: Interval) -> Result<Interval, Fault> {
    let months = |size: i32| Interval { months: interval.months / size * size, days: 0, micros: 0 };
    let clock = |unit: i64| Interval { micros: interval.micros / unit * unit, ..interval };
    Ok(match field {
        Field::Microsecond => interval,
        Field::Millisecond => clock(1_000),
        Field::Second => clock(1_000_000),
        Field::Minute => clock(60_000_000),
        Field::Hour => clock(3_600_000_000),
        Field::Day => Interval { micros: 0, ..interval },
        Field::Month => months(1),
        Field::Quarter => months(3),
        Field::Year => months(12),
        Field::Decade => months(120),
        Field::Century => months(1_200),
        Field::Millennium => months(12_000),
        _ => return Err(Fault("an interval cannot be cut to this unit")),
    })
}

fn make_date(call: &Call<'_>) -> Result<Computed> {
    let (years, months, days) = (call.int32(0)?, call.int32(1)?, call.int32(2)?);
    Ok(primitives::<Date32Type>(call.rows, call.returns, |row| {
        let Some(((year, month), day)) = years.get(row).zip(months.get(row)).zip(days.get(row)) else {
            return Ok(None);
        };
        date_from_parts(year, month, day).map(Some)
    }))
}

fn date_from_parts(year: i32, month: i32, day: i32) -> Result<i32, Fault> {
    // A negative year is one before Christ, and there is no year 0.
    let year = match year {
        0 => return Err(Fault::TIME_RANGE),
        year if year < 0 => i64::from(year) + 1,
        year => i64::from(year),
    };
    let part = |value: i32| u32::try_from(value).map_err(|_| Fault::TIME_RANGE);
    let (month, day) = (part(month)?, part(day)?);
    if !(1..=12).contains(&month) {
        return Err(Fault::TIME_RANGE);
    }
    let days = civil::days_from_date(year, month, day);
    if day == 0 || civil::date_from_days(days) != (year, month, day) {
        return Err(Fault::TIME_RANGE);
    }
    check_date(days)
}
