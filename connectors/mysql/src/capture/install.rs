//! The triggers and their tables: made, looked at, dropped.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use syncline_sql::{Dialect, bookkeeping::PREFIX};
use syncline_types::{Column, Error, LogicalType, Result, StreamName, codes, fingerprint::hash_text};
use tokio::time::sleep;

use super::{
    catalogue::{Standing, standing},
    place::lost,
};
use crate::{
    client::Client,
    config::MysqlConfig,
    dialect::{Mysql, qualified, text_constant},
    schema::Table,
    types::base,
};

/// Nobody waits behind us for longer than that while somebody else uses a table.
pub(super) const LOCK_TIMEOUT: &str = "SET SESSION lock_wait_timeout = 2";
/// How often a table is tried for, and the pause in between, in which whoever has waited can go on.
const LOCK_ATTEMPTS_MAX: u32 = 30;
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// How often a table is looked at that has just been altered.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
const SETTLE_ATTEMPTS_MAX: u32 = 50;

/// What triggers do whatever the writer's session is set to: a key is taken as it is, and a write never fails
/// because a column was made wider.
const TRIGGER_MODE: &str = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'";
const OWN_MODE: &str =
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'";

/// What a record says was done.
pub(super) const INSERTED: u8 = 1;
pub(super) const UPDATED: u8 = 2;
pub(super) const DELETED: u8 = 3;

/// The first record of a table of changes tells of no change: it has the table's note.
pub(super) const NOTE: u64 = 1;

/// A table's rows are counted up to so many.
pub(super) const ROWS_COUNTED_MAX: u64 = 1_000;

/// Events, each with the letter that its trigger's name ends with.
const EVENTS: [(&str, char); 3] = [("INSERT", 'i'), ("UPDATE", 'u'), ("DELETE", 'd')];

/// What a pipeline's own things at the server are called.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) pipeline: String,
    /// Where Syncline's own tables are.
    pub(super) database: String,
    pub(super) hash: String,
}

impl Names {
    pub(super) fn of(config: &Arc<MysqlConfig>, pipeline: &str) -> Result<Self> {
        let database = config.database().ok_or_else(|| {
            Error::new(&codes::DATABASE_MISSING, "record changes at", config.place())
                .because("the URL names no database for the tables of changes")
                .hint("Write mysql://USER@HOST/DATABASE?capture=triggers")
        })?;
        // The triggers may be in any database: pipelines of other databases may have this name.
        let hash = hash_text(&format!("{database}\0{pipeline}")) & 0xFFFF_FFFF_FFFF;
        Ok(Names {
            pipeline: pipeline.to_owned(),
            database: database.to_owned(),
            hash: format!("{hash:012x}"),
        })
    }

    /// The pipeline, for messages.
    pub(super) fn quoted(&self) -> String {
        format!("`{}`", self.pipeline)
    }

    /// The name of the table of a table's changes.
    pub(super) fn changes_name(&self, table: &StreamName) -> String {
        format!("{}{}", self.changes_prefix(), table_hash(table))
    }

    /// That table, in a statement.
    pub(super) fn changes(&self, table: &StreamName) -> String {
        format!("{}.{}", Mysql.quote(&self.database), Mysql.quote(&self.changes_name(table)))
    }

    fn changes_prefix(&self) -> String {
        format!("{PREFIX}_changes_{}_", self.hash)
    }

    fn trigger_prefix(&self) -> String {
        format!("{PREFIX}_capture_{}_", self.hash)
    }

    fn trigger(&self, table: &StreamName, letter: char) -> String {
        format!("{}{}_{letter}", self.trigger_prefix(), table_hash(table))
    }
}

fn table_hash(table: &StreamName) -> String {
    let database = table.namespace.as_deref().unwrap_or_default();
    // No name has such a character.
    let name = format!("{database}\0{}", table.table);
    format!("{:012x}", hash_text(&name) & 0xFFFF_FFFF_FFFF)
}

/// What is kept beside the records of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) life: String,
    /// The table's database and name.
    pub(super) table: (String, String),
    /// What the columns are that hold the key.
    pub(super) key: Vec<String>,
    /// When each trigger was made.
    pub(super) triggers: Vec<String>,
    /// When the table was last altered, as far as that is told.
    pub(super) altered: String,
    /// How many rows it had before the oldest record; `None` when that is not known, or more than are counted.
    pub(super) rows: Option<u64>,
}

