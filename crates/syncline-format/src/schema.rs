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

#[cfg(test)]
mod tests {
    use syncline_types::{Column, DefaultValue, LogicalType as L};

    use super::*;

    #[test]
    fn a_schema_comes_back_with_all_it_says() {
        let mut schema = TableSchema::new(
            "postgres",
            vec![
                Column { identity: true, ..Column::new("id", L::Int64).required().native("bigint") },
                Column {
                    labels: Some(vec!["sad".to_owned(), "o\"k".to_owned()]),
                    collation: Some("de_DE".to_owned()),
                    default: Some(DefaultValue::Text("sad".to_owned())),
                    ..Column::new("mood", L::TEXT)
                },
                Column { generated: true, ..Column::new("n", L::Decimal { precision: 12, scale: 2 }) },
            ],
        )
        .with_key(["id"]);
        schema.unique = vec![vec!["mood".to_owned(), "n".to_owned()]];
        assert_eq!(parse_schema(&schema_text(&schema).unwrap(), "_schema.json").unwrap(), schema);
    }

    #[test]
    fn what_is_no_schema_of_ours_is_told_by_name() {
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "it has no version"),
            ("{\"version\":2,\"schema\":{\"new\":1}}", "a later version of Syncline"),
            ("{\"version\":1,\"schema\":{}}", "missing field"),
        ] {
            let error = parse_schema(text, "_schema.json").unwrap_err().to_string();
            assert!(error.contains("`_schema.json`") && error.contains(reason), "{error}");
        }
    }
}
