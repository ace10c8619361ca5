//! PostgreSQL's `numeric` on the wire: digits to the base of 10,000, and text or scaled integers.
//!
//! The form is: count of digits, weight of the first one, sign, digits after the point to display,
//! then the digits, each 16 bits, big-endian.

use arrow_buffer::i256;
use syncline_types::decimal::{Digits, parse_256, write_256};

const BASE: u128 = 10_000;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// A numeric as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    weight: i16,
    sign: u16,
    display_scale: u16,
    digits: &'a [u8],
}

/// Why a numeric is not a scaled integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotScaled {
    NotANumber,
    /// Infinite, or too many digits.
    OutOfRange,
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

impl<'a> Wire<'a> {
    /// Reads the form; `None` when the bytes are not of it.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::from(be16(bytes, 0)?);
        let digits = bytes.get(8..)?;
        let wire = Wire {
            weight: be16(bytes, 2)?.cast_signed(),
            sign: be16(bytes, 4)?,
            display_scale: be16(bytes, 6)?,
            digits,
        };
        let known = matches!(wire.sign, POSITIVE | NEGATIVE | NAN | INFINITY | MINUS_INFINITY);
        (known && digits.len() == count * 2 && wire.groups().all(|group| u128::from(group) < BASE))
            .then_some(wire)
    }

    fn groups(&self) -> impl ExactSizeIterator<Item = u16> + 'a {
        self.digits.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// The number times ten to the power of `scale`.
    pub(crate) fn scaled_128(&self, scale: u8) -> Result<i128, NotScaled> {
        match self.sign {
            NAN => return Err(NotScaled::NotANumber),
            INFINITY | MINUS_INFINITY => return Err(NotScaled::OutOfRange),
            _ => {}
        }
        let magnitude = self.magnitude(scale).ok_or(NotScaled::OutOfRange)?;
        let value = i128::try_from(magnitude).map_err(|_| NotScaled::OutOfRange)?;
        Ok(if self.sign == NEGATIVE { -value } else { value })
    }

    fn magnitude(&self, scale: u8) -> Option<u128> {
        let count = self.groups().len();
        // The last group counts units of 10,000 to this power.
        let last_weight = i32::from(self.weight) - i32::try_from(count).ok()? + 1;
        let shift = last_weight * 4 + i32::from(scale);
        // Digits beyond the scale are zeros, as the column's own type says, and only the last group
        // can have some: groups of zeros are not sent.
        let cut = 10_u128.checked_pow(u32::try_from(-shift).unwrap_or(0)).filter(|cut| *cut <= BASE)?;
        let mut value = 0_u128;
        for (at, group) in self.groups().map(u128::from).enumerate() {
            if at + 1 < count {
                value = value.checked_mul(BASE)?.checked_add(group)?;
            } else if group % cut == 0 {
                value = value.checked_mul(BASE / cut)?.checked_add(group / cut)?;
            } else {
                return None;
            }
        }
        match u32::try_from(shift) {
            Ok(shift) if value != 0 => value.checked_mul(10_u128.checked_pow(shift)?),
            _ => Some(value),
        }
    }

    /// As [`Wire::scaled_128`], for up to 76 digits.
    pub(crate) fn scaled_256(&self, scale: u8) -> Result<i256, NotScaled> {
        if self.sign == NAN {
            return Err(NotScaled::NotANumber);
        }
        let mut text = String::new();
        self.write(&mut text);
        parse_256(&text, 76, scale).ok_or(NotScaled::OutOfRange)
    }

    /// Appends the number as the server would write it.
    pub(crate) fn write(&self, out: &mut String) {
        match self.sign {
            NAN => return out.push_str("NaN"),
            INFINITY => return out.push_str("Infinity"),
            MINUS_INFINITY => return out.push_str("-Infinity"),
            NEGATIVE => out.push('-'),
            _ => {}
        }
        let group_at = |weight: i32| {
            let place = i32::from(self.weight) - weight;
            // By place, and not one after the other: there may be 36,000 of them.
            usize::try_from(place).ok().and_then(|place| be16(self.digits, place * 2)).unwrap_or(0)
        };
        let start = out.len();
        for weight in (0..=i32::from(self.weight)).rev() {
            push_group(group_at(weight), out);
        }
        let zeros = out.get(start..).map_or(0, |digits| digits.len() - digits.trim_start_matches('0').len());
        out.replace_range(start..start + zeros, "");
        if out.len() == start {
            out.push('0');
        }
        if self.display_scale > 0 {
            out.push('.');
            let end = out.len() + usize::from(self.display_scale);
            let mut weight = -1;
            while out.len() < end {
                push_group(group_at(weight), out);
                weight -= 1;
            }
            out.truncate(end);
        }
    }
}

