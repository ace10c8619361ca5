//! Decimals as the log has them: nine digits in four bytes, the highest bit turned, and all bits of a
//! number below zero.

use arrow_buffer::i256;
use syncline_types::decimal;

use super::{cells::digits_bytes, fields::Broken};

/// The most bytes that a decimal has: 65 digits.
const BYTES_MAX: usize = 32;

/// A number that can be built digit by digit.
pub(super) trait Sum: Sized {
    const ZERO: Self;
    /// Ten to this power times itself, and some more.
    fn shifted(self, digits: u32, more: u32) -> Option<Self>;
    fn negated(self) -> Self;
}

impl Sum for i128 {
    const ZERO: Self = 0;

    fn shifted(self, digits: u32, more: u32) -> Option<Self> {
        self.checked_mul(10_i128.pow(digits))?.checked_add(i128::from(more))
    }

    fn negated(self) -> Self {
        -self
    }
}

impl Sum for i256 {
    const ZERO: Self = i256::ZERO;

    fn shifted(self, digits: u32, more: u32) -> Option<Self> {
        let power = i256::from_i128(10_i128.pow(digits));
        self.checked_mul(power)?.checked_add(i256::from_i128(i128::from(more)))
    }

    fn negated(self) -> Self {
        self.wrapping_neg()
    }
}

/// The digits as one whole number.
pub(super) fn decimal<S: Sum>(bytes: &[u8], precision: u8, scale: u8) -> Result<S, Broken> {
    let (whole, fraction) = (precision.checked_sub(scale).ok_or(Broken)?.into(), usize::from(scale));
    let whole_bytes = digits_bytes(whole);
    let mut buffer = [0; BYTES_MAX];
    let here = buffer.get_mut(..bytes.len()).ok_or(Broken)?;
    if bytes.is_empty() || bytes.len() != whole_bytes + digits_bytes(fraction) {
        return Err(Broken);
    }
    here.copy_from_slice(bytes);
    let negative = here[0] & 0x80 == 0;
    here[0] ^= 0x80;
    if negative {
        here.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let (before, behind) = here.split_at(whole_bytes);
    // What is over of the whole digits comes first, of the others last.
    let (odd, groups) = before.split_at(digits_bytes(whole % 9));
    let mut sum = group(S::ZERO, odd, whole % 9)?;
    for bytes in groups.chunks(4) {
        sum = group(sum, bytes, 9)?;
    }
    let (groups, odd) = behind.split_at(fraction / 9 * 4);
    for bytes in groups.chunks(4) {
        sum = group(sum, bytes, 9)?;
    }
    sum = group(sum, odd, fraction % 9)?;
    Ok(if negative { sum.negated() } else { sum })
}

fn group<S: Sum>(sum: S, bytes: &[u8], digits: usize) -> Result<S, Broken> {
    if digits == 0 {
        return Ok(sum);
    }
    let more = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let digits = u32::try_from(digits).map_err(|_| Broken)?;
    if more >= 10_u32.pow(digits) {
        return Err(Broken);
    }
    sum.shifted(digits, more).ok_or(Broken)
}

/// The digits as a text.
pub(super) fn decimal_digits(bytes: &[u8], precision: u8, scale: u8) -> Result<String, Broken> {
    let mut out = String::new();
    decimal::write_256(decimal(bytes, precision, scale)?, scale, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_the_documentation() {
        let positive = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        let negative = positive.map(|byte| !byte);
        assert_eq!(decimal_digits(&positive, 14, 4).unwrap(), "1234567890.1234");
        assert_eq!(decimal_digits(&negative, 14, 4).unwrap(), "-1234567890.1234");
        assert_eq!(decimal::<i128>(&positive, 14, 4), Ok(12_345_678_901_234));
        assert_eq!(decimal::<i256>(&negative, 14, 4), Ok(i256::from_i128(-12_345_678_901_234)));
        assert_eq!(decimal::<i128>(&[0x80, 0, 0, 0, 0], 10, 2), Ok(0));
        for (bytes, precision, scale) in
            [(&[][..], 10, 2), (&[0xFF; 5], 10, 2), (&[0x80; 4], 10, 2), (&[0x80], 1, 2)]
        {
            assert_eq!(decimal::<i128>(bytes, precision, scale), Err(Broken));
        }
    }
}
