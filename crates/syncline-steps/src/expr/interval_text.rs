//! Intervals in words, as in `1 year 2 mons -3 days 04:05:06.5`, and in ISO 8601.

use syncline_types::{civil, interval::Interval};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What one of a unit is worth.
#[derive(Clone, Copy)]
enum Unit {
    Months(i64),
    /// A part of a day goes into the time, as in PostgreSQL.
    Days(i64),
    Micros(i64),
}

/// Every unit by its names.
const UNITS: &[(&[&str], Unit)] = &[
    (&["microsecond", "microseconds", "usec", "usecs", "us"], Unit::Micros(1)),
    (&["millisecond", "milliseconds", "msec", "msecs", "ms"], Unit::Micros(1_000)),
    (&["second", "seconds", "sec", "secs", "s"], Unit::Micros(SECOND)),
    (&["minute", "minutes", "min", "mins", "m"], Unit::Micros(MINUTE)),
    (&["hour", "hours", "hr", "hrs", "h"], Unit::Micros(HOUR)),
    (&["day", "days", "d"], Unit::Days(1)),
    (&["week", "weeks", "w"], Unit::Days(7)),
    (&["month", "months", "mon", "mons"], Unit::Months(1)),
    (&["year", "years", "yr", "yrs", "y"], Unit::Months(12)),
    (&["decade", "decades"], Unit::Months(120)),
    (&["century", "centuries"], Unit::Months(1_200)),
    (&["millennium", "millennia"], Unit::Months(12_000)),
];

/// Reads either form. A month or year takes no fraction.
pub(crate) fn parse(text: &str) -> Option<Interval> {
    if text.starts_with('P') { Interval::parse(text) } else { parse_words(text) }
}

#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

impl Sum {
    /// Adds `number` units, the fraction given in millionths.
    fn add(&mut self, whole: i64, millionths: i64, unit: Unit) -> Option<()> {
        match unit {
            Unit::Months(each) if millionths == 0 => {
                self.months = self.months.checked_add(whole.checked_mul(each)?)?;
            }
            Unit::Months(_) => return None,
            Unit::Days(each) => {
                self.days = self.days.checked_add(whole.checked_mul(each)?)?;
                self.micros = self.micros.checked_add(fraction(millionths, each * DAY)?)?;
            }
            Unit::Micros(each) => {
                let micros = whole.checked_mul(each)?.checked_add(fraction(millionths, each)?)?;
                self.micros = self.micros.checked_add(micros)?;
            }
        }
        Some(())
    }
}

/// A part of a unit in microseconds, if it is a whole number of them.
fn fraction(millionths: i64, unit: i64) -> Option<i64> {
    let product = i128::from(millionths) * i128::from(unit);
    if product % 1_000_000 == 0 { i64::try_from(product / 1_000_000).ok() } else { None }
}

fn parse_words(text: &str) -> Option<Interval> {
    let mut sum = Sum::default();
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    let mut ago = false;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") {
            ago = words.peek().is_none();
            if !ago {
                return None;
            }
        } else if word.contains(':') {
            sum.micros = sum.micros.checked_add(parse_clock(word)?)?;
        } else {
            let (number, unit) = match word.find(|c: char| c.is_ascii_alphabetic()) {
                Some(at) => word.split_at(at),
                None => (word, words.next()?),
            };
            let (whole, millionths) = parse_number(number)?;
            sum.add(whole, millionths, unit_named(unit)?)?;
        }
    }
    let sign = if ago { -1 } else { 1 };
    Some(Interval {
        months: i32::try_from(sum.months.checked_mul(sign)?).ok()?,
        days: i32::try_from(sum.days.checked_mul(sign)?).ok()?,
        micros: sum.micros.checked_mul(sign)?,
    })
}

fn unit_named(name: &str) -> Option<Unit> {
    let name = name.to_ascii_lowercase();
    UNITS.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, unit)| *unit)
}

/// `[+-]H:MM[:SS[.ffffff]]`, with any number of hours.
fn parse_clock(text: &str) -> Option<i64> {
    let (sign, text) = signed(text);
    let (hours, rest) = text.split_once(':')?;
    let hours = parse_digits(hours)?;
    // What follows the hours is the clock of a time of day.
    let within = civil::parse_time(&format!("00:{rest}"))?;
    Some(sign * hours.checked_mul(HOUR)?.checked_add(within)?)
}

/// A number with up to six digits after the point, as whole part and signed millionths.
fn parse_number(text: &str) -> Option<(i64, i64)> {
    let (sign, text) = signed(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { parse_digits(whole)? };
    let millionths = if fraction.is_empty() { 0 } else { parse_digits(&format!("{fraction:0<6}"))? };
    Some((sign * whole, sign * millionths))
}

fn signed(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn parse_digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_iso() {
        let interval = |months, days, micros| Some(Interval { months, days, micros });
        for (text, expected) in [
            ("1 day", interval(0, 1, 0)),
            ("1 day 2 hours", interval(0, 1, 2 * HOUR)),
            ("1 year 2 mons -3 days 04:05:06.5", interval(14, -3, 4 * HOUR + 5 * MINUTE + 6_500_000)),
            ("-1 day -02:30", interval(0, -1, -(2 * HOUR + 30 * MINUTE))),
            ("3 hours ago", interval(0, 0, -3 * HOUR)),
            ("1.5 days", interval(0, 1, 12 * HOUR)),
            ("0.000001 s", interval(0, 0, 1)),
            ("2w", interval(0, 14, 0)),
            ("100:00:00", interval(0, 0, 100 * HOUR)),
            ("P1Y2M3DT4H", interval(14, 3, 4 * HOUR)),
            ("1.5 months", None),
            ("1", None),
            ("day", None),
            ("1 dya", None),
            ("ago 1 day", None),
            ("", None),
            ("9999999999 years", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+0-9.: a-zP]{0,24}|.{0,12}") {
            let _ = parse(&text);
        }
    }
}
