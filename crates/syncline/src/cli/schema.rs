//! `syncline schema`: the JSON Schema of the pipeline file.

use syncline_types::{Error, Result, codes};

use super::Ended;
use crate::output::Output;

/// Prints it for people and editors; for programs in one line.
pub(crate) fn run(output: Output) -> Result<Ended> {
    let schema = syncline_config::json_schema();
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "print", "the schema").because(error))?;
    output.line(text);
    output.object(&schema);
    Ok(Ended::Well)
}
