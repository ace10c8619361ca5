//! Arithmetic with dates, times and intervals.
//!
//! An infinite date or time fails the row, where PostgreSQL would go on with the infinity.

use arrow_array::{
    Array, ArrayAccessor, FixedSizeBinaryArray,
    types::{Date32Type, Int32Type, Time64MicrosecondType, TimestampMicrosecondType},
};
use syncline_types::{
    Result,
    civil::{self, DAY_MICROS},
    interval::Interval,
    special::{DATE_INFINITY, DATE_MINUS_INFINITY},
};

use super::{
    cast::{DATE_END, DATE_START, check_timestamp, finite, interval},
    fault::Fault,
    node::Call,
    operand::{Computed, View, primitives, sixteens},
};

const MONTH_DAYS: f64 = 30.0;
const DAY_SECONDS: f64 = 86_400.0;
const SECOND_MICROS: f64 = 1_000_000.0;

/// A date that is not infinite.
pub(crate) fn finite_date(days: i32) -> Result<i64, Fault> {
    match days {
        DATE_INFINITY | DATE_MINUS_INFINITY => Err(Fault::INFINITE_TIME),
        days => Ok(i64::from(days)),
    }
}

/// Days within PostgreSQL's range.
pub(crate) fn check_date(days: i64) -> Result<i32, Fault> {
    if !(DATE_START..DATE_END).contains(&days) {
        return Err(Fault::TIME_RANGE);
    }
    i32::try_from(days).map_err(|_| Fault::TIME_RANGE)
}

/// Both values of a row, unless one is NULL.
fn both<'a, A, B>(
    left: View<'a, A>,
    right: View<'a, B>,
    row: usize,
) -> Option<(<&'a A as ArrayAccessor>::Item, <&'a B as ArrayAccessor>::Item)>
where
    A: Array + 'a,
    B: Array + 'a,
    &'a A: ArrayAccessor,
    &'a B: ArrayAccessor,
{
    left.get(row).zip(right.get(row))
}

/// `date + integer`
pub(crate) fn date_plus_days(call: &Call<'_>) -> Result<Computed> {
    let (dates, days) = (call.date(0)?, call.int32(1)?);
    Ok(primitives::<Date32Type>(call.rows, call.returns, |row| {
        both(dates, days, row)
            .map(|(date, days)| check_date(finite_date(date)? + i64::from(days)))
            .transpose()
    }))
}

/// `date - integer`
pub(crate) fn date_minus_days(call: &Call<'_>) -> Result<Computed> {
    let (dates, days) = (call.date(0)?, call.int32(1)?);
    Ok(primitives::<Date32Type>(call.rows, call.returns, |row| {
        both(dates, days, row)
            .map(|(date, days)| check_date(finite_date(date)? - i64::from(days)))
            .transpose()
    }))
}

/// `date - date`, in days
pub(crate) fn date_minus_date(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.date(0)?, call.date(1)?);
    Ok(primitives::<Int32Type>(call.rows, call.returns, |row| {
        both(left, right, row)
            .map(|(a, b)| i32::try_from(finite_date(a)? - finite_date(b)?).map_err(|_| Fault::INTEGER_RANGE))
            .transpose()
    }))
}

/// `date + time`
pub(crate) fn date_plus_time(call: &Call<'_>) -> Result<Computed> {
    let (dates, times) = (call.date(0)?, call.time(1)?);
    Ok(primitives::<TimestampMicrosecondType>(call.rows, call.returns, |row| {
        both(dates, times, row)
            .map(|(date, time)| {
                let moment = first_moment(date)?.checked_add(time);
                moment.ok_or(Fault::TIME_RANGE).and_then(check_timestamp)
            })
            .transpose()
    }))
}

/// `timestamp + interval`: months first, then days, then the rest.
pub(crate) fn timestamp_plus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_timestamp(call, Ok)
}

/// `timestamp - interval`
pub(crate) fn timestamp_minus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_timestamp(call, negated)
}

/// `date + interval`, from midnight on
pub(crate) fn date_plus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_date(call, Ok)
}

/// `date - interval`, from midnight on
pub(crate) fn date_minus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_date(call, negated)
}

fn moved_date(call: &Call<'_>, turn: impl Fn(Interval) -> Result<Interval, Fault>) -> Result<Computed> {
    let (dates, intervals) = (call.date(0)?, call.sixteen(1)?);
    Ok(primitives::<TimestampMicrosecondType>(call.rows, call.returns, |row| {
        both(dates, intervals, row)
            .map(|(date, by)| moved(first_moment(date)?, turn(interval(by))?))
            .transpose()
    }))
}

