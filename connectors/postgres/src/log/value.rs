//! One value of a change into its column: in COPY's binary form, or in the server's text form, which
//! is what a session gets when some column's type has no binary form that is known here.

use syncline_types::{
    LogicalType,
    build::ColumnBuilder,
    civil, decimal,
    interval::Interval,
    special::{
        DATE_INFINITY, DATE_MINUS_INFINITY, DECIMAL128_NAN, DECIMAL256_NAN, TIMESTAMP_INFINITY,
        TIMESTAMP_MINUS_INFINITY,
    },
    text::{parse_hex, parse_uuid},
};

use super::message::Field;
use crate::{
    decode::{self, BadField, TOO_LATE, check_text},
    types::reads_as_text,
};

/// Appends a value. One that the log does not repeat has to be dealt with before.
pub(super) fn push(
    field: Field<'_>,
    logical: LogicalType,
    checks_text: bool,
    builder: &mut ColumnBuilder,
) -> Result<(), BadField> {
    let bytes = match field {
        Field::Null => {
            builder.push_null();
            return Ok(());
        }
        Field::Unchanged => return Err(BadField::Form),
        Field::Text(bytes) | Field::Binary(bytes) => bytes,
    };
    if checks_text {
        check_text(bytes, logical)?;
    }
    match field {
        Field::Binary(_) if reads_as_text(logical) => Err(BadField::Form),
        Field::Binary(_) => decode::push(bytes, logical, builder),
        _ => push_text(bytes, logical, builder),
    }
}

fn push_text(bytes: &[u8], logical: LogicalType, builder: &mut ColumnBuilder) -> Result<(), BadField> {
    if let ColumnBuilder::Text(builder) = builder {
        if matches!(logical, LogicalType::Numeric | LogicalType::Bits { .. }) && !bytes.is_ascii() {
            return Err(BadField::Form);
        }
        builder.push(bytes);
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadField::Form)?;
    push_parsed(text, logical, builder)
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, BadField> {
    text.parse().map_err(|_| BadField::Form)
}

fn push_parsed(text: &str, logical: LogicalType, builder: &mut ColumnBuilder) -> Result<(), BadField> {
    match builder {
        ColumnBuilder::Bool(builder) => builder.push(match text {
            "t" => true,
            "f" => false,
            _ => return Err(BadField::Form),
        }),
        ColumnBuilder::Int16(builder) => builder.push(parsed(text)?),
        ColumnBuilder::Int32(builder) => builder.push(parsed(text)?),
        ColumnBuilder::Int64(builder) => builder.push(parsed(text)?),
        ColumnBuilder::UInt32(builder) => builder.push(parsed(text)?),
        ColumnBuilder::Float32(builder) => builder.push(parsed(text)?),
        ColumnBuilder::Float64(builder) => builder.push(parsed(text)?),
        ColumnBuilder::Decimal128(builder) => {
            let LogicalType::Decimal { precision, scale } = logical else { return Err(BadField::Form) };
            builder.push(match text {
                "NaN" => DECIMAL128_NAN,
                text => decimal::parse_128(text, precision, scale).ok_or(BadField::Form)?,
            });
        }
        ColumnBuilder::Decimal256(builder) => {
            let LogicalType::Decimal { precision, scale } = logical else { return Err(BadField::Form) };
            builder.push(match text {
                "NaN" => DECIMAL256_NAN,
                text => decimal::parse_256(text, precision, scale).ok_or(BadField::Form)?,
            });
        }
        ColumnBuilder::Date(builder) => builder.push(match text {
            "infinity" => DATE_INFINITY,
            "-infinity" => DATE_MINUS_INFINITY,
            text => {
                let days = civil::parse_date(text).ok_or(BadField::Form)?;
                i32::try_from(days).map_err(|_| BadField::Form)?
            }
        }),
        ColumnBuilder::Time(builder) => builder.push(civil::parse_time(text).ok_or(BadField::Form)?),
        ColumnBuilder::Timestamp(builder) => builder.push(match text {
            "infinity" => TIMESTAMP_INFINITY,
            "-infinity" => TIMESTAMP_MINUS_INFINITY,
            text => civil::parse_timestamp(text).ok_or(BadField::Value(TOO_LATE))?.0,
        }),
        ColumnBuilder::Binary(builder) => builder.push(&parse_hex(text).ok_or(BadField::Form)?),
        ColumnBuilder::Sixteen(builder) => builder.push(match logical {
            LogicalType::Interval => interval(text).ok_or(BadField::Form)?.to_bytes(),
            _ => parse_uuid(text).ok_or(BadField::Form)?,
        }),
        // Texts have been dealt with, and no column of PostgreSQL is read as one of the others.
        ColumnBuilder::Text(_)
        | ColumnBuilder::Int8(_)
        | ColumnBuilder::UInt8(_)
        | ColumnBuilder::UInt16(_)
        | ColumnBuilder::UInt64(_) => return Err(BadField::Form),
    }
    Ok(())
}

/// Reads the style `postgres`, as in `-1 years +2 mons 3 days -04:05:06.5`.
fn interval(text: &str) -> Option<Interval> {
    match text {
        "infinity" => return Some(Interval { months: i32::MAX, days: i32::MAX, micros: i64::MAX }),
        "-infinity" => return Some(Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN }),
        _ => {}
    }
    let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i64);
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            micros = clock(word)?;
            continue;
        }
        let count: i64 = word.parse().ok()?;
        match words.next()? {
            "year" | "years" => months = months.checked_add(count.checked_mul(12)?)?,
            "mon" | "mons" => months = months.checked_add(count)?,
            "day" | "days" => days = days.checked_add(count)?,
            _ => return None,
        }
    }
    Some(Interval { months: i32::try_from(months).ok()?, days: i32::try_from(days).ok()?, micros })
}

