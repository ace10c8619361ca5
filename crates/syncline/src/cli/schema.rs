//! `syncline schema`: the JSON Schema of the pipeline file.

use syncline_types::{Error, Result, codes};

use super::Ended;
use crate::output::Output;

pub(crate) fn run() -> Result<Ended> {
    let text = serde_json::to_string_pretty(&syncline_config::json_schema())
        .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "print", "the schema").because(error))?;
    Output::Text.line(text);
    Ok(Ended::Well)
}
