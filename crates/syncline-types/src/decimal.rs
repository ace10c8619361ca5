//! Decimals between text and scaled integers, exactly or not at all.

use arrow_buffer::i256;

use crate::special::{DECIMAL128_NAN, DECIMAL256_NAN};

/// A decimal taken apart: `0.DIGITS` shifted, that is `digits * 10^-scale` with a sign.
///
/// `digits` has no leading zeros and is empty for zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Whether a minus sign stands before it.
    pub negative: bool,
    /// ASCII digits.
    pub digits: Vec<u8>,
    /// Digits after the point; negative for trailing zeros left out.
    pub scale: i32,
}

/// Most digits taken from a text before and after the point, PostgreSQL's own limits together.
const DIGITS_MAX: usize = 131_072 + 16_383;

impl Digits {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; nothing else, no blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (unsigned.get(..at)?, unsigned.get(at + 1..)?.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let count = whole.len() + fraction.len();
        if count == 0 || count > DIGITS_MAX || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let digits: Vec<u8> = all().skip_while(|digit| *digit == b'0').collect();
        Some(Digits { negative, digits, scale })
    }

    /// Without trailing zeros, so that equal numbers are equal; zero has no sign and scale 0.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
            self.scale -= 1;
        }
        if self.digits.is_empty() {
            return Digits { negative: false, digits: vec![], scale: 0 };
        }
        self
    }

    /// The digits of the number at another scale, or `None` if a digit that is not zero would go.
    fn at_scale(&self, scale: u8) -> Option<Vec<u8>> {
        let mut digits = self.digits.clone();
        let shift = i32::from(scale) - self.scale;
        if shift >= 0 {
            let zeros = usize::try_from(shift).ok()?;
            if !digits.is_empty() {
                if digits.len() + zeros > 80 {
                    return None;
                }
                digits.resize(digits.len() + zeros, b'0');
            }
            return Some(digits);
        }
        for _ in shift..0 {
            if digits.pop().is_some_and(|digit| digit != b'0') {
                return None;
            }
        }
        Some(digits)
    }

    /// Appends plain text without an exponent, with exactly `scale` fraction digits (none below 0).
    pub fn write(&self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
        let digits: String = self.digits.iter().map(|digit| char::from(*digit)).collect();
        let Ok(scale) = usize::try_from(self.scale) else {
            out.push_str(if digits.is_empty() { "0" } else { &digits });
            if !digits.is_empty() {
                out.extend(std::iter::repeat_n('0', self.scale.unsigned_abs() as usize));
            }
            return;
        };
        write_point(&digits, scale, out);
    }
}

/// Appends unsigned digits with a point before the last `scale` of them.
fn write_point(digits: &str, scale: usize, out: &mut String) {
    if scale == 0 {
        out.push_str(if digits.is_empty() { "0" } else { digits });
        return;
    }
    let whole = digits.len().saturating_sub(scale);
    let (before, after) = digits.split_at(whole);
    out.push_str(if before.is_empty() { "0" } else { before });
    out.push('.');
    out.extend(std::iter::repeat_n('0', scale - after.len()));
    out.push_str(after);
}

/// The scaled integer of a text, or `None` when it does not fit `precision` and `scale` exactly.
pub fn parse_128(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let number = Digits::parse(text)?;
    let digits = number.at_scale(scale)?;
    if digits.len() > usize::from(precision.min(38)) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Some(if number.negative { -magnitude } else { magnitude })
}

/// As [`parse_128`], for up to 76 digits.
pub fn parse_256(text: &str, precision: u8, scale: u8) -> Option<i256> {
    let number = Digits::parse(text)?;
    let digits = number.at_scale(scale)?;
    if digits.len() > usize::from(precision.min(76)) {
        return None;
    }
    let ten = i256::from_i128(10);
    let magnitude = digits.iter().fold(i256::ZERO, |value, digit| {
        value.wrapping_mul(ten).wrapping_add(i256::from_i128(i128::from(digit - b'0')))
    });
    Some(if number.negative { magnitude.wrapping_neg() } else { magnitude })
}

