//! Values of a cursor as numbers, so that a mark can be compared and moved back.

use syncline_types::{
    LogicalType, civil,
    civil::DAY_MICROS,
    special::{DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY},
    text::Values,
};

/// What a cursor's values are: something that every system orders alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers from `least` on.
    Integer {
        /// The least one that the column's type holds.
        least: i128,
    },
    /// Days since 1970.
    Date,
    /// Microseconds since 1970.
    Timestamp {
        /// Whether they are points in time.
        zoned: bool,
    },
}

/// The years within which every system writes dates alike.
const YEARS: std::ops::RangeInclusive<i64> = 1..=9_999;

/// Units of a look-back over time, in microseconds.
const UNITS: &[(&str, i64)] = &[
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", DAY_MICROS),
    ("w", 7 * DAY_MICROS),
];

impl Kind {
    /// The kind of a column; `None` where it cannot be a cursor.
    pub fn of(logical: LogicalType) -> Option<Kind> {
        use LogicalType as L;
        Some(match logical {
            L::Int8 => Kind::Integer { least: i8::MIN.into() },
            L::Int16 => Kind::Integer { least: i16::MIN.into() },
            L::Int32 => Kind::Integer { least: i32::MIN.into() },
            L::Int64 => Kind::Integer { least: i64::MIN.into() },
            L::UInt8 | L::UInt16 | L::UInt32 | L::UInt64 => Kind::Integer { least: 0 },
            L::Date => Kind::Date,
            L::Timestamp { zoned, .. } => Kind::Timestamp { zoned },
            _ => return None,
        })
    }

    /// As a mark names it. Integers of any width are one.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Integer { .. } => "integer",
            Kind::Date => "date",
            Kind::Timestamp { zoned: false } => "timestamp",
            Kind::Timestamp { zoned: true } => "timestamptz",
        }
    }

    /// Reads the text form of [`syncline_types::text`]. `None` for what is no value of the kind, is
    /// infinite, or lies outside the years 1 to 9999.
    pub fn parse(self, text: &str) -> Option<i128> {
        match self {
            Kind::Integer { least } => text.parse().ok().filter(|value| *value >= least),
            Kind::Date => civil::parse_date(text).filter(|days| in_years(*days)).map(i128::from),
            Kind::Timestamp { zoned } => {
                let (micros, has_zone) = civil::parse_timestamp(text)?;
                (has_zone == zoned && in_years(micros.div_euclid(DAY_MICROS))).then_some(micros.into())
            }
        }
    }

    /// The text form of a value that [`Kind::parse`] gave, or of one that is less by a look-back.
    pub fn write(self, value: i128) -> String {
        let mut out = String::new();
        // What was parsed fits into 64 bits, and is only ever made less down to the kind's least.
        let narrow = || i64::try_from(value).unwrap_or(i64::MIN);
        match self {
            Kind::Integer { .. } => out = value.to_string(),
            Kind::Date => civil::write_date(narrow(), &mut out),
            Kind::Timestamp { zoned } => civil::write_timestamp(narrow(), zoned, &mut out),
        }
        out
    }

    /// How far to look back, in the kind's own unit.
    ///
    /// # Errors
    /// A sentence on why the text is none.
    pub fn lookback(self, text: &str) -> Result<i128, String> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let unit = text.get(digits.len()..).unwrap_or_default().trim();
        let number = digits.parse::<u32>();
        let micros = |unit: &str| UNITS.iter().find(|(name, _)| *name == unit).map(|(_, micros)| *micros);
        match (self, number) {
            (Kind::Integer { .. }, _) => {
                let number = text.parse::<u64>().map_err(|_| "the cursor counts, and this is no number");
                Ok(number?.into())
            }
            (_, Ok(number)) => {
                let micros = micros(unit).ok_or("it looks like 30s, 10m, 2h or 1d")?;
                let micros = i128::from(number) * i128::from(micros);
                let day = i128::from(DAY_MICROS);
                match self {
                    Kind::Date if micros % day != 0 => {
                        Err("the cursor is a date, and this is no number of days".into())
                    }
                    Kind::Date => Ok(micros / day),
                    _ => Ok(micros),
                }
            }
            (_, Err(_)) => Err("it looks like 30s, 10m, 2h or 1d".into()),
        }
    }

    /// A value so far back, or the least there is.
    pub fn back(self, value: i128, lookback: i128) -> i128 {
        let first_day = i128::from(civil::days_from_date(*YEARS.start(), 1, 1));
        let least = match self {
            Kind::Integer { least } => least,
            Kind::Date => first_day,
            Kind::Timestamp { .. } => first_day * i128::from(DAY_MICROS),
        };
        value.saturating_sub(lookback).max(least)
    }

    /// A row's value; `None` for NULL and for what is infinite.
    pub fn value(self, values: &Values<'_>, row: usize) -> Option<i128> {
        if values.is_null(row) {
            return None;
        }
        match *values {
            Values::Int8(array) => Some(array.value(row).into()),
            Values::Int16(array) => Some(array.value(row).into()),
            Values::Int32(array) => Some(array.value(row).into()),
            Values::Int64(array) => Some(array.value(row).into()),
            Values::UInt8(array) => Some(array.value(row).into()),
            Values::UInt16(array) => Some(array.value(row).into()),
            Values::UInt32(array) => Some(array.value(row).into()),
            Values::UInt64(array) => Some(array.value(row).into()),
            Values::Date(array) => {
                let days = array.value(row);
                (![DATE_INFINITY, DATE_MINUS_INFINITY].contains(&days)).then_some(days.into())
            }
            Values::Timestamp(array, _) => {
                let micros = array.value(row);
                (![TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY].contains(&micros)).then_some(micros.into())
            }
            _ => None,
        }
    }
}

