//! The pipeline file and connection URLs, checked into a plain model.
//!
//! From a YAML text or from arguments of the command line to [`Pipeline`]s, with every mistake named
//! by line and column. Nothing here connects to anything: the only things read are the file itself,
//! the JSON Schemas that it names and, through [`Secrets`], what `${...}` refers to. Whether a connector knows its options is the
//! connector's to say.

mod connection;
mod copy;
mod de;
mod file;
mod model;
mod node;
mod place;
mod problem;
mod row_schema;
mod schema;
mod secret;
mod settings;
mod size;
mod spec;
mod streams;
mod url;

pub use copy::CopyArgs;
pub use file::File;
pub use model::{
    Deletes, Echoes, Following, Limits, OnError, OverBudget, Pipeline, SchemaChanges, StreamChoice, Sync,
};
pub use schema::json_schema;
pub use secret::{ProcessSecrets, Secrets};
pub use settings::NAME_CHARS_MAX;
pub use size::duration_seconds;
pub use url::is_connection;