/// Hours of any number, minutes and seconds with up to six digits after the point.
fn clock(text: &str) -> Option<i64> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, rest) = text.split_once(':')?;
    let hours: i64 = hours.parse().ok().filter(|hours| *hours >= 0)?;
    let rest = civil::parse_time(&format!("00:{rest}"))?;
    // The longest interval goes to the lowest number, whose sign cannot be turned.
    hours.checked_mul(sign * 3_600_000_000)?.checked_add(sign * rest)
}

#[cfg(test)]
mod tests {
    use arrow_array::ArrayRef;
    use proptest::prelude::*;
    use syncline_types::text::Values;

    use super::*;

    fn read(text: &str, logical: LogicalType) -> Result<Option<String>, BadField> {
        let mut builder = ColumnBuilder::new(logical, 1);
        push(Field::Text(text.as_bytes()), logical, false, &mut builder)?;
        let array: ArrayRef = builder.finish().unwrap();
        Ok(Values::new(&array, logical).unwrap().text(0))
    }

    #[test]
    fn texts_of_the_server_are_read() {
        use LogicalType as L;
        for (text, logical, expected) in [
            ("t", L::Bool, "true"),
            ("-32768", L::Int16, "-32768"),
            ("4294967295", L::UInt32, "4294967295"),
            ("-Infinity", L::Float64, "-Infinity"),
            ("1e-45", L::Float32, "1e-45"),
            ("-12.50", L::Decimal { precision: 12, scale: 2 }, "-12.50"),
            ("NaN", L::Decimal { precision: 12, scale: 2 }, "NaN"),
            ("0.5", L::Decimal { precision: 60, scale: 1 }, "0.5"),
            ("1e5", L::Numeric, "1e5"),
            ("0044-03-15 BC", L::Date, "0044-03-15 BC"),
            ("-infinity", L::Date, "-infinity"),
            ("24:00:00", L::TIME, "24:00:00"),
            ("2024-02-29 12:00:00.5", L::TIMESTAMP, "2024-02-29 12:00:00.5"),
            ("0044-03-15 12:00:00+00 BC", L::TIMESTAMPTZ, "0044-03-15 12:00:00+00:00 BC"),
            ("infinity", L::TIMESTAMPTZ, "infinity"),
            ("\\x00ff", L::Binary, "\\x00ff"),
            ("1 year 2 mons -3 days +04:05:06.789", L::Interval, "P1Y2M-3DT4H5M6.789S"),
            ("-1 years -2 mons +3 days -100:05:06", L::Interval, "P-1Y-2M3DT-100H-5M-6S"),
            ("00:00:00", L::Interval, "PT0S"),
            ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", L::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("0101", L::Bits { length: None, varying: true }, "0101"),
            ("{1,2}", L::Opaque, "{1,2}"),
        ] {
            assert_eq!(read(text, logical), Ok(Some(expected.to_owned())), "{logical}");
        }
        assert_eq!(read("294247-01-11 00:00:00", L::TIMESTAMP), Err(BadField::Value(TOO_LATE)));
        assert_eq!(read("x", L::Int32), Err(BadField::Form));
    }

    #[test]
    fn the_longest_intervals_are_read() {
        let text = "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808";
        let interval = interval(text).unwrap();
        assert_eq!(interval, Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN });
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-+0-9:. a-z]{0,40}") {
            use LogicalType as L;
            for logical in [L::Interval, L::Date, L::TIME, L::TIMESTAMPTZ, L::Uuid, L::Binary, L::Float64,
                L::Decimal { precision: 12, scale: 2 }, L::Decimal { precision: 70, scale: 2 }] {
                let _ = read(&text, logical);
            }
        }
    }
}
