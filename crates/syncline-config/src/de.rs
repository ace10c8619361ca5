//! Serde over a [`Node`], so that every error knows its line, its column and the path to it.
//!
//! Strict where serde is lenient: a key without a value is an error and not an absent key, and a
//! text is never echoed where another type was expected, for it may be a secret.

use std::fmt;

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use crate::node::{Body, Key, Kind, Node, Scalar, Spot};

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    Item(usize),
}

/// What serde found wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) what: What,
    pub(crate) spot: Option<Spot>,
    /// From the inside out.
    path: Vec<Segment>,
}

/// The ways in which a tree does not fit a type.
#[derive(Debug)]
pub(crate) enum What {
    UnknownKey { key: String, known: &'static [&'static str] },
    UnknownVariant { variant: String, known: &'static [&'static str] },
    MissingKey(&'static str),
    NoValue,
    Other(String),
}

impl Fault {
    /// The path from the root to the value at fault.
    pub(crate) fn path(&self) -> Vec<Segment> {
        self.path.iter().rev().cloned().collect()
    }

    fn no_value(spot: Spot) -> Self {
        Fault { what: What::NoValue, spot: Some(spot), path: vec![] }
    }

    /// The innermost place wins.
    fn at(mut self, spot: Spot) -> Self {
        self.spot.get_or_insert(spot);
        self
    }

    fn under(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

impl From<What> for Fault {
    fn from(what: What) -> Self {
        Fault { what, spot: None, path: vec![] }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        What::Other(message.to_string()).into()
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        What::Other(format!("this is {}, and must be {}", sort(unexpected), wanted(expected))).into()
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        What::UnknownVariant { variant: variant.to_owned(), known }.into()
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        What::UnknownKey { key: field.to_owned(), known }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        What::MissingKey(field).into()
    }
}

/// Serde's word for a type in the user's.
fn wanted(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        other if other.starts_with("struct ") => "a map".to_owned(),
        _ => expected,
    }
}

/// What sort of value it is; never the value of a text.
fn sort(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        _ => "a text".to_owned(),
    }
}

/// The name of a newtype that asks for a single value as it is written, whatever YAML takes it for.
const AS_WRITTEN: &str = "$syncline::as_written";

/// A single value as it is written, or the list or map that is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AsWritten(pub(crate) serde_json::Value);

impl<'de> Deserialize<'de> for AsWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Inner;
        impl<'de> Visitor<'de> for Inner {
            type Value = serde_json::Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                serde_json::Value::deserialize(inner)
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.into())
            }
        }
        deserializer.deserialize_newtype_struct(AS_WRITTEN, Inner).map(AsWritten)
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.body {
            Body::Scalar(Scalar { text, kind }) => match kind {
                Kind::Null => visitor.visit_unit(),
                Kind::Bool(value) => visitor.visit_bool(*value),
                Kind::Unsigned(value) => visitor.visit_u64(*value),
                Kind::Signed(value) => visitor.visit_i64(*value),
                Kind::Float(value) => visitor.visit_f64(*value),
                Kind::Text => visitor.visit_borrowed_str(text),
            },
            Body::List(items) => visitor.visit_seq(Items { items, next: 0 }),
            Body::Map(entries) => visitor.visit_map(Entries { entries, value: None }),
        }
        .map_err(|fault: Fault| fault.at(self.spot))
    }

    /// A number or a truth value may stand where a text is wanted, and is taken as it is written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.body {
            Body::Scalar(Scalar { kind: Kind::Null, .. }) => Err(Fault::no_value(self.spot)),
            Body::Scalar(Scalar { text, .. }) => {
                visitor.visit_borrowed_str(text).map_err(|fault: Fault| fault.at(self.spot))
            }
            Body::List(_) | Body::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    /// A key that is there has a value: `where:` alone must not mean "no filter".
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.body {
            Body::Scalar(Scalar { kind: Kind::Null, .. }) => Err(Fault::no_value(self.spot)),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.body {
            Body::Scalar(Scalar { text, kind: Kind::Null }) if name == AS_WRITTEN && text.is_empty() => {
                Err(Fault::no_value(self.spot))
            }
            Body::Scalar(Scalar { text, .. }) if name == AS_WRITTEN => visitor.visit_str(text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// `hash`, `null` (which YAML takes for nothing) or `{cast: ...}`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let variant = match &self.body {
            Body::Scalar(Scalar { text, kind }) if !text.is_empty() || matches!(kind, Kind::Text) => {
                Variant { name: text, spot: self.spot, content: None }
            }
            Body::Map(entries) => match entries.as_slice() {
                [(key, node)] => Variant { name: &key.text, spot: key.spot, content: Some(node) },
                _ => {
                    let what = format!(
                        "this is a map with {} keys, and must have one of: {}",
                        entries.len(),
                        variants.join(", ")
                    );
                    return Err(Fault::from(What::Other(what)).at(self.spot));
                }
            },
            Body::Scalar(_) => return Err(Fault::no_value(self.spot)),
            Body::List(_) => {
                let what = format!("this is a list, and must be one of: {}", variants.join(", "));
                return Err(Fault::from(What::Other(what)).at(self.spot));
            }
        };
        visitor.visit_enum(variant).map_err(|fault| fault.at(self.spot))
    }

    /// Serde would take a list for a struct, its items in the order of the fields.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.body {
            Body::List(_) => Err(<Fault as de::Error>::invalid_type(Unexpected::Seq, &visitor).at(self.spot)),
            Body::Scalar(_) | Body::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.body {
            Body::Scalar(Scalar { kind: Kind::Null, .. }) => Err(Fault::no_value(self.spot)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        seed.deserialize(item).map(Some).map_err(|fault| fault.at(item.spot).under(Segment::Item(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len().saturating_sub(self.next))
    }
}

struct Entries<'de> {
    entries: &'de [(Key, Node)],
    value: Option<&'de (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((entry, rest)) = self.entries.split_first() else { return Ok(None) };
        self.entries = rest;
        self.value = Some(entry);
        let (key, _) = entry;
        let text = de::value::BorrowedStrDeserializer::<Fault>::new(&key.text);
        seed.deserialize(text).map(Some).map_err(|fault| fault.at(key.spot))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let (key, node) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(node).map_err(|fault| fault.at(node.spot).under(Segment::Key(key.text.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Variant<'de> {
    name: &'de str,
    spot: Spot,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        let name: de::value::StrDeserializer<'_, Fault> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|fault| fault.at(self.spot))?;
        Ok((value, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<&'de Node, Fault> {
        self.content.ok_or_else(|| Fault::no_value(self.spot))
    }

    fn inside(&self, fault: Fault) -> Fault {
        fault.under(Segment::Key(self.name.to_owned()))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(node) => {
                let what = format!("`{}` takes nothing more", self.name);
                Err(Fault::from(What::Other(what)).at(node.spot))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let node = self.content()?;
        seed.deserialize(node).map_err(|fault| self.inside(fault.at(node.spot)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor).map_err(|fault| self.inside(fault))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content()?.deserialize_struct("", fields, visitor).map_err(|fault| self.inside(fault))
    }
}

#[cfg(test)]
mod tests;