/// Appends four digits.
fn push_group(group: u16, out: &mut String) {
    for divisor in [1_000, 100, 10, 1] {
        out.push(char::from(b'0' + u8::try_from(group / divisor % 10).unwrap_or(0)));
    }
}

/// Appends a scaled integer in wire form.
pub(crate) fn encode_128(value: i128, scale: u8, out: &mut Vec<u8>) {
    let sign = if value < 0 { NEGATIVE } else { POSITIVE };
    // Groups are counted from the point, so the fraction is filled up to whole groups.
    let padding = 10_u128.pow(u32::from((4 - scale % 4) % 4));
    let groups_after_point = i16::from(scale.div_ceil(4));
    // 44 digits in all make eleven groups and a half.
    let mut groups = [0_u16; 12];
    let mut count = 0;
    let mut magnitude = value.unsigned_abs();
    if let Some(padded) = magnitude.checked_mul(padding) {
        magnitude = padded;
    } else {
        // Only the last group is filled up; the rest is above it.
        let unit = BASE / padding;
        groups[0] = u16::try_from(magnitude % unit * padding).unwrap_or(0);
        count = 1;
        magnitude /= unit;
    }
    while magnitude != 0 {
        if let Ok(mut small) = u64::try_from(magnitude) {
            // The common case: dividing 64 bits is many times faster.
            while small != 0 {
                groups[count] = (small % BASE as u64) as u16;
                small /= BASE as u64;
                count += 1;
            }
            break;
        }
        groups[count] = (magnitude % BASE) as u16;
        magnitude /= BASE;
        count += 1;
    }
    let first = groups[..count].iter().position(|group| *group != 0).unwrap_or(count);
    write_groups(groups[first..count].iter().rev(), sign, count, groups_after_point, scale.into(), out);
}

/// The weight of the first of `count` groups.
fn weight(count: usize, groups_after_point: i16) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX) - i32::from(groups_after_point) - 1
}

