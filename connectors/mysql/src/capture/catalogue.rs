//! What the catalogue says of tables that are followed, and of their triggers.

use syncline_types::{Result, StreamName};

use super::install::Names;
use crate::{client::Client, dialect::text_constant};

/// What stands at the server for a table.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// When the table was made or altered last, in whole seconds. A truncation does not show in it.
    pub(super) altered: Option<String>,
    /// Whether no other alteration can have the same time.
    pub(super) is_settled: bool,
    /// The columns, each in a text.
    pub(super) columns: Vec<String>,
    pub(super) triggers: Vec<Trigger>,
}

#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) event: String,
    pub(super) body: String,
    /// When it was made.
    pub(super) made: String,
}

/// Looks at tables.
pub(super) async fn standing(
    client: &mut Client,
    names: &Names,
    tables: &[StreamName],
) -> Result<Vec<Standing>> {
    let mut standing: Vec<Standing> = tables.iter().map(|_| Standing::default()).collect();
    let fields = "CREATE_TIME, CREATE_TIME < NOW()";
    for (at, mut row) in ask(client, names, tables, fields, "TABLES", "TABLE").await? {
        let Some(standing) = standing.get_mut(at) else { continue };
        standing.is_settled = row.pop().flatten().as_deref() == Some("1");
        standing.altered = row.pop().flatten();
    }
    let fields = "ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, EXTRA, COLLATION_NAME";
    for (at, row) in ask(client, names, tables, fields, "COLUMNS", "TABLE").await? {
        let Some(standing) = standing.get_mut(at) else { continue };
        standing.columns.push(format!("{row:?}"));
    }
    let fields = "TRIGGER_NAME, EVENT_MANIPULATION, ACTION_STATEMENT, CREATED";
    for (at, row) in ask(client, names, tables, fields, "TRIGGERS", "EVENT_OBJECT").await? {
        let Some(standing) = standing.get_mut(at) else { continue };
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        standing.triggers.push(Trigger { name: next(), event: next(), body: next(), made: next() });
    }
    // Rows come in no order.
    standing.iter_mut().for_each(|standing| standing.columns.sort_unstable());
    Ok(standing)
}

/// One question for all tables, in which each is named by itself: only then the servers do not open every
/// table that there is. Each row comes with its table's place.
async fn ask(
    client: &mut Client,
    names: &Names,
    tables: &[StreamName],
    fields: &str,
    from: &str,
    of: &str,
) -> Result<Vec<(usize, Vec<Option<String>>)>> {
    let parts = tables.iter().enumerate().map(|(at, name)| {
        format!(
            "SELECT {at}, {fields} FROM information_schema.{from} WHERE {of}_SCHEMA = {} AND {of}_{} = {}",
            text_constant(name.namespace.as_deref().unwrap_or_default()),
            if of == "TABLE" { "NAME" } else { "TABLE" },
            text_constant(&name.table)
        )
    });
    let sql = parts.collect::<Vec<_>>().join(" UNION ALL ");
    if sql.is_empty() {
        return Ok(vec![]);
    }
    let rows = client.texts_long(&sql, "look at the tables of pipeline", &names.quoted()).await?;
    let placed = rows.into_iter().filter_map(|mut row| {
        let at = row.first().cloned().flatten()?.parse().ok()?;
        Some((at, row.split_off(1)))
    });
    Ok(placed.collect())
}
