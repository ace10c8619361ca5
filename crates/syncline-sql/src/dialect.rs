//! How a database writes names and constants.

use syncline_types::Column;

/// A way of writing SQL.
pub trait Dialect: Send + Sync {
    /// The name that schemas of this dialect carry.
    fn name(&self) -> &'static str;

    /// A name as an identifier that is taken as it is.
    fn quote(&self, name: &str) -> String;

    /// A constant to compare this column with, from the text form of `syncline_types::text`.
    /// `None` when the text is no value of the column's type.
    fn constant(&self, column: &Column, text: &str) -> Option<String>;

    /// What an INSERT says between its columns and its rows, so that columns which number themselves
    /// take the values given.
    fn overriding(&self) -> &'static str {
        ""
    }

    /// The names, quoted and separated by commas.
    fn list<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> String
    where
        Self: Sized,
    {
        names.into_iter().map(|name| self.quote(name)).collect::<Vec<_>>().join(", ")
    }
}

/// A name in double quotes, as the standard has it.
pub fn quote_double(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant in single quotes, as the standard has it.
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
