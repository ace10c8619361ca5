//! From staging to where everybody sees it: the key is built and statistics are taken first, then
//! one short transaction makes the change. What is left over is cleared away.

use syncline_connect::{Marking, Published, RunRef, Target, Task, WriteMode};
use syncline_sql::{
    Dialect, Way,
    bookkeeping::{self, StreamMark},
    changing, delete_staged, delete_vanished, insert_missing, insert_select, merge, quote_text,
    update_changed,
};
use syncline_types::{Column, Error, ErrorKind, Result, codes};

use crate::{
    client::Client,
    dialect::Postgres,
    origin,
    plan::{Seen, qualified_made, see},
    schema::{Table, describe, find},
    sink::{SinkShared, fenced, holds},
    types::equal_is_same,
};

/// How long a publication waits for a lock before it lets others pass and is tried again: whoever
/// waits for it holds up every reader that comes after.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// Publishes a target. Doing it again changes nothing.
pub(crate) async fn finish(
    client: &Client,
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
    marking: Marking<'_>,
) -> Result<Published> {
    let name = target.name.to_string();
    if published(client, shared, run, target).await? {
        return Ok(Published { how: "it was published before".into() });
    }
    let seen = see(client, target).await?;
    if target.write == WriteMode::Overwrite && seen.has_rows && !seen.ours && !target.overwrite_said {
        return Err(Error::new(&codes::NEEDS_DECISION, "overwrite table", format!("`{}`", target.name))
            .because("rows that are not Syncline's have come into it since the run was planned")
            .hint("Say --write overwrite (write: overwrite) if they are to go, else move them away"));
    }
    let staged = stage(client, shared, run, target).await?;
    let way = match staged {
        Some(_) => seen.way(target),
        None => Way::Direct,
    };
    let publication = Publication { client, shared, run, target, seen: &seen, name: &name, marking };
    match (way, staged) {
        (Way::Direct, _) | (_, None) => publication.direct().await,
        (Way::Rename, Some(staged)) if publication.can_take_the_name(&staged) => {
            publication.rename(&staged).await
        }
        (Way::Rename | Way::InPlace, Some(staged)) => publication.in_place(&staged, Way::InPlace).await,
        (way, Some(staged)) => publication.in_place(&staged, way).await,
    }
}

async fn published(client: &Client, shared: &SinkShared, run: &RunRef, target: &Target) -> Result<bool> {
    if !shared.keeps_progress {
        return Ok(false);
    }
    let sql = format!(
        "SELECT position FROM {} WHERE pipeline = {} AND stream = {} AND split = {} AND run = {}",
        shared.checkpoint(),
        quote_text(&run.pipeline),
        target.stream,
        bookkeeping::NO_SPLIT,
        quote_text(&run.run)
    );
    match client.text(&sql, "read the progress of", &target.name.to_string()).await? {
        Some(position) => Ok(bookkeeping::read_mark(&position)? == StreamMark::Published),
        None => Ok(false),
    }
}

async fn stage(client: &Client, shared: &SinkShared, run: &RunRef, target: &Target) -> Result<Option<Table>> {
    if !target.staged {
        return Ok(None);
    }
    let name = shared.stage(run, target);
    let found: Vec<_> = find(client, &name).await?.into_iter().collect();
    match describe(client, found).await?.pop() {
        Some(table) => Ok(Some(table)),
        None => Err(Error::new(&codes::STREAM_MISSING, "publish table", format!("`{}`", target.name))
            .because("its staged rows are gone")
            .hint("Begin again with --restart")),
    }
}

/// Remembers that a table is ours.
pub(crate) fn record_made(client: &Client, table: &str) -> String {
    format!(
        "INSERT INTO {} (table_oid) VALUES ({}::regclass) ON CONFLICT DO NOTHING;",
        qualified_made(client),
        quote_text(table)
    )
}

struct Publication<'a> {
    client: &'a Client,
    shared: &'a SinkShared,
    run: &'a RunRef,
    target: &'a Target,
    seen: &'a Seen,
    name: &'a str,
    marking: Marking<'a>,
}

