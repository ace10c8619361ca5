//! Roots and whole powers, with the digits that PostgreSQL 15 gives them.

use arrow_buffer::i256;

use super::{
    DIGITS_MAX, GROUP_DIGITS, Number, POWERS, Rounding, SIGNIFICANT_DIGITS, digits, divide, power_of_ten,
    scale_for,
};
use crate::expr::fault::Fault;

impl Number {
    /// The square root, at least 16 digits of it.
    pub(crate) fn square_root(self) -> Result<Self, Fault> {
        if self.is_negative() {
            return Err(Fault("the square root of a negative number"));
        }
        let whole_digits = self.weight() * GROUP_DIGITS / 2 + 1;
        let scale = scale_for(SIGNIFICANT_DIGITS - whole_digits, self.scale);
        // One digit more than wanted decides the rounding.
        let wanted = 2 * (scale + 1);
        let scaled = match wanted.checked_sub(self.scale) {
            Some(shift) => self.shifted(shift)?.value,
            None => divide(self.value, power_of_ten(self.scale - wanted)?, Rounding::Truncate),
        };
        let root = Number { value: integer_root(scaled), scale: scale + 1 };
        root.rounded(i64::from(scale), Rounding::HalfAway)
    }

    /// A whole power, computed with as many digits as PostgreSQL keeps.
    pub(crate) fn power(self, exponent: Self) -> Result<Self, Fault> {
        let times = exponent
            .at_scale(0)
            .map_err(|_| Fault("the exponent of an exact power is not a whole number"))?
            .to_i128()
            .and_then(|times| i32::try_from(times).ok())
            .ok_or(Fault::NUMBER_RANGE)?;
        let scale = self.scale.max(SIGNIFICANT_DIGITS.unsigned_abs());
        let exact = |number: Number| number.rounded(i64::from(scale), Rounding::HalfAway);
        match times {
            0 => exact(Number::ONE),
            1 => exact(self),
            2 => self.times(self).and_then(exact),
            _ if self.is_zero() && times < 0 => Err(Fault::DIVISION_BY_ZERO),
            _ if self.is_zero() => exact(self),
            -1 => Number::ONE.quotient(self, scale),
            _ => self.power_by_products(times, scale),
        }
    }

    /// A power whose size is estimated first, so that the products keep just the digits that count.
    fn power_by_products(self, times: i32, scale: u32) -> Result<Self, Fault> {
        let estimate = f64::from(times) * self.log10();
        if estimate + 1.0 < -f64::from(scale) {
            return Number::new(i256::ZERO, scale);
        }
        if estimate > f64::from(DIGITS_MAX) {
            return Err(Fault::NUMBER_RANGE);
        }
        // Both are truncated towards zero, as a cast in C does.
        let guard = f64::from(times.unsigned_abs()).ln() as i32 + 8;
        let kept = 1 + scale.cast_signed() + estimate as i32 + guard;
        let power = self.repeated_product(times.unsigned_abs(), kept)?;
        match (times < 0, power.is_zero()) {
            (true, true) => Err(Fault::NUMBER_RANGE),
            (true, false) => Number::ONE.quotient(power, scale),
            (false, _) => power.rounded(i64::from(scale), Rounding::HalfAway),
        }
    }

    /// `self` multiplied by itself, each product cut to about `kept` digits.
    fn repeated_product(self, times: u32, kept: i32) -> Result<Self, Fault> {
        let product = |a: Number, b: Number| {
            let full = a.times_wide(b)?;
            let wanted = i64::from(kept) - i64::from(a.weight() + b.weight()) * i64::from(GROUP_DIGITS);
            full.cut(wanted.clamp(0, i64::from(a.scale + b.scale)))
        };
        let mut rest = times;
        let mut square = self;
        let mut result = if rest & 1 == 1 { self } else { Number::ONE };
        rest >>= 1;
        while rest > 0 {
            square = product(square, square)?;
            if rest & 1 == 1 {
                result = product(square, result)?;
            }
            rest >>= 1;
        }
        Ok(result)
    }

    /// A product that may have a digit too many until it is cut.
    fn times_wide(self, other: Self) -> Result<Self, Fault> {
        let value = self.value.checked_mul(other.value).ok_or(Fault::NUMBER_RANGE)?;
        Ok(Number { value, scale: self.scale + other.scale })
    }

    fn cut(self, scale: i64) -> Result<Self, Fault> {
        self.rounded(scale, Rounding::HalfAway)
    }

    /// The decimal logarithm as PostgreSQL estimates it: from the first four of its digits.
    fn log10(self) -> f64 {
        let place = self.first_place();
        let group_places = place.rem_euclid(GROUP_DIGITS) + 1;
        let mut wanted = (group_places + 3 * GROUP_DIGITS).unsigned_abs();
        let have = digits(self.value);
        let magnitude = self.value.wrapping_abs();
        let mut leading = if have >= wanted {
            magnitude.wrapping_div(POWERS[(have - wanted) as usize])
        } else {
            magnitude.wrapping_mul(POWERS[(wanted - have) as usize])
        };
        let group = i256::from_i128(10_000);
        while leading.wrapping_rem(group) == i256::ZERO {
            leading = leading.wrapping_div(group);
            wanted -= 4;
        }
        let shift = place + 1 - wanted as i32;
        // At most 16 digits.
        (leading.as_i128() as f64).log10() + f64::from(shift)
    }
}

/// The whole part of a square root, by Newton's method.
fn integer_root(value: i256) -> i256 {
    if value == i256::ZERO {
        return value;
    }
    let mut root = POWERS[(digits(value).div_ceil(2)) as usize];
    loop {
        let next = root.wrapping_add(value.wrapping_div(root)).wrapping_div(i256::from_i128(2));
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
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

    // The expected texts are PostgreSQL 15's own.
    #[test]
    fn roots_and_powers() {
        for (value, expected) in
            [("2", "1.414213562373095"), ("4", "2.000000000000000"), ("0", "0.000000000000000")]
        {
            assert_eq!(text(number(value).square_root()), expected, "{value}");
        }
        for (base, exponent, expected) in [
            ("2", "10", "1024.0000000000000000"),
            ("0", "0", "1.0000000000000000"),
            ("0", "-1", "division by zero"),
            ("2", "0.5", "the exponent of an exact power is not a whole number"),
        ] {
            assert_eq!(text(number(base).power(number(exponent))), expected, "{base} ^ {exponent}");
        }
    }
}
