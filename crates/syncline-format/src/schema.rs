//! `_schema.json`: a stream's schema as text, kept beside files that do not hold it themselves.

use serde::{Deserialize, Serialize};
use syncline_types::{Error, Result, TableSchema, codes};

/// The form of the text below; a higher one is of a later version of Syncline.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    schema: TableSchema,
}

/// The schema as indented JSON: types, native type names, labels, keys, collations, defaults.
///
/// # Errors
/// Never in practice: a schema has nothing that JSON cannot hold.
pub fn schema_text(schema: &TableSchema) -> Result<String> {
    let document = Document { version: VERSION, schema: schema.clone() };
    serde_json::to_string_pretty(&document)
        .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "write a schema as JSON", "").because(error))
}

/// The schema that [`schema_text`] wrote, from the file `name`.
///
/// # Errors
/// [`codes::BAD_BYTES`] when it is no schema, or one of a later version.
pub fn parse_schema(text: &str, name: &str) -> Result<TableSchema> {
    let bad = |reason: String| {
        Error::new(&codes::BAD_BYTES, "read the schema", format!("`{name}`"))
            .because(reason)
            .hint("Restore the file, or remove it so that the types are found from the values")
    };
    // The version first: what a later one has may not be readable at all.
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(_) => return Err(bad("it was written by a later version of Syncline".to_owned())),
        None => return Err(bad("it has no version".to_owned())),
    }
    let document: Document = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
    Ok(document.schema)
}