impl Note {
    pub(super) fn name(&self) -> StreamName {
        StreamName::new(self.table.0.clone(), self.table.1.clone())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Saves it in its place.
    pub(super) fn update(&self, names: &Names, table: &StreamName) -> String {
        let text = serde_json::to_string(self).expect("texts and numbers serialise");
        format!("UPDATE {} SET note = {} WHERE number = {NOTE}", names.changes(table), text_constant(&text))
    }
}

/// The column of a table of changes for a part of the key.
pub(super) fn key_column(place: usize) -> String {
    format!("k{}", place + 1)
}

/// The primary key of a table.
pub(super) fn key(table: &Table) -> Vec<String> {
    table.schema().key
}

/// Whether equal values of a column may differ: texts that a collation takes for the same, a zero with a sign.
pub(super) fn is_loose(column: &Column) -> bool {
    let native = column.native.as_deref().map(base).unwrap_or_default();
    match column.logical {
        LogicalType::Text { .. } => matches!(native, "char" | "varchar") || native.ends_with("text"),
        LogicalType::Float32 | LogicalType::Float64 => true,
        _ => false,
    }
}

/// The columns of the key, each as a table of changes has it.
fn key_types(table: &Table) -> Vec<String> {
    let of = |name: &String| {
        let column = table.columns.iter().find(|column| column.column.name == *name)?;
        let native = column.type_name();
        Some(match (&column.charset, &column.column.collation) {
            (Some(charset), Some(collation)) => {
                format!("{native} CHARACTER SET {charset} COLLATE {collation}")
            }
            _ => native.to_owned(),
        })
    };
    key(table).iter().filter_map(of).collect()
}

/// What a trigger does. A row that leaves its key is one that goes and one that comes.
fn body(names: &Names, table: &Table, letter: char) -> String {
    let schema = table.schema();
    let changes = names.changes(&table.listed.name);
    let columns: Vec<String> = (0..schema.key.len()).map(key_column).collect();
    let record = |op: u8, of: &str| {
        let values = schema.key.iter().map(|name| format!("{of}.{}", Mysql.quote(name)));
        format!(
            "INSERT INTO {changes} (op, origin, {}) VALUES ({op}, @syncline_origin, {})",
            columns.join(", "),
            values.collect::<Vec<_>>().join(", ")
        )
    };
    match letter {
        'i' => record(INSERTED, "NEW"),
        'd' => record(DELETED, "OLD"),
        _ => {
            let same = schema.key.iter().map(|name| {
                let (quoted, column) = (Mysql.quote(name), schema.column(name));
                match column.is_some_and(is_loose) {
                    true => format!("CAST(OLD.{quoted} AS BINARY) = CAST(NEW.{quoted} AS BINARY)"),
                    false => format!("OLD.{quoted} = NEW.{quoted}"),
                }
            });
            format!(
                "IF {} THEN {}; ELSE {}; {}; END IF",
                same.collect::<Vec<_>>().join(" AND "),
                record(UPDATED, "NEW"),
                record(DELETED, "OLD"),
                record(INSERTED, "NEW")
            )
        }
    }
}

/// Whether each table's changes are recorded: by triggers as they were made, into a table that is there.
pub(super) async fn whole(
    client: &mut Client,
    names: &Names,
    life: Option<&str>,
    tables: &[Table],
) -> Result<Vec<bool>> {
    let notes = read_notes(client, names, tables).await?;
    let known = notes.into_iter().map(|note| note.filter(|note| Some(note.life.as_str()) == life));
    let standing = standing(client, names, &stream_names(tables)).await?;
    let whole = known.zip(tables).zip(&standing);
    Ok(whole
        .map(|((note, table), standing)| note.is_some_and(|note| is_whole(names, table, &note, standing)))
        .collect())
}

/// The notes of tables whose changes are recorded.
///
/// # Errors
/// [`codes::LOG_LOST`] when one has none.
pub(super) async fn notes(
    client: &mut Client,
    names: &Names,
    life: &str,
    tables: &[Table],
) -> Result<Vec<Note>> {
    let notes = read_notes(client, names, tables).await?;
    let checked = notes.into_iter().zip(tables).map(|(note, table)| {
        note.filter(|note| note.life == life).ok_or_else(|| broken(names, &table.listed.name))
    });
    checked.collect()
}

/// The error of a table whose changes are not recorded any more.
pub(super) fn broken(names: &Names, table: &StreamName) -> Error {
    lost(
        names,
        format!(
            "the triggers of `{table}` or their records are gone or not as they were made, so its changes since are \
             told by nothing"
        ),
    )
}

/// Whether what stands at the server is what was made.
pub(super) fn is_whole(names: &Names, table: &Table, note: &Note, standing: &Standing) -> bool {
    let triggers = EVENTS.iter().zip(&note.triggers).all(|((event, letter), made)| {
        let name = names.trigger(&table.listed.name, *letter);
        standing.triggers.iter().any(|trigger| {
            trigger.name == name
                && trigger.event == *event
                && trigger.body == body(names, table, *letter)
                && trigger.made == *made
        })
    });
    triggers && note.triggers.len() == EVENTS.len() && note.key == key_types(table)
}

fn stream_names(tables: &[Table]) -> Vec<StreamName> {
    tables.iter().map(|table| table.listed.name.clone()).collect()
}

async fn read_notes(client: &mut Client, names: &Names, tables: &[Table]) -> Result<Vec<Option<Note>>> {
    let there = changes_there(client, names).await?;
    let mut notes = vec![];
    for table in tables {
        let name = &table.listed.name;
        if !there.contains(&names.changes_name(name)) {
            notes.push(None);
            continue;
        }
        let sql = format!("SELECT note FROM {} WHERE number = {NOTE}", names.changes(name));
        let text = client.text(&sql, "look at the records of table", &name.to_string()).await?;
        notes.push(text.as_deref().and_then(Note::parse));
    }
    Ok(notes)
}

/// Makes what is missing of these, and drops what is there for others.
pub(super) async fn ensure(client: &mut Client, names: &Names, life: &str, tables: &[Table]) -> Result<()> {
    client.run(LOCK_TIMEOUT, "set up a session on", &names.database).await?;
    let there = whole(client, names, Some(life), tables).await?;
    for (table, there) in tables.iter().zip(there) {
        if !there {
            install(client, names, life, table).await?;
        }
    }
    let wanted: Vec<String> = tables.iter().map(|table| table_hash(&table.listed.name)).collect();
    remove(client, names, |hash| !wanted.iter().any(|wanted| wanted == hash)).await
}

async fn install(client: &mut Client, names: &Names, life: &str, table: &Table) -> Result<()> {
    let name = &table.listed.name;
    let (own, object, make) = (table_hash(name), name.to_string(), "make triggers of table");
    remove(client, names, |hash| hash == own).await?;
    let key = key_types(table);
    let columns =
        key.iter().enumerate().map(|(place, column)| format!("{} {column} NULL", key_column(place)));
    // The key's columns are as those of the table, so that a value is copied as it is.
    let sql = format!(
        "CREATE TABLE {} (number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, op TINYINT UNSIGNED NOT NULL,
           at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), origin VARCHAR(1100) NULL, note TEXT NULL, {})
         ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        names.changes(name),
        columns.collect::<Vec<_>>().join(", ")
    );
    locked(client, &sql, make, &object).await?;
    let sql = format!("INSERT INTO {} (number, op) VALUES ({NOTE}, 0)", names.changes(name));
    client.run(&sql, make, &object).await?;
    client.run(TRIGGER_MODE, "set up a session on", &names.database).await?;
    let made = make_triggers(client, names, table).await;
    client.run(OWN_MODE, "set up a session on", &names.database).await?;
    made?;
    let note = first_note(client, names, life, table, key).await?;
    client.run(&note.update(names, name), make, &object).await?;
    Ok(())
}