impl Publication<'_> {
    fn table(&self) -> String {
        self.shared.quoted(&self.target.name)
    }

    fn staging(&self) -> String {
        self.shared.quoted(&self.shared.stage(self.run, self.target))
    }

    /// Whether staging has the shape that the table is to have. It was made for what was there when
    /// the run was planned, which may have changed since.
    fn can_take_the_name(&self, staged: &Table) -> bool {
        let Some(table) = &self.seen.table else { return true };
        self.seen.ours
            || table.columns.len() == staged.columns.len()
                && table.columns.iter().zip(&staged.columns).all(|(there, here)| {
                    there.column.name == here.column.name && there.column.native == here.column.native
                })
    }

    /// The columns of staging, which are those written.
    fn columns(staged: &Table) -> Vec<String> {
        staged.columns.iter().map(|column| column.column.name.clone()).collect()
    }

    /// Begins the transaction that publishes, fenced.
    async fn begin(&self) -> Result<()> {
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {LOCK_TIMEOUT}; {};{}",
            self.shared.fence(&self.run.pipeline),
            origin::first(&self.run.origin)
        );
        let answers = self.client.texts(&sql, "publish table", self.name).await?;
        if holds(&answers, self.run) { Ok(()) } else { Err(fenced(self.run)) }
    }

    async fn commit(&self) -> Result<()> {
        let published = self.shared.save_mark(self.run, self.target.stream, StreamMark::Published);
        let stream = self.target.source.to_string();
        let marks = self.shared.marks();
        let mut statements = vec![published];
        statements.extend(bookkeeping::marking(
            &marks,
            &self.run.pipeline,
            &stream,
            self.marking,
            quote_text,
        ));
        statements.push("COMMIT".into());
        self.client.run(&statements.join("; "), "publish table", self.name).await
    }

    /// Gives staging a unique key, which also finds rows that have the same one. Where the last of
    /// them counts, the others go, and it is built once more.
    async fn build_key(&self, key: &[String], primary: bool) -> Result<()> {
        if key.is_empty() {
            return Ok(());
        }
        match (self.try_key(key, primary).await, &self.target.cursor) {
            (Err(error), Some(cursor)) if error.code() == &codes::DUPLICATE_KEY => {
                let sql = keep_last(&self.staging(), key, cursor);
                self.client.run_long(&sql, "drop what is outdated of", self.name).await?;
                self.try_key(key, primary).await
            }
            (result, _) => result,
        }
    }

    async fn try_key(&self, key: &[String], primary: bool) -> Result<()> {
        let staging = self.staging();
        let index = format!("{}_key", bookkeeping::stage(&self.run.run, self.target.stream));
        let exists = format!(
            "SELECT 1 FROM pg_index WHERE indrelid = {}::regclass AND indisunique",
            quote_text(&staging)
        );
        if self.client.text(&exists, "look for the key of", self.name).await?.is_some() {
            return Ok(());
        }
        let list = Postgres.list(key);
        let sql = match primary {
            true => format!(
                "ALTER TABLE {staging} ADD CONSTRAINT {} PRIMARY KEY ({list})",
                Postgres.quote(&index)
            ),
            false => format!("CREATE UNIQUE INDEX {} ON {staging} ({list})", Postgres.quote(&index)),
        };
        self.client.run_long(&sql, "build the key of", self.name).await.map_err(|error| match error.kind() {
            ErrorKind::Value => {
                Error::new(&codes::DUPLICATE_KEY, "build the key of", format!("`{}`", self.target.name))
                    .because(format!(
                        "({}) is NULL or not unique among the rows that arrived",
                        key.join(", ")
                    ))
                    .hint("Name a key that is unique with --key COL,... (key: [COL])")
            }
            _ => error,
        })
    }

    /// Staging takes the table's name.
    async fn rename(&self, staged: &Table) -> Result<Published> {
        let old_key = self.seen.table.as_ref().and_then(|table| table.keys.iter().find(|key| key.primary));
        let key = match old_key.filter(|_| !self.seen.ours) {
            Some(key) => &key.columns,
            None => &self.target.key,
        };
        self.build_key(key, true).await?;
        let staging = self.staging();
        self.client.run_long(&format!("ANALYZE {staging}"), "take statistics of", self.name).await?;
        let key_name = match old_key {
            Some(old) => old.name.clone(),
            None => self.free_key_name().await?,
        };
        self.begin().await?;
        let table = self.table();
        let mut sql = String::new();
        if self.seen.table.is_some() {
            sql.push_str(&format!(
                "DELETE FROM {} WHERE table_oid = {}::regclass; DROP TABLE {table};",
                qualified_made(self.client),
                quote_text(&table)
            ));
        }
        sql.push_str(&format!(
            "ALTER TABLE {staging} RENAME TO {};",
            Postgres.quote(&self.target.name.table)
        ));
        if !key.is_empty() {
            let index = format!("{}_key", bookkeeping::stage(&self.run.run, self.target.stream));
            sql.push_str(&format!(
                "ALTER TABLE {table} RENAME CONSTRAINT {} TO {};",
                Postgres.quote(&index),
                Postgres.quote(&key_name)
            ));
        }
        let ours = self.seen.table.is_none() || self.seen.ours;
        if ours {
            sql.push_str(&self.number_columns(staged, &table));
            sql.push_str(&record_made(self.client, &table));
        }
        self.client.run(&sql, "publish table", self.name).await?;
        self.commit().await?;
        Ok(Published { how: "renamed into place".into() })
    }

    /// A name for the key's index. The usual one may belong to a table that was put aside.
    async fn free_key_name(&self) -> Result<String> {
        let schema = self.target.name.namespace.as_deref().unwrap_or(&self.client.config.schema);
        let names = key_names(&self.target.name.table);
        let list = names.iter().map(|name| quote_text(name)).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT name FROM unnest(ARRAY[{list}]) WITH ORDINALITY wanted(name, place) WHERE NOT EXISTS \
             (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
              WHERE n.nspname = {} AND c.relname = wanted.name) ORDER BY place LIMIT 1",
            quote_text(schema)
        );
        let free = self.client.text(&sql, "name the key of", self.name).await?;
        // If all are taken, the server says so of the first.
        Ok(free.or_else(|| names.into_iter().next()).unwrap_or_default())
    }

    /// Columns that the source numbers itself are numbered here too, from behind the last number.
    fn number_columns(&self, staged: &Table, table: &str) -> String {
        let numbered = self.target.schema.columns.iter().filter(|column| {
            let type_name = staged.columns.iter().find(|there| there.column.name == column.name);
            let native = type_name.and_then(|there| there.column.native.as_deref()).unwrap_or_default();
            column.identity && matches!(native, "smallint" | "integer" | "bigint")
        });
        numbered
            .map(|column| {
                let name = Postgres.quote(&column.name);
                format!(
                    "ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;
                     ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT;
                     ALTER TABLE {table} ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY;
                     {}",
                    advance_sequence(table, column)
                )
            })
            .collect()
    }

    /// Staged rows go into the table that stays.
    async fn in_place(&self, staged: &Table, way: Way) -> Result<Published> {
        let (table, staging) = (self.table(), self.staging());
        let columns = Self::columns(staged);
        let key = &self.target.key;
        if matches!(way, Way::Merge | Way::InPlaceByKey | Way::Update) {
            self.build_key(key, false).await?;
        }
        // Rows are found by the key alone, so of it alone the server need know anything.
        let of_key = if key.is_empty() { String::new() } else { format!(" ({})", Postgres.list(key)) };
        self.client.run_long(&format!("ANALYZE {staging}{of_key}"), "take statistics of", self.name).await?;
        self.begin().await?;
        // Texts may be equal by a collation and still differ.
        let by_value = |column: &Column| {
            column.collation.is_none() && column.native.as_deref().is_some_and(equal_is_same)
        };
        let there =
            |name: &str| staged.columns.iter().map(|there| &there.column).find(|there| there.name == name);
        let distinct = |column: &str, left: &str, right: &str| {
            let column = there(column)?;
            let name = Postgres.quote(&column.name);
            Some(match by_value(column) {
                true => format!("{left}.{name} IS DISTINCT FROM {right}.{name}"),
                false => format!("ROW({left}.{name})::text IS DISTINCT FROM ROW({right}.{name})::text"),
            })
        };
        let changing = changing(&columns, key, |name| there(name).is_some_and(|column| !by_value(column)));
        let mut statements = vec![];
        if !matches!(way, Way::Insert | Way::Update | Way::Delete) {
            // Writers wait; readers see the old rows until the end.
            statements.push(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"));
        }
        match way {
            Way::Merge => {
                statements.push(merge(&Postgres, &table, &staging, &columns, key, &changing, distinct))
            }
            Way::InPlaceByKey => {
                statements.push(delete_vanished(&Postgres, &table, &staging, key));
                statements.extend(update_changed(&Postgres, &table, &staging, key, &changing, distinct));
                statements.push(insert_missing(&Postgres, &table, &staging, &columns, key));
            }
            Way::Update => {
                statements.extend(update_changed(&Postgres, &table, &staging, key, &changing, distinct));
            }
            Way::Delete => statements.push(delete_staged(&Postgres, &table, &staging, key)),
            Way::Insert => statements.push(insert_select(&Postgres, &table, &staging, &columns)),
            _ => {
                statements.push(format!("DELETE FROM {table}"));
                statements.push(insert_select(&Postgres, &table, &staging, &columns));
            }
        }
        for statement in statements {
            self.client.run_long(&statement, "publish table", self.name).await?;
        }
        let sequences = if self.target.task == Task::Load { self.advance_sequences() } else { String::new() };
        let sql = format!("{sequences} DROP TABLE {staging}");
        self.client.run(&sql, "publish table", self.name).await?;
        self.commit().await?;
        self.analyze().await?;
        let how = match way {
            Way::Merge => "merged in one transaction",
            Way::Update => "updated in one transaction",
            Way::Delete => "deleted in one transaction",
            Way::Insert => "added in one transaction",
            _ => "replaced in one transaction",
        };
        Ok(Published { how: how.into() })
    }

    /// Rows are where they belong; what is left is to say so.
    async fn direct(&self) -> Result<Published> {
        if self.shared.keeps_progress {
            self.begin().await?;
            self.client.run(&self.advance_sequences(), "publish table", self.name).await?;
            self.commit().await?;
        } else {
            self.client.run(&self.advance_sequences(), "publish table", self.name).await?;
        }
        self.analyze().await?;
        Ok(Published { how: "added chunk by chunk".into() })
    }

    /// The user's next INSERT must not meet a number that has arrived.
    fn advance_sequences(&self) -> String {
        let table = self.table();
        let numbered = self.seen.table.iter().flat_map(|table| &table.columns);
        numbered
            .filter(|there| there.identity.is_some() || there.serial)
            .filter(|there| self.target.schema.column(&there.column.name).is_some())
            .map(|there| advance_sequence(&table, &there.column))
            .collect()
    }

    /// Plans on a table that was never analysed, or that has become another one since, can be bad. What
    /// comes by and by the server notices itself. Not being allowed to is no failure.
    async fn analyze(&self) -> Result<()> {
        let table = self.table();
        let sql = format!(
            "SELECT 1 FROM pg_class WHERE oid = {}::regclass AND reltuples > 0 \
             AND pg_relation_size(oid) < 2 * relpages::bigint * current_setting('block_size')::bigint",
            quote_text(&table)
        );
        if self.client.text(&sql, "look for statistics of", self.name).await?.is_some() {
            return Ok(());
        }
        match self.client.run_long(&format!("ANALYZE {table}"), "take statistics of", self.name).await {
            Err(error) if error.kind() == ErrorKind::Permission => Ok(()),
            done => done,
        }
    }
}

