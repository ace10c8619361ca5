//! The JSON Schemas that `validate` steps name: read from the folder of the pipeline file, with the
//! documents that they refer to by relative paths. Nothing is fetched from anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;
use syncline_steps::{RowSchema, StepSpec};
use syncline_types::{Result, codes};

use crate::{
    place::Place,
    problem::Problem,
    spec::{FileSpec, StreamSettings},
};

/// A schema is written by people; more than this is something else.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// Reads the schemas of all steps in a file that lies in `folder`.
pub(crate) fn load_all(spec: &mut FileSpec, folder: &Path, root: &Place<'_>) -> Result<()> {
    let pipelines = root.key("pipelines");
    for (name, pipeline) in &mut spec.pipelines.0 {
        let place = pipelines.key(name);
        load_steps(&mut pipeline.steps, folder, &place)?;
        for (at, stream) in pipeline.streams.iter_mut().flatten().enumerate() {
            let StreamSettings { steps, .. } = &mut stream.settings;
            load_steps(steps, folder, &place.key("streams").item(at))?;
        }
    }
    Ok(())
}

fn load_steps(steps: &mut Option<Vec<StepSpec>>, folder: &Path, place: &Place<'_>) -> Result<()> {
    for (at, step) in steps.iter_mut().flatten().enumerate() {
        if let StepSpec::Validate(schema) = step
            && schema.file().is_some()
        {
            let place = place.key("steps").item(at).key("validate");
            *schema = load(schema, folder).map_err(|problem| place.error(problem))?;
        }
    }
    Ok(())
}

fn load(schema: &RowSchema, folder: &Path) -> Result<RowSchema, Problem> {
    let path = plain(&folder.join(schema.file().unwrap_or_default()))?;
    let mut documents = BTreeMap::new();
    let first = read(&path)?;
    collect(&path, &first, &mut documents)?;
    let others = documents.into_iter().filter(|(other, _)| *other != path);
    let others = others.map(|(path, document)| (uri(&path), document)).collect();
    Ok(schema.loaded(uri(&path), first, others))
}

/// Reads every document that this one refers to by a path, and those that they refer to.
fn collect(path: &Path, document: &Value, known: &mut BTreeMap<PathBuf, Value>) -> Result<(), Problem> {
    if known.insert(path.to_owned(), document.clone()).is_some() {
        return Ok(());
    }
    let mut references = vec![];
    references_in(document, &mut references);
    for reference in references {
        let Some(file) = reference.split('#').next().filter(|file| !file.is_empty()) else { continue };
        // A reference with a scheme is none to a file; whether it is known shows when it is bound.
        if file.contains(':') {
            continue;
        }
        let other = plain(&path.parent().unwrap_or(Path::new("")).join(decoded(file)))?;
        if !known.contains_key(&other) {
            let document = read(&other)?;
            collect(&other, &document, known)?;
        }
    }
    Ok(())
}

fn references_in<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(reference) if name == "$ref" => into.push(reference),
                    other => references_in(other, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references_in(item, into)),
        _ => {}
    }
}

