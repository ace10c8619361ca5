//! A YAML text as a tree in which every key and value knows its line and column.
//!
//! Relies on serde-saphyr for YAML itself: anchors, merge keys, duplicate keys and the limits that
//! keep a small text from growing into a big tree. Knows nothing of what a pipeline file holds.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Location, MessageFormatter, NonFiniteFloatPolicy, Options, Spanned, UserMessageFormatter,
};
use syncline_types::codes;

use crate::problem::Problem;

/// More than anybody writes by hand; a bigger file was named by mistake.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// A pipeline file is some eight levels deep; options may nest below that.
const DEPTH_MAX: usize = 32;
/// Keys, values, lists and maps: some thousands of streams with their own settings.
const NODES_MAX: usize = 100_000;
/// What aliases and merge keys may add, so that a few lines do not become gigabytes.
const REPLAYED_MAX: usize = 100_000;

/// Where something stands in the text, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it begins.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) spot: Spot,
    pub(crate) body: Body,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Body {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) spot: Spot,
    pub(crate) text: String,
}

/// A single value: as it is written, without quotes, and what YAML takes it for. Keeping the text
/// is what saves `password: 0123` and `null: NULL`.
#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// What YAML takes a value without quotes for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text,
}

impl Node {
    /// Reads a text of one YAML document.
    ///
    /// The error's place is `None` where the whole text is at fault.
    pub(crate) fn parse(text: &str) -> Result<Node, (Option<Spot>, Problem)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > TEXT_BYTES_MAX {
            let reason = format!("it has more than {TEXT_BYTES_MAX} bytes");
            return Err((None, Problem::new(&codes::BAD_FILE, reason).hint("Is it the right file?")));
        }
        let raw: Raw =
            serde_saphyr::from_str_with_options(text, options()).map_err(|error| refused(&error))?;
        let root = raw.node(text)?;
        match &root.body {
            Body::Scalar(Scalar { kind: Kind::Null, .. }) => {
                Err((None, Problem::new(&codes::BAD_FILE, "it is empty")))
            }
            _ => Ok(root),
        }
    }

    /// The value under a key, with the key.
    pub(crate) fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        match &self.body {
            Body::Map(entries) => {
                entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (key, node))
            }
            Body::Scalar(_) | Body::List(_) => None,
        }
    }

    /// The item of a list.
    pub(crate) fn item(&self, at: usize) -> Option<&Node> {
        match &self.body {
            Body::List(items) => items.get(at),
            Body::Scalar(_) | Body::Map(_) => None,
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED_MAX },
        // YAML 1.2: `no` and `on` are texts, a leading zero makes no number.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn refused(error: &serde_saphyr::Error) -> (Option<Spot>, Problem) {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    let problem = |reason: String| Problem::new(&codes::BAD_FILE, reason);
    let message = || UserMessageFormatter.format_message(error).replace(char::is_control, " ");
    let problem = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            problem(format!("the key `{key}` stands in this map twice"))
        }
        Error::UnknownAnchor { .. } => {
            problem("a text that begins with `*` refers to an anchor, and there is none".to_owned())
                .hint("Put a pattern that begins with `*` into quotes")
        }
        // What the scanner says; its usual reason is punctuation in a text without quotes.
        Error::ExternalMessage { .. } => {
            problem(message()).hint("Put texts with `: `, ` #` or a leading `*`, `@`, `[` or `{` into quotes")
        }
        _ => problem(message()),
    };
    (error.location().and_then(spot), problem)
}

/// `None` for a place that is not known.
fn spot(location: Location) -> Option<Spot> {
    (location.line() > 0).then(|| Spot { line: location.line(), column: location.column() })
}

/// The tree as serde-saphyr gives it.
struct Raw(Spanned<RawBody>);

enum RawBody {
    /// `None`: the text is to be taken from the source.
    Scalar(Kind, Option<String>),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl Raw {
    fn node(self, source: &str) -> Result<Node, (Option<Spot>, Problem)> {
        // Where a value came by an alias or a merge key, its definition is what is to be mended.
        let location = self.0.defined;
        let at = spot(location).unwrap_or(Spot { line: 1, column: 1 });
        let body = match self.0.value {
            RawBody::Scalar(kind, text) => {
                let text = text.or_else(|| written(source, location)).unwrap_or_default();
                Body::Scalar(Scalar { text, kind })
            }
            RawBody::List(items) => {
                Body::List(items.into_iter().map(|item| item.node(source)).collect::<Result<_, _>>()?)
            }
            RawBody::Map(entries) => Body::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Ok((key.key(source)?, value.node(source)?)))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Node { spot: at, body })
    }

    fn key(self, source: &str) -> Result<Key, (Option<Spot>, Problem)> {
        let Node { spot, body } = self.node(source)?;
        match body {
            Body::Scalar(Scalar { text, .. }) => Ok(Key { spot, text }),
            Body::List(_) | Body::Map(_) => {
                Err((Some(spot), Problem::new(&codes::BAD_FILE, "a key is a name, not a list or a map")))
            }
        }
    }
}

/// The text of a value without quotes.
fn written(source: &str, location: Location) -> Option<String> {
    let span = location.span();
    let begin = usize::try_from(span.byte_offset()?).ok()?;
    let end = begin.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    source.get(begin..end).map(str::to_owned)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyBody)
    }
}

struct AnyBody;

impl<'de> Visitor<'de> for AnyBody {
    type Value = RawBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Null, None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Bool(value), None))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Unsigned(value), None))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Signed(value), None))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Float(value), None))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawBody, E> {
        Ok(RawBody::Scalar(Kind::Text, Some(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<RawBody, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(RawBody::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<RawBody, A::Error> {
        let mut entries = vec![];
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(RawBody::Map(entries))
    }
}

#[cfg(test)]
mod tests;
