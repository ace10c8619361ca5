//! How rows are found that have no key: by the text of all their values, which is as exact as the values are
//! and is there for types that cannot be compared. The table is read once for all that wait; so that a text is made of
//! few of its rows, those go first that have none of the values which wait in a column.

use syncline_sql::Dialect;
use syncline_types::{Column, LogicalType};

use crate::dialect::Postgres;

/// The other plans of an applier would look at the whole table for each row that waits, and so would the server if
/// it thought that what waits does not fit into its memory.
pub(super) const PLANS: &str =
    "SET LOCAL enable_hashjoin = on; SET LOCAL enable_seqscan = on; SET LOCAL work_mem = '256MB'";
pub(super) const PLANS_BACK: &str =
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_seqscan = off; SET LOCAL work_mem TO DEFAULT";

/// Columns that are compared before all are.
const QUICK_MAX: usize = 4;

/// Whether values with the same text are equal to the server, which sees that quickly.
pub(super) fn is_quick(column: &Column) -> bool {
    use LogicalType as L;
    match column.logical {
        L::Text { .. } => {
            let native = column.native.as_deref().unwrap_or_default();
            native.starts_with("text") || native.starts_with("character")
        }
        logical => logical.is_integer() || matches!(logical, L::Date | L::Timestamp { .. } | L::Uuid),
    }
}

/// Deletes as many of the rows that are equal to one that waits as there are of it.
pub(super) fn delete(table: &str, stage: &str, columns: &[String], quick: &[String]) -> String {
    let text = |of: &str| {
        let values: Vec<String> =
            columns.iter().map(|column| format!("{of}.{}", Postgres.quote(column))).collect();
        format!("ROW({})::text COLLATE \"C\"", values.join(", "))
    };
    let waits = |column: &String| {
        let name = Postgres.quote(column);
        format!(
            "(t.{name} IS NULL OR t.{name} IN (SELECT s.{name} FROM {stage} AS s WHERE s.{name} IS NOT NULL))"
        )
    };
    let all: Vec<String> = quick.iter().take(QUICK_MAX).map(waits).collect();
    let only = if all.is_empty() { String::new() } else { format!("WHERE {}", all.join(" AND ")) };
    // A row's place is one in its part of the table, of which there may be several.
    format!(
        "WITH gone AS MATERIALIZED (
           SELECT there.tableoid, there.ctid, waits.copies, row_number() OVER (PARTITION BY waits.whole) AS copy
           FROM (SELECT s.whole, count(*) AS copies FROM (SELECT {} AS whole FROM {stage} AS s) AS s GROUP BY s.whole)
                AS waits
           JOIN (SELECT t.tableoid, t.ctid, {} AS whole FROM {table} AS t {only}) AS there ON there.whole = waits.whole
         )
         DELETE FROM {table} AS t
         WHERE t.ctid = ANY (ARRAY(SELECT g.ctid FROM gone AS g WHERE g.copy <= g.copies))
           AND (t.tableoid, t.ctid) IN (SELECT g.tableoid, g.ctid FROM gone AS g WHERE g.copy <= g.copies)",
        text("s"),
        text("t"),
    )
}
