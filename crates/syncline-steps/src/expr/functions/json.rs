//! Fields and elements of JSON, cut out of the text as it stands.
//!
//! Nothing is parsed but what is asked for, and numbers keep every digit. A field that occurs twice
//! is the last one, as in PostgreSQL.

use arrow_array::StringArray;
use syncline_types::Result;

use crate::expr::{
    fault::Fault,
    node::Call,
    operand::{Computed, View, texts},
};

/// `json -> 'field'`
pub(crate) fn field(call: &Call<'_>) -> Result<Computed> {
    by_field(call, |part, out| {
        out.push_str(part);
        Ok(Some(()))
    })
}

/// `json ->> 'field'`
pub(crate) fn field_text(call: &Call<'_>) -> Result<Computed> {
    by_field(call, write_text)
}

/// `json -> 0`
pub(crate) fn element(call: &Call<'_>) -> Result<Computed> {
    by_index(call, |part, out| {
        out.push_str(part);
        Ok(Some(()))
    })
}

/// `json ->> 0`
pub(crate) fn element_text(call: &Call<'_>) -> Result<Computed> {
    by_index(call, write_text)
}

/// `document.field.field`: the arguments after the first are the fields.
pub(crate) fn path(call: &Call<'_>) -> Result<Computed> {
    let documents = call.text(0)?;
    let fields = (1..call.args.len()).map(|arg| call.text(arg)).collect::<Result<Vec<_>>>()?;
    texts(call.rows, |row, out| {
        let Some(mut part) = documents.get(row) else { return Ok(None) };
        for field in &fields {
            let Some(name) = field.get(row) else { return Ok(None) };
            let Some(inner) = member(part, name)? else { return Ok(None) };
            part = inner;
        }
        out.push_str(part);
        Ok(Some(()))
    })
}

type Write = fn(&str, &mut String) -> Result<Option<()>, Fault>;

fn by_field(call: &Call<'_>, write: Write) -> Result<Computed> {
    let (documents, names): (View<'_, StringArray>, _) = (call.text(0)?, call.text(1)?);
    texts(call.rows, |row, out| {
        let Some((document, name)) = documents.get(row).zip(names.get(row)) else { return Ok(None) };
        member(document, name)?.map_or(Ok(None), |part| write(part, out))
    })
}

fn by_index(call: &Call<'_>, write: Write) -> Result<Computed> {
    let (documents, indexes) = (call.text(0)?, call.int32(1)?);
    texts(call.rows, |row, out| {
        let Some((document, index)) = documents.get(row).zip(indexes.get(row)) else { return Ok(None) };
        nth(document, index)?.map_or(Ok(None), |part| write(part, out))
    })
}

/// Appends what a JSON value is as text: a string without quotes, nothing for `null`.
fn write_text(part: &str, out: &mut String) -> Result<Option<()>, Fault> {
    match part.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(part).map_err(|_| Fault::BAD_JSON)?;
            if text.contains('\0') {
                return Err(Fault("a JSON string holds the character U+0000"));
            }
            out.push_str(&text);
        }
        _ if part == "null" => return Ok(None),
        _ => out.push_str(part),
    }
    Ok(Some(()))
}

/// A place in a JSON text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        let mut cursor = Cursor { text, at: 0 };
        cursor.skip_blanks();
        cursor
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over one character if it is there, and over the blanks behind it.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
            self.skip_blanks();
        }
        found
    }

    /// The next value as it is written.
    fn value(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Fault::BAD_JSON)? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(Fault::BAD_JSON)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                _ => self.skip_scalar()?,
            }
            if depth == 0 {
                let value = self.text.get(start..self.at).ok_or(Fault::BAD_JSON)?;
                self.skip_blanks();
                return Ok(value);
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek().ok_or(Fault::BAD_JSON)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    /// A number, `true`, `false` or `null`.
    fn skip_scalar(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(byte) if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        if self.at == start { Err(Fault::BAD_JSON) } else { Ok(()) }
    }
}

/// The last field of this name, if the text is an object that has it.
fn member<'a>(document: &'a str, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut cursor = Cursor::new(document);
    let mut found = None;
    if !cursor.take(b'{') || cursor.take(b'}') {
        return Ok(None);
    }
    loop {
        let key = cursor.value()?;
        if !cursor.take(b':') {
            return Err(Fault::BAD_JSON);
        }
        let value = cursor.value()?;
        if key_is(key, name)? {
            found = Some(value);
        }
        if cursor.take(b'}') {
            return Ok(found);
        }
        if !cursor.take(b',') {
            return Err(Fault::BAD_JSON);
        }
    }
}

fn key_is(key: &str, name: &str) -> Result<bool, Fault> {
    if key.contains('\\') {
        let plain: String = serde_json::from_str(key).map_err(|_| Fault::BAD_JSON)?;
        return Ok(plain == name);
    }
    let inner = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).ok_or(Fault::BAD_JSON)?;
    Ok(inner == name)
}

/// The element at an index from 0, or from the end if it is negative; `None` if the text is no
/// array or too short.
fn nth(document: &str, index: i32) -> Result<Option<&str>, Fault> {
    let mut cursor = Cursor::new(document);
    let mut elements = vec![];
    if !cursor.take(b'[') || cursor.take(b']') {
        return Ok(None);
    }
    let wanted = usize::try_from(index).ok();
    loop {
        let value = cursor.value()?;
        if wanted == Some(elements.len()) {
            return Ok(Some(value));
        }
        elements.push(value);
        if cursor.take(b']') {
            let back = index.unsigned_abs() as usize;
            let place = if index < 0 { elements.len().checked_sub(back) } else { None };
            return Ok(place.and_then(|place| elements.get(place).copied()));
        }
        if !cursor.take(b',') {
            return Err(Fault::BAD_JSON);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_cut_out_as_written() {
        let document =
            r#" { "a" : {"x": [1, 2.50]} , "b\u0041":"}", "a" :null, "n":12345678901234567890.10 } "#;
        for (name, expected) in
            [("a", Some("null")), ("bA", Some("\"}\"")), ("n", Some("12345678901234567890.10")), ("x", None)]
        {
            assert_eq!(member(document, name), Ok(expected), "{name}");
        }
        for not_an_object in ["[1]", "5", "null", "\"a\""] {
            assert_eq!(member(not_an_object, "a"), Ok(None));
        }
        assert_eq!(member("{\"a\":", "a"), Err(Fault::BAD_JSON));
    }

    #[test]
    fn elements_count_from_either_end() {
        let document = r#"[ 1, "two", {"three":3} ]"#;
        for (index, expected) in [
            (0, Some("1")),
            (2, Some(r#"{"three":3}"#)),
            (-1, Some(r#"{"three":3}"#)),
            (-3, Some("1")),
            (3, None),
            (-4, None),
        ] {
            assert_eq!(nth(document, index), Ok(expected), "{index}");
        }
        assert_eq!(nth("[]", 0), Ok(None));
        assert_eq!(nth("{}", 0), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}\",:\\\\a0-9 ]{0,30}|.{0,20}", index in -3_i32..3) {
            let _ = (member(&text, "a"), nth(&text, index));
        }
    }
}
