//! The triggers, their functions and their tables: made, looked at, dropped.

use std::time::Duration;

use syncline_connect::ORIGIN;
use syncline_sql::{bookkeeping::PREFIX, quote_double, quote_text};
use syncline_types::{Error, Result, codes, fingerprint::hash_text};
use tokio::time::sleep;

use crate::{client::Client, config::PostgresConfig, dialect::qualified, log::Followed};

/// Nobody waits behind us for longer than that while somebody else holds a table.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
/// How often a table is tried for, and the pause in between, in which whoever has waited can go on.
const LOCK_ATTEMPTS_MAX: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// What a pipeline's own things at the server are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) pipeline: String,
    pub(super) schema: String,
    pub(super) hash: String,
}

impl Names {
    pub(super) fn of(config: &PostgresConfig, pipeline: &str) -> Self {
        let hash = hash_text(pipeline) & 0xFFFF_FFFF_FFFF;
        Names { pipeline: pipeline.to_owned(), schema: config.schema.clone(), hash: format!("{hash:012x}") }
    }

    /// The pipeline, for messages.
    pub(super) fn quoted(&self) -> String {
        format!("`{}`", self.pipeline)
    }

    fn in_schema(&self, name: &str) -> String {
        format!("{}.{}", quote_double(&self.schema), quote_double(name))
    }

    /// The table of a table's changes.
    pub(super) fn changes(&self, table: u32) -> String {
        self.in_schema(&format!("{PREFIX}_changes_{}_{table}", self.hash))
    }

    fn function(&self, table: u32) -> String {
        self.in_schema(&format!("{}{table}", self.function_prefix()))
    }

    fn function_prefix(&self) -> String {
        format!("{PREFIX}_capture_{}_", self.hash)
    }

    fn row_trigger(&self) -> String {
        format!("{PREFIX}_capture_{}", self.hash)
    }

    fn truncate_trigger(&self) -> String {
        format!("{PREFIX}_truncate_{}", self.hash)
    }
}

/// The column of a table of changes for a part of the key.
pub(super) fn key_column(place: usize) -> String {
    format!("k{}", place + 1)
}

/// The primary key of a table.
pub(super) fn key(table: &Followed) -> Vec<String> {
    table.table.schema().key
}

/// What the function does, in its own language.
fn body(names: &Names, table: &Followed) -> String {
    let key = key(table);
    let changes = names.changes(table.oid());
    let columns: Vec<String> = (0..key.len()).map(key_column).collect();
    let row = |of: &str| {
        key.iter().map(|name| format!("{of}.{}", quote_double(name))).collect::<Vec<_>>().join(", ")
    };
    let record = |op: &str, of: &str| {
        format!("INSERT INTO {changes} (op, {}) VALUES ({op}, {});", columns.join(", "), row(of))
    };
    // Equal is not the same: `a` and `A` may be one key.
    format!(
        "BEGIN
  IF TG_OP = 'TRUNCATE' THEN INSERT INTO {changes} (op) VALUES ('t'); RETURN NULL; END IF;
  IF TG_OP = 'DELETE' THEN {delete} RETURN NULL; END IF;
  IF TG_OP = 'UPDATE' AND ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record THEN {delete} END IF;
  {write}
  RETURN NULL;
END",
        delete = record("'d'", "OLD"),
        old = row("OLD"),
        new = row("NEW"),
        write = record("CASE TG_OP WHEN 'INSERT' THEN 'i' ELSE 'u' END", "NEW"),
    )
}

/// Whether each table's changes are recorded: by triggers that fire always, with a function as it was made,
/// into a table that is there.
pub(super) async fn whole(client: &Client, names: &Names, tables: &[Followed]) -> Result<Vec<bool>> {
    let checks: Vec<String> = tables.iter().map(|table| is_whole(names, table)).collect();
    if checks.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!("SELECT {}", checks.join(", "));
    let rows = client.texts(&sql, "look at the triggers of pipeline", &names.quoted()).await?;
    Ok(rows.into_iter().flatten().map(|whole| whole.as_deref() == Some("t")).collect())
}

/// An expression that says so of one table.
pub(super) fn is_whole(names: &Names, table: &Followed) -> String {
    let oid = table.oid();
    format!(
        "((SELECT count(*) FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
           WHERE g.tgrelid = {oid} AND g.tgname IN ({}, {}) AND g.tgenabled = 'A' AND g.tgqual IS NULL
             AND p.oid = to_regproc({}) AND p.prosrc = {}) = 2
          AND to_regclass({}) IS NOT NULL)",
        quote_text(&names.row_trigger()),
        quote_text(&names.truncate_trigger()),
        quote_text(&names.function(oid)),
        quote_text(&body(names, table)),
        quote_text(&names.changes(oid)),
    )
}

/// Makes what is missing of these, and drops what is there for others.
pub(super) async fn ensure(client: &Client, names: &Names, tables: &[Followed]) -> Result<()> {
    let there = whole(client, names, tables).await?;
    for (table, there) in tables.iter().zip(there) {
        match there {
            false => install(client, names, table).await?,
            true => complete(client, names, table).await?,
        }
    }
    let wanted: Vec<u32> = tables.iter().map(Followed::oid).collect();
    for oid in installed(client, names).await? {
        if !wanted.contains(&oid) {
            remove(client, names, oid).await?;
        }
    }
    Ok(())
}