/// `count` groups in all stand before and after the point; trailing zero groups are left out.
fn write_groups<'a>(
    groups: impl ExactSizeIterator<Item = &'a u16>,
    sign: u16,
    count: usize,
    groups_after_point: i16,
    display_scale: u16,
    out: &mut Vec<u8>,
) {
    let weight = i16::try_from(weight(count, groups_after_point)).unwrap_or(i16::MAX);
    let (sign, weight) = if groups.len() == 0 { (POSITIVE, 0) } else { (sign, weight) };
    out.extend_from_slice(&u16::try_from(groups.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&display_scale.to_be_bytes());
    groups.for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
}

/// Appends a scaled integer of up to 76 digits in wire form.
pub(crate) fn encode_256(value: i256, scale: u8, out: &mut Vec<u8>) {
    let mut text = String::new();
    write_256(value, scale, &mut text);
    encode_text(&text, out).expect("a scaled integer's text is a number");
}

/// Appends NaN in wire form.
pub(crate) fn encode_nan(out: &mut Vec<u8>) {
    write_groups([].iter(), POSITIVE, 0, 0, 0, out);
    set_sign(NAN, out);
}

fn set_sign(sign: u16, out: &mut [u8]) {
    let at = out.len() - 4;
    out[at..at + 2].copy_from_slice(&sign.to_be_bytes());
}

/// Appends a decimal's text in wire form. `None` when it is no number that the server could hold;
/// then nothing is appended.
pub(crate) fn encode_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let special = match text {
        "NaN" => Some(NAN),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(MINUS_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        encode_nan(out);
        set_sign(sign, out);
        return Some(());
    }
    let number = Digits::parse(text)?;
    let display_scale = u16::try_from(number.scale.max(0)).ok().filter(|scale| *scale < 0x4000)?;
    let mut digits = number.digits;
    if number.scale < 0 {
        let zeros = usize::try_from(number.scale.unsigned_abs()).ok().filter(|zeros| *zeros <= 131_072)?;
        digits.resize(digits.len() + zeros, b'0');
    }
    let fraction = usize::from(display_scale);
    digits.resize(digits.len() + (4 - fraction % 4) % 4, b'0');
    let groups_after_point = i16::try_from(fraction.div_ceil(4)).ok()?;
    let lead = (4 - digits.len() % 4) % 4;
    let mut groups = vec![];
    let mut group = 0_u16;
    for (at, digit) in digits.iter().enumerate() {
        group = group * 10 + u16::from(digit - b'0');
        if (at + 1 + lead).is_multiple_of(4) {
            groups.push(group);
            group = 0;
        }
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    let count = groups.len();
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let sign = if number.negative { NEGATIVE } else { POSITIVE };
    // The first group's weight is 16 bits, as is the count of those that are sent.
    if weight(count, groups_after_point) > i16::MAX.into() || u16::try_from(groups.len()).is_err() {
        return None;
    }
    write_groups(groups.iter(), sign, count, groups_after_point, display_scale, out);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        let mut out = String::new();
        Wire::read(bytes).unwrap().write(&mut out);
        out
    }

    fn through_text(text: &str) -> String {
        let mut out = vec![];
        encode_text(text, &mut out).unwrap();
        text_of(&out)
    }

    #[test]
    fn the_form_is_the_servers_own() {
        // SELECT numeric_send('-12345.6700')
        let mut out = vec![];
        encode_text("-12345.6700", &mut out).unwrap();
        assert_eq!(out, [0, 3, 0, 1, 0x40, 0, 0, 4, 0, 1, 0x09, 0x29, 0x1a, 0x2c]);
        // SELECT numeric_send('0.00')
        let mut out = vec![];
        encode_128(0, 2, &mut out);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 2]);
        // SELECT numeric_send('0.0001')
        let mut out = vec![];
        encode_128(1, 4, &mut out);
        assert_eq!(out, [0, 1, 0xFF, 0xFF, 0, 0, 0, 4, 0, 1]);
    }

    #[test]
    fn texts_come_back_with_their_digits() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "99990000",
            "0.0001",
            "0.00010000",
            "123456789.987654321",
            "1.10",
            "NaN",
            "Infinity",
            "-Infinity",
            "100000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(through_text(text), text);
        }
        assert_eq!(through_text("1e5"), "100000");
        let mut out = vec![];
        for bad in ["", "x", "1e999999", "--1"] {
            assert_eq!(encode_text(bad, &mut out), None, "{bad}");
        }
        assert!(out.is_empty());
    }

    #[test]
    fn the_largest_numbers_of_the_server_are_held() {
        for text in [
            format!("-{}.{}", "9".repeat(131_072), "7".repeat(16_383)),
            format!("0.{}1", "0".repeat(16_382)),
            format!("1{}", "0".repeat(131_071)),
        ] {
            assert!(through_text(&text) == text, "{}...", &text[..20]);
        }
        assert_eq!(encode_text(&format!("1{}", "0".repeat(131_072)), &mut vec![]), None);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let wire = |text: &str| {
            let mut out = vec![];
            encode_text(text, &mut out).unwrap();
            Wire::read(&out.leak()[..]).unwrap()
        };
        assert_eq!(wire("NaN").scaled_128(2), Err(NotScaled::NotANumber));
        assert_eq!(wire("Infinity").scaled_128(2), Err(NotScaled::OutOfRange));
        assert_eq!(wire("1.234").scaled_128(2), Err(NotScaled::OutOfRange));
        assert_eq!(wire("1e40").scaled_128(2), Err(NotScaled::OutOfRange));
        assert_eq!(
            wire("1e40").scaled_256(2).map(|value| value.to_string()),
            Ok(format!("1{}", "0".repeat(42)))
        );
    }

    proptest! {
        #[test]
        fn scaled_integers_come_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            let mut out = vec![];
            encode_128(value, scale, &mut out);
            let wire = Wire::read(&out).unwrap();
            prop_assert_eq!(wire.scaled_128(scale), Ok(value));
            let mut by_text = vec![];
            let mut text = String::new();
            syncline_types::decimal::write_128(value, scale, &mut text);
            encode_text(&text, &mut by_text).unwrap();
            prop_assert_eq!(&out, &by_text);
            prop_assert_eq!(text_of(&out), text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(wire) = Wire::read(&bytes) {
                let _ = (wire.scaled_128(5), wire.scaled_256(5));
            }
        }
    }
}
