//! The statements by which staged rows change a table by key.
//!
//! `ON DUPLICATE KEY UPDATE` and `REPLACE` look at every unique key, and would change another row
//! than the one meant; neither is ever used on a user's table.

use syncline_sql::Dialect;
use syncline_types::LogicalType;

use crate::{dialect::Mysql, plan::NUMBER, plan::table::Table, schema::MysqlColumn};

/// Updates what is there and differs, and inserts what is not there.
pub(super) fn merge(
    target: &str,
    stage: &str,
    staged: &Table,
    columns: &[String],
    key: &[String],
) -> Vec<String> {
    let mut statements: Vec<String> =
        update_changed(target, stage, staged, columns, key).into_iter().collect();
    let list = Mysql.list(columns);
    let picked: Vec<String> = columns.iter().map(|column| format!("s.{}", Mysql.quote(column))).collect();
    statements.push(format!(
        "INSERT INTO {target} ({list}) SELECT {} FROM {stage} AS s \
         WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {})",
        picked.join(", "),
        same_key(key)
    ));
    statements
}

/// Updates the rows that are in both and differ. A text of the key may differ in what its collation
/// does not look at.
pub(super) fn update_changed(
    target: &str,
    stage: &str,
    staged: &Table,
    columns: &[String],
    key: &[String],
) -> Option<String> {
    let compared = columns.iter().filter_map(|name| staged.column(name));
    let changing: Vec<&MysqlColumn> =
        compared.filter(|there| !key.contains(&there.column.name) || there.charset.is_some()).collect();
    if changing.is_empty() {
        return None;
    }
    let set: Vec<String> =
        changing.iter().map(|there| format!("t.{0} = s.{0}", Mysql.quote(&there.column.name))).collect();
    let differs: Vec<String> = changing.iter().map(|there| differs(there)).collect();
    Some(format!(
        "UPDATE {target} AS t JOIN {stage} AS s ON {} SET {} WHERE {}",
        same_key(key),
        set.join(", "),
        differs.join(" OR ")
    ))
}

/// Deletes the rows whose key is not in staging.
pub(super) fn delete_vanished(target: &str, stage: &str, key: &[String]) -> String {
    format!(
        "DELETE t FROM {target} AS t WHERE NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE {})",
        same_key(key)
    )
}

/// Deletes the rows whose key is in staging.
pub(super) fn delete_staged(target: &str, stage: &str, key: &[String]) -> String {
    format!("DELETE t FROM {target} AS t JOIN {stage} AS s ON {}", same_key(key))
}

/// Deletes from staging all but the last row of each key; of equals the one that came last. Keys that
/// only the collation takes for one are told apart, so that none of them goes without a word.
pub(super) fn keep_last(stage: &str, staged: &Table, key: &[String], cursor: &str) -> String {
    let exact = |name: &String| match staged.column(name) {
        Some(there) if there.charset.is_some() => format!("CAST({} AS BINARY)", Mysql.quote(name)),
        _ => Mysql.quote(name),
    };
    let key: Vec<String> = key.iter().map(exact).collect();
    let number = Mysql.quote(NUMBER);
    format!(
        "DELETE t FROM {stage} AS t JOIN (SELECT {number} AS number, ROW_NUMBER() OVER (PARTITION BY {} \
         ORDER BY {} DESC, {number} DESC) AS place FROM {stage}) AS s ON t.{number} = s.number WHERE s.place > 1",
        key.join(", "),
        Mysql.quote(cursor)
    )
}

fn same_key(key: &[String]) -> String {
    let parts: Vec<String> = key.iter().map(|name| format!("t.{0} = s.{0}", Mysql.quote(name))).collect();
    parts.join(" AND ")
}

/// Whether a column's values are not the very same. Texts may be equal by a collation, JSON by its
/// value, and floats by theirs (`0` and `-0`), and still differ.
fn differs(there: &MysqlColumn) -> String {
    let name = Mysql.quote(&there.column.name);
    let distinct = |form: &dyn Fn(String) -> String| {
        format!("NOT ({} <=> {})", form(format!("t.{name}")), form(format!("s.{name}")))
    };
    let by_value = distinct(&|value| value);
    match there.column.logical {
        LogicalType::Float32 | LogicalType::Float64 => {
            format!("{by_value} OR {}", distinct(&|value| format!("CAST({value} AS CHAR)")))
        }
        LogicalType::Json { .. } => distinct(&|value| format!("CAST(CAST({value} AS CHAR) AS BINARY)")),
        _ if there.charset.is_some() => distinct(&|value| format!("CAST({value} AS BINARY)")),
        LogicalType::Binary | LogicalType::Opaque => distinct(&|value| format!("HEX({value})")),
        _ => by_value,
    }
}
