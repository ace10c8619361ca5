//! Intervals: months, days and microseconds, each with its own sign, as PostgreSQL keeps them.
//!
//! Carried as 16 bytes, big-endian: microseconds (8), days (4), months (4). Arrow's own interval
//! counts nanoseconds in 64 bits and ends at 292 years of hours.

use std::fmt::Write;

use crate::civil::{parse_fraction, write_fraction};

/// One interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Whole months.
    pub months: i32,
    /// Whole days.
    pub days: i32,
    /// The rest.
    pub micros: i64,
}

impl Interval {
    /// From its carried form.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(bytes);
        Interval {
            micros: ((value >> 64) as u64).cast_signed(),
            days: ((value >> 32) as u32).cast_signed(),
            months: (value as u32).cast_signed(),
        }
    }

    /// To its carried form.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.micros.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.days.to_be_bytes());
        bytes[12..].copy_from_slice(&self.months.to_be_bytes());
        bytes
    }

    /// Appends ISO 8601, as in `P1Y2M3DT4H5M6.5S`; zero is `PT0S`.
    pub fn write(self, out: &mut String) {
        out.push('P');
        write_unit(i64::from(self.months / 12), 'Y', out);
        write_unit(i64::from(self.months % 12), 'M', out);
        write_unit(i64::from(self.days), 'D', out);
        if self.micros == 0 {
            if out.ends_with('P') {
                out.push_str("T0S");
            }
            return;
        }
        out.push('T');
        write_unit(self.micros / 3_600_000_000, 'H', out);
        write_unit(self.micros / 60_000_000 % 60, 'M', out);
        let rest = self.micros % 60_000_000;
        if rest != 0 {
            if rest < 0 {
                out.push('-');
            }
            let _ = write!(out, "{}", (rest / 1_000_000).abs());
            write_fraction((rest % 1_000_000).abs(), out);
            out.push('S');
        }
    }

    /// Reads what [`Interval::write`] writes, weeks too.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('P')?;
        let (date, time) = match text.split_once('T') {
            Some((_, "")) => return None,
            Some((date, time)) => (date, time),
            None if text.is_empty() => return None,
            None => (text, ""),
        };
        let mut months = 0_i64;
        let mut days = 0_i64;
        let mut micros = 0_i64;
        for_units(date, |unit, whole, fraction| {
            if fraction != 0 {
                return None;
            }
            match unit {
                'Y' => months = months.checked_add(whole.checked_mul(12)?)?,
                'M' => months = months.checked_add(whole)?,
                'W' => days = days.checked_add(whole.checked_mul(7)?)?,
                'D' => days = days.checked_add(whole)?,
                _ => return None,
            }
            Some(())
        })?;
        for_units(time, |unit, whole, fraction| {
            let factor = match unit {
                'H' => 3_600_000_000,
                'M' => 60_000_000,
                'S' => 1_000_000,
                _ => return None,
            };
            if fraction != 0 && unit != 'S' {
                return None;
            }
            micros = micros.checked_add(whole.checked_mul(factor)?)?.checked_add(fraction)?;
            Some(())
        })?;
        Some(Interval { months: i32::try_from(months).ok()?, days: i32::try_from(days).ok()?, micros })
    }
}

fn write_unit(value: i64, unit: char, out: &mut String) {
    if value != 0 {
        let _ = write!(out, "{value}{unit}");
    }
}

/// Calls `each` with unit letter, whole part and microseconds of the fraction, sign applied to both.
fn for_units(mut text: &str, mut each: impl FnMut(char, i64, i64) -> Option<()>) -> Option<()> {
    while !text.is_empty() {
        let at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, rest) = (text.get(..at)?, text.get(at..)?);
        let unit = rest.chars().next()?;
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, parse_fraction(fraction)?),
            None => (number, 0),
        };
        let sign = if whole.starts_with('-') { -1 } else { 1 };
        each(unit, whole.parse().ok()?, sign * fraction)?;
        text = rest.get(1..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_texts() {
        for (interval, text) in [
            (Interval::default(), "PT0S"),
            (Interval { months: 14, days: 3, micros: 14_706_500_000 }, "P1Y2M3DT4H5M6.5S"),
            (Interval { months: -14, days: 3, micros: -500_000 }, "P-1Y-2M3DT-0.5S"),
            (Interval { months: 0, days: 0, micros: i64::MIN }, "PT-2562047788H-54.775808S"),
        ] {
            let mut out = String::new();
            interval.write(&mut out);
            assert_eq!(out, text);
            assert_eq!(Interval::parse(text), Some(interval));
        }
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in ["", "P", "PT", "1D", "P1", "P1X", "PT1.5H", "P99999999999Y", "P1.5D", "PTS"] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_interval_comes_back(months: i32, days: i32, micros: i64) {
            let interval = Interval { months, days, micros };
            let mut out = String::new();
            interval.write(&mut out);
            prop_assert_eq!(Interval::parse(&out), Some(interval));
            prop_assert_eq!(Interval::from_bytes(interval.to_bytes()), interval);
        }

        #[test]
        fn no_text_panics(text in "P?[-0-9.A-Z]{0,20}|.{0,10}") {
            let _ = Interval::parse(&text);
        }
    }
}
