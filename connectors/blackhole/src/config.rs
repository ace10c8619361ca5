//! Options of a `blackhole:` connection: there are none.

use schemars::JsonSchema;
use serde::Deserialize;

/// Options of a `blackhole:` connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackholeConfig {}
