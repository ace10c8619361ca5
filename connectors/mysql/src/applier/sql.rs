//! The statements by which rows that wait change a table by key.
//!
//! The rows that wait are always read first, and the target's row is looked up for each: nothing is known of
//! how many there are, and the server could think of reading a whole target for a few.

use syncline_sql::Dialect;

use crate::dialect::Mysql;

fn same_key(key: &[String]) -> String {
    let parts: Vec<String> = key.iter().map(|name| format!("t.{0} = s.{0}", Mysql.quote(name))).collect();
    parts.join(" AND ")
}

/// The condition for no row of the target to be joined: of a key nothing is NULL.
fn is_missing(key: &[String]) -> String {
    let first = key.first().map(|name| Mysql.quote(name)).unwrap_or_default();
    format!("t.{first} IS NULL")
}

/// Deletes the rows whose key waits.
pub(super) fn delete(target: &str, stage: &str, key: &[String]) -> String {
    format!("DELETE t FROM {stage} AS s STRAIGHT_JOIN {target} AS t ON {}", same_key(key))
}

/// Counts the rows that wait and have no row to change.
pub(super) fn missed(target: &str, stage: &str, key: &[String]) -> String {
    format!(
        "SELECT COUNT(*) FROM {stage} AS s LEFT JOIN {target} AS t ON {} WHERE {}",
        same_key(key),
        is_missing(key)
    )
}

/// Sets all columns but those of the key; `None` where there is none.
pub(super) fn update(target: &str, stage: &str, columns: &[String], key: &[String]) -> Option<String> {
    let set = columns.iter().filter(|column| !key.contains(column));
    let set: Vec<String> = set.map(|column| format!("t.{0} = s.{0}", Mysql.quote(column))).collect();
    if set.is_empty() {
        return None;
    }
    let (key, set) = (same_key(key), set.join(", "));
    Some(format!("UPDATE {stage} AS s STRAIGHT_JOIN {target} AS t ON {key} SET {set}"))
}

/// Counts the rows with the key that waits, but for those with the key that is left.
pub(super) fn others(target: &str, stage: &str, left: &str, key: &[String]) -> String {
    let same = same_key(key);
    format!(
        "SELECT COUNT(*) FROM {stage} AS s STRAIGHT_JOIN {target} AS t ON {same} \
         WHERE NOT EXISTS (SELECT 1 FROM {left} AS s WHERE {same})"
    )
}

/// Sets all columns of the row that has the key that is left.
pub(super) fn move_row(target: &str, stage: &str, left: &str, columns: &[String], key: &[String]) -> String {
    let set: Vec<String> =
        columns.iter().map(|column| format!("t.{0} = w.{0}", Mysql.quote(column))).collect();
    format!(
        "UPDATE {left} AS s STRAIGHT_JOIN {target} AS t ON {} STRAIGHT_JOIN {stage} AS w SET {}",
        same_key(key),
        set.join(", ")
    )
}

/// Sets a column where it is NULL.
pub(super) fn note(target: &str, stage: &str, column: &str) -> String {
    let column = Mysql.quote(column);
    format!(
        "UPDATE {stage} AS s STRAIGHT_JOIN {target} AS t ON t.{column} IS NULL SET t.{column} = s.{column}"
    )
}

/// Inserts the rows whose key is not there.
pub(super) fn insert_missing(target: &str, stage: &str, columns: &[String], key: &[String]) -> String {
    let list = Mysql.list(columns);
    let picked: Vec<String> = columns.iter().map(|column| format!("s.{}", Mysql.quote(column))).collect();
    let picked = picked.join(", ");
    format!(
        "INSERT INTO {target} ({list}) SELECT {picked} FROM {stage} AS s LEFT JOIN {target} AS t ON {} WHERE {}",
        same_key(key),
        is_missing(key)
    )
}

/// Finds a row that waits whose key is there in another form only, which the collation takes for the same;
/// `None` where no column of the key is a text.
pub(super) fn clash(target: &str, stage: &str, key: &[String], texts: &[String]) -> Option<String> {
    let differ = texts.iter().map(|column| {
        let name = Mysql.quote(column);
        format!("NOT (CAST(t.{name} AS BINARY) <=> CAST(s.{name} AS BINARY))")
    });
    let differ: Vec<String> = differ.collect();
    (!differ.is_empty()).then(|| {
        format!(
            "SELECT 1 FROM {stage} AS s STRAIGHT_JOIN {target} AS t ON {} WHERE {} LIMIT 1",
            same_key(key),
            differ.join(" OR ")
        )
    })
}
