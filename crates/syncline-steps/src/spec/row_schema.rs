//! The JSON Schema of a `validate` step: written in the pipeline file, or in a file of its own.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

/// A JSON Schema, and what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSchema {
    /// The path as it is written; `None` where the schema itself is.
    file: Option<String>,
    uri: Option<String>,
    document: Option<Value>,
    others: Vec<(String, Value)>,
}

impl RowSchema {
    /// The path of the file that the schema is in, as it is written; `None` where the schema stands
    /// in the pipeline file.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The schema; `None` as long as its file has not been read.
    pub fn document(&self) -> Option<&Value> {
        self.document.as_ref()
    }

    /// The URI that relative references in the schema start from.
    pub(crate) fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// Every other document that it refers to, by URI.
    pub(crate) fn others(&self) -> &[(String, Value)] {
        &self.others
    }

    /// The schema as its file has it: with the URI of the file, and the documents that it refers
    /// to, directly or not, with theirs.
    #[must_use]
    pub fn loaded(&self, uri: String, document: Value, others: Vec<(String, Value)>) -> RowSchema {
        RowSchema { file: self.file.clone(), uri: Some(uri), document: Some(document), others }
    }
}

/// In one line: the file, or that it stands in the pipeline file.
impl fmt::Display for RowSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "against {path}"),
            None => f.write_str("against the schema in the pipeline file"),
        }
    }
}

/// What decides which rows pass: the documents, and not where they are kept.
impl Serialize for RowSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let others = self.others.iter().map(|(_, document)| document);
        serializer.collect_seq(self.document.iter().chain(others))
    }
}

impl<'de> Deserialize<'de> for RowSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowSchemaVisitor)
    }
}

struct RowSchemaVisitor;

impl<'de> Visitor<'de> for RowSchemaVisitor {
    type Value = RowSchema;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a JSON Schema, or the schema itself as a map")
    }

    fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<RowSchema, E> {
        if path.is_empty() {
            return Err(E::custom("the path of the schema is empty"));
        }
        Ok(RowSchema { file: Some(path.to_owned()), uri: None, document: None, others: vec![] })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RowSchema, A::Error> {
        let schema = Map::deserialize(MapAccessDeserializer::new(map))?;
        if schema.is_empty() {
            return Err(A::Error::custom("the schema is empty, and every row would pass"));
        }
        Ok(RowSchema { file: None, uri: None, document: Some(Value::Object(schema)), others: vec![] })
    }
}

impl JsonSchema for RowSchema {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RowSchema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "object", "minProperties": 1 },
        ] })
    }
}
