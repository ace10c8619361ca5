//! From staging to where everybody sees it, in one transaction.

use rusqlite::{Connection, OptionalExtension};
use syncline_connect::{Marking, Published, RunRef, Target, WriteMode};
use syncline_sql::{
    Dialect,
    bookkeeping::{self, StreamMark},
    changing, count_changed, delete_staged, insert_select, merge, quote_double, update_changed,
};
use syncline_types::{Error, Result, codes};

use crate::{
    dialect::{Sqlite, qualified, tokens},
    error::{Explain, refusal, translate},
    origin,
    plan::{Seen, Way, in_use, needs_decision, see},
    schema::{Look, Table, find_table},
    sink::{checkpoint, landing::Landing, turn::Turn},
    types::Affinity,
};

/// Publishes a target. Doing it again changes nothing.
pub(crate) fn finish(
    turn: &mut Turn,
    run: &RunRef,
    target: &Target,
    marking: Marking<'_>,
) -> Result<Published> {
    let database = turn.database.clone();
    let published = turn.transact(|connection| {
        checkpoint::fence(connection, run)?;
        if !run.origin.is_here() {
            origin::say(connection, &run.origin)?;
        }
        if checkpoint::mark(connection, run, target.stream)? == Some(StreamMark::Published) {
            origin::unsay(connection)?;
            return Ok(Published { how: "it was published before".into() });
        }
        let seen = see(connection, &database, target)?;
        let how = if target.staged {
            let stage = bookkeeping::stage(&run.run, target.stream);
            let stage = find_table(connection, &database, &stage, Look::Declared)?.ok_or_else(|| {
                Error::new(&codes::SCHEMA_CHANGED, "publish table", format!("`{}`", target.name))
                    .because("its staged rows are gone")
                    .hint("Begin again with --restart")
            })?;
            let columns = Landing::find(connection, &database, run, target)?.column_names();
            Publication { connection, target, seen: &seen, stage: &stage, columns }.publish()?
        } else {
            "added chunk by chunk"
        };
        checkpoint::save_mark(connection, run, target.stream, StreamMark::Published)?;
        checkpoint::set_mark(connection, run, &target.source.to_string(), marking)?;
        origin::unsay(connection)?;
        Ok(Published { how: how.into() })
    });
    // They are looked at when all is done, so this is what the commit itself fails with.
    published.map_err(|error| match error.reason() {
        FOREIGN_KEY => Error::new(&codes::TARGET_IN_USE, "publish table", format!("`{}`", target.name))
            .because("a foreign key would refer to a row that is not there")
            .hint("Publish the table that is referred to first, or use --write merge"),
        _ => error,
    })
}

/// SQLite's words for a foreign key that is not met; it does not say which.
const FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";

/// Drops what runs of a pipeline have staged, and forgets their progress.
pub(crate) fn clear(connection: &Connection, pipeline: &str) -> Result<()> {
    for run in checkpoint::runs(connection, pipeline)? {
        let prefix = bookkeeping::stage_prefix(&run);
        // Another run's name may begin like this one's; a stream's number is all that may follow.
        let ours =
            |name: &String| name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u32>().is_ok());
        for stage in tables(connection)?.iter().filter(|name| ours(name)) {
            drop_table(connection, stage)?;
        }
    }
    checkpoint::forget(connection, pipeline)
}

fn tables(connection: &Connection) -> Result<Vec<String>> {
    let read = || {
        let mut statement = connection.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'")?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    read().explain("list", "the tables")
}

fn drop_table(connection: &Connection, name: &str) -> Result<()> {
    connection
        .execute_batch(&format!("DROP TABLE {}", qualified(name)))
        .explain("drop table", format!("`{name}`"))
}

/// When a column differs. Texts that are equal by the column's collation may still do so; and where
/// nothing is converted, so may a 1 and a 1.0.
fn distinct(table: &Table, column: &str, left: &str, right: &str) -> Option<String> {
    let untyped = table.column(column).is_none_or(|column| column.untyped);
    let column = Sqlite.quote(column);
    (!untyped).then(|| format!("{left}.{column} COLLATE BINARY IS NOT {right}.{column}"))
}

struct Publication<'a> {
    connection: &'a Connection,
    target: &'a Target,
    seen: &'a Seen,
    stage: &'a Table,
    /// Those that were written.
    columns: Vec<String>,
}

