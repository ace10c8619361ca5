//! How steps are written in a pipeline file.
//!
//! A step is a map with one key. The order of columns inside a step is kept, and a column named
//! twice is refused. The documentation of each item is what an editor shows beside it.

mod row_schema;

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use syncline_connect::nearest;

pub use row_schema::RowSchema;

/// One step that every row goes through, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepSpec {
    /// Gives columns new names: `{ old: new }`. All renames of one step happen at once.
    Rename(Columns<String>),
    /// Leaves columns out. What no other step needs is not even read from the source.
    Drop(Vec<String>),
    /// Converts columns to PostgreSQL types: `{ amount: "numeric(10,2)" }`. A row whose value does
    /// not convert is rejected.
    Cast(Columns<String>),
    /// Computes columns by SQL expressions: `{ total: "quantity * price" }`. A column that exists is
    /// replaced, another is added at the end. All expressions of one step see the row before it.
    Set(Columns<String>),
    /// Keeps only the rows for which an SQL condition is true: `"amount > 0 and status <> 'void'"`.
    Filter(String),
    /// Hides values: `{ email: hash, phone: redact, note: "null" }`.
    Mask(Columns<Mask>),
    /// Keeps only the rows that a JSON Schema (draft 2020-12, or the one it names) accepts; others are
    /// rejected. The path of the schema, from the folder of the pipeline file, or the schema itself.
    Validate(RowSchema),
}

/// How a column's values are hidden. NULL stays NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The keyed hash (HMAC-SHA256) as 64 hexadecimal digits: equal values stay equal, so that
    /// joins hold. Needs the environment variable `SYNCLINE_MASK_KEY`.
    Hash,
    /// AES-256-GCM-SIV in base64, to be decrypted by who has the key. Equal values of one column stay
    /// equal, so that joins hold. Needs the environment variable `SYNCLINE_MASK_KEY`.
    Encrypt,
    /// The text `***`.
    Redact,
    /// NULL. Write it in quotes: `"null"`.
    Null,
}

impl StepSpec {
    const NAMES: [&str; 7] = ["rename", "drop", "cast", "set", "filter", "mask", "validate"];

    /// The key it is written under.
    pub fn name(&self) -> &'static str {
        match self {
            StepSpec::Rename(_) => "rename",
            StepSpec::Drop(_) => "drop",
            StepSpec::Cast(_) => "cast",
            StepSpec::Set(_) => "set",
            StepSpec::Filter(_) => "filter",
            StepSpec::Mask(_) => "mask",
            StepSpec::Validate(_) => "validate",
        }
    }
}

/// As one line, for a plan.
impl fmt::Display for StepSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name())?;
        match self {
            StepSpec::Rename(columns) => join(f, columns, "to"),
            StepSpec::Drop(columns) => f.write_str(&columns.join(", ")),
            StepSpec::Cast(columns) => join(f, columns, "to"),
            StepSpec::Set(columns) => join(f, columns, "to"),
            StepSpec::Filter(condition) => f.write_str(condition),
            StepSpec::Mask(columns) => join(f, columns, "by"),
            StepSpec::Validate(schema) => write!(f, "{schema}"),
        }
    }
}

fn join<V: fmt::Display>(f: &mut fmt::Formatter<'_>, columns: &Columns<V>, word: &str) -> fmt::Result {
    for (at, (column, value)) in columns.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{column} {word} {value}")?;
    }
    Ok(())
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mask::Hash => "hash",
            Mask::Encrypt => "encrypt",
            Mask::Redact => "redact",
            Mask::Null => "null",
        })
    }
}

impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = StepSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a step, a map with one of the keys {}", StepSpec::NAMES.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepSpec, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::custom("a step is empty"));
        };
        let step = match name.as_str() {
            "rename" => StepSpec::Rename(map.next_value()?),
            "drop" => StepSpec::Drop(map.next_value()?),
            "cast" => StepSpec::Cast(map.next_value()?),
            "set" => StepSpec::Set(map.next_value()?),
            "filter" => StepSpec::Filter(map.next_value()?),
            "mask" => StepSpec::Mask(map.next_value()?),
            "validate" => StepSpec::Validate(map.next_value()?),
            name => return Err(A::Error::custom(unknown("step", name, &StepSpec::NAMES))),
        };
        if let Some(second) = map.next_key::<String>()? {
            let reason = format!(
                "a step has one key, and here `{second}` follows `{name}`: write each step as an item of its own"
            );
            return Err(A::Error::custom(reason));
        }
        Ok(step)
    }
}

impl Mask {
    const NAMES: [&str; 4] = ["hash", "encrypt", "redact", "null"];
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaskVisitor)
    }
}

