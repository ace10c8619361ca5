//! Names of streams: `table` or `namespace.table`, each part in double quotes where it must be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table, collection or topic: its own name and, unless it is the connection's default, the
/// namespace (schema, database) it lives in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamName {
    /// Schema or database; `None` means the connection's default.
    pub namespace: Option<String>,
    /// The name alone, unquoted.
    pub table: String,
}

/// A text that is no stream name.
#[derive(Debug, PartialEq, Eq)]
pub struct NameError(pub &'static str);

impl StreamName {
    /// A name in the default namespace.
    pub fn bare(table: impl Into<String>) -> Self {
        StreamName { namespace: None, table: table.into() }
    }

    /// A name in a namespace.
    pub fn new(namespace: impl Into<String>, table: impl Into<String>) -> Self {
        StreamName { namespace: Some(namespace.into()), table: table.into() }
    }

    /// Reads `a`, `a.b`, `"a.b".c`; a quote inside quotes is doubled.
    ///
    /// # Errors
    /// An empty part, more than two parts, or quotes that do not close.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut parts = vec![];
        let mut rest = text;
        loop {
            let (part, after) = take_part(rest)?;
            if part.is_empty() {
                return Err(NameError("a part of the name is empty"));
            }
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return Err(NameError("something follows a closing quote")),
            }
        }
        let table = parts.pop();
        match (parts.pop(), table, parts.is_empty()) {
            (namespace, Some(table), true) => Ok(StreamName { namespace, table }),
            _ => Err(NameError("a stream name has at most two parts, `namespace.table`")),
        }
    }

    /// The same name with `namespace` filled in where it was left out.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        StreamName {
            namespace: Some(self.namespace.clone().unwrap_or_else(|| namespace.to_owned())),
            table: self.table.clone(),
        }
    }
}

/// One part and what follows it.
fn take_part(text: &str) -> Result<(String, &str), NameError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        return if part.contains('"') {
            Err(NameError("a quote inside an unquoted name"))
        } else {
            Ok((part.to_owned(), rest))
        };
    };
    let mut part = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            part.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            return Ok((part, quoted.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(NameError("a quote is not closed"))
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write_part(f, namespace)?;
            f.write_str(".")?;
        }
        write_part(f, &self.table)
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    if part.is_empty() || part.contains(['.', '"']) {
        write!(f, "\"{}\"", part.replace('"', "\"\""))
    } else {
        f.write_str(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_written() {
        for text in ["orders", "public.orders", "\"a.b\".c", "\"say \"\"hi\"\"\"", "naïve.täble", "a b.c d"]
        {
            assert_eq!(StreamName::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a.", "a.b.c", "\"a", "a\"b", "\"a\"b"] {
            assert!(StreamName::parse(text).is_err(), "{text}");
        }
    }
}
