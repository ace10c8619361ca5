//! The JSON Schema and the example agree with each other.

use std::path::Path;

use super::*;
use crate::place::Document;

/// Whether a value fits a schema: the few words of JSON Schema that ours uses, and none unknown.
fn mismatch(value: &Value, schema: &Value, root: &Value, at: &str) -> Option<String> {
    let schema = match schema {
        Value::Bool(true) => return None,
        Value::Bool(false) => return Some(format!("{at} is not in the schema")),
        other => other.as_object().unwrap(),
    };
    let fails = |schema: &Value| mismatch(value, schema, root, at);
    for (word, rule) in schema {
        let found = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => None,
            "$ref" => fails(root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap()),
            "anyOf" | "oneOf" => {
                let all: Option<Vec<String>> = rule.as_array().unwrap().iter().map(fails).collect();
                all.map(|reasons| reasons.join(" and "))
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let fits = types.iter().any(|name| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other}"),
                });
                (!fits).then(|| format!("{at} is no {rule}"))
            }
            "const" => (value != rule).then(|| format!("{at} is not {rule}")),
            "enum" => (!rule.as_array().unwrap().contains(value)).then(|| format!("{at} is none of {rule}")),
            "minimum" => (value.as_f64() < rule.as_f64()).then(|| format!("{at} is too small")),
            "maximum" => (value.as_f64() > rule.as_f64()).then(|| format!("{at} is too big")),
            "minLength" => (value.as_str() == Some("")).then(|| format!("{at} is empty")),
            "minItems" => (value.as_array().is_some_and(Vec::is_empty)).then(|| format!("{at} is empty")),
            "items" => value.as_array().and_then(|items| {
                items
                    .iter()
                    .enumerate()
                    .find_map(|(i, item)| mismatch(item, rule, root, &format!("{at}/{i}")))
            }),
            "required" => rule.as_array().unwrap().iter().find_map(|name| {
                value.get(name.as_str().unwrap()).is_none().then(|| format!("{at} has no {name}"))
            }),
            "properties" => rule
                .as_object()
                .unwrap()
                .iter()
                .find_map(|(name, rule)| mismatch(value.get(name)?, rule, root, &format!("{at}/{name}"))),
            "additionalProperties" => value.as_object().and_then(|object| {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut others =
                    object.iter().filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)));
                others.find_map(|(name, value)| mismatch(value, rule, root, &format!("{at}/{name}")))
            }),
            // Checked by the names of `check_name`, in the tests of files.
            "propertyNames" | "minProperties" | "maxProperties" => None,
            other => panic!("the schema uses `{other}`"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[track_caller]
fn check(yaml: &str, expected: Option<&str>) {
    let document = Document::parse(Path::new("f"), yaml).unwrap();
    let value: Value = document.read().unwrap();
    let schema = json_schema();
    assert_eq!(mismatch(&value, &schema, &schema, "").as_deref(), expected, "{yaml}");
}

#[test]
fn the_full_example_fits_the_schema() {
    check(crate::file::tests::FULL, None);
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    check("pipelines: {p: {from: a}}", Some("/pipelines/p has no \"to\""));
    check("pipelines: {p: {from: a, to: b, stream: []}}", Some("/pipelines/p/stream is not in the schema"));
    check("pipelines: {p: {from: a, to: b, streams: []}}", Some("/pipelines/p/streams is empty"));
    check("pipelines: {p: {from: a, to: b, parallel: 65}}", Some("/pipelines/p/parallel is too big"));
    check(
        "pipelines: {p: {from: a, to: b, sync: folow}}",
        Some("/pipelines/p/sync is none of [\"full\",\"incremental\",\"follow\"]"),
    );
    check("pipelines: {p: {from: a, to: b, key: []}}", Some("/pipelines/p/key is empty"));
    check(
        "connections: {c: {options: {}}}\npipelines: {}",
        Some("/connections/c is no \"string\" and /connections/c has no \"url\""),
    );
}

/// Every object that lists its keys allows no others, and every key says what it is for.
#[test]
fn the_schema_is_closed_and_described() {
    fn walk(schema: &Value, at: &str) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            assert_eq!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{at}");
            for (name, property) in properties {
                // A step is an object with one key, and it is the object that is described.
                let described = property.get("description").or(schema.get("description"));
                assert!(described.is_some(), "{at}/{name} has no description");
            }
        }
        match schema {
            Value::Object(entries) => {
                entries.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}")))
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, at)),
            _ => {}
        }
    }
    walk(&json_schema(), "");
}

/// The bounds in the schema are those that are checked.
#[test]
fn the_bounds_are_the_same() {
    for (lines, fits) in [
        ("parallel: 64", true),
        ("parallel: 65", false),
        ("chunk_rows: 10000000", true),
        ("chunk_rows: 10000001", false),
    ] {
        let yaml = format!("pipelines: {{p: {{from: 'a1:', to: 'b1:', {lines}}}}}");
        assert_eq!(crate::File::parse(Path::new("f"), &yaml).is_ok(), fits, "{lines}");
        let document = Document::parse(Path::new("f"), &yaml).unwrap();
        let value: Value = document.read().unwrap();
        let schema = json_schema();
        assert_eq!(mismatch(&value, &schema, &schema, "").is_none(), fits, "{lines}");
    }
}