fn read(path: &Path) -> Result<Value, Problem> {
    let refused =
        |reason: String| Problem::new(&codes::BAD_FILE, format!("the schema `{}` {reason}", path.display()));
    let failed = |error: std::io::Error| refused(format!("cannot be read: {}", error.kind()));
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > SCHEMA_BYTES_MAX {
        return Err(refused(format!("has more than {SCHEMA_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(path).map_err(failed)?;
    match serde_json::from_slice(&bytes) {
        Ok(document @ (Value::Object(_) | Value::Bool(_))) => Ok(document),
        Ok(_) => Err(refused("is no JSON Schema: it is neither an object nor true or false".to_owned())),
        Err(error) => Err(refused(format!("is not valid JSON: {error}"))),
    }
}

/// The path from the root, without `.` and `..`, as URIs have it.
fn plain(path: &Path) -> Result<PathBuf, Problem> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Problem::new(&codes::BAD_FILE, format!("the working folder: {error}")))?;
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Ok(plain)
}

/// The `file:` URI of a path.
fn uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

/// A reference's path with `%20` and the like put back; what is not UTF-8 then stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code =
            more.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use syncline_steps::Chain;
    use syncline_types::{Column, LogicalType, TableSchema};

    use crate::File;

    const PIPELINE: &str =
        "pipelines:\n  p:\n    from: sqlite:a.db\n    to: sqlite:b.db\n    steps:\n      - validate: ";

    /// Writes files into a folder, and reads a pipeline there that validates against the first.
    fn read(files: &[(&str, serde_json::Value)], schema: &str) -> Result<Chain, String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, document) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder is made");
            fs::write(path, document.to_string()).expect("a file is written");
        }
        let pipeline = folder.path().join("syncline.yaml");
        fs::write(&pipeline, format!("{PIPELINE}{schema}\n")).expect("a file is written");
        let clean = |error: syncline_types::Error| {
            error.to_string().replace(&folder.path().display().to_string(), "DIR")
        };
        let file = File::read(&pipeline).map_err(clean)?;
        let pipelines = file.pipelines(&[], &crate::ProcessSecrets).map_err(clean)?;
        let table = TableSchema::new("test", vec![Column::new("a", LogicalType::Int64)]);
        Chain::bind(&pipelines[0].streams[0].steps, &table, None, "t").map_err(clean)
    }

    #[test]
    fn schemas_are_read_from_the_pipelines_folder_with_what_they_refer_to() {
        let files = [
            (
                "schemas/a b.json",
                json!({"properties": {"a": {"$ref": "parts/small%20number.json#/$defs/small"}}}),
            ),
            ("schemas/parts/small number.json", json!({"$defs": {"small": {"$ref": "../limits.json"}}})),
            ("schemas/limits.json", json!({"maximum": 5, "not": {"$ref": "a%20b.json#/$defs/nothing"}})),
        ];
        // They may refer to each other in a ring.
        let mut files = files.to_vec();
        files[0].1["$defs"] = json!({"nothing": {"const": 3}});
        let first = read(&files, "schemas/a b.json").expect("it binds");
        // The fingerprint is of the contents, not of where they are.
        assert_eq!(first.fingerprint(), read(&files, "./schemas/../schemas/a b.json").unwrap().fingerprint());
        files[2].1["maximum"] = json!(6);
        assert_ne!(first.fingerprint(), read(&files, "schemas/a b.json").unwrap().fingerprint());
    }

    #[test]
    fn a_schema_may_stand_in_the_pipeline() {
        read(&[], "{ properties: { a: { minimum: 0 } } }").expect("it binds");
    }

    #[test]
    fn mistakes_are_named() {
        for (files, schema, expected) in [
            (
                vec![],
                "no.json",
                "6:19: `validate` of step 1 of pipeline `p`: the schema `DIR/no.json` cannot be read: entity not found",
            ),
            (vec![("a.json", json!([]))], "a.json", "neither an object nor true or false"),
            (vec![("a.json", json!({"$ref": "b.json"}))], "a.json", "the schema `DIR/b.json` cannot be read"),
            (
                vec![("a.json", json!({"type": "intger"}))],
                "a.json",
                "step 1, `validate`: it is no valid JSON Schema: at `/type`",
            ),
            (
                vec![("a.json", json!({"$ref": "https://example.com/b.json"}))],
                "a.json",
                "schemas are not fetched",
            ),
            (vec![], "''", "the path of the schema is empty"),
            (vec![], "{}", "the schema is empty, and every row would pass"),
            (vec![], "[a]", "this is a list, and must be the path of a JSON Schema"),
        ] {
            let error = read(&files, schema).expect_err(schema);
            assert!(error.contains(expected), "{schema}: {error}");
        }
    }
}
