//! Takes a JSON text apart without copying it: an object's values as spans of its text.
//!
//! It accepts what RFC 8259 does and nothing else. Numbers stay as they are written, nested values
//! too; depth costs a byte a level, and no stack.

/// A value, with where it lies in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    /// With its quotes.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    /// A text, and whether there are escapes in it.
    Text {
        escaped: bool,
    },
    /// An object or array.
    Nested,
}

/// Why a text is no JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is no JSON: {} at byte {}", self.what, self.at + 1)
    }
}

impl Value {
    /// The value as it is written.
    pub(crate) fn raw(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// What stands between a text's quotes.
    pub(crate) fn inside(self, text: &str) -> &str {
        text.get(self.start + 1..self.end.saturating_sub(1)).unwrap_or_default()
    }
}

/// Calls `member` with each key and value of the object that `text` is.
pub(crate) fn object<E: From<Flaw>>(
    text: &str,
    open: &mut Vec<u8>,
    mut member: impl FnMut(Value, Value) -> Result<(), E>,
) -> Result<(), E> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.blanks();
    if !scan.take(b'{') {
        return Err(scan.flaw("what should be an object begins otherwise").into());
    }
    scan.blanks();
    if !scan.take(b'}') {
        loop {
            scan.blanks();
            let key = scan.text()?;
            scan.blanks();
            scan.expect(b':', "a colon is missing")?;
            scan.blanks();
            let value = scan.value(open)?;
            member(key, value)?;
            scan.blanks();
            if scan.take(b'}') {
                break;
            }
            scan.expect(b',', "a comma or brace is missing")?;
        }
    }
    scan.end().map_err(E::from)
}

/// The one value that `text` is.
pub(crate) fn single(text: &str, open: &mut Vec<u8>) -> Result<Value, Flaw> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.blanks();
    let value = scan.value(open)?;
    scan.end()?;
    Ok(value)
}

/// Appends what a text between quotes means; false when it has half a character of two.
pub(crate) fn unescape(inside: &str, out: &mut Vec<u8>) -> bool {
    let mut rest = inside.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).copied().unwrap_or_default();
        rest = rest.get(at + 2..).unwrap_or_default();
        let c = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match take_unit(&mut rest).and_then(|unit| character(unit, &mut rest)) {
                Some(c) => c,
                None => return false,
            },
            other => char::from(other),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(rest);
    true
}

/// The character of a unit of UTF-16, with the second half behind `\u` where there must be one.
fn character(unit: u16, rest: &mut &[u8]) -> Option<char> {
    if !(0xD800..0xE000).contains(&unit) {
        return char::from_u32(unit.into());
    }
    *rest = rest.strip_prefix(b"\\u")?;
    let second = take_unit(rest)?;
    char::decode_utf16([unit, second]).next()?.ok()
}

fn take_unit(rest: &mut &[u8]) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Flaw> {
        if self.take(byte) { Ok(()) } else { Err(self.flaw(what)) }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), Flaw> {
        self.blanks();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.flaw("something follows")) }
    }

    /// A value; `open` is room for the brackets around it.
    fn value(&mut self, open: &mut Vec<u8>) -> Result<Value, Flaw> {
        if !matches!(self.peek(), Some(b'{' | b'[')) {
            return self.scalar();
        }
        let start = self.at;
        open.clear();
        loop {
            // Where a value may begin.
            self.blanks();
            if self.take(b'{') {
                self.blanks();
                if !self.take(b'}') {
                    open.push(b'}');
                    self.key()?;
                    continue;
                }
            } else if self.take(b'[') {
                self.blanks();
                if !self.take(b']') {
                    open.push(b']');
                    continue;
                }
            } else {
                self.scalar()?;
            }
            if self.close(open)? {
                return Ok(Value { kind: Kind::Nested, start, end: self.at });
            }
        }
    }

    /// Behind a value: passes closing brackets up to the next value; true when all are closed.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Flaw> {
        while let Some(bracket) = open.last().copied() {
            self.blanks();
            if self.take(bracket) {
                open.pop();
                continue;
            }
            self.expect(b',', "a comma or bracket is missing")?;
            if bracket == b'}' {
                self.key()?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Flaw> {
        self.blanks();
        self.text()?;
        self.blanks();
        self.expect(b':', "a colon is missing")
    }

    fn scalar(&mut self) -> Result<Value, Flaw> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => return self.text(),
            Some(b'n') => self.word(b"null", Kind::Null)?,
            Some(b't') => self.word(b"true", Kind::True)?,
            Some(b'f') => self.word(b"false", Kind::False)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.flaw("a value is missing")),
        };
        Ok(Value { kind, start, end: self.at })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Flaw> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.flaw("an unknown word"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Flaw> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'-') || self.take(b'+');
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.flaw("a digit is missing"));
        }
        self.at += count;
        Ok(())
    }

    fn text(&mut self) -> Result<Value, Flaw> {
        let start = self.at;
        self.expect(b'"', "a text in quotes is missing")?;
        let mut escaped = false;
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
            let Some(plain) = plain else {
                self.at = self.bytes.len();
                return Err(self.flaw("a text is not closed"));
            };
            self.at += plain;
            match rest[plain] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.flaw("a control character in a text")),
            }
        }
        self.at += 1;
        Ok(Value { kind: Kind::Text { escaped }, start, end: self.at })
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let length = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(self.flaw("an escape that is none"));
                }
                6
            }
            _ => return Err(self.flaw("an escape that is none")),
        };
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(text: &str) -> bool {
        single(text, &mut vec![]).is_ok()
    }

    fn theirs(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text).is_ok()
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        for text in [
            "1",
            "-0.5e+10",
            "[]",
            "[[],{}]",
            "{\"a\":[1,{\"b\":null}]}",
            " \"\\u00e9\\n\" ",
            "true",
            "{ }",
            "[ ]",
        ] {
            assert!(ours(text) && theirs(text), "{text}");
        }
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "[1}",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "\"",
            "nul",
            "1 2",
            "[",
            "{",
            "]",
            "NaN",
        ] {
            assert!(!ours(text) && !theirs(text), "{text}");
        }
    }

    #[test]
    fn depth_has_no_end() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(ours(&deep));
    }

    proptest! {
        #[test]
        fn another_reader_agrees(text in "[\\[\\]{}:,\"\\\\0-9a-f. eEtrunlsu+-]{0,24}") {
            // The other one refuses half characters, and numbers beyond its exponents.
            prop_assume!(!text.contains("\\u"));
            prop_assert_eq!(ours(&text), theirs(&text));
        }

        #[test]
        fn texts_mean_what_another_reader_says(text in "(?s).{0,20}", raw in "(\\\\u[0-9a-fD]{4}|\\\\[nrtbf/\"\\\\]|é){0,6}") {
            for json in [serde_json::to_string(&text).unwrap(), format!("\"{raw}\"")] {
                let value = single(&json, &mut vec![]).unwrap();
                let mut out = vec![];
                let ours = unescape(value.inside(&json), &mut out).then(|| String::from_utf8(out).unwrap());
                prop_assert_eq!(ours, serde_json::from_str::<String>(&json).ok());
            }
        }
    }
}
