//! `validate`: only rows that a JSON Schema accepts go on.

use std::{collections::BTreeMap, error, fmt, sync::Arc};

use arrow_array::RecordBatch;
use jsonschema::{Retrieve, Uri, Validator, error::ValidationError};
use serde_json::Value;
use syncline_connect::Reject;
use syncline_types::{Error, Result, TableSchema, codes, row_json};

use crate::{
    RowSchema,
    frame::{Frame, refused},
    program::Op,
};

/// A schema ready to check rows of some columns.
#[derive(Clone)]
pub(crate) struct RowCheck {
    validator: Arc<Validator>,
    /// The columns that a row has here, and the slots they are in.
    pub(crate) schema: TableSchema,
    pub(crate) slots: Vec<usize>,
    object: String,
}

impl fmt::Debug for RowCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCheck").field("object", &self.object).finish_non_exhaustive()
    }
}

/// Adds the check of the columns as they are between the steps before and behind it.
pub(crate) fn bind(frame: &mut Frame, schema: &RowSchema, step: &str) -> Result<()> {
    let Some(document) = schema.document() else {
        return Err(Error::new(&codes::BROKEN_INVARIANT, "understand", step)
            .because("the schema's file has not been read"));
    };
    let known: BTreeMap<String, Value> = schema.others().iter().cloned().collect();
    let mut options = jsonschema::options().with_retriever(Known(known));
    if let Some(uri) = schema.uri() {
        options = options.with_base_uri(uri);
    }
    let validator = options
        .build(document)
        .map_err(|problem| refused(step, format!("it is no valid JSON Schema: {}", sentence(&problem))))?;
    frame.ops.push(Op::Validate(RowCheck {
        validator: Arc::new(validator),
        schema: frame.schema(),
        slots: frame.columns.iter().map(|column| column.slot).collect(),
        object: step.to_owned(),
    }));
    Ok(())
}

/// What is wrong with a schema; it is the user's own text and no row's.
fn sentence(problem: &ValidationError<'_>) -> String {
    let path = problem.instance_path().as_str();
    match path.is_empty() {
        true => problem.to_string(),
        false => format!("at `{path}`: {problem}"),
    }
}

/// Documents that were read with the schema. Nothing is ever fetched.
struct Known(BTreeMap<String, Value>);

#[derive(Debug)]
struct NotFetched;

impl fmt::Display for NotFetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("schemas are not fetched; put a copy beside this one and refer to it by its path")
    }
}

impl error::Error for NotFetched {}

impl Retrieve for Known {
    fn retrieve(&self, uri: &Uri<String>) -> std::result::Result<Value, Box<dyn error::Error + Send + Sync>> {
        self.0.get(uri.as_str()).cloned().ok_or_else(|| NotFetched.into())
    }
}

impl RowCheck {
    /// The rows that the schema does not accept, with the first reason of each.
    pub(crate) fn rejects(&self, rows: &RecordBatch) -> Result<Vec<Reject>> {
        let mut rejects = vec![];
        for row in 0..rows.num_rows() {
            let instance = row_json(rows, &self.schema, row)?;
            if let Err(problem) = self.validator.validate(&instance) {
                let row = u32::try_from(row).unwrap_or(u32::MAX);
                let error = Error::new(&codes::ROW_INVALID, "run", &self.object).because(reason(&problem));
                rejects.push(Reject { row, place: None, error });
            }
        }
        Ok(rejects)
    }
}

/// Which part of the schema a row breaks. The crate's own words would hold the value, and a path
/// into a JSON column may hold keys that are data.
fn reason(problem: &ValidationError<'_>) -> String {
    let rule = problem.schema_path().as_str();
    let rule = if rule.is_empty() { "/" } else { rule };
    let path = problem.instance_path().as_str();
    match path.split('/').nth(1) {
        Some(column) => {
            let column = column.replace("~1", "/").replace("~0", "~");
            format!("column `{column}` breaks `{rule}` of the schema")
        }
        None => format!("the row breaks `{rule}` of the schema"),
    }
}
