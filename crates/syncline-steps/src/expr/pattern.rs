//! LIKE, ILIKE and regular expressions.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, StringArray};
use arrow_schema::ArrowError;
use arrow_string::regexp::regexp_is_match_scalar;
use syncline_types::Result;

use super::{
    fault::{Fault, Faults},
    functions::lowered,
    node::{Call, Kernel},
    operand::{Computed, Operand, View, booleans, broken},
};

/// What a LIKE pattern is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `_`
    One,
    /// `%`
    Any,
}

/// How a LIKE is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Like {
    /// The character that makes the next one stand for itself.
    pub(crate) escape: Option<char>,
    /// ILIKE: upper and lower case are one.
    pub(crate) ignore_case: bool,
    pub(crate) negated: bool,
}

/// The function `text LIKE pattern`.
pub(crate) fn like(how: Like) -> Kernel {
    Kernel::new(move |call| {
        let (values, patterns) = (call.text(0)?, call.text(1)?);
        if call.args[1].is_constant() {
            return like_constant(how, call, values, patterns);
        }
        let (array, faults) = booleans(call.rows, |row| {
            let Some((text, pattern)) = values.get(row).zip(patterns.get(row)) else { return Ok(None) };
            let tokens = tokens(pattern, how)?;
            Ok(Some(matches(&tokens, text, how.ignore_case) != how.negated))
        });
        Ok((Arc::new(array), faults))
    })
}

fn like_constant(
    how: Like,
    call: &Call<'_>,
    values: View<'_, StringArray>,
    patterns: View<'_, StringArray>,
) -> Result<Computed> {
    let tokens = patterns.get(0).map(|pattern| tokens(pattern, how)).transpose();
    let (array, faults) = booleans(call.rows, |row| match &tokens {
        Ok(Some(tokens)) => {
            Ok(values.get(row).map(|text| matches(tokens, text, how.ignore_case) != how.negated))
        }
        Ok(None) => Ok(None),
        Err(fault) => values.get(row).map_or(Ok(None), |_| Err(*fault)),
    });
    Ok((Arc::new(array), faults))
}

fn tokens(pattern: &str, how: Like) -> Result<Vec<Token>, Fault> {
    let plain = |c| Token::Char(if how.ignore_case { lowered(c) } else { c });
    let mut tokens = vec![];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            c if Some(c) == how.escape => {
                let next = chars.next();
                plain(next.ok_or(Fault("a LIKE pattern ends with its escape character"))?)
            }
            '_' => Token::One,
            '%' => Token::Any,
            c => plain(c),
        });
    }
    Ok(tokens)
}

/// Whether the whole text matches. Only the last `%` is ever tried again, so that the time is
/// bounded by the product of the lengths.
fn matches(tokens: &[Token], text: &str, ignore_case: bool) -> bool {
    let (mut token, mut rest) = (0, text.chars());
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        if tokens.get(token) == Some(&Token::Any) {
            token += 1;
            retry = Some((token, rest.clone()));
            continue;
        }
        let mut after = rest.clone();
        let Some(c) = after.next() else { break };
        let c = if ignore_case { lowered(c) } else { c };
        let fits = match tokens.get(token) {
            Some(Token::Char(wanted)) => *wanted == c,
            Some(Token::One) => true,
            Some(Token::Any) | None => false,
        };
        if fits {
            token += 1;
            rest = after;
            continue;
        }
        let Some((back, from)) = &mut retry else { return false };
        from.next();
        token = *back;
        rest = from.clone();
    }
    tokens.iter().skip(token).all(|token| *token == Token::Any)
}

/// The function `text ~ pattern`, for a pattern that [`valid_regex`] has accepted.
pub(crate) fn regex(pattern: &str, ignore_case: bool, negated: bool) -> Kernel {
    let pattern = dialect(pattern);
    Kernel::new(move |call| {
        let values = call.args[0].clone().expanded(call.rows)?;
        let matched = is_match(&values, &pattern, ignore_case)?;
        let result = if negated { arrow_arith::boolean::not(&matched).map_err(broken)? } else { matched };
        Ok((Arc::new(result), Faults::default()))
    })
}

/// Whether a text is a regular expression that we understand.
pub(crate) fn valid_regex(pattern: &str) -> bool {
    let values: ArrayRef = Arc::new(StringArray::from(vec![""]));
    is_match(&values, &dialect(pattern), false).is_ok()
}

/// As in PostgreSQL, `.` means line ends too.
fn dialect(pattern: &str) -> String {
    format!("(?s){pattern}")
}

fn is_match(values: &ArrayRef, pattern: &str, ignore_case: bool) -> Result<BooleanArray> {
    let operand = Operand::column(Arc::clone(values));
    let texts = operand
        .array()
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or_else(|| broken(ArrowError::InvalidArgumentError(String::new())))?;
    regexp_is_match_scalar(texts, pattern, ignore_case.then_some("i")).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        let how = |ignore_case| Like { escape: Some('\\'), ignore_case, negated: false };
        for (text, pattern, ignore_case, expected) in [
            ("", "", false, true),
            ("", "%", false, true),
            ("abc", "abc", false, true),
            ("abc", "a%", false, true),
            ("abc", "%c", false, true),
            ("abc", "%b%", false, true),
            ("abc", "a_c", false, true),
            ("abc", "_", false, false),
            ("abc", "ABC", false, false),
            ("äbc", "ÄBC", true, true),
            ("mississippi", "m%iss%ip%i", false, true),
            ("mississippi", "m%iss%ix%i", false, false),
            ("10%", "10\\%", false, true),
            ("100", "10\\%", false, false),
            ("a\nb", "a%b", false, true),
            ("日本語", "_本_", false, true),
        ] {
            let tokens = tokens(pattern, how(ignore_case)).unwrap();
            assert_eq!(matches(&tokens, text, ignore_case), expected, "{text} like {pattern}");
        }
        assert!(tokens("a\\", how(false)).is_err());
        assert_eq!(tokens("a\\", Like { escape: None, ..how(false) }).map(|tokens| tokens.len()), Ok(2));
    }

    #[test]
    fn regular_expressions_are_checked() {
        assert!(valid_regex("^a.b$"));
        assert!(!valid_regex("("));
        assert!(!valid_regex("(a)\\1"));
    }
}