/// The column in which a record has what it has come through, as the transaction says.
fn with_origin(changes: &str) -> String {
    let said = format!("nullif(current_setting({}, true), '')", quote_text(ORIGIN));
    format!(
        "ALTER TABLE {changes} ADD COLUMN IF NOT EXISTS origin text;
         ALTER TABLE {changes} ALTER COLUMN origin SET DEFAULT {said}"
    )
}

/// Gives a table of changes that an older version has made what it lacks.
async fn complete(client: &Client, names: &Names, table: &Followed) -> Result<()> {
    let changes = names.changes(table.oid());
    let lacking = format!(
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = {}::regclass AND attname = 'origin')",
        quote_text(&changes)
    );
    let look = "look at the changes of table";
    let name = table.table.listed.name.to_string();
    match client.text(&lacking, look, &name).await? {
        Some(_) => locked(client, &with_origin(&changes), "complete the changes of table", &name).await,
        None => Ok(()),
    }
}

async fn install(client: &Client, names: &Names, table: &Followed) -> Result<()> {
    remove(client, names, table.oid()).await?;
    let name = &table.table.listed.name;
    let (own, oid) = (qualified(name, &client.config.schema), table.oid());
    let (changes, function) = (names.changes(oid), names.function(oid));
    let (row, truncate) = (quote_double(&names.row_trigger()), quote_double(&names.truncate_trigger()));
    let key = key(table);
    let selected = key
        .iter()
        .enumerate()
        .map(|(place, name)| format!("{} AS {}", quote_double(name), key_column(place)));
    // The key's columns are as those of the table, with their collations.
    let sql = format!(
        "CREATE TABLE {changes} AS SELECT {selected} FROM ONLY {own} WITH NO DATA;
         ALTER TABLE {changes} ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY,
           ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id(), ADD COLUMN op \"char\" NOT NULL,
           ADD COLUMN at timestamptz NOT NULL DEFAULT clock_timestamp(), ADD PRIMARY KEY (xid, number);
         {origin};
         CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS {body};
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;
         CREATE TRIGGER {row} AFTER INSERT OR UPDATE OR DELETE ON {own} FOR EACH ROW EXECUTE FUNCTION {function}();
         CREATE TRIGGER {truncate} AFTER TRUNCATE ON {own} FOR EACH STATEMENT EXECUTE FUNCTION {function}();
         ALTER TABLE {own} ENABLE ALWAYS TRIGGER {row}, ENABLE ALWAYS TRIGGER {truncate}",
        selected = selected.collect::<Vec<_>>().join(", "),
        origin = with_origin(&changes),
        body = quote_text(&body(names, table)),
    );
    locked(client, &sql, "make triggers of table", &name.to_string()).await
}

/// Runs statements in one transaction that waits for nobody for long, again and again.
async fn locked(client: &Client, sql: &str, operation: &str, object: &str) -> Result<()> {
    let sql = format!("BEGIN; {LOCK_TIMEOUT}; {sql}; COMMIT");
    let mut attempts = 1;
    loop {
        let Err(error) = client.run(&sql, operation, object).await else { return Ok(()) };
        // Ends the transaction that has failed.
        client.run("ROLLBACK", operation, object).await?;
        if error.code() != &codes::LOCKED || attempts == LOCK_ATTEMPTS_MAX {
            return Err(error);
        }
        attempts += 1;
        sleep(LOCK_PAUSE).await;
    }
}

/// The tables for which there is anything.
async fn installed(client: &Client, names: &Names) -> Result<Vec<u32>> {
    let prefixes = [names.function_prefix(), format!("{PREFIX}_changes_{}_", names.hash)];
    let schema = quote_text(&names.schema);
    let [function, changes] = prefixes.map(|prefix| quote_text(&prefix));
    let sql = format!(
        "SELECT substr(p.proname, length({function}) + 1) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = {schema} AND starts_with(p.proname, {function})
         UNION SELECT substr(c.relname, length({changes}) + 1) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = {schema} AND starts_with(c.relname, {changes}) AND c.relkind = 'r'"
    );
    let rows = client.texts(&sql, "look for the triggers of pipeline", &names.quoted()).await?;
    rows.into_iter()
        .map(|row| {
            let oid = row.into_iter().next().flatten().unwrap_or_default();
            oid.parse().map_err(|_| {
                Error::new(&codes::NAME_TAKEN, "look for the triggers of pipeline", names.quoted())
                    .because("there is something of a name that only Syncline gives")
            })
        })
        .collect()
}

/// Drops all that there is for a table; its triggers go with their function.
async fn remove(client: &Client, names: &Names, oid: u32) -> Result<()> {
    let sql = format!(
        "DROP FUNCTION IF EXISTS {}() CASCADE; DROP TABLE IF EXISTS {}",
        names.function(oid),
        names.changes(oid)
    );
    locked(client, &sql, "drop the triggers of pipeline", &names.quoted()).await
}

/// Drops everything but the pipeline's note.
pub(super) async fn drop_all(client: &Client, names: &Names) -> Result<()> {
    for oid in installed(client, names).await? {
        remove(client, names, oid).await?;
    }
    Ok(())
}