impl Publication<'_> {
    fn publish(&self) -> Result<&'static str> {
        let Seen { table, ours, has_rows, .. } = self.seen;
        // Whatever was planned, it is looked at once more: others may have been at work.
        if self.target.write == WriteMode::Overwrite && *has_rows && !ours && !self.target.overwrite_said {
            return Err(needs_decision(self.target));
        }
        match (self.seen.way(self.target), table) {
            (Way::Update | Way::Delete, None) => Err(self.table_is_gone()),
            (_, None) => self.rename(None),
            (Way::Rename, Some(old)) if self.can_take_the_name_of(old) => self.rename(Some(old)),
            (way, Some(table)) => self.fill(way, table),
        }
    }

    /// Whether staging is what the table is to be. A table that is not ours keeps its definition.
    fn can_take_the_name_of(&self, old: &Table) -> bool {
        self.seen.ours
            || tokens::body(&old.sql).is_some_and(|body| tokens::body(&self.stage.sql) == Some(body))
    }

    /// Staging takes the table's name.
    fn rename(&self, old: Option<&Table>) -> Result<&'static str> {
        let name = self.target.name.table.as_str();
        self.drop_own_indexes()?;
        let counts = self.stage.columns.iter().any(|column| column.column.identity);
        let mut counted = None;
        if let Some(old) = old {
            counted = self.last_number(&old.name)?.filter(|_| counts);
            drop_table(self.connection, &old.name)?;
        }
        let sql = format!("ALTER TABLE {} RENAME TO {}", qualified(&self.stage.name), quote_double(name));
        self.run(&sql)?;
        if let Some(counted) = counted {
            self.count_from(name, counted)?;
        }
        if old.is_none() || self.seen.ours {
            checkpoint::record_made(self.connection, name)?;
        }
        Ok("renamed into place")
    }

    /// Indexes that only found rows with the same values as they arrived.
    fn drop_own_indexes(&self) -> Result<()> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT name FROM main.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?1",
            )?;
            let names = statement.query_map([&self.stage.name], |row| row.get(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        };
        for index in read().explain("look for the indexes of", "staging")? {
            self.run(&format!("DROP INDEX {}", qualified(&index)))?;
        }
        Ok(())
    }

    /// The last number that AUTOINCREMENT has given out in a table.
    fn last_number(&self, table: &str) -> Result<Option<i64>> {
        if !checkpoint::exists(self.connection, "sqlite_sequence")? {
            return Ok(None);
        }
        self.connection
            .query_row("SELECT seq FROM main.sqlite_sequence WHERE name = ?1", [table], |row| row.get(0))
            .optional()
            .explain("read the last number of", format!("`{table}`"))
    }

    /// No number that was given out before is given out again.
    fn count_from(&self, table: &str, last: i64) -> Result<()> {
        let counts = || {
            self.connection.execute(
                "UPDATE main.sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1",
                (table, last),
            )?;
            // A table without rows has no entry yet.
            self.connection.execute(
                "INSERT INTO main.sqlite_sequence (name, seq) SELECT ?1, ?2
                 WHERE NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = ?1)",
                (table, last),
            )
        };
        counts().explain("set the last number of", format!("`{table}`")).map(drop)
    }

    /// Staged rows go into the table that stays.
    fn fill(&self, way: Way, table: &Table) -> Result<&'static str> {
        self.must_convert_alike(table)?;
        if let Some(error) = in_use(self.target, self.seen) {
            return Err(error);
        }
        // Foreign keys are looked at once all rows are there.
        self.run("PRAGMA defer_foreign_keys = ON")?;
        let (name, stage) = (qualified(&table.name), qualified(&self.stage.name));
        let staged = self.count(&format!("SELECT count(*) FROM {stage}"))?;
        let how = match way {
            Way::Merge => {
                self.execute(&or_abort(&self.merge(table, &name, &stage)))?;
                self.must_have_all_keys(&name, &stage)?;
                "merged in one transaction"
            }
            Way::Update => {
                self.update(table, &name, &stage)?;
                "updated in one transaction"
            }
            Way::Delete => {
                self.delete(&name, &stage)?;
                "deleted in one transaction"
            }
            Way::Insert | Way::Direct => {
                self.insert(&name, &stage, staged)?;
                "added in one transaction"
            }
            Way::Rename | Way::InPlace => {
                self.execute(&format!("DELETE FROM {name}"))?;
                if self.count(&format!("SELECT count(*) FROM {name}"))? != 0 {
                    return Err(self.kept_by_trigger("some of its rows cannot be deleted"));
                }
                self.insert(&name, &stage, staged)?;
                "replaced in one transaction"
            }
        };
        drop_table(self.connection, &self.stage.name)?;
        Ok(how)
    }

    /// A table that was altered since staging was made could turn its values into others.
    fn must_convert_alike(&self, table: &Table) -> Result<()> {
        for name in &self.columns {
            let alike = match (table.column(name), self.stage.column(name)) {
                (Some(there), Some(here)) => {
                    !there.column.generated && Affinity::of(&there.declared) == Affinity::of(&here.declared)
                }
                _ => false,
            };
            if !alike {
                let object = format!("`{}.{name}`", self.target.name);
                return Err(Error::new(&codes::SCHEMA_CHANGED, "publish column", object)
                    .because("the target's column is not the one for which the rows were staged")
                    .hint("Begin again with --restart"));
            }
        }
        Ok(())
    }

    fn insert(&self, name: &str, stage: &str, staged: usize) -> Result<()> {
        let inserted = self.execute(&or_abort(&insert_select(&Sqlite, name, stage, &self.columns)))?;
        if inserted == staged { Ok(()) } else { Err(self.kept_by_trigger("some rows are not taken")) }
    }

    fn table_is_gone(&self) -> Error {
        Error::new(&codes::STREAM_MISSING, "change rows of", format!("`{}`", self.target.name))
            .because("the table is no more")
            .hint("Copy it first")
    }

    /// What an update sets: a text of the key becomes the source's own.
    fn changing(&self, table: &Table) -> Vec<String> {
        let collated = |name: &str| table.column(name).is_some_and(|there| there.column.collation.is_some());
        changing(&self.columns, &self.target.key, collated)
    }

    fn merge(&self, table: &Table, name: &str, stage: &str) -> String {
        let distinct = |column: &str, left: &str, right: &str| distinct(table, column, left, right);
        let changing = self.changing(table);
        merge(&Sqlite, name, stage, &self.columns, &self.target.key, &changing, distinct)
    }

    fn update(&self, table: &Table, name: &str, stage: &str) -> Result<()> {
        let distinct = |column: &str, left: &str, right: &str| distinct(table, column, left, right);
        let changing = self.changing(table);
        let update = update_changed(&Sqlite, name, stage, &self.target.key, &changing, distinct);
        // Without another column than the key's there is nothing to update.
        let Some(update) = update else { return Ok(()) };
        let count = || count_changed(&Sqlite, name, stage, &self.target.key, &changing, distinct);
        let wanted = match self.seen.attached.triggers.is_empty() {
            true => None,
            false => Some(self.count(&count())?),
        };
        let updated = self.execute(&update.replacen("UPDATE", "UPDATE OR ABORT", 1))?;
        match wanted {
            Some(wanted) if updated != wanted => Err(self.kept_by_trigger("some rows are not updated")),
            _ => Ok(()),
        }
    }

    fn delete(&self, name: &str, stage: &str) -> Result<()> {
        let delete = delete_staged(&Sqlite, name, stage, &self.target.key);
        self.execute(&delete)?;
        let left = delete.replacen("DELETE", "SELECT count(*)", 1);
        if !self.seen.attached.triggers.is_empty() && self.count(&left)? != 0 {
            return Err(self.kept_by_trigger("some of its rows cannot be deleted"));
        }
        Ok(())
    }

    fn must_have_all_keys(&self, name: &str, stage: &str) -> Result<()> {
        if self.seen.attached.triggers.is_empty() {
            return Ok(());
        }
        let same: Vec<String> =
            self.target.key.iter().map(|key| format!("t.{0} = s.{0}", Sqlite.quote(key))).collect();
        let missing = self.count(&format!(
            "SELECT count(*) FROM {stage} AS s WHERE NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {})",
            same.join(" AND ")
        ))?;
        if missing == 0 { Ok(()) } else { Err(self.kept_by_trigger("some rows are not taken")) }
    }

    fn kept_by_trigger(&self, what: &str) -> Error {
        Error::new(&codes::VALUE_REFUSED, "publish table", format!("`{}`", self.target.name))
            .because(format!("by a trigger of the table, {what}"))
            .hint("Drop the trigger for the time of the run")
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).explain("publish table", format!("`{}`", self.target.name))
    }

    /// Runs one statement; returns how many rows it has changed.
    fn execute(&self, sql: &str) -> Result<usize> {
        self.connection.execute(sql, []).map_err(|error| {
            let refused = refusal(&error, &self.target.name);
            let other = || translate(&error, "publish table", format!("`{}`", self.target.name));
            refused.unwrap_or_else(other)
        })
    }

    fn count(&self, sql: &str) -> Result<usize> {
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .explain("count the rows of", format!("`{}`", self.target.name))
    }
}

/// A constraint of the table may say that a row which breaks it is dropped or replaces another; here
/// it is an error.
fn or_abort(insert: &str) -> String {
    insert.replacen("INSERT INTO", "INSERT OR ABORT INTO", 1)
}
