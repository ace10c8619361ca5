//! How staged rows get to where everybody sees them, and the key that a merge goes by.

use syncline_connect::{Target, Task, WriteMode};
use syncline_types::{Error, codes};

/// How the staged rows get to where everybody sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Staging takes the target's name.
    Rename,
    /// All rows are deleted and the staged ones inserted, in one transaction.
    InPlace,
    /// Rows are deleted, updated and inserted by key, because other tables refer to them.
    InPlaceByKey,
    /// Rows are updated and inserted by key.
    Merge,
    /// Rows that are there are updated by key.
    Update,
    /// Rows are deleted by key.
    Delete,
    /// The staged rows are inserted.
    Insert,
    /// Rows are written where everybody sees them, chunk by chunk.
    Direct,
}

impl Way {
    /// The way of a target's rows. `overwrite` is how a table that is there would be replaced; `None`
    /// where there is none.
    pub fn of(target: &Target, overwrite: Option<Way>) -> Way {
        match target.task {
            Task::Load => {}
            Task::Update => return Way::Update,
            Task::Delete => return Way::Delete,
        }
        match (target.write, overwrite) {
            (WriteMode::Append, _) if !target.staged => Way::Direct,
            (_, None) => Way::Rename,
            (WriteMode::Append, Some(_)) => Way::Insert,
            (WriteMode::Merge, Some(_)) => Way::Merge,
            (WriteMode::Overwrite, Some(way)) => way,
        }
    }
}

/// What is wrong with the key that rows are written by. `has_key` says whether the table has it as one
/// that is unique and never NULL, where there is a table.
pub fn key_problem(target: &Target, has_key: Option<bool>) -> Option<Error> {
    let missing = target.key.iter().find(|key| target.schema.column(key).is_none());
    if let Some(missing) = missing {
        return Some(target.schema.unknown_column(missing));
    }
    if target.write != WriteMode::Merge {
        return None;
    }
    let by_key = match target.task {
        Task::Load => "merge into",
        Task::Update => "update rows of",
        Task::Delete => "delete rows of",
    };
    let error = Error::new(&codes::KEY_MISSING, by_key, format!("`{}`", target.name));
    if target.key.is_empty() {
        let hint = "Name one with --key COL,... (key: [COL]), or use --write append";
        return Some(error.because("the stream has no key").hint(hint));
    }
    let reason = || format!("({}) is no primary key or unique, never NULL key there", target.key.join(", "));
    let hint = "Create a unique index over whole columns that are NOT NULL, or name another key";
    (has_key == Some(false)).then(|| error.because(reason()).hint(hint))
}
