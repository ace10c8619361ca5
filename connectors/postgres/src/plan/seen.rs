//! What is there, as far as a target is concerned.

use syncline_connect::{Replace, Target};
use syncline_sql::{Dialect, Way, bookkeeping, quote_text};
use syncline_types::{Error, ErrorKind, Result};

use crate::{
    attached::{Attached, attached},
    client::Client,
    dialect::{Postgres, qualified},
    schema::{Table, describe, find},
};

/// What is there, as far as a target is concerned.
pub(crate) struct Seen {
    pub(crate) table: Option<Table>,
    pub(crate) ours: bool,
    pub(crate) has_rows: bool,
    pub(crate) attached: Attached,
    /// Check constraints: the columns each looks at, and its name and definition.
    pub(super) checks: Vec<(Vec<String>, String)>,
}

/// Looks at a target.
pub(crate) async fn see(client: &Client, target: &Target) -> Result<Seen> {
    let found: Vec<_> = find(client, &target.name).await?.into_iter().collect();
    let Some(table) = describe(client, found).await?.pop() else {
        return Ok(Seen {
            table: None,
            ours: false,
            has_rows: false,
            attached: Attached::default(),
            checks: vec![],
        });
    };
    let name = target.name.to_string();
    let ours = made_by_us(client, table.listed.oid, &name).await?;
    let table_name = qualified(&target.name, &client.config.schema);
    let has_rows = client
        .text(&format!("SELECT 1 FROM {table_name} LIMIT 1"), "look for rows in", &name)
        .await
        .map_err(|error| grant_select(error, client, &table_name))?
        .is_some();
    let attached = attached(client, &table, ours).await?;
    let checks = checks(client, table.listed.oid, &name).await?;
    Ok(Seen { table: Some(table), ours, has_rows, attached, checks })
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

async fn made_by_us(client: &Client, oid: u32, name: &str) -> Result<bool> {
    let made = qualified_made(client);
    let exists = format!("SELECT to_regclass({}) IS NOT NULL", quote_text(&made));
    if client.text(&exists, "look up who made", name).await?.as_deref() != Some("t") {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM {made} WHERE table_oid = {oid}");
    Ok(client.text(&sql, "look up who made", name).await?.is_some())
}

/// The table's check constraints: the columns each looks at, and its name and definition.
async fn checks(client: &Client, oid: u32, name: &str) -> Result<Vec<(Vec<String>, String)>> {
    let sql = format!(
        "SELECT (SELECT string_agg(a.attname, E'\\x01') FROM pg_attribute a
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)),
                'CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid)
         FROM pg_constraint c WHERE c.conrelid = {oid} AND c.contype = 'c' AND c.convalidated"
    );
    let rows = client.texts(&sql, "read the checks of", name).await?;
    let checks = rows.into_iter().filter_map(|row| match row.as_slice() {
        [Some(columns), Some(check)] => {
            Some((columns.split('\u{1}').map(str::to_owned).collect(), check.clone()))
        }
        _ => None,
    });
    Ok(checks.collect())
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
