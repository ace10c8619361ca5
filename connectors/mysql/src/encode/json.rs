//! Whether MySQL keeps all numbers of a JSON text: whole ones of 64 bits, and others as doubles.

use syncline_types::decimal::Digits;

/// So many digits are always the same again after a double has held them.
const DIGITS_SAFE: usize = 15;

/// Whether every number of a JSON text has the same value afterwards. Of a text that is no JSON nothing
/// is said: the server refuses it.
pub(super) fn keeps_numbers(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                if !json.get(at..end).is_some_and(is_kept) {
                    return false;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    true
}

/// The place behind a string's closing quote.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    at
}

fn end_of_number(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    at + length.unwrap_or(rest.len())
}

fn is_kept(number: &str) -> bool {
    if !number.contains(['.', 'e', 'E']) {
        return number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    let Ok(double) = number.parse::<f64>() else { return true };
    let digits =
        number.split(['e', 'E']).next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    if !double.is_finite() {
        return false;
    }
    if digits <= DIGITS_SAFE && double.is_normal() {
        return true;
    }
    let value = |text: &str| Digits::parse(text).map(Digits::normalized);
    value(number) == value(&format!("{double:e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_a_double_would_alter_are_told() {
        for kept in [
            "null",
            "[0, -1, 0.1, 1.50, 1e2, -2.5E-3, 0.0]",
            "18446744073709551615",
            "-9223372036854775808",
            "0.30000000000000004",
            "{\"12345678901234567890123\": \"a\\\"0.12345678901234567890123\"}",
            "1.7976931348623157e308",
        ] {
            assert!(keeps_numbers(kept), "{kept}");
        }
        for altered in [
            "18446744073709551616",
            "{\"a\": [1, 0.12345678901234567890123]}",
            "1e400",
            "1e-400",
            "-123456789012345678901",
            "9007199254740993.0",
        ] {
            assert!(!keeps_numbers(altered), "{altered}");
        }
    }
}
