//! Days and microseconds to and from calendar text, for any year that 64 bits of days can hold.
//!
//! The calendar is the proleptic Gregorian one. The text forms are ISO 8601 with a blank between
//! date and time, years before 1 as `0044-03-15 BC`, fractions without trailing zeros, and
//! `+00:00` after a point in time. PostgreSQL reads all of them.

use std::fmt::Write;

/// Microseconds in a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// Days since 1970-01-01 of a date whose month and day are in range. Year 0 is 1 BC.
pub fn days_from_date(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year (0 is 1 BC), month and day of a number of days since 1970-01-01.
pub fn date_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Both are small by construction.
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// Appends a date, as in `2024-02-29`, with ` BC` before year 1.
pub fn write_date(days: i64, out: &mut String) {
    if write_year_month_day(days, out) {
        out.push_str(" BC");
    }
}

/// The date without its era; true when it is BC.
fn write_year_month_day(days: i64, out: &mut String) -> bool {
    let (year, month, day) = date_from_days(days);
    let (shown, before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    before_christ
}

/// Appends a time of day given in microseconds since midnight, as in `23:59:59.5`.
pub fn write_time(micros: i64, out: &mut String) {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    write_fraction(fraction, out);
}

/// Appends `.` and up to six digits, or nothing for 0.
pub(crate) fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Appends a timestamp given in microseconds since 1970, with `+00:00` when it is zoned.
pub fn write_timestamp(micros: i64, zoned: bool, out: &mut String) {
    let before_christ = write_year_month_day(micros.div_euclid(DAY_MICROS), out);
    out.push(' ');
    write_time(micros.rem_euclid(DAY_MICROS), out);
    if zoned {
        out.push_str("+00:00");
    }
    if before_christ {
        out.push_str(" BC");
    }
}

/// Days since 1970 of `YYYY-MM-DD` (more digits in the year allowed) with an optional ` BC`.
pub fn parse_date(text: &str) -> Option<i64> {
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut parts = text.splitn(3, '-');
    let year_text = parts.next()?;
    let (year, month, day) =
        (number(year_text, 4, 7)?, number(parts.next()?, 2, 2)?, number(parts.next()?, 2, 2)?);
    let year = match (before_christ, year) {
        (_, 0) => return None,
        (true, year) => 1 - year,
        (false, year) => year,
    };
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let days = (1..=12).contains(&month).then(|| days_from_date(year, month, day))?;
    // A day that the month lacks comes back as another date.
    (day >= 1 && date_from_days(days) == (year, month, day)).then_some(days)
}

/// Microseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`, up to 24:00:00.
pub fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, parse_fraction(fraction)?),
        None => (text, 0),
    };
    let mut parts = clock.split(':');
    let hours = number(parts.next()?, 2, 2)?;
    let minutes = number(parts.next()?, 2, 2)?;
    let seconds = match parts.next() {
        Some(seconds) => number(seconds, 2, 2)?,
        None if fraction == 0 && !text.contains('.') => 0,
        None => return None,
    };
    let micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction;
    (parts.next().is_none() && minutes < 60 && seconds < 60 && micros <= DAY_MICROS).then_some(micros)
}

/// Microseconds from one to six digits after the point; more digits only if they are zeros.
pub(crate) fn parse_fraction(digits: &str) -> Option<i64> {
    let (kept, beyond) = if digits.len() > 6 { digits.split_at_checked(6)? } else { (digits, "") };
    if !beyond.bytes().all(|digit| digit == b'0') {
        return None;
    }
    let value = number(kept, 1, 6)?;
    Some(value * 10_i64.pow(6 - u32::try_from(kept.len()).ok()?))
}

/// Microseconds since 1970, and whether the text named a zone. Accepts a blank or `T` between date
/// and time, `Z` or `+HH[:MM[:SS]]` after it, and a date alone (midnight).
pub fn parse_timestamp(text: &str) -> Option<(i64, bool)> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let (date, rest) = match text.find([' ', 'T']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, "00:00"),
    };
    let days = if era.is_empty() { parse_date(date)? } else { parse_date(&format!("{date}{era}"))? };
    let (time, offset) = match rest.find(['Z', '+', '-']) {
        Some(at) => (rest.get(..at)?, Some(parse_offset(rest.get(at..)?)?)),
        None => (rest, None),
    };
    let micros = days.checked_mul(DAY_MICROS)?.checked_add(parse_time(time)?)?;
    Some((micros.checked_sub(offset.unwrap_or(0) * 1_000_000)?, offset.is_some()))
}

/// Seconds east of Greenwich.
fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    let mut seconds = 0;
    let mut unit = 3_600;
    let parts: Vec<&str> = match digits.len() {
        4 if !digits.contains(':') => vec![digits.get(..2)?, digits.get(2..)?],
        _ => digits.split(':').collect(),
    };
    for part in parts {
        seconds += number(part, 2, 2)? * unit;
        unit = if unit == 1 { return None } else { unit / 60 };
    }
    (seconds < 86_400).then_some(sign * seconds)
}

/// A number of `least` to `most` digits and nothing else.
fn number(text: &str, least: usize, most: usize) -> Option<i64> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(days: i64) -> String {
        let mut out = String::new();
        write_date(days, &mut out);
        out
    }

    fn timestamp(micros: i64, zoned: bool) -> String {
        let mut out = String::new();
        write_timestamp(micros, zoned, &mut out);
        out
    }

    #[test]
    fn known_days() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_896, "9999-12-31"),
            (2_145_031_948 + 10_957, "5874897-12-31"),
        ] {
            assert_eq!(date(days), text);
            assert_eq!(parse_date(text), Some(days));
        }
    }

    #[test]
    fn known_timestamps() {
        for (micros, zoned, text) in [
            (0, false, "1970-01-01 00:00:00"),
            (-1, true, "1969-12-31 23:59:59.999999+00:00"),
            (1_500_000, false, "1970-01-01 00:00:01.5"),
        ] {
            assert_eq!(timestamp(micros, zoned), text);
            assert_eq!(parse_timestamp(text), Some((micros, zoned)));
        }
        assert_eq!(parse_timestamp("1970-01-01T02:00:00+02:00"), Some((0, true)));
        assert_eq!(parse_timestamp("1970-01-01T00:00Z"), Some((0, true)));
        assert_eq!(parse_timestamp("1970-01-02"), Some((DAY_MICROS, false)));
        assert_eq!(parse_time("24:00:00"), Some(DAY_MICROS));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in
            ["", "2023-02-29", "2024-13-01", "2024-00-01", "2024-1-1", "0000-01-01", "x", "2024-01-01 BCE"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in
            ["24:00:01", "1:00", "12:60", "12:00:60", "12:00:00.", "12:00:00.1234567", "12:00.5", "é2:00"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
        for text in ["2024-01-01 12:00+99999", "2024-01-01 12:00+02:00:00:00", "2024-01-01x12:00"] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_date_comes_back(days in -2_440_588_i64..2_145_042_541) {
            prop_assert_eq!(parse_date(&date(days)), Some(days));
        }

        #[test]
        fn every_timestamp_comes_back(micros in -210_866_803_200_000_000_i64..9_223_371_331_200_000_000, zoned: bool) {
            prop_assert_eq!(parse_timestamp(&timestamp(micros, zoned)), Some((micros, zoned)));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (parse_date(&text), parse_time(&text), parse_timestamp(&text));
        }
    }
}
