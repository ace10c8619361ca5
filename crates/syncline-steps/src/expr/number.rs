//! Exact decimal arithmetic on one value, with the scales that PostgreSQL gives its results.
//!
//! A number is a whole number of up to 76 digits and a scale. What needs more digits is refused
//! with [`Fault::NUMBER_RANGE`]; nothing is ever rounded but where PostgreSQL rounds.

use std::cmp::Ordering;

use arrow_buffer::i256;
use syncline_types::decimal::{self, Digits};

mod power;

use super::fault::Fault;

/// Digits that PostgreSQL gives a quotient, root or power at least.
const SIGNIFICANT_DIGITS: i32 = 16;
/// Decimal digits in one of PostgreSQL's own digits, by which it chooses scales.
const GROUP_DIGITS: i32 = 4;
/// Most digits of a number.
const DIGITS_MAX: u32 = 76;
/// Most digits after the point, leading zeros among them.
const SCALE_MAX: u32 = 255;

const POWERS: [i256; 77] = {
    let mut powers = [i256::ONE; 77];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1].wrapping_mul(i256::from_i128(10));
        at += 1;
    }
    powers
};

/// 10 to the power of `exponent`, up to 10^76.
fn power_of_ten(exponent: u32) -> Result<i256, Fault> {
    POWERS.get(exponent as usize).copied().ok_or(Fault::NUMBER_RANGE)
}

/// What becomes of the digits that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest, halves away from zero.
    HalfAway,
    /// Towards zero.
    Truncate,
    /// Towards minus infinity.
    Floor,
    /// Towards plus infinity.
    Ceiling,
}

/// `value * 10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    value: i256,
    scale: u32,
}

impl Number {
    pub(crate) const ONE: Number = Number { value: i256::ONE, scale: 0 };

    /// Refuses more digits than there may be.
    pub(crate) fn new(value: i256, scale: u32) -> Result<Self, Fault> {
        let limit = POWERS[DIGITS_MAX as usize];
        if value >= limit || value <= limit.wrapping_neg() || scale > SCALE_MAX {
            return Err(Fault::NUMBER_RANGE);
        }
        Ok(Number { value, scale })
    }

    /// A whole number.
    pub(crate) fn whole(value: i128) -> Self {
        Number { value: i256::from_i128(value), scale: 0 }
    }

