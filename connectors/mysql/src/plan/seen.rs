//! What is there, as far as a target is concerned.

use syncline_connect::{Replace, Target};
use syncline_sql::Way;
use syncline_types::{Error, ErrorKind, Result};

use crate::{
    attached::{Attached, attached},
    client::Client,
    dialect::qualified,
    plan::table::{Table, find, is_made_by_us, is_table},
};

/// What is there, as far as a target is concerned.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) table: Option<Table>,
    pub(crate) ours: bool,
    pub(crate) has_rows: bool,
    pub(crate) attached: Attached,
    /// Checks over the table's columns, each as its expression.
    pub(super) checks: Vec<String>,
}

/// Looks at a target.
pub(crate) async fn see(client: &mut Client, target: &Target) -> Result<Seen> {
    let Some(table) = find(client, &target.name).await? else { return Ok(Seen::default()) };
    let name = target.name.to_string();
    let ours = is_made_by_us(client, &table).await?;
    let table_name = qualified(&target.name, client.config().database().unwrap_or_default());
    let has_rows = match table.is_view {
        false => client
            .text(&format!("SELECT 1 FROM {table_name} LIMIT 1"), "look for rows in", &name)
            .await
            .map_err(|error| grant_select(error, &table_name))?
            .is_some(),
        true => false,
    };
    let attached = attached(client, &table, ours).await?;
    let checks = checks(client, &table).await?;
    Ok(Seen { table: Some(table), ours, has_rows, attached, checks })
}

/// Whether there are rows decides what may be done, so this one grant cannot wait for the others.
fn grant_select(error: Error, table: &str) -> Error {
    match error.kind() {
        ErrorKind::Permission => {
            error.hint(format!("Run: GRANT SELECT ON {table} TO the user that connects"))
        }
        _ => error,
    }
}

/// The table's checks, but for those by which MariaDB knows its JSON columns.
async fn checks(client: &mut Client, table: &Table) -> Result<Vec<String>> {
    let condition = is_table(client, &table.name);
    let sql = match client.server.is_mariadb() {
        true => format!(
            "SELECT check_clause FROM information_schema.check_constraints
             WHERE {} AND check_clause <> CONCAT('json_valid(`', constraint_name, '`)')",
            condition.replace("table_schema", "constraint_schema")
        ),
        false => format!(
            "SELECT k.check_clause FROM information_schema.table_constraints c
             JOIN information_schema.check_constraints k USING (constraint_schema, constraint_name)
             WHERE {condition} AND c.constraint_type = 'CHECK' AND c.enforced = 'YES'"
        ),
    };
    let rows = client.texts(&sql, "read the checks of", &table.name.to_string()).await?;
    let clauses = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
    // MySQL tells quotes in them with a backslash before each.
    Ok(clauses.map(|clause| clause.replace("\\'", "'")).collect())
}

impl Seen {
    /// How rows will be published.
    pub(crate) fn way(&self, target: &Target) -> Way {
        let overwrite = self.table.as_ref().map(|table| {
            if self.attached.reasons.is_empty() && target.replace == Replace::Auto {
                Way::Rename
            } else if self.attached.referenced && table.has_key(&target.key) {
                Way::InPlaceByKey
            } else {
                Way::InPlace
            }
        });
        Way::of(target, overwrite)
    }

    /// Whether the new table's shape is the stream's own, whatever the old one's was.
    pub(crate) fn new_shape(&self, target: &Target) -> bool {
        self.way(target) == Way::Rename && (self.table.is_none() || self.ours)
    }

    /// Whether what goes wrong in the middle of publishing, or of writing in place, can be taken back.
    pub(crate) fn can_take_back(&self, target: &Target) -> bool {
        self.way(target) == Way::Rename || self.table.as_ref().is_none_or(|table| table.transactional)
    }
}