struct MaskVisitor;

impl Visitor<'_> for MaskVisitor {
    type Value = Mask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mask: hash, encrypt, redact or \"null\" in quotes")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Mask, E> {
        match name {
            "hash" => Ok(Mask::Hash),
            "encrypt" => Ok(Mask::Encrypt),
            "redact" => Ok(Mask::Redact),
            "null" => Ok(Mask::Null),
            name => Err(E::custom(unknown("mask", name, &Mask::NAMES))),
        }
    }

    // An empty value may have been forgotten, so it is not taken for the mask.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Mask, E> {
        Err(E::custom("the mask `null` is written in quotes: \"null\""))
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Mask, E> {
        self.visit_unit()
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no {what} `{name}`, did you mean `{near}`?"),
        None => format!("there is no {what} `{name}`; there are {}", known.join(", ")),
    }
}

/// Columns, each with what is said of it, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns<V>(Vec<(String, V)>);

impl<V> Columns<V> {
    /// Every column with what is said of it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(column, value)| (column.as_str(), value))
    }
}

impl<K: Into<String>, V> FromIterator<(K, V)> for Columns<V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Columns(pairs.into_iter().map(|(column, value)| (column.into(), value)).collect())
    }
}

impl<V: Serialize> Serialize for Columns<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, value) in &self.0 {
            map.serialize_entry(column, value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Columns<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ColumnsVisitor(PhantomData))
    }
}

struct ColumnsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for ColumnsVisitor<V> {
    type Value = Columns<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from column names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns<V>, A::Error> {
        let mut columns: Vec<(String, V)> = vec![];
        while let Some(column) = map.next_key::<String>()? {
            if columns.iter().any(|(known, _)| *known == column) {
                return Err(A::Error::custom(format!("the column `{column}` is named twice in one step")));
            }
            let value = map.next_value()?;
            columns.push((column, value));
        }
        Ok(Columns(columns))
    }
}

impl<V: JsonSchema> JsonSchema for Columns<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ColumnsOf{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "minProperties": 1, "additionalProperties": value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<StepSpec, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn steps_keep_the_order_of_their_columns_and_come_back() {
        for json in [
            r#"{"rename":{"z":"a","a":"z"}}"#,
            r#"{"drop":["b","a"]}"#,
            r#"{"cast":{"amount":"numeric(10,2)","flag":"boolean"}}"#,
            r#"{"set":{"total":"quantity * price"}}"#,
            r#"{"filter":"amount > 0"}"#,
            r#"{"mask":{"email":"hash","card":"encrypt","phone":"redact","note":"null"}}"#,
        ] {
            let step = parse(json).unwrap();
            assert_eq!(serde_json::to_string(&step).unwrap(), json);
            assert!(json.contains(&format!("{{\"{}\"", step.name())));
        }
    }

    #[test]
    fn what_is_no_step_says_what_would_be_one() {
        for (json, expected) in [
            (r#"{"fliter":"a"}"#, "there is no step `fliter`, did you mean `filter`?"),
            (
                r#"{"enrich":"x.json"}"#,
                "there is no step `enrich`; there are rename, drop, cast, set, filter, mask, validate",
            ),
            (r#"{"mask":{"a":"hahs"}}"#, "there is no mask `hahs`, did you mean `hash`?"),
            (
                r#"{"mask":{"a":"tokenise"}}"#,
                "there is no mask `tokenise`; there are hash, encrypt, redact, null",
            ),
            (r#"{"validate":["x.json"]}"#, "the path of a JSON Schema, or the schema itself as a map"),
            (r#"{"mask":{"a":null}}"#, "the mask `null` is written in quotes"),
            (r#"{"set":{"a":"1","a":"2"}}"#, "the column `a` is named twice in one step"),
            (r#"{"drop":["a"],"filter":"b"}"#, "a step has one key, and here `filter` follows `drop`"),
            ("{}", "a step is empty"),
            (r#""filter""#, "a step, a map with one of the keys"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn the_json_schema_lists_every_step_with_its_documentation() {
        let schema = serde_json::to_value(schemars::schema_for!(StepSpec)).unwrap();
        let variants = schema["oneOf"].as_array().unwrap();
        assert_eq!(variants.len(), StepSpec::NAMES.len());
        for (variant, name) in variants.iter().zip(StepSpec::NAMES) {
            assert!(variant["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            assert_eq!(variant["required"], serde_json::json!([name]));
            assert_eq!(variant["additionalProperties"], false);
        }
        let text = schema.to_string();
        for mask in Mask::NAMES {
            assert!(text.contains(&format!("\"const\":\"{mask}\"")), "{mask}");
        }
    }
}
