//! Functions of text. Positions and lengths count characters (code points), from 1.

use std::{iter::repeat_n, sync::Arc};

use arrow_array::{StringArray, types::Int32Type};
use syncline_types::{LogicalType, Result};

use super::{Function, Overload, Returns, strict};
use crate::expr::{
    fault::Fault,
    kind::Kind::{self, Binary, Int4, Text},
    node::Call,
    operand::{Computed, VALUE_BYTES_MAX, View, booleans, primitives, texts},
};

const TEXT: Returns = Returns::Type(LogicalType::TEXT);
const INT4: Returns = Returns::Type(LogicalType::Int32);

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "lower", overloads: &[strict(&[Text], TEXT, lower)] },
    Function { name: "upper", overloads: &[strict(&[Text], TEXT, upper)] },
    Function { name: "initcap", overloads: &[strict(&[Text], TEXT, initcap)] },
    Function { name: "length", overloads: LENGTH },
    Function { name: "char_length", overloads: &[strict(&[Text], INT4, characters)] },
    Function { name: "character_length", overloads: &[strict(&[Text], INT4, characters)] },
    Function {
        name: "octet_length",
        overloads: &[strict(&[Text], INT4, text_bytes), strict(&[Binary], INT4, bytes)],
    },
    Function {
        name: "btrim",
        overloads: &[strict(&[Text], TEXT, trim_both), strict(&[Text, Text], TEXT, trim_both)],
    },
    Function {
        name: "ltrim",
        overloads: &[strict(&[Text], TEXT, trim_start), strict(&[Text, Text], TEXT, trim_start)],
    },
    Function {
        name: "rtrim",
        overloads: &[strict(&[Text], TEXT, trim_end), strict(&[Text, Text], TEXT, trim_end)],
    },
    Function { name: "substring", overloads: SUBSTRING },
    Function { name: "substr", overloads: SUBSTRING },
    Function { name: "left", overloads: &[strict(&[Text, Int4], TEXT, left)] },
    Function { name: "right", overloads: &[strict(&[Text, Int4], TEXT, right)] },
    Function {
        name: "lpad",
        overloads: &[strict(&[Text, Int4], TEXT, lpad), strict(&[Text, Int4, Text], TEXT, lpad)],
    },
    Function {
        name: "rpad",
        overloads: &[strict(&[Text, Int4], TEXT, rpad), strict(&[Text, Int4, Text], TEXT, rpad)],
    },
    Function { name: "replace", overloads: &[strict(&[Text, Text, Text], TEXT, replace)] },
    Function { name: "concat", overloads: &[variadic(&[Text], concat)] },
    Function { name: "concat_ws", overloads: &[variadic(&[Text, Text], concat_ws)] },
    Function { name: "split_part", overloads: &[strict(&[Text, Text, Int4], TEXT, split_part)] },
    Function { name: "strpos", overloads: &[strict(&[Text, Text], INT4, strpos)] },
    Function {
        name: "starts_with",
        overloads: &[strict(&[Text, Text], Returns::Type(LogicalType::Bool), starts_with)],
    },
    Function { name: "reverse", overloads: &[strict(&[Text], TEXT, reverse)] },
    Function { name: "repeat", overloads: &[strict(&[Text, Int4], TEXT, repeat)] },
];

static LENGTH: &[Overload] = &[strict(&[Text], INT4, characters), strict(&[Binary], INT4, bytes)];

static SUBSTRING: &[Overload] =
    &[strict(&[Text, Int4], TEXT, substring), strict(&[Text, Int4, Int4], TEXT, substring)];

const fn variadic(params: &'static [Kind], run: super::Run) -> Overload {
    Overload { params, variadic: true, returns: TEXT, strict: false, run }
}

/// A text made from one text.
fn map(call: &Call<'_>, write: impl Fn(&str, &mut String)) -> Result<Computed> {
    let values = call.text(0)?;
    texts(call.rows, |row, out| Ok(values.get(row).map(|text| write(text, out))))
}