/// Midnight of a date that is not infinite.
fn first_moment(date: i32) -> Result<i64, Fault> {
    let midnight = finite_date(date)?.checked_mul(DAY_MICROS);
    midnight.ok_or(Fault::TIME_RANGE).and_then(check_timestamp)
}

fn moved_timestamp(call: &Call<'_>, turn: impl Fn(Interval) -> Result<Interval, Fault>) -> Result<Computed> {
    let (moments, intervals) = (call.timestamp(0)?, call.sixteen(1)?);
    Ok(primitives::<TimestampMicrosecondType>(call.rows, call.returns, |row| {
        both(moments, intervals, row)
            .map(|(moment, by)| moved(finite(moment)?, turn(interval(by))?))
            .transpose()
    }))
}

fn moved(micros: i64, by: Interval) -> Result<i64, Fault> {
    let mut moment = micros;
    if by.months != 0 {
        let days = plus_months(moment.div_euclid(DAY_MICROS), by.months);
        moment = days
            .checked_mul(DAY_MICROS)
            .and_then(|midnight| midnight.checked_add(moment.rem_euclid(DAY_MICROS)))
            .ok_or(Fault::TIME_RANGE)
            .and_then(check_timestamp)?;
    }
    if by.days != 0 {
        let days = i64::from(by.days).checked_mul(DAY_MICROS);
        moment = days
            .and_then(|days| moment.checked_add(days))
            .ok_or(Fault::TIME_RANGE)
            .and_then(check_timestamp)?;
    }
    moment.checked_add(by.micros).ok_or(Fault::TIME_RANGE).and_then(check_timestamp)
}

/// The same day so many months on, or the month's last where it has no such day.
fn plus_months(days: i64, months: i32) -> i64 {
    let (year, month, day) = civil::date_from_days(days);
    let count = year * 12 + i64::from(month) - 1 + i64::from(months);
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    // Between 1 and 12.
    let month = u32::try_from(month).unwrap_or(1);
    civil::days_from_date(year, month, day.min(days_in_month(year, month)))
}

fn days_in_month(year: i64, month: u32) -> u32 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let days = civil::days_from_date(next_year, next, 1) - civil::days_from_date(year, month, 1);
    u32::try_from(days).unwrap_or(31)
}

/// `timestamp - timestamp`, in days and the rest
pub(crate) fn timestamp_minus_timestamp(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.timestamp(0)?, call.timestamp(1)?);
    sixteens(call.rows, |row| {
        both(left, right, row)
            .map(|(a, b)| {
                let micros = i128::from(finite(a)?) - i128::from(finite(b)?);
                let day = i128::from(DAY_MICROS);
                // At most 220 million days.
                let days = i32::try_from(micros / day).map_err(|_| Fault::INTERVAL_RANGE)?;
                let micros = i64::try_from(micros % day).map_err(|_| Fault::INTERVAL_RANGE)?;
                Ok(Interval { months: 0, days, micros }.to_bytes())
            })
            .transpose()
    })
}

/// `time + interval`, around the clock
pub(crate) fn time_plus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_time(call, i128::from)
}

/// `time - interval`, around the clock
pub(crate) fn time_minus_interval(call: &Call<'_>) -> Result<Computed> {
    moved_time(call, |micros| -i128::from(micros))
}

fn moved_time(call: &Call<'_>, turn: impl Fn(i64) -> i128) -> Result<Computed> {
    let (times, intervals) = (call.time(0)?, call.sixteen(1)?);
    Ok(primitives::<Time64MicrosecondType>(call.rows, call.returns, |row| {
        Ok(both(times, intervals, row).map(|(time, by)| {
            let moved = (i128::from(time) + turn(interval(by).micros)).rem_euclid(i128::from(DAY_MICROS));
            // Less than a day.
            i64::try_from(moved).unwrap_or_default()
        }))
    }))
}

/// `time - time`
pub(crate) fn time_minus_time(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.time(0)?, call.time(1)?);
    sixteens(call.rows, |row| {
        Ok(both(left, right, row).map(|(a, b)| Interval { months: 0, days: 0, micros: a - b }.to_bytes()))
    })
}

