//! What is there, as far as a target is concerned.

use std::collections::{BTreeMap, BTreeSet};

use syncline_connect::{Replace, Target};
use syncline_sql::{Dialect, Way, bookkeeping, quote_text};
use syncline_types::{Error, ErrorKind, Result, StreamName};

use crate::{
    attached::{Attached, attached},
    client::Client,
    dialect::{Postgres, qualified},
    schema::{Table, describe, find_all},
};

/// What is there, as far as a target is concerned.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) table: Option<Table>,
    pub(crate) ours: bool,
    pub(crate) has_rows: bool,
    pub(crate) attached: Attached,
    pub(super) checks: Vec<Check>,
}

/// Looks at a target.
pub(crate) async fn see(client: &Client, target: &Target) -> Result<Seen> {
    Ok(see_all(client, &[target]).await?.pop().unwrap_or_default())
}

/// Looks at several targets, with as few questions as at one.
pub(super) async fn see_all(client: &Client, targets: &[&Target]) -> Result<Vec<Seen>> {
    let found = find_all(client, targets.iter().map(|target| &target.name)).await?;
    let tables = describe(client, found).await?;
    if tables.is_empty() {
        return Ok(targets.iter().map(|_| Seen::default()).collect());
    }
    let oids = tables.iter().map(|table| table.listed.oid.to_string()).collect::<Vec<_>>().join(", ");
    let ours = made_by_us(client, &oids).await?;
    let filled = filled(client, &tables).await?;
    let attached = attached(client, &oids, &ours).await?;
    let checks = checks(client, &oids).await?;
    let tables: BTreeMap<&StreamName, &Table> =
        tables.iter().map(|table| (&table.listed.name, table)).collect();
    let seen = |target: &&Target| {
        let Some(table) = tables.get(&target.name.within(&client.config.schema)) else {
            return Seen::default();
        };
        let oid = table.listed.oid;
        Seen {
            table: Some(Table::clone(table)),
            ours: ours.contains(&oid),
            has_rows: filled.contains(&oid),
            attached: attached.get(&oid).cloned().unwrap_or_default(),
            checks: checks.get(&oid).cloned().unwrap_or_default(),
        }
    };
    Ok(targets.iter().map(seen).collect())
}

/// Which of these tables have rows.
async fn filled(client: &Client, tables: &[Table]) -> Result<BTreeSet<u32>> {
    let ask = |table: &Table| {
        let name = qualified(&table.listed.name, &client.config.schema);
        format!("SELECT {} WHERE EXISTS (SELECT 1 FROM {name})", table.listed.oid)
    };
    let all = tables.iter().map(ask).collect::<Vec<_>>().join(" UNION ALL ");
    match client.texts(&all, "look for rows in", &client.config.place()).await {
        Ok(rows) => return Ok(oids_of(rows).collect()),
        // Which of them it is they are asked for one by one.
        Err(error) if error.kind() == ErrorKind::Permission => {}
        Err(error) => return Err(error),
    }
    let mut filled = BTreeSet::new();
    for table in tables {
        let quoted = qualified(&table.listed.name, &client.config.schema);
        let asked = client.texts(&ask(table), "look for rows in", &table.listed.name.to_string()).await;
        filled.extend(oids_of(asked.map_err(|error| grant_select(error, client, &quoted))?));
    }
    Ok(filled)
}

/// The tables that rows begin with.
fn oids_of(rows: Vec<Vec<Option<String>>>) -> impl Iterator<Item = u32> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()?.parse().ok())
}

/// Whether there are rows decides what may be done, so this one grant cannot wait for the others.
fn grant_select(error: Error, client: &Client, table: &str) -> Error {
    let user = client
        .config
        .user
        .as_deref()
        .map_or("the user that connects".to_owned(), |user| Postgres.quote(user));
    match error.kind() {
        ErrorKind::Permission => error.hint(format!("Run: GRANT SELECT ON {table} TO {user}")),
        _ => error,
    }
}

/// Which of these tables we have made.
async fn made_by_us(client: &Client, oids: &str) -> Result<BTreeSet<u32>> {
    let (made, place) = (qualified_made(client), client.config.place());
    let exists = format!("SELECT to_regclass({}) IS NOT NULL", quote_text(&made));
    if client.text(&exists, "look up who made tables in", &place).await?.as_deref() != Some("t") {
        return Ok(BTreeSet::new());
    }
    let sql = format!("SELECT table_oid FROM {made} WHERE table_oid IN ({oids})");
    Ok(oids_of(client.texts(&sql, "look up who made tables in", &place).await?).collect())
}

/// A check constraint: the columns it looks at, and its name and definition.
type Check = (Vec<String>, String);

/// The check constraints of these tables.
async fn checks(client: &Client, oids: &str) -> Result<BTreeMap<u32, Vec<Check>>> {
    let sql = format!(
        "SELECT c.conrelid,
                (SELECT string_agg(a.attname, E'\\x01') FROM pg_attribute a
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)),
                'CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid)
         FROM pg_constraint c WHERE c.conrelid IN ({oids}) AND c.contype = 'c' AND c.convalidated"
    );
    let mut checks: BTreeMap<u32, Vec<Check>> = BTreeMap::new();
    for row in client.texts(&sql, "read the checks of tables in", &client.config.place()).await? {
        if let [Some(oid), Some(columns), Some(check)] = row.as_slice()
            && let Ok(oid) = oid.parse()
        {
            let columns = columns.split('\u{1}').map(str::to_owned).collect();
            checks.entry(oid).or_default().push((columns, check.clone()));
        }
    }
    Ok(checks)
}

/// The table that lists the tables we made.
pub(crate) fn qualified_made(client: &Client) -> String {
    format!("{}.{}", Postgres.quote(&client.config.schema), Postgres.quote(bookkeeping::MADE))
}

impl Seen {
    /// How rows will be published.
    pub(crate) fn way(&self, target: &Target) -> Way {
        let overwrite = self.table.as_ref().map(|table| {
            if self.attached.reasons.is_empty() && target.replace == Replace::Auto {
                Way::Rename
            } else if self.attached.referenced && self.is_key(table, &target.key) {
                Way::InPlaceByKey
            } else {
                Way::InPlace
            }
        });
        Way::of(target, overwrite)
    }

    /// Whether these columns are a key of the table.
    pub(super) fn is_key(&self, table: &Table, key: &[String]) -> bool {
        let mut wanted: Vec<&String> = key.iter().collect();
        wanted.sort();
        !key.is_empty()
            && table.keys.iter().any(|known| {
                let mut columns: Vec<&String> = known.columns.iter().collect();
                columns.sort();
                columns == wanted
            })
    }

    /// Whether the new table's shape is the stream's own, whatever the old one's was.
    pub(crate) fn new_shape(&self, target: &Target) -> bool {
        self.way(target) == Way::Rename && (self.table.is_none() || self.ours)
    }
}