/// A text made from a text and a number.
fn map_counted(
    call: &Call<'_>,
    write: impl Fn(&str, i32, &mut String) -> Result<(), Fault>,
) -> Result<Computed> {
    let (values, counts) = (call.text(0)?, call.int32(1)?);
    texts(call.rows, |row, out| {
        values.get(row).zip(counts.get(row)).map(|(text, count)| write(text, count, out)).transpose()
    })
}

/// A text made from two texts.
fn map_pair(call: &Call<'_>, write: impl Fn(&str, &str, &mut String)) -> Result<Computed> {
    let (left, right) = (call.text(0)?, call.text(1)?);
    texts(call.rows, |row, out| {
        Ok(left.get(row).zip(right.get(row)).map(|(left, right)| write(left, right, out)))
    })
}

/// The lower-case character, where it is one.
pub(crate) fn lowered(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn raised(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn lower(call: &Call<'_>) -> Result<Computed> {
    map(call, |text, out| {
        if text.is_ascii() {
            let start = out.len();
            out.push_str(text);
            out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        } else {
            out.extend(text.chars().map(lowered));
        }
    })
}

fn upper(call: &Call<'_>) -> Result<Computed> {
    map(call, |text, out| {
        if text.is_ascii() {
            let start = out.len();
            out.push_str(text);
            out.get_mut(start..).unwrap_or_default().make_ascii_uppercase();
        } else {
            out.extend(text.chars().map(raised));
        }
    })
}

fn initcap(call: &Call<'_>) -> Result<Computed> {
    map(call, |text, out| {
        let mut within = false;
        for c in text.chars() {
            out.push(if within { lowered(c) } else { raised(c) });
            within = c.is_alphanumeric();
        }
    })
}

fn reverse(call: &Call<'_>) -> Result<Computed> {
    map(call, |text, out| out.extend(text.chars().rev()))
}

/// A count as an integer; no text is longer than 31 bits.
fn count(value: usize) -> Result<Option<i32>, Fault> {
    i32::try_from(value).map(Some).map_err(|_| Fault::INTEGER_RANGE)
}

fn counts<'a>(call: &Call<'_>, texts: View<'a, StringArray>, of: fn(&str) -> usize) -> Computed {
    primitives::<Int32Type>(call.rows, call.returns, |row| {
        texts.get(row).map_or(Ok(None), |text| count(of(text)))
    })
}

fn characters(call: &Call<'_>) -> Result<Computed> {
    Ok(counts(call, call.text(0)?, |text| text.chars().count()))
}

fn text_bytes(call: &Call<'_>) -> Result<Computed> {
    Ok(counts(call, call.text(0)?, str::len))
}

fn bytes(call: &Call<'_>) -> Result<Computed> {
    let values = call.binary(0)?;
    Ok(primitives::<Int32Type>(call.rows, call.returns, |row| {
        values.get(row).map_or(Ok(None), |bytes| count(bytes.len()))
    }))
}

/// Calls `cut` with each text and the set of characters to take away, blanks if none are given.
fn trim(call: &Call<'_>, cut: impl for<'a> Fn(&'a str, &str) -> &'a str) -> Result<Computed> {
    if call.args.len() == 1 {
        return map(call, |text, out| out.push_str(cut(text, " ")));
    }
    map_pair(call, |text, set, out| out.push_str(cut(text, set)))
}

fn trim_both(call: &Call<'_>) -> Result<Computed> {
    trim(call, |text, set| text.trim_matches(|c| set.contains(c)))
}

fn trim_start(call: &Call<'_>) -> Result<Computed> {
    trim(call, |text, set| text.trim_start_matches(|c| set.contains(c)))
}

fn trim_end(call: &Call<'_>) -> Result<Computed> {
    trim(call, |text, set| text.trim_end_matches(|c| set.contains(c)))
}

/// Where the character of this number begins, or the end.
fn offset(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// The characters from `start` on, `length` of them; positions before the first count.
fn substring(call: &Call<'_>) -> Result<Computed> {
    let (values, starts) = (call.text(0)?, call.int32(1)?);
    let lengths = if call.args.len() == 3 { Some(call.int32(2)?) } else { None };
    texts(call.rows, |row, out| {
        let Some((text, start)) = values.get(row).zip(starts.get(row)) else { return Ok(None) };
        let end = match lengths.map(|lengths| lengths.get(row)) {
            None => i64::MAX,
            Some(None) => return Ok(None),
            Some(Some(length)) if length < 0 => return Err(Fault("a substring's length is negative")),
            Some(Some(length)) => i64::from(start) + i64::from(length),
        };
        let first = i64::from(start).max(1);
        if let (Ok(skip), Ok(take)) = (usize::try_from(first - 1), usize::try_from(end - first)) {
            let rest = text.get(offset(text, skip)..).unwrap_or_default();
            out.push_str(rest.get(..offset(rest, take)).unwrap_or_default());
        }
        Ok(Some(()))
    })
}

/// How many characters a count means: a negative one leaves out so many.
fn wanted(text: &str, count: i32) -> usize {
    let size = count.unsigned_abs() as usize;
    if count < 0 { text.chars().count().saturating_sub(size) } else { size }
}

fn left(call: &Call<'_>) -> Result<Computed> {
    map_counted(call, |text, count, out| {
        let end = offset(text, wanted(text, count));
        out.push_str(text.get(..end).unwrap_or_default());
        Ok(())
    })
}

fn right(call: &Call<'_>) -> Result<Computed> {
    map_counted(call, |text, count, out| {
        let skip = text.chars().count().saturating_sub(wanted(text, count));
        out.push_str(text.get(offset(text, skip)..).unwrap_or_default());
        Ok(())
    })
}

/// A text cut to `length` characters, and how many of the filling it lacks.
fn fill_of<'a>(text: &'a str, length: i32, fill: &str) -> Result<(&'a str, usize), Fault> {
    let length = usize::try_from(length).unwrap_or(0);
    let kept = text.get(..offset(text, length)).unwrap_or_default();
    let missing = if fill.is_empty() { 0 } else { length.saturating_sub(kept.chars().count()) };
    // The filling's characters may take four bytes.
    if missing > VALUE_BYTES_MAX / 4 { Err(Fault::TEXT_SIZE) } else { Ok((kept, missing)) }
}

/// Calls `write` with the text, the length wanted and the filling, blanks if none is given.
fn pad(
    call: &Call<'_>,
    write: impl Fn(&str, std::iter::Take<std::iter::Cycle<std::str::Chars<'_>>>, &mut String),
) -> Result<Computed> {
    let (values, lengths) = (call.text(0)?, call.int32(1)?);
    let fills = if call.args.len() == 3 { Some(call.text(2)?) } else { None };
    texts(call.rows, |row, out| {
        let Some((text, length)) = values.get(row).zip(lengths.get(row)) else { return Ok(None) };
        let Some(fill) = fills.map_or(Some(" "), |fills| fills.get(row)) else { return Ok(None) };
        let (kept, missing) = fill_of(text, length, fill)?;
        write(kept, fill.chars().cycle().take(missing), out);
        Ok(Some(()))
    })
}

fn lpad(call: &Call<'_>) -> Result<Computed> {
    pad(call, |text, fill, out| {
        out.extend(fill);
        out.push_str(text);
    })
}

fn rpad(call: &Call<'_>) -> Result<Computed> {
    pad(call, |text, fill, out| {
        out.push_str(text);
        out.extend(fill);
    })
}

fn replace(call: &Call<'_>) -> Result<Computed> {
    let (values, from, to) = (call.text(0)?, call.text(1)?, call.text(2)?);
    texts(call.rows, |row, out| {
        let Some(((text, from), to)) = values.get(row).zip(from.get(row)).zip(to.get(row)) else {
            return Ok(None);
        };
        if from.is_empty() {
            out.push_str(text);
            return Ok(Some(()));
        }
        let start = out.len();
        for (at, part) in text.split(from).enumerate() {
            if at > 0 {
                out.push_str(to);
            }
            out.push_str(part);
            if out.len() - start > VALUE_BYTES_MAX {
                return Err(Fault::TEXT_SIZE);
            }
        }
        Ok(Some(()))
    })
}

/// Everything that is not NULL, one after the other.
fn concat(call: &Call<'_>) -> Result<Computed> {
    let parts = (0..call.args.len()).map(|arg| call.text(arg)).collect::<Result<Vec<_>>>()?;
    texts(call.rows, |row, out| {
        parts.iter().filter_map(|part| part.get(row)).for_each(|text| out.push_str(text));
        Ok(Some(()))
    })
}

/// As `concat`, with the first argument between the others.
fn concat_ws(call: &Call<'_>) -> Result<Computed> {
    let separators = call.text(0)?;
    let parts = (1..call.args.len()).map(|arg| call.text(arg)).collect::<Result<Vec<_>>>()?;
    texts(call.rows, |row, out| {
        let Some(separator) = separators.get(row) else { return Ok(None) };
        for (at, text) in parts.iter().filter_map(|part| part.get(row)).enumerate() {
            if at > 0 {
                out.push_str(separator);
            }
            out.push_str(text);
        }
        Ok(Some(()))
    })
}

fn split_part(call: &Call<'_>) -> Result<Computed> {
    let (values, separators, fields) = (call.text(0)?, call.text(1)?, call.int32(2)?);
    texts(call.rows, |row, out| {
        let Some(((text, separator), field)) = values.get(row).zip(separators.get(row)).zip(fields.get(row))
        else {
            return Ok(None);
        };
        let steps = field.unsigned_abs() as usize;
        let Some(skip) = steps.checked_sub(1) else {
            return Err(Fault("a field's position is zero"));
        };
        let part = match (separator, field > 0) {
            ("", _) => (skip == 0).then_some(text),
            (separator, true) => text.split(separator).nth(skip),
            (separator, false) => {
                // Fields are cut from the front, so that overlapping separators count alike.
                let count = text.split(separator).count();
                count.checked_sub(steps).and_then(|at| text.split(separator).nth(at))
            }
        };
        out.push_str(part.unwrap_or_default());
        Ok(Some(()))
    })
}

fn strpos(call: &Call<'_>) -> Result<Computed> {
    let (values, parts) = (call.text(0)?, call.text(1)?);
    Ok(primitives::<Int32Type>(call.rows, call.returns, |row| {
        let Some((text, part)) = values.get(row).zip(parts.get(row)) else { return Ok(None) };
        match text.find(part) {
            Some(at) => count(text.get(..at).unwrap_or_default().chars().count() + 1),
            None => Ok(Some(0)),
        }
    }))
}

fn starts_with(call: &Call<'_>) -> Result<Computed> {
    let (values, starts) = (call.text(0)?, call.text(1)?);
    let (array, faults) = booleans(call.rows, |row| {
        Ok(values.get(row).zip(starts.get(row)).map(|(text, start)| text.starts_with(start)))
    });
    Ok((Arc::new(array), faults))
}

fn repeat(call: &Call<'_>) -> Result<Computed> {
    map_counted(call, |text, count, out| {
        let count = usize::try_from(count).unwrap_or(0);
        match text.len().checked_mul(count) {
            // An empty text repeated is empty, however often.
            Some(0) => Ok(()),
            Some(size) if size <= VALUE_BYTES_MAX => {
                out.extend(repeat_n(text, count));
                Ok(())
            }
            _ => Err(Fault::TEXT_SIZE),
        }
    })
}