fn in_years(days: i64) -> bool {
    YEARS.contains(&civil::date_from_days(days).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEGER: Kind = Kind::Integer { least: -100 };
    const TIME: Kind = Kind::Timestamp { zoned: false };

    #[test]
    fn values_come_back_as_they_were_written() {
        for (kind, text) in [
            (INTEGER, "-100"),
            (Kind::Integer { least: 0 }, "18446744073709551615"),
            (Kind::Date, "0001-01-01"),
            (Kind::Date, "9999-12-31"),
            (TIME, "2024-02-29 12:00:00.000001"),
            (Kind::Timestamp { zoned: true }, "2024-02-29 12:00:00+00:00"),
        ] {
            assert_eq!(kind.parse(text).map(|value| kind.write(value)).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_place_to_go_on_from_is_refused() {
        for (kind, text) in [
            (INTEGER, "-101"),
            (INTEGER, "1.5"),
            (INTEGER, ""),
            (Kind::Date, "infinity"),
            (Kind::Date, "0044-03-15 BC"),
            (Kind::Date, "10000-01-01"),
            (TIME, "-infinity"),
            (TIME, "2024-02-29 12:00:00+00:00"),
            (Kind::Timestamp { zoned: true }, "2024-02-29 12:00:00"),
            (Kind::Timestamp { zoned: true }, "10000-01-01 00:00:00+00:00"),
        ] {
            assert_eq!(kind.parse(text), None, "{text} as {}", kind.name());
        }
    }

    #[test]
    fn a_look_back_is_in_the_cursors_own_unit() {
        let hour = 3_600_000_000;
        assert_eq!(INTEGER.lookback("25"), Ok(25));
        assert_eq!(TIME.lookback("2h"), Ok(2 * hour));
        assert_eq!(TIME.lookback("90 s"), Ok(90_000_000));
        assert_eq!(TIME.lookback("250ms"), Ok(250_000));
        assert_eq!(Kind::Date.lookback("48h"), Ok(2));
        assert_eq!(Kind::Date.lookback("1w"), Ok(7));
        for (kind, text) in [
            (INTEGER, "2h"),
            (INTEGER, "-1"),
            (TIME, "25"),
            (TIME, "1y"),
            (TIME, "-1h"),
            (TIME, ""),
            (TIME, "1.5h"),
            (Kind::Date, "36h"),
        ] {
            assert!(kind.lookback(text).is_err(), "{text} as {}", kind.name());
        }
    }

    #[test]
    fn nobody_looks_back_beyond_the_beginning() {
        assert_eq!(INTEGER.back(-90, 1_000), -100);
        assert_eq!(INTEGER.back(10, 3), 7);
        let first = Kind::Date.parse("0001-01-05").unwrap();
        assert_eq!(Kind::Date.write(Kind::Date.back(first, 4)), "0001-01-01");
        assert_eq!(Kind::Date.write(Kind::Date.back(first, 400)), "0001-01-01");
        let first = TIME.parse("0001-01-01 00:00:01").unwrap();
        assert_eq!(TIME.write(TIME.back(first, i128::from(u64::MAX))), "0001-01-01 00:00:00");
    }
}