/// Appends a scaled integer as text, or `NaN`.
pub fn write_128(value: i128, scale: u8, out: &mut String) {
    if value == DECIMAL128_NAN {
        out.push_str("NaN");
        return;
    }
    if value < 0 {
        out.push('-');
    }
    // 39 digits are the most of 128 bits.
    let mut buffer = [0_u8; 39];
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    while rest != 0 {
        // Sixteen digits at a time: dividing 128 bits is slow.
        let (high, mut low) = (rest / 10_000_000_000_000_000, (rest % 10_000_000_000_000_000) as u64);
        let stop = if high == 0 { 0 } else { at.saturating_sub(16) };
        while low != 0 || (high != 0 && at > stop) {
            at -= 1;
            buffer[at] = b'0' + (low % 10) as u8;
            low /= 10;
        }
        rest = high;
    }
    let digits = std::str::from_utf8(&buffer[at..]).unwrap_or_default();
    write_point(digits, usize::from(scale), out);
}

/// Appends a scaled integer of up to 76 digits as text, or `NaN`.
pub fn write_256(value: i256, scale: u8, out: &mut String) {
    if value == DECIMAL256_NAN {
        out.push_str("NaN");
        return;
    }
    let text = value.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    out.push_str(sign);
    write_point(digits.trim_start_matches('0'), usize::from(scale), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_128(value: i128, scale: u8) -> String {
        let mut out = String::new();
        write_128(value, scale, &mut out);
        out
    }

    #[test]
    fn known_values() {
        for (value, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (10_i128.pow(37), 0, "10000000000000000000000000000000000000"),
            (-(10_i128.pow(38) - 1), 38, "-0.99999999999999999999999999999999999999"),
            (1_000_000_000_000_000_000_001, 1, "100000000000000000000.1"),
        ] {
            assert_eq!(text_128(value, scale), text);
            assert_eq!(parse_128(text, 38, scale), Some(value));
        }
    }

    #[test]
    fn exactly_or_not_at_all() {
        assert_eq!(parse_128("1.10", 3, 1), Some(11));
        assert_eq!(parse_128("1.11", 3, 1), None);
        assert_eq!(parse_128("1000", 3, 0), None);
        assert_eq!(parse_128("1e2", 3, 0), Some(100));
        assert_eq!(parse_128("1e-2", 3, 2), Some(1));
        assert_eq!(parse_128("1e999999999", 38, 0), None);
        for text in ["", "-", ".", "e1", "1e", "1 ", "0x1", "١"] {
            assert_eq!(parse_128(text, 38, 0), None, "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_normalized_alike() {
        let normal = |text: &str| {
            let mut out = String::new();
            Digits::parse(text).map(Digits::normalized).unwrap().write(&mut out);
            out
        };
        for (text, expected) in [
            ("1.10", "1.1"),
            ("100", "100"),
            ("1e2", "100"),
            ("-0.0", "0"),
            ("0012.5000", "12.5"),
            ("-3", "-3"),
        ] {
            assert_eq!(normal(text), expected);
        }
    }

    proptest! {
        #[test]
        fn every_i128_comes_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            prop_assert_eq!(parse_128(&text_128(value, scale), 38, scale), Some(value));
        }

        #[test]
        fn every_i256_comes_back(high in -(10_i128.pow(37))..10_i128.pow(37), low in 0..10_i128.pow(37), scale in 0_u8..=76) {
            let value = i256::from_i128(high) * i256::from_i128(10_i128.pow(37)) + i256::from_i128(low);
            let mut text = String::new();
            write_256(value, scale, &mut text);
            prop_assert_eq!(parse_256(&text, 76, scale), Some(value));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,20}|.{0,10}") {
            let _ = (parse_128(&text, 38, 10), parse_256(&text, 76, 10));
            if let Some(digits) = Digits::parse(&text) {
                let _ = digits.normalized();
            }
        }
    }
}
