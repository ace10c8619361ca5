//! Numbers and times in JSON.

use super::super::{
    fields::{Broken, Fields},
    number::decimal_digits,
    table_map::kind as k,
};

/// Beyond so many digits on either side of the point, the server writes a power of ten.
const PLAIN_DIGITS_MAX: i32 = 15;

/// The shortest digits that are this number and no other; always such as JSON knows for no integer.
pub(super) fn write_double(value: f64, out: &mut Vec<u8>) {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = exponent + 1;
    if value == 0.0 || (-PLAIN_DIGITS_MAX < point && point <= PLAIN_DIGITS_MAX) {
        let plain = format!("{value}");
        out.extend(plain.as_bytes());
        if !plain.contains('.') {
            out.extend(b".0");
        }
        return;
    }
    out.extend(digits.as_bytes());
    out.extend(format!("e{exponent}").as_bytes());
}

/// Digits, digits behind the point, and the number as columns have it.
pub(super) fn write_decimal(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut fields = Fields(bytes);
    let (precision, scale) = (fields.u8()?, fields.u8()?);
    let digits = decimal_digits(fields.0, precision, scale)?;
    out.extend(digits.as_bytes());
    Ok(())
}

/// A time in 64 bits, with microseconds.
pub(super) fn write_moment(kind: u8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let packed = i64::from_le_bytes(bytes.try_into().map_err(|_| Broken)?);
    let sign = if packed < 0 { "-" } else { "" };
    let whole = packed.unsigned_abs() >> 24;
    let micros = packed.unsigned_abs() & 0xFF_FFFF;
    let (minute, second) = (whole >> 6 & 63, whole & 63);
    if kind == k::TIME {
        let hour = whole >> 12 & 0x3FF;
        out.extend(format!("\"{sign}{hour:02}:{minute:02}:{second:02}.{micros:06}\"").as_bytes());
        return Ok(());
    }
    let (hour, day, months) = (whole >> 12 & 31, whole >> 17 & 31, whole >> 22);
    let (year, month) = (months / 13, months % 13);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let text = match kind {
        k::DATE => format!("\"{date}\""),
        _ => format!("\"{date} {hour:02}:{minute:02}:{second:02}.{micros:06}\""),
    };
    out.extend(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_the_server_shows_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (1e-5, "0.00001"),
            (1.25e-20, "1.25e-20"),
            (1e100, "1e100"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e308"),
        ] {
            let mut out = vec![];
            write_double(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn times_in_64_bits() {
        let text = |kind, packed: i64| {
            let mut out = vec![];
            write_moment(kind, &packed.to_le_bytes(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let date = ((2024 * 13 + 2) << 5 | 29) << 17;
        assert_eq!(text(k::DATE, date << 24), "\"2024-02-29\"");
        assert_eq!(
            text(k::DATETIME, (date | 10 << 12 | 20 << 6 | 30) << 24 | 5),
            "\"2024-02-29 10:20:30.000005\""
        );
        assert_eq!(text(k::TIME, -((838 << 12 | 59 << 6 | 59) << 24)), "\"-838:59:59.000000\"");
    }
}
