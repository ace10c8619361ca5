//! The pipeline file's JSON Schema, for editors: made from the types that read it, so that the two
//! cannot come to differ, with the few forms of the file that Rust's types do not show.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::spec::{ConnectionMap, ConnectionSpec, FileSpec, Named, StreamMap, StreamSpec};

/// The JSON Schema of the pipeline file, for editors.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(FileSpec).to_value();
    forbid_null(&mut schema);
    schema
}

/// A key may be left out, but where it stands it has a value.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Array(types)) = entries.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    entries.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = entries.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(choices)) = entries.get_mut("anyOf") {
                choices.retain(|choice| choice != &serde_json::json!({ "type": "null" }));
            }
            entries.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

fn text_or_map<M: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Schema {
    let map = generator.subschema_for::<M>();
    json_schema!({ "description": description, "anyOf": [{ "type": "string" }, map] })
}

impl JsonSchema for ConnectionSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ConnectionOrUrl".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        text_or_map::<ConnectionMap>(generator, "A URL, or a map with `url` and `options`.")
    }
}

impl JsonSchema for StreamSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StreamOrName".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        text_or_map::<StreamMap>(generator, "A stream's name or pattern, or a map with `name`.")
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "additionalProperties": value,
            "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$" },
        })
    }
}

/// How `sync` looks to an editor.
pub(crate) enum Sync {}

impl JsonSchema for Sync {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sync".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["full", "incremental", "follow"] })
    }
}

/// How a size, a duration or a rate looks to an editor.
pub(crate) enum TextOrNumber {}

impl JsonSchema for TextOrNumber {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TextOrNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

#[cfg(test)]
mod tests;
