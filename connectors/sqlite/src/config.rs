//! Options of a `sqlite:` connection.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_types::{Error, Result, codes};

/// Options of a `sqlite:` connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteConfig {
    /// The database file. A sink creates it where there is none; its folder must exist.
    // Without one the URL is at fault, and `SqliteConfig::file` says so.
    #[serde(default)]
    pub path: String,
    /// Seconds to wait for others who hold the database.
    #[serde(default = "default_busy_seconds")]
    pub busy_seconds: u64,
    /// How columns declared as DATE, TIME, DATETIME or TIMESTAMP are read: by their meaning (`typed`),
    /// or as the text they hold (`text`), for files that keep something else in them.
    #[serde(default)]
    pub dates: Dates,
}

/// How columns with a date or time are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dates {
    /// By their meaning.
    #[default]
    Typed,
    /// As text.
    Text,
}

fn default_busy_seconds() -> u64 {
    10
}

/// A day: whoever has held a database for so long will not let go of it.
const BUSY_SECONDS_MAX: u64 = 86_400;

impl SqliteConfig {
    /// The file's full path. SQLite gives a meaning of its own to `:memory:`, `file:...` and the empty
    /// name; none of them can be meant here, and none of them is a full path.
    ///
    /// # Errors
    /// When there is no path, or an option is out of its range.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        let wrong = |reason: &str| {
            Error::new(&codes::BAD_URL, "use connection", format!("`sqlite:{}`", self.path))
                .because(reason)
                .hint("Write the path of a file, as in sqlite:shop.db")
        };
        if self.path.is_empty() {
            return Err(wrong("it names no file"));
        }
        if self.path == ":memory:" || self.path.contains('\0') {
            return Err(wrong("it is not a file that a later run could find again"));
        }
        if self.busy_seconds > BUSY_SECONDS_MAX {
            return Err(Error::new(
                &codes::BAD_VALUE,
                "use option",
                format!("`busy_seconds={}`", self.busy_seconds),
            )
            .because(format!("it is more than a day ({BUSY_SECONDS_MAX})")));
        }
        std::path::absolute(Path::new(&self.path)).map_err(|error| wrong(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &str, busy_seconds: u64) -> SqliteConfig {
        SqliteConfig { path: path.into(), busy_seconds, dates: Dates::Typed }
    }

    #[test]
    fn a_path_is_always_a_files() {
        for path in ["a.db", "./a.db", "file:a.db?mode=memory", "folder/ä b.db"] {
            assert!(config(path, 10).file().unwrap().is_absolute(), "{path}");
        }
        for path in ["", ":memory:", "a\0b"] {
            assert_eq!(config(path, 10).file().unwrap_err().code(), &codes::BAD_URL, "{path}");
        }
        assert_eq!(config("a.db", 86_401).file().unwrap_err().code(), &codes::BAD_VALUE);
    }
}
