//! Statements that take rows from staging to where everybody sees them.
//!
//! `ON CONFLICT ... DO UPDATE` is what PostgreSQL and SQLite share; it looks at the one key it is
//! given and fails on any other unique key.

use crate::{Dialect, key_tuple};

/// `INSERT INTO target SELECT FROM stage`, over these columns.
pub fn insert_select<D: Dialect>(dialect: &D, target: &str, stage: &str, columns: &[String]) -> String {
    let list = dialect.list(columns);
    format!("INSERT INTO {target} ({list}){} SELECT {list} FROM {stage}", dialect.overriding())
}

/// The columns that an update by key sets: all but those of the key, and of these the ones for which
/// `loose` says that values may be equal and still differ, as texts of a collation may.
pub fn changing(columns: &[String], key: &[String], loose: impl Fn(&str) -> bool) -> Vec<String> {
    columns.iter().filter(|column| !key.contains(column) || loose(column)).cloned().collect()
}

/// Inserts what is new and updates what is there and differs in one of the `changing` columns.
/// `distinct` says when a column differs, as `IS DISTINCT FROM` does; columns for which it gives
/// `None` cannot be compared and are always taken to differ.
pub fn merge<D: Dialect>(
    dialect: &D,
    target: &str,
    stage: &str,
    columns: &[String],
    key: &[String],
    changing: &[String],
    distinct: impl Fn(&str, &str, &str) -> Option<String>,
) -> String {
    let list = dialect.list(columns);
    // `WHERE true` keeps SQLite from reading ON as a join's.
    format!(
        "INSERT INTO {target} AS t ({list}){} SELECT {list} FROM {stage} AS s WHERE true{}",
        dialect.overriding(),
        on_conflict(dialect, key, changing, distinct)
    )
}

/// What an insert into a target `t` does where a row has the key: its end. `changing` and `distinct` as for
/// [`merge`].
pub fn on_conflict<D: Dialect>(
    dialect: &D,
    key: &[String],
    changing: &[String],
    distinct: impl Fn(&str, &str, &str) -> Option<String>,
) -> String {
    let conflict = format!(" ON CONFLICT ({}) DO ", dialect.list(key));
    if changing.is_empty() {
        return conflict + "NOTHING";
    }
    let set: Vec<String> =
        changing.iter().map(|column| format!("{0} = excluded.{0}", dialect.quote(column))).collect();
    let differs: Option<Vec<String>> =
        changing.iter().map(|column| distinct(column, "t", "excluded")).collect();
    let condition = differs.map_or(String::new(), |parts| format!(" WHERE {}", parts.join(" OR ")));
    format!("{conflict}UPDATE SET {}{condition}", set.join(", "))
}

/// Deletes the rows whose key is not in staging.
pub fn delete_vanished<D: Dialect>(dialect: &D, target: &str, stage: &str, key: &[String]) -> String {
    format!(
        "DELETE FROM {target} AS t WHERE NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {})",
        same_key(dialect, key)
    )
}

/// Deletes the rows whose key is in staging. Staging leads, so that an index on the target's key serves.
pub fn delete_staged<D: Dialect>(dialect: &D, target: &str, stage: &str, key: &[String]) -> String {
    format!(
        "DELETE FROM {target} WHERE {} IN (SELECT {} FROM {stage})",
        key_tuple(dialect, key),
        dialect.list(key)
    )
}

/// Updates the rows that are in both and differ, `changing` and `distinct` as for [`merge`].
pub fn update_changed<D: Dialect>(
    dialect: &D,
    target: &str,
    stage: &str,
    key: &[String],
    changing: &[String],
    distinct: impl Fn(&str, &str, &str) -> Option<String>,
) -> Option<String> {
    if changing.is_empty() {
        return None;
    }
    let set: Vec<String> =
        changing.iter().map(|column| format!("{0} = s.{0}", dialect.quote(column))).collect();
    let condition = differs(dialect, changing, key, distinct);
    Some(format!("UPDATE {target} AS t SET {} FROM {stage} AS s WHERE {condition}", set.join(", ")))
}

/// Counts the rows that [`update_changed`] is about to update.
pub fn count_changed<D: Dialect>(
    dialect: &D,
    target: &str,
    stage: &str,
    key: &[String],
    changing: &[String],
    distinct: impl Fn(&str, &str, &str) -> Option<String>,
) -> String {
    let condition = differs(dialect, changing, key, distinct);
    format!("SELECT count(*) FROM {target} AS t, {stage} AS s WHERE {condition}")
}

/// The condition for rows that are in both and differ in one of these columns.
fn differs<D: Dialect>(
    dialect: &D,
    columns: &[String],
    key: &[String],
    distinct: impl Fn(&str, &str, &str) -> Option<String>,
) -> String {
    let parts: Option<Vec<String>> = columns.iter().map(|column| distinct(column, "t", "s")).collect();
    let differs = parts.filter(|parts| !parts.is_empty());
    let condition = differs.map_or(String::new(), |parts| format!(" AND ({})", parts.join(" OR ")));
    format!("{}{condition}", same_key(dialect, key))
}

/// Inserts the rows whose key is not in the target.
pub fn insert_missing<D: Dialect>(
    dialect: &D,
    target: &str,
    stage: &str,
    columns: &[String],
    key: &[String],
) -> String {
    let list = dialect.list(columns);
    format!(
        "INSERT INTO {target} ({list}){} SELECT {list} FROM {stage} AS s WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {})",
        dialect.overriding(),
        same_key(dialect, key)
    )
}

/// The condition for a row of the target, `t`, and one of staging, `s`, to have the same key.
pub fn same_key<D: Dialect>(dialect: &D, key: &[String]) -> String {
    let parts: Vec<String> =
        key.iter().map(|column| format!("t.{0} = s.{0}", dialect.quote(column))).collect();
    parts.join(" AND ")
}