/// `interval + interval`, unit by unit
pub(crate) fn interval_plus_interval(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.sixteen(0)?, call.sixteen(1)?);
    sixteens(call.rows, |row| {
        both(left, right, row).map(|(a, b)| sum(interval(a), interval(b)).map(Interval::to_bytes)).transpose()
    })
}

/// `interval - interval`, unit by unit
pub(crate) fn interval_minus_interval(call: &Call<'_>) -> Result<Computed> {
    let (left, right) = (call.sixteen(0)?, call.sixteen(1)?);
    sixteens(call.rows, |row| {
        both(left, right, row)
            .map(|(a, b)| difference(interval(a), interval(b)).map(Interval::to_bytes))
            .transpose()
    })
}

/// `- interval`
pub(crate) fn interval_negated(call: &Call<'_>) -> Result<Computed> {
    let intervals: View<'_, FixedSizeBinaryArray> = call.sixteen(0)?;
    sixteens(call.rows, |row| {
        intervals.get(row).map(|bytes| negated(interval(bytes)).map(Interval::to_bytes)).transpose()
    })
}

fn sum(a: Interval, b: Interval) -> Result<Interval, Fault> {
    let sum = || {
        Some(Interval {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            micros: a.micros.checked_add(b.micros)?,
        })
    };
    sum().ok_or(Fault::INTERVAL_RANGE)
}

fn difference(a: Interval, b: Interval) -> Result<Interval, Fault> {
    let difference = || {
        Some(Interval {
            months: a.months.checked_sub(b.months)?,
            days: a.days.checked_sub(b.days)?,
            micros: a.micros.checked_sub(b.micros)?,
        })
    };
    difference().ok_or(Fault::INTERVAL_RANGE)
}

fn negated(a: Interval) -> Result<Interval, Fault> {
    difference(Interval::default(), a)
}

/// `interval * double precision`
pub(crate) fn interval_times(call: &Call<'_>) -> Result<Computed> {
    let (intervals, factors) = (call.sixteen(0)?, call.float64(1)?);
    sixteens(call.rows, |row| {
        both(intervals, factors, row)
            .map(|(bytes, factor)| scaled(interval(bytes), |part| part * factor).map(Interval::to_bytes))
            .transpose()
    })
}

/// `interval / double precision`
pub(crate) fn interval_divided(call: &Call<'_>) -> Result<Computed> {
    let (intervals, divisors) = (call.sixteen(0)?, call.float64(1)?);
    sixteens(call.rows, |row| {
        both(intervals, divisors, row)
            .map(|(bytes, divisor)| {
                if divisor == 0.0 {
                    return Err(Fault::DIVISION_BY_ZERO);
                }
                scaled(interval(bytes), |part| part / divisor).map(Interval::to_bytes)
            })
            .transpose()
    })
}

/// Scales each unit, handing what is left of a month to the days and of a day to the time, with
/// PostgreSQL's own roundings.
fn scaled(interval: Interval, scale: impl Fn(f64) -> f64) -> Result<Interval, Fault> {
    let (all_months, all_days) = (scale(interval.months.into()), scale(interval.days.into()));
    let months = whole(all_months)?;
    let mut days = whole(all_days)?;
    let month_rest = to_micros((all_months - f64::from(months)) * MONTH_DAYS);
    let whole_rest = month_rest.trunc();
    let mut seconds = to_micros((all_days - f64::from(days) + month_rest - whole_rest) * DAY_SECONDS);
    if seconds.abs() >= DAY_SECONDS {
        let more = (seconds / DAY_SECONDS).trunc();
        days = days.checked_add(whole(more)?).ok_or(Fault::INTERVAL_RANGE)?;
        seconds -= more * DAY_SECONDS;
    }
    days = days.checked_add(whole(whole_rest)?).ok_or(Fault::INTERVAL_RANGE)?;
    let micros = (scale(interval.micros as f64) + seconds * SECOND_MICROS).round_ties_even();
    // The ends of 64 bits as floats; NaN is not within.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&micros) {
        return Err(Fault::INTERVAL_RANGE);
    }
    Ok(Interval { months, days, micros: micros as i64 })
}

fn whole(value: f64) -> Result<i32, Fault> {
    if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) {
        Ok(value as i32)
    } else {
        Err(Fault::INTERVAL_RANGE)
    }
}

/// Rounded to six digits after the point.
fn to_micros(value: f64) -> f64 {
    (value * SECOND_MICROS).round_ties_even() / SECOND_MICROS
}