/// Deletes from staging all but the last row of each key. Between equals a row's place decides, so that
/// whoever does it again deletes the same ones.
fn keep_last(staging: &str, key: &[String], cursor: &str) -> String {
    let cursor = Postgres.quote(cursor);
    format!(
        "DELETE FROM {staging} AS t USING (SELECT ctid AS place, row_number() OVER (PARTITION BY {} \
         ORDER BY {cursor} DESC NULLS LAST, ctid DESC) AS number FROM {staging}) AS s \
         WHERE t.ctid = s.place AND s.number > 1",
        Postgres.list(key)
    )
}

/// How many names for a key are tried.
const KEY_NAMES_MAX: usize = 100;

/// `<table>_pkey`, `<table>_pkey1` and so on, as the server names them, within the length of a name.
fn key_names(table: &str) -> Vec<String> {
    (0..KEY_NAMES_MAX)
        .map(|number| {
            let ending = if number == 0 { "_pkey".to_owned() } else { format!("_pkey{number}") };
            let mut name = table.to_owned();
            while name.len() + ending.len() > 63 {
                name.pop();
            }
            name + &ending
        })
        .collect()
}

/// Sets the sequence behind a column to its largest value, if that is further than it is. A column
/// whose number comes from elsewhere has no sequence of its own, and nothing happens.
fn advance_sequence(table: &str, column: &Column) -> String {
    let (name, text) = (Postgres.quote(&column.name), quote_text(&column.name));
    format!(
        "SELECT setval(s.name, m.most) FROM (SELECT max({name}) AS most FROM {table}) m, \
         (SELECT pg_get_serial_sequence({}, {text}) AS name) s \
         WHERE s.name IS NOT NULL AND m.most > coalesce(pg_sequence_last_value(s.name::regclass), 0);",
        quote_text(table)
    )
}

/// Throws away what runs of a pipeline have staged, and their progress.
pub(crate) async fn close(client: &Client, shared: &SinkShared, pipeline: &str) -> Result<()> {
    let checkpoint = shared.checkpoint();
    let sql = format!(
        "SELECT DISTINCT run FROM {checkpoint} WHERE pipeline = {} AND stream <> {}",
        quote_text(pipeline),
        bookkeeping::NO_STREAM
    );
    for row in client.texts(&sql, "clear away after pipeline", pipeline).await? {
        let Some(Some(run)) = row.first() else { continue };
        let prefix = bookkeeping::stage_prefix(run);
        let sql = format!(
            "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND starts_with(c.relname, {})",
            quote_text(&prefix)
        );
        for row in client.texts(&sql, "clear away after pipeline", pipeline).await? {
            if let Some(Some(stage)) = row.first() {
                client.run(&format!("DROP TABLE IF EXISTS {stage}"), "drop staging", stage).await?;
            }
        }
    }
    let sql = format!("DELETE FROM {checkpoint} WHERE pipeline = {}", quote_text(pipeline));
    client.run(&sql, "clear away after pipeline", pipeline).await
}
