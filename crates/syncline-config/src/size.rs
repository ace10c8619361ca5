//! Sizes, durations, counts and rates as people write them: `50MB`, `90s`, `50k`, `50MB/s`.
//!
//! Whole-number arithmetic throughout; what is not a whole number of the smallest unit is refused.

use crate::problem::Problem;

/// A unit's spelling and how many of the smallest unit it is.
type Unit = (&'static str, u64);

const BYTES: &[Unit] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const SECONDS: &[Unit] = &[("", 1), ("s", 1), ("m", 60), ("min", 60), ("h", 3_600), ("d", 86_400)];
const ROWS: &[Unit] = &[("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

/// `64MB` is 64,000,000 bytes and `64MiB` is 67,108,864.
pub(crate) fn bytes(text: &str) -> Result<u64, Problem> {
    read(text, BYTES, str::eq_ignore_ascii_case, "no size").map_err(|problem| {
        let unit = text.trim().trim_start_matches(is_digit_or_mark).trim_start();
        // One letter means a thousand to some and 1024 to others.
        problem.hint(if matches!(unit, "k" | "K" | "m" | "M" | "g" | "G" | "t" | "T") {
            "Write MB for millions of bytes or MiB for 1,048,576"
        } else {
            "Sizes look like 50MB (50,000,000 bytes), 64MiB or 1048576"
        })
    })
}

/// `90`, `90s`, `2m`, `1h`.
pub(crate) fn seconds(text: &str) -> Result<u64, Problem> {
    read(text, SECONDS, str::eq, "no duration")
        .map_err(|problem| problem.hint("Durations look like 90s, 2m, 1h or 90"))
}

/// `90`, `90s`, `2m`, `1h`, for an option of the command line.
///
/// # Errors
/// In words.
pub fn duration_seconds(text: &str) -> Result<u64, String> {
    seconds(text).map_err(|problem| match problem.hint {
        Some(hint) => format!("{}. {hint}", problem.reason),
        None => problem.reason,
    })
}

/// `50000`, `50k`, `50k/s`.
pub(crate) fn rows_per_second(text: &str) -> Result<u64, Problem> {
    let rate = read(per_second(text), ROWS, str::eq, "no number of rows per second")
        .map_err(|problem| problem.hint("It looks like 50000 or 50k"))?;
    positive(rate)
}

/// `50MB`, `50MB/s`.
pub(crate) fn bytes_per_second(text: &str) -> Result<u64, Problem> {
    positive(bytes(per_second(text))?)
}

fn per_second(text: &str) -> &str {
    let text = text.trim_end();
    text.strip_suffix("/s").unwrap_or(text)
}

fn positive(rate: u64) -> Result<u64, Problem> {
    if rate > 0 {
        Ok(rate)
    } else {
        Err(Problem::value("a limit of 0 would let nothing through").hint("Leave it out for no limit"))
    }
}

fn read(text: &str, units: &[Unit], same: fn(&str, &str) -> bool, what: &str) -> Result<u64, Problem> {
    let text = text.trim();
    let refused = || Problem::value(format!("`{text}` is {what}"));
    let unit = text.trim_start_matches(is_digit_or_mark);
    let number = text.strip_suffix(unit).unwrap_or_default();
    let unit = unit.trim_start();
    let (_, times) = units.iter().find(|(name, _)| same(name, unit)).ok_or_else(refused)?;
    let (digits, scale) = decimal(number).ok_or_else(refused)?;
    let value = digits.checked_mul(u128::from(*times)).ok_or_else(refused)?;
    if value % scale != 0 {
        return Err(Problem::value(format!("`{text}` is not a whole number")));
    }
    u64::try_from(value / scale).map_err(|_| Problem::value(format!("`{text}` is too big")))
}

fn is_digit_or_mark(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | '_')
}

/// `1_000.50` as 100050 and 100.
fn decimal(number: &str) -> Option<(u128, u128)> {
    /// Enough for any 64-bit number; more digits would only be a way to overflow.
    const DIGITS_MAX: usize = 20;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let begins_with_digit = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let ends_with_digit = |part: &str| part.ends_with(|c: char| c.is_ascii_digit());
    let well_formed = begins_with_digit(whole)
        && ends_with_digit(whole)
        && (!number.contains('.') || (begins_with_digit(fraction) && ends_with_digit(fraction)));
    let digits: String = format!("{whole}{fraction}").replace('_', "");
    let decimals = u32::try_from(fraction.replace('_', "").len()).ok()?;
    if !well_formed || digits.len() > DIGITS_MAX {
        return None;
    }
    Some((digits.parse().ok()?, 10_u128.checked_pow(decimals)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(read: fn(&str) -> Result<u64, Problem>, cases: &[(&str, Result<u64, &str>)]) {
        for (text, expected) in cases {
            let found = read(text);
            let found = found.as_ref().map_err(|problem| problem.reason.as_str());
            assert_eq!(found.copied(), *expected, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        check(
            bytes,
            &[
                ("0", Ok(0)),
                ("1048576", Ok(1_048_576)),
                ("1_000", Ok(1_000)),
                ("50MB", Ok(50_000_000)),
                ("50 mb", Ok(50_000_000)),
                (" 64MiB ", Ok(67_108_864)),
                ("1.5GB", Ok(1_500_000_000)),
                ("0.5KiB", Ok(512)),
                ("7B", Ok(7)),
                ("16777215TiB", Ok(16_777_215 << 40)),
                ("16777216TiB", Err("`16777216TiB` is too big")),
                ("0.3B", Err("`0.3B` is not a whole number")),
                ("64M", Err("`64M` is no size")),
                ("", Err("`` is no size")),
                ("MB", Err("`MB` is no size")),
                ("-1", Err("`-1` is no size")),
                ("1.", Err("`1.` is no size")),
                (".5GB", Err("`.5GB` is no size")),
                ("1.2.3", Err("`1.2.3` is no size")),
                ("_1", Err("`_1` is no size")),
                ("1e3", Err("`1e3` is no size")),
                ("50 MB x", Err("`50 MB x` is no size")),
                ("५", Err("`५` is no size")),
                ("999999999999999999999", Err("`999999999999999999999` is no size")),
            ],
        );
        assert_eq!(
            bytes("64M").unwrap_err().hint.unwrap(),
            "Write MB for millions of bytes or MiB for 1,048,576"
        );
    }

    #[test]
    fn durations() {
        check(
            seconds,
            &[
                ("90", Ok(90)),
                ("90s", Ok(90)),
                ("2m", Ok(120)),
                ("2 min", Ok(120)),
                ("1h", Ok(3_600)),
                ("1.5h", Ok(5_400)),
                ("1d", Ok(86_400)),
                ("0.1s", Err("`0.1s` is not a whole number")),
                ("500ms", Err("`500ms` is no duration")),
                ("1h30m", Err("`1h30m` is no duration")),
                ("soon", Err("`soon` is no duration")),
            ],
        );
    }

    #[test]
    fn rates() {
        check(
            rows_per_second,
            &[
                ("50000", Ok(50_000)),
                ("50_000/s", Ok(50_000)),
                ("50k", Ok(50_000)),
                ("2.5M/s", Ok(2_500_000)),
                ("0", Err("a limit of 0 would let nothing through")),
                ("50MB", Err("`50MB` is no number of rows per second")),
                ("50m", Err("`50m` is no number of rows per second")),
                ("5/m", Err("`5/m` is no number of rows per second")),
            ],
        );
        check(
            bytes_per_second,
            &[
                ("50MB", Ok(50_000_000)),
                ("50MB/s", Ok(50_000_000)),
                ("0MB", Err("a limit of 0 would let nothing through")),
                ("fast", Err("`fast` is no size")),
            ],
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = (bytes(&text), seconds(&text), rows_per_second(&text), bytes_per_second(&text));
        }

        #[test]
        fn whole_numbers_come_back(value: u64) {
            prop_assert_eq!(bytes(&value.to_string()), Ok(value));
            prop_assert_eq!(seconds(&format!("{value}s")), Ok(value));
        }

        #[test]
        fn a_unit_multiplies(value in 0_u64..1_000_000, unit in 0..BYTES.len()) {
            let (name, times) = BYTES[unit];
            prop_assert_eq!(bytes(&format!("{value}{name}")), Ok(value * times));
        }
    }
}
