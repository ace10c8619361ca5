//! Conversions into text, and from text into what is no number and no time.

use std::sync::Arc;

use arrow_array::StringArray;
use syncline_types::{
    LogicalType, Result,
    text::{Values, parse_hex, parse_uuid},
};

use super::{impossible, trimmed};
use crate::expr::{
    exact::{self, relabelled},
    fault::Fault,
    kind::Kind,
    node::Call,
    operand::{Computed, Operand, binaries, booleans, sixteens, texts},
};

/// Text, cut to the length asked for as an explicit cast does, and padded where the type is.
pub(super) fn to_text(value: &Operand, from: LogicalType, to: LogicalType, rows: usize) -> Result<Computed> {
    let LogicalType::Text { length, padded } = to else { return Err(impossible(from, to)) };
    let from_padded = matches!(from, LogicalType::Text { padded: true, .. });
    if matches!(from, LogicalType::Text { .. }) && length.is_none() && !padded && !from_padded {
        return Ok(relabelled(&value.clone().expanded(rows)?));
    }
    let values = Values::new(value.array(), from)?;
    texts(rows, |row, out| {
        let at = value.index(row);
        if values.is_null(at) {
            return Ok(None);
        }
        let start = out.len();
        values.write(at, out);
        if from_padded {
            let kept = out.get(start..).unwrap_or_default().trim_end_matches(' ').len();
            out.truncate(start + kept);
        }
        if let Some(length) = length {
            fit(out, start, length as usize, padded);
        }
        Ok(Some(()))
    })
}

/// Text without the blanks at its end, as padded text is compared.
pub(crate) fn unpadded(call: &Call<'_>) -> Result<Computed> {
    let values = call.text(0)?;
    texts(call.rows, |row, out| Ok(values.get(row).map(|text| out.push_str(text.trim_end_matches(' ')))))
}

/// Cuts what begins at `start` to `length` characters, or pads it with blanks.
fn fit(out: &mut String, start: usize, length: usize, padded: bool) {
    let text = out.get(start..).unwrap_or_default();
    match text.char_indices().nth(length) {
        Some((cut, _)) => out.truncate(start + cut),
        None if padded => {
            let missing = length - text.chars().count();
            out.extend(std::iter::repeat_n(' ', missing));
        }
        None => {}
    }
}

/// Truth values, from integers and from PostgreSQL's words.
pub(super) fn to_boolean(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    let (array, faults) = if from.is_integer() {
        let read = exact::wholes(value, from)?;
        booleans(rows, |row| Ok(read(row)?.map(|value| value != 0)))
    } else if Kind::of(from) == Kind::Text {
        let view = value.view::<StringArray>()?;
        booleans(rows, |row| view.get(row).map(parse_boolean).transpose())
    } else {
        return Err(impossible(from, LogicalType::Bool));
    };
    Ok((Arc::new(array), faults))
}

fn parse_boolean(text: &str) -> Result<bool, Fault> {
    let word = trimmed(text).to_ascii_lowercase();
    // Any beginning of a word will do, as long as it is the beginning of one only.
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(Fault("a text is not a valid boolean"))
    }
}

/// Bytes, from `\x` and hex digits or from PostgreSQL's older escapes.
pub(super) fn to_binary(value: &Operand, rows: usize) -> Result<Computed> {
    let view = value.view::<StringArray>()?;
    Ok(binaries(rows, |row| view.get(row).map(parse_bytes).transpose()))
}

fn parse_bytes(text: &str) -> Result<Vec<u8>, Fault> {
    const BAD: Fault = Fault("a text is not a valid bytea");
    if text.starts_with("\\x") {
        return parse_hex(text).ok_or(BAD);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            [b'\\', ..] => return Err(BAD),
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

/// Strings of bits.
pub(super) fn to_bits(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    let view = value.view::<StringArray>()?;
    if Kind::of(from) == Kind::Bits {
        return Ok(relabelled(&value.clone().expanded(rows)?));
    }
    texts(rows, |row, out| {
        let Some(text) = view.get(row) else { return Ok(None) };
        if !text.bytes().all(|byte| matches!(byte, b'0' | b'1')) {
            return Err(Fault("a text is not a valid bit string"));
        }
        out.push_str(text);
        Ok(Some(()))
    })
}

/// JSON, checked and otherwise as it is written.
pub(super) fn to_json(value: &Operand, from: LogicalType, rows: usize) -> Result<Computed> {
    if Kind::of(from) == Kind::Json {
        return Ok(relabelled(&value.clone().expanded(rows)?));
    }
    let view = value.view::<StringArray>()?;
    texts(rows, |row, out| {
        let Some(text) = view.get(row) else { return Ok(None) };
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| Fault::BAD_JSON)?;
        out.push_str(text);
        Ok(Some(()))
    })
}

/// UUIDs, with or without dashes and braces.
pub(super) fn to_uuid(value: &Operand, rows: usize) -> Result<Computed> {
    let view = value.view::<StringArray>()?;
    sixteens(rows, |row| {
        let Some(text) = view.get(row) else { return Ok(None) };
        let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        parse_uuid(bare).map(Some).ok_or(Fault("a text is not a valid uuid"))
    })
}
