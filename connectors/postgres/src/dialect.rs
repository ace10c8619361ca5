//! How PostgreSQL writes names and constants.

use syncline_sql::{Dialect, quote_double, quote_text};
use syncline_types::{Column, StreamName};

use crate::types::column_type;

/// PostgreSQL's way of writing SQL.
pub(crate) struct Postgres;

/// The name that schemas of this connector carry.
pub(crate) const NAME: &str = "postgres";

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn quote(&self, name: &str) -> String {
        quote_double(name)
    }

    fn overriding(&self) -> &'static str {
        " OVERRIDING SYSTEM VALUE"
    }

    fn constant(&self, column: &Column, text: &str) -> Option<String> {
        // A text with NUL is in no column of PostgreSQL; everything else the server reads itself.
        let type_name = column.native.clone().unwrap_or_else(|| column_type(column));
        (!text.contains('\0')).then(|| format!("{}::{type_name}", quote_text(text)))
    }
}

/// `"schema"."table"`.
pub(crate) fn qualified(name: &StreamName, default_schema: &str) -> String {
    let schema = name.namespace.as_deref().unwrap_or(default_schema);
    format!("{}.{}", quote_double(schema), quote_double(&name.table))
}