async fn make_triggers(client: &mut Client, names: &Names, table: &Table) -> Result<()> {
    let name = &table.listed.name;
    for (event, letter) in EVENTS {
        let trigger = StreamName { namespace: name.namespace.clone(), table: names.trigger(name, letter) };
        let sql = format!(
            "CREATE TRIGGER {} AFTER {event} ON {} FOR EACH ROW {}",
            qualified(&trigger, ""),
            qualified(name, ""),
            body(names, table, letter)
        );
        locked(client, &sql, "make triggers of table", &name.to_string()).await?;
    }
    Ok(())
}

/// What there is to be noted once the triggers are made.
async fn first_note(
    client: &mut Client,
    names: &Names,
    life: &str,
    table: &Table,
    key: Vec<String>,
) -> Result<Note> {
    let name = &table.listed.name;
    let mut attempts = 1;
    let standing = loop {
        let standing = standing(client, names, std::slice::from_ref(name)).await?;
        let standing = standing.into_iter().next().ok_or_else(|| broken(names, name))?;
        // The time has whole seconds: another alteration in this one would not show.
        if standing.is_settled || attempts == SETTLE_ATTEMPTS_MAX {
            break standing;
        }
        attempts += 1;
        sleep(SETTLE_PAUSE).await;
    };
    let made = |letter: char| {
        let trigger = names.trigger(name, letter);
        let found = standing.triggers.iter().find(|standing| standing.name == trigger);
        found.map(|found| found.made.clone()).ok_or_else(|| broken(names, name))
    };
    let triggers = EVENTS.iter().map(|(_, letter)| made(*letter)).collect::<Result<_>>()?;
    let sql = format!(
        "SELECT 1 FROM {} UNION ALL SELECT 1 FROM {} WHERE number > {NOTE} LIMIT 1",
        qualified(name, ""),
        names.changes(name)
    );
    let any = client.text(&sql, "look for rows of table", &name.to_string()).await?;
    let rows = if any.is_none() { Some(0) } else { None };
    let (life, table) = (life.to_owned(), (name.namespace.clone().unwrap_or_default(), name.table.clone()));
    Ok(Note { life, table, key, triggers, altered: standing.altered.unwrap_or_default(), rows })
}

