//! A stream's schema: our own, with the source's type names; Arrow's is derived from it.

use std::sync::Arc;

use arrow_schema::{Field, Schema};
use serde::{Deserialize, Serialize};

use crate::{Error, LogicalType, Result, codes};

/// The columns and keys of a table, as its own system describes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// The system whose type names stand in [`Column::native`], such as `postgres`.
    pub dialect: String,
    /// In the table's own order.
    pub columns: Vec<Column>,
    /// The primary key's columns in key order; empty when there is none.
    pub key: Vec<String>,
    /// Other sets of columns that are unique and never NULL.
    pub unique: Vec<Vec<String>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Unquoted.
    pub name: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// The dialect's full type name, as in `numeric(12,2)`; `None` once a step has changed the type.
    pub native: Option<String>,
    /// Whether NULL may occur.
    pub nullable: bool,
    /// A constant that the table fills in where a writer says nothing.
    pub default: Option<DefaultValue>,
    /// Computed by its own table from other columns.
    pub generated: bool,
    /// Numbered by its own table (identity, serial, autoincrement).
    pub identity: bool,
    /// The labels of an enumeration.
    pub labels: Option<Vec<String>>,
    /// The collation of a text, where it is not the database's default.
    pub collation: Option<String>,
    /// Its table's own number of it, where there is one: the same column has the same number under
    /// another name, and no other column ever has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

/// A constant default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultValue {
    /// `true` or `false`.
    Bool(bool),
    /// As written, such as `-1` or `0.50`.
    Number(String),
    /// Unquoted.
    Text(String),
}

impl Column {
    /// A plain nullable column without a native type.
    pub fn new(name: impl Into<String>, logical: LogicalType) -> Self {
        Column {
            name: name.into(),
            logical,
            native: None,
            nullable: true,
            default: None,
            generated: false,
            identity: false,
            labels: None,
            collation: None,
            id: None,
        }
    }

    /// The same column as one that is never NULL.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// The same column with the dialect's own type name.
    #[must_use]
    pub fn native(mut self, native: impl Into<String>) -> Self {
        self.native = Some(native.into());
        self
    }

    /// The Arrow field that carries it. JSON and UUID carry the field's own extension names.
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.logical.arrow(), self.nullable);
        let extension = match self.logical {
            LogicalType::Json { .. } => "arrow.json",
            LogicalType::Uuid => "arrow.uuid",
            _ => return field,
        };
        field.with_metadata([("ARROW:extension:name".to_owned(), extension.to_owned())])
    }
}

impl TableSchema {
    /// A schema without keys.
    pub fn new(dialect: impl Into<String>, columns: Vec<Column>) -> Self {
        TableSchema { dialect: dialect.into(), columns, key: vec![], unique: vec![] }
    }

    /// The same schema with a primary key.
    #[must_use]
    pub fn with_key<S: Into<String>>(mut self, key: impl IntoIterator<Item = S>) -> Self {
        self.key = key.into_iter().map(Into::into).collect();
        self
    }

    /// Arrow's schema for batches of this table.
    pub fn arrow(&self) -> Arc<Schema> {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// The position of a column.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The positions of several columns, in the order asked for.
    ///
    /// # Errors
    /// [`codes::UNKNOWN_COLUMN`] for the first name that is not a column, with the nearest one.
    pub fn indexes(&self, names: &[String]) -> Result<Vec<usize>> {
        names.iter().map(|name| self.index(name).ok_or_else(|| self.unknown_column(name))).collect()
    }

    /// The error for a name that is not a column.
    pub fn unknown_column(&self, name: &str) -> Error {
        let known: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        Error::new(&codes::UNKNOWN_COLUMN, "find column", format!("`{name}`"))
            .because("the stream has no such column")
            .hint(format!("Its columns are: {}", known.join(", ")))
    }
}