    /// Reads `[+-]digits[.digits][e[+-]digits]`, keeping the zeros at its end as PostgreSQL does.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(number) = Self::parse_short(text.as_bytes()) {
            return Ok(number);
        }
        let digits = Digits::parse(text).ok_or(match text {
            "NaN" | "Infinity" | "-Infinity" => Fault::NOT_A_NUMBER,
            _ => Fault("a text is not a valid number"),
        })?;
        if digits.digits.len() > DIGITS_MAX as usize {
            return Err(Fault::NUMBER_RANGE);
        }
        let ten = i256::from_i128(10);
        let magnitude = digits.digits.iter().fold(i256::ZERO, |value, digit| {
            value.wrapping_mul(ten).wrapping_add(i256::from_i128(i128::from(digit - b'0')))
        });
        let value = if digits.negative { magnitude.wrapping_neg() } else { magnitude };
        match u32::try_from(digits.scale) {
            Ok(scale) => Number::new(value, scale),
            Err(_) if value == i256::ZERO => Ok(Number { value, scale: 0 }),
            Err(_) => Number { value, scale: 0 }.shifted(digits.scale.unsigned_abs()),
        }
    }

    /// The usual case, without an exponent and within 128 bits.
    fn parse_short(text: &[u8]) -> Option<Self> {
        let (negative, unsigned) = match text.first()? {
            b'-' => (true, text.get(1..)?),
            _ => (false, text),
        };
        if unsigned.is_empty() || unsigned.len() > 38 {
            return None;
        }
        let mut magnitude = 0_i128;
        let mut scale = None;
        for byte in unsigned {
            match byte {
                b'0'..=b'9' => {
                    magnitude = magnitude * 10 + i128::from(byte - b'0');
                    scale = scale.map(|scale: u32| scale + 1);
                }
                b'.' if scale.is_none() && unsigned.len() > 1 => scale = Some(0),
                _ => return None,
            }
        }
        let value = i256::from_i128(if negative { -magnitude } else { magnitude });
        Some(Number { value, scale: scale.unwrap_or(0) })
    }

    /// Appends plain digits.
    pub(crate) fn write(self, out: &mut String) {
        // `new` keeps the scale within 255.
        decimal::write_256(self.value, u8::try_from(self.scale).unwrap_or(u8::MAX), out);
    }

    /// The whole number that stands for it at a scale, if it has no digit that would go.
    pub(crate) fn at_scale(self, scale: u32) -> Result<i256, Fault> {
        let same = self.rounded(i64::from(scale), Rounding::Truncate)?;
        if scale < self.scale && same.compare(self) != Ordering::Equal {
            return Err(Fault::NUMBER_SIZE);
        }
        Ok(same.value)
    }

    /// Rounded to a scale and with no more digits in all than `precision`, as a whole number.
    pub(crate) fn fitted(self, precision: u8, scale: u8) -> Result<i256, Fault> {
        let value = self.rounded(i64::from(scale), Rounding::HalfAway)?.value;
        let limit = power_of_ten(u32::from(precision))?;
        if value >= limit || value <= limit.wrapping_neg() {
            return Err(Fault::NUMBER_SIZE);
        }
        Ok(value)
    }

    /// As a whole number, rounded half away from zero; `None` beyond 128 bits.
    pub(crate) fn to_whole(self) -> Option<i128> {
        self.rounded(0, Rounding::HalfAway).ok()?.value.to_i128()
    }

    pub(crate) fn is_zero(self) -> bool {
        self.value == i256::ZERO
    }

    pub(crate) fn is_negative(self) -> bool {
        self.value.is_negative()
    }

    pub(crate) fn negated(self) -> Self {
        Number { value: self.value.wrapping_neg(), ..self }
    }

    pub(crate) fn absolute(self) -> Self {
        Number { value: self.value.wrapping_abs(), ..self }
    }

    /// Multiplied by a power of ten, scale unchanged.
    fn shifted(self, digits: u32) -> Result<Self, Fault> {
        let value = self.value.checked_mul(power_of_ten(digits)?).ok_or(Fault::NUMBER_RANGE)?;
        Number::new(value, self.scale)
    }

    /// With more digits after the point.
    fn widened(self, scale: u32) -> Result<i256, Fault> {
        if scale == self.scale || self.is_zero() {
            return Ok(self.value);
        }
        Ok(self.shifted(scale - self.scale)?.value)
    }

    /// At another scale; a negative one rounds before the point and leaves scale 0.
    pub(crate) fn rounded(self, scale: i64, rounding: Rounding) -> Result<Self, Fault> {
        let from = i64::from(self.scale);
        if scale >= from {
            let scale = u32::try_from(scale).map_err(|_| Fault::NUMBER_RANGE)?;
            return Number::new(self.widened(scale)?, scale);
        }
        let gone = u32::try_from(from - scale).unwrap_or(u32::MAX);
        let kept = match power_of_ten(gone) {
            Ok(unit) => divide(self.value, unit, rounding),
            // More digits go than there are: what is left is less than a half.
            Err(_) => match rounding {
                Rounding::Floor if self.is_negative() => i256::MINUS_ONE,
                Rounding::Ceiling if !self.is_negative() && !self.is_zero() => i256::ONE,
                _ => i256::ZERO,
            },
        };
        match u32::try_from(scale) {
            Ok(scale) => Number::new(kept, scale),
            Err(_) if kept == i256::ZERO => Ok(Number { value: kept, scale: 0 }),
            Err(_) => Number { value: kept, scale: 0 }.shifted(u32::try_from(-scale).unwrap_or(u32::MAX)),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Result<Self, Fault> {
        let scale = self.scale.max(other.scale);
        let sum = self.widened(scale)?.checked_add(other.widened(scale)?);
        Number::new(sum.ok_or(Fault::NUMBER_RANGE)?, scale)
    }

    pub(crate) fn minus(self, other: Self) -> Result<Self, Fault> {
        self.plus(other.negated())
    }

    pub(crate) fn times(self, other: Self) -> Result<Self, Fault> {
        let product = self.value.checked_mul(other.value).ok_or(Fault::NUMBER_RANGE)?;
        Number::new(product, self.scale + other.scale)
    }

    /// The quotient, rounded half away from zero at the scale PostgreSQL gives it.
    pub(crate) fn divided_by(self, other: Self) -> Result<Self, Fault> {
        if other.is_zero() {
            return Err(Fault::DIVISION_BY_ZERO);
        }
        let scale = quotient_scale(self, other);
        self.quotient(other, scale)
    }

    /// The quotient at a scale of at least `self.scale - other.scale`.
    fn quotient(self, other: Self, scale: u32) -> Result<Self, Fault> {
        // A zero's scale may be any; the shift is then without effect.
        let shift = (scale + other.scale).saturating_sub(self.scale);
        let divisor = other.value.wrapping_abs();
        let (mut quotient, mut rest) =
            self.value.wrapping_abs().checked_div_rem(divisor).ok_or(Fault::DIVISION_BY_ZERO)?;
        let mut left = shift;
        while left > 0 {
            // As many digits at once as fit: the rest is smaller than the divisor.
            let step = left.min(DIGITS_MAX - digits(rest));
            if step == 0 {
                return Err(Fault::NUMBER_RANGE);
            }
            let unit = power_of_ten(step)?;
            let (more, after) = rest.wrapping_mul(unit).wrapping_div_rem(divisor);
            quotient = quotient
                .checked_mul(unit)
                .and_then(|value| value.checked_add(more))
                .ok_or(Fault::NUMBER_RANGE)?;
            rest = after;
            left -= step;
        }
        if rest.wrapping_add(rest) >= divisor {
            quotient = quotient.wrapping_add(i256::ONE);
        }
        let negative = self.is_negative() != other.is_negative();
        Number::new(if negative { quotient.wrapping_neg() } else { quotient }, scale)
    }

    /// The rest of a division, with the sign of the dividend.
    pub(crate) fn remainder(self, other: Self) -> Result<Self, Fault> {
        if other.is_zero() {
            return Err(Fault::DIVISION_BY_ZERO);
        }
        let scale = self.scale.max(other.scale);
        Number::new(self.widened(scale)?.wrapping_rem(other.widened(scale)?), scale)
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        let signs = self.value.signum().cmp(&other.value.signum());
        if signs != Ordering::Equal || self.is_zero() {
            return signs;
        }
        let scale = self.scale.max(other.scale);
        match (self.widened(scale), other.widened(scale)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            // Only the one with the smaller scale can leave the range: it is the larger in size.
            (Err(_), _) => {
                if self.is_negative() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, Err(_)) => {
                if self.is_negative() {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        }
    }

    /// The place of the first digit, in decimal digits before the point (0 is the ones).
    fn first_place(self) -> i32 {
        digits(self.value) as i32 - 1 - self.scale as i32
    }

    /// The place of PostgreSQL's first digit, which stands for four of ours.
    fn weight(self) -> i32 {
        if self.is_zero() { 0 } else { self.first_place().div_euclid(GROUP_DIGITS) }
    }

    /// PostgreSQL's first digit, 0 to 9999.
    fn first_group(self) -> i256 {
        if self.is_zero() {
            return i256::ZERO;
        }
        let wanted = self.first_place().rem_euclid(GROUP_DIGITS).unsigned_abs() + 1;
        let have = digits(self.value);
        let magnitude = self.value.wrapping_abs();
        if have >= wanted {
            magnitude.wrapping_div(POWERS[(have - wanted) as usize])
        } else {
            magnitude.wrapping_mul(POWERS[(wanted - have) as usize])
        }
    }
}

/// Digits of a whole number; 0 has none.
fn digits(value: i256) -> u32 {
    value.wrapping_abs().checked_ilog10().map_or(0, |log| log + 1)
}

/// A whole quotient.
fn divide(value: i256, by: i256, rounding: Rounding) -> i256 {
    let (quotient, rest) = value.wrapping_div_rem(by);
    if rest == i256::ZERO {
        return quotient;
    }
    let away = if value.is_negative() { i256::MINUS_ONE } else { i256::ONE };
    let magnitude = rest.wrapping_abs();
    let up = match rounding {
        Rounding::Truncate => false,
        Rounding::HalfAway => magnitude.wrapping_add(magnitude) >= by,
        Rounding::Floor => value.is_negative(),
        Rounding::Ceiling => !value.is_negative(),
    };
    if up { quotient.wrapping_add(away) } else { quotient }
}

/// PostgreSQL's `select_div_scale`: at least 16 digits, and no fewer than either side has.
fn quotient_scale(dividend: Number, divisor: Number) -> u32 {
    let mut weight = dividend.weight() - divisor.weight();
    if dividend.first_group() <= divisor.first_group() {
        weight -= 1;
    }
    scale_for(SIGNIFICANT_DIGITS - weight * GROUP_DIGITS, dividend.scale.max(divisor.scale))
}

/// The scale wanted, not below `least`.
fn scale_for(wanted: i32, least: u32) -> u32 {
    // PostgreSQL's own limit is 1000; beyond `SCALE_MAX` the result is refused.
    u32::try_from(wanted).unwrap_or(0).max(least).min(1000)
}

/// Compares two numbers of any size given as text.
pub(crate) fn compare_texts(a: &str, b: &str) -> Result<Ordering, Fault> {
    if let (Ok(a), Ok(b)) = (Number::parse(a), Number::parse(b)) {
        return Ok(a.compare(b));
    }
    let (a, b) = (normalized(a)?, normalized(b)?);
    let sizes = || {
        // Without zeros at either end, the place of the first digit comes first, then the digits.
        let place = |number: &Digits| number.digits.len() as i64 - i64::from(number.scale);
        match (a.digits.is_empty(), b.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => place(&a).cmp(&place(&b)).then_with(|| a.digits.cmp(&b.digits)),
        }
    };
    Ok(match (a.negative, b.negative) {
        (false, false) => sizes(),
        (true, true) => sizes().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

fn normalized(text: &str) -> Result<Digits, Fault> {
    let digits = Digits::parse(text).ok_or(Fault::NOT_A_NUMBER)?;
    Ok(digits.normalized())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    fn text(number: Result<Number, Fault>) -> String {
        match number {
            Ok(number) => {
                let mut out = String::new();
                number.write(&mut out);
                out
            }
            Err(Fault(reason)) => reason.to_owned(),
        }
    }

    #[test]
    fn texts_keep_their_zeros() {
        for (given, expected) in [
            ("0", "0"),
            ("-0.00", "0.00"),
            ("1.50", "1.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("+7", "7"),
            ("1e3", "1000"),
            ("1.50e1", "15.0"),
            ("1e-3", "0.001"),
            (
                "12345678901234567890123456789012345678901234567890.5",
                "12345678901234567890123456789012345678901234567890.5",
            ),
        ] {
            assert_eq!(text(Number::parse(given)), expected, "{given}");
        }
        for bad in ["", ".", "-", "x", "1e", "NaN", "Infinity", "1e77", "1e999999"] {
            assert!(Number::parse(bad).is_err(), "{bad}");
        }
    }

    // The expected texts are PostgreSQL 15's own.
    #[test]
    fn quotients_have_the_scale_of_postgres() {
        for (a, b, expected) in [
            ("1", "3", "0.33333333333333333333"),
            ("2", "3", "0.66666666666666666667"),
            ("10", "4", "2.5000000000000000"),
            ("1.00", "0.0003", "3333.3333333333333333"),
            ("-1", "3", "-0.33333333333333333333"),
            ("123456789", "0.001", "123456789000.00000000"),
            ("0", "5", "0.00000000000000000000"),
            ("1", "0", "division by zero"),
        ] {
            assert_eq!(text(number(a).divided_by(number(b))), expected, "{a} / {b}");
        }
    }

    #[test]
    fn rounding_goes_away_from_zero() {
        for (value, scale, rounding, expected) in [
            ("2.5", 0, Rounding::HalfAway, "3"),
            ("-2.5", 0, Rounding::HalfAway, "-3"),
            ("2.49", 1, Rounding::HalfAway, "2.5"),
            ("1.5", 3, Rounding::HalfAway, "1.500"),
            ("155", -1, Rounding::HalfAway, "160"),
            ("155", -2, Rounding::Truncate, "100"),
            ("155", -90, Rounding::HalfAway, "0"),
            ("-1.5", 0, Rounding::Floor, "-2"),
            ("-1.5", 0, Rounding::Ceiling, "-1"),
            ("1.5", 0, Rounding::Ceiling, "2"),
            ("1e-90", 0, Rounding::Ceiling, "1"),
            ("-1e-90", 0, Rounding::Floor, "-1"),
            ("-1e-90", 0, Rounding::Ceiling, "0"),
            ("1e-90", 2, Rounding::HalfAway, "0.00"),
        ] {
            assert_eq!(text(number(value).rounded(scale, rounding)), expected, "{value} to {scale}");
        }
    }

    #[test]
    fn numbers_beyond_our_digits_still_compare() {
        let huge = format!("1{}", "0".repeat(100));
        for (a, b, expected) in [
            ("1.50", "1.5", Ordering::Equal),
            ("-2", "1", Ordering::Less),
            (huge.as_str(), "5", Ordering::Greater),
            ("5", huge.as_str(), Ordering::Less),
            (huge.as_str(), "1e100", Ordering::Equal),
            ("0.00", "-0", Ordering::Equal),
        ] {
            assert_eq!(compare_texts(a, b), Ok(expected), "{a} {b}");
        }
        assert!(compare_texts("NaN", "1").is_err());
    }

    proptest! {
        #[test]
        fn sums_and_products_are_those_of_whole_numbers(a in -(1_i64 << 40)..1_i64 << 40, b in -(1_i64 << 40)..1_i64 << 40, scale in 0_u32..10) {
            let [x, y] = [a, b].map(|value| Number { value: i256::from_i128(i128::from(value)), scale });
            let number = |value: i128, scale| Number { value: i256::from_i128(value), scale };
            prop_assert_eq!(x.plus(y), Ok(number(i128::from(a) + i128::from(b), scale)));
            prop_assert_eq!(x.times(y), Ok(number(i128::from(a) * i128::from(b), 2 * scale)));
            prop_assert_eq!(x.compare(y), a.cmp(&b));
            if b != 0 {
                prop_assert_eq!(x.remainder(y), Ok(number(i128::from(a) % i128::from(b), scale)));
            }
        }

        #[test]
        fn a_quotient_times_the_divisor_comes_near(a in 1_i64..1 << 40, b in 1_i64..1 << 40) {
            let (x, y) = (Number::whole(a.into()), Number::whole(b.into()));
            let back = x.divided_by(y).and_then(|quotient| quotient.times(y)).unwrap();
            let off = back.minus(x).unwrap().absolute();
            prop_assert_eq!(off.times(Number::whole(1_000)).unwrap().compare(Number::ONE), Ordering::Less);
        }

        #[test]
        fn texts_compare_as_numbers(a in -1000_i64..1000, b in -1000_i64..1000, zeros in 0_usize..90) {
            let long = |value: i64| format!("{value}.{}", "0".repeat(zeros));
            prop_assert_eq!(compare_texts(&long(a), &b.to_string()), Ok(a.cmp(&b)));
        }
    }
}