/// Runs a statement that waits for nobody for long, again and again.
async fn locked(client: &mut Client, sql: &str, operation: &str, object: &str) -> Result<()> {
    let mut attempts = 1;
    loop {
        let Err(error) = client.run_long(sql, operation, object).await else { return Ok(()) };
        if error.code() != &codes::LOCKED || attempts == LOCK_ATTEMPTS_MAX {
            return Err(error);
        }
        attempts += 1;
        sleep(LOCK_PAUSE).await;
    }
}

/// The names of the tables of changes that are there.
pub(super) async fn changes_there(client: &mut Client, names: &Names) -> Result<Vec<String>> {
    let prefix = names.changes_prefix();
    let sql = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND LEFT(TABLE_NAME, {}) = {}",
        text_constant(&names.database),
        prefix.len(),
        text_constant(&prefix)
    );
    let rows = client.texts(&sql, "look for the records of pipeline", &names.quoted()).await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// Drops triggers, wherever their tables are now, and then what they write to.
async fn remove(client: &mut Client, names: &Names, is_meant: impl Fn(&str) -> bool) -> Result<()> {
    let (drop, quoted, prefix) = ("drop the triggers of pipeline", names.quoted(), names.trigger_prefix());
    let sql = format!(
        "SELECT TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE LEFT(TRIGGER_NAME, {}) = {}",
        prefix.len(),
        text_constant(&prefix)
    );
    for row in client.texts(&sql, "look for the triggers of pipeline", &quoted).await? {
        let [Some(database), Some(trigger)] = row.as_slice() else { continue };
        let hash = trigger.strip_prefix(&prefix).and_then(|rest| rest.split('_').next());
        if hash.is_some_and(&is_meant) {
            let trigger = StreamName::new(database.clone(), trigger.clone());
            let sql = format!("DROP TRIGGER IF EXISTS {}", qualified(&trigger, ""));
            locked(client, &sql, drop, &quoted).await?;
        }
    }
    for table in changes_there(client, names).await? {
        if table.strip_prefix(&names.changes_prefix()).is_some_and(&is_meant) {
            let table = StreamName::new(names.database.clone(), table);
            let sql = format!("DROP TABLE IF EXISTS {}", qualified(&table, ""));
            locked(client, &sql, drop, &quoted).await?;
        }
    }
    Ok(())
}

/// Drops everything but the pipeline's row.
pub(super) async fn drop_all(client: &mut Client, names: &Names) -> Result<()> {
    client.run(LOCK_TIMEOUT, "set up a session on", &names.database).await?;
    remove(client, names, |_| true).await
}
