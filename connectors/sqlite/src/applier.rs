//! Applies changes, row by row on the connection that writes, all in one transaction that begins with the
//! fence and ends with the mark.

use std::{collections::HashMap, sync::Arc};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Applier, LOG_MARK, Marking, NetChanges, RunRef, Target};
use syncline_sql::{Dialect, changing};
use syncline_types::{Error, Result, codes};

use crate::{
    client::{Database, begin, commit},
    dialect::{MAIN, Sqlite, qualified},
    error::Explain,
    schema::{Look, Table, find_table},
    sink::{
        SinkShared, checkpoint,
        landing::{bound, computes, lost},
        statement::RowStatement,
        turn::Turn,
    },
};

pub(crate) struct SqliteApplier {
    shared: Arc<SinkShared>,
    run: RunRef,
    state: State,
}

enum State {
    /// Nothing was applied since the last commit.
    Idle(Statements),
    /// A transaction is open.
    Open(Transaction),
    /// A call was broken off or has failed, and what was applied is rolled back.
    Lost,
}

/// An open transaction, or the turn to begin one.
struct Transaction {
    turn: Turn,
    run: RunRef,
    begun: bool,
    statements: Statements,
}

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Delete,
    /// Looks whether it is there.
    Find,
    Update,
    Upsert,
}

/// Statements of targets, by the target's number, what they do, and the columns they are given.
#[derive(Default)]
struct Statements {
    /// What the file said of itself when they were made: another number, and tables may be others.
    version: i64,
    made: HashMap<(u32, Kind, Vec<String>), Arc<RowStatement>>,
}

impl SqliteApplier {
    pub(crate) fn new(shared: Arc<SinkShared>, run: RunRef) -> Self {
        SqliteApplier { shared, run, state: State::Idle(Statements::default()) }
    }

    /// Does something in the transaction, which is begun where that is still to be done, on a thread that
    /// may block. Whatever fails ends the transaction, and so does nobody waiting for the end of the call.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut transaction = match std::mem::replace(&mut self.state, State::Lost) {
            State::Open(transaction) => transaction,
            State::Idle(statements) => {
                let turn = self.shared.line.turn().await;
                Transaction { turn, run: self.run.clone(), begun: false, statements }
            }
            State::Lost => {
                return Err(Error::new(&codes::BROKEN_INVARIANT, "apply changes to", self.place())
                    .because("the applier has failed before"));
            }
        };
        let work = move || {
            transaction.begin()?;
            let value = work(&mut transaction)?;
            Ok((transaction, value))
        };
        let (transaction, value) = self.shared.cx.blocking("apply changes", work).await?;
        self.state = State::Open(transaction);
        Ok(value)
    }

    fn place(&self) -> String {
        self.shared.line.database().place()
    }
}

impl Transaction {
    fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        begin(connection, &database)?;
        checkpoint::fence(connection, &self.run)?;
        // Rows that refer to each other come target by target.
        let deferred = connection.execute_batch("PRAGMA defer_foreign_keys = ON");
        deferred.explain("begin to apply changes to", database.place())?;
        let version = connection
            .query_row("PRAGMA main.schema_version", [], |row| row.get(0))
            .explain("look at", database.place())?;
        if version != self.statements.version {
            self.statements = Statements { version, made: HashMap::new() };
        }
        self.begun = true;
        Ok(())
    }

    fn apply(&mut self, target: &Target, changes: &NetChanges) -> Result<u64> {
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        let mut one = One { connection, database: &database, statements: &mut self.statements, target };
        if changes.emptied {
            one.empty()?;
        }
        if changes.deletes.num_rows() > 0 {
            one.delete(&changes.deletes)?;
        }
        let mut missed = 0;
        for rows in &changes.updates {
            missed += one.update(rows)?;
        }
        if changes.rows.num_rows() > 0 {
            one.upsert(&changes.rows)?;
        }
        Ok(missed)
    }

    fn commit(&mut self, mark: &str) -> Result<()> {
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        checkpoint::set_mark(connection, &self.run, LOG_MARK, Marking::Save(mark))?;
        commit(connection, &database)?;
        self.begun = false;
        Ok(())
    }
}

/// One target's changes.
struct One<'a> {
    connection: &'a Connection,
    database: &'a Database,
    statements: &'a mut Statements,
    target: &'a Target,
}

impl One<'_> {
    fn empty(&self) -> Result<()> {
        let (table, object) = (qualified(&self.target.name.table), format!("`{}`", self.target.name));
        self.connection.execute_batch(&format!("DELETE FROM {table}")).explain("empty table", &object)?;
        let left: bool = self
            .connection
            .query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0))
            .explain("empty table", &object)?;
        if left { Err(self.kept_by_trigger()) } else { Ok(()) }
    }

    fn delete(&mut self, keys: &RecordBatch) -> Result<()> {
        let (statement, unchanged) = self.changed(Kind::Delete, keys)?;
        match self.kept(&statement, keys, &unchanged)? {
            Some(row) => Err(at(self.kept_by_trigger(), row)),
            None => Ok(()),
        }
    }

    /// Sets what is given of rows that are there; returns how many are not.
    fn update(&mut self, rows: &RecordBatch) -> Result<u64> {
        let (statement, unchanged) = self.changed(Kind::Update, rows)?;
        match self.kept(&statement, rows, &unchanged)? {
            Some(row) => Err(at(statement.ignored(), row)),
            None => Ok(unchanged.len() as u64),
        }
    }

    /// Runs a statement; the rows for which it has changed nothing.
    fn changed(&mut self, kind: Kind, rows: &RecordBatch) -> Result<(Arc<RowStatement>, Vec<usize>)> {
        let statement = self.statement(kind, rows)?;
        let mut unchanged = vec![];
        statement.run(self.connection, rows, |row, written| {
            if written.map_err(|error| at(error, row))? == 0 {
                unchanged.push(row);
            }
            Ok(())
        })?;
        Ok((statement, unchanged))
    }

    /// The first of these rows that is there all the same: a trigger has seen to it that nothing came of it.
    fn kept(&mut self, by: &RowStatement, rows: &RecordBatch, unchanged: &[usize]) -> Result<Option<usize>> {
        if !by.has_triggers() || unchanged.is_empty() {
            return Ok(None);
        }
        let find = self.statement(Kind::Find, rows)?;
        for row in unchanged {
            if find.finds(self.connection, rows, *row)? {
                return Ok(Some(*row));
            }
        }
        Ok(None)
    }

    fn upsert(&mut self, rows: &RecordBatch) -> Result<()> {
        let statement = self.statement(Kind::Upsert, rows)?;
        let connection = self.connection;
        statement.run(connection, rows, |row, written| match written {
            Ok(1) => Ok(()),
            Ok(_) if statement.has_triggers() => Err(at(statement.ignored(), row)),
            Ok(_) => Err(at(self.clash(), row)),
            Err(error) => Err(at(error, row)),
        })
    }

    fn statement(&mut self, kind: Kind, rows: &RecordBatch) -> Result<Arc<RowStatement>> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let place = (self.target.stream, kind, names);
        if let Some(statement) = self.statements.made.get(&place) {
            return Ok(Arc::clone(statement));
        }
        let target = self.target;
        let name = &target.name.table;
        let table = find_table(self.connection, self.database, name, Look::Declared)?
            .ok_or_else(|| lost(target, "it was there when following began, and is no more".into()))?;
        let mut columns = vec![];
        let needed = |name: &&String| kind != Kind::Find || target.key.contains(*name);
        for (number, name) in place.2.iter().enumerate().filter(|(_, name)| needed(name)) {
            let column = target.schema.column(name).ok_or_else(|| target.schema.unknown_column(name))?;
            columns.push((number, column));
        }
        let columns = bound(columns.into_iter(), &table, target, |name| computes(&table, name))?;
        let written: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let sql = match kind {
            Kind::Delete => format!("DELETE FROM {} WHERE {}", qualified(name), by_key(target, &written)),
            Kind::Find => format!("SELECT 1 FROM {} WHERE {}", qualified(name), by_key(target, &written)),
            Kind::Update => update(target, &written),
            Kind::Upsert => upsert(target, &table, &written),
        };
        let label = target.name.to_string();
        let made = Arc::new(RowStatement::new(self.connection, sql, columns, table.name, label)?);
        self.statements.made.insert(place, Arc::clone(&made));
        Ok(made)
    }

    fn kept_by_trigger(&self) -> Error {
        Error::new(&codes::VALUE_REFUSED, "apply changes to table", format!("`{}`", self.target.name))
            .because("by a trigger of the table, rows that are to go cannot be deleted")
            .hint("Drop the trigger for as long as the table is followed into")
    }

    /// What the source tells apart, the target's collation does not.
    fn clash(&self) -> Error {
        Error::new(&codes::DUPLICATE_KEY, "apply changes to table", format!("`{}`", self.target.name))
            .because("by the collation of its key, a row is there whose key is another one at the source")
            .hint("Make the key's columns there COLLATE BINARY")
    }
}

fn at(error: Error, row: usize) -> Error {
    error.at_row(u32::try_from(row).unwrap_or(u32::MAX))
}

/// The condition for the row with a key, the parameters being those of `given`.
fn by_key(target: &Target, given: &[String]) -> String {
    let parts =
        target.key.iter().filter_map(|key| Some(format!("{} = {}", Sqlite.quote(key), number(given, key)?)));
    parts.collect::<Vec<_>>().join(" AND ")
}

fn number(given: &[String], column: &str) -> Option<String> {
    given.iter().position(|name| name == column).map(|place| format!("?{}", place + 1))
}

fn update(target: &Target, given: &[String]) -> String {
    let mut set = changing(given, &target.key, |_| false);
    if set.is_empty() {
        // Nothing but the key is told: whether it is there still counts.
        set.clone_from(&target.key);
    }
    let set =
        set.iter().filter_map(|name| Some(format!("{} = {}", Sqlite.quote(name), number(given, name)?)));
    let set: Vec<String> = set.collect();
    let table = qualified(&target.name.table);
    format!("UPDATE OR ABORT {table} SET {} WHERE {}", set.join(", "), by_key(target, given))
}

/// A row takes the place of the one with its key; one whose key is the same by a collation only stays.
fn upsert(target: &Target, table: &Table, given: &[String]) -> String {
    let mut set = changing(given, &target.key, |_| false);
    if set.is_empty() {
        set.clone_from(&target.key);
    }
    let set: Vec<String> = set.iter().map(|name| format!("{0} = excluded.{0}", Sqlite.quote(name))).collect();
    let values: Vec<String> = (1..=given.len()).map(|number| format!("?{number}")).collect();
    let collated = |key: &&String| table.column(key).is_some_and(|there| there.column.collation.is_some());
    let same = target.key.iter().filter(collated);
    let same = same.map(|key| format!("t.{0} COLLATE BINARY IS excluded.{0}", Sqlite.quote(key)));
    let same: Vec<String> = same.collect();
    let same = if same.is_empty() { String::new() } else { format!(" WHERE {}", same.join(" AND ")) };
    format!(
        "INSERT OR ABORT INTO {MAIN}.{} AS t ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}{same}",
        Sqlite.quote(&target.name.table),
        Sqlite.list(given),
        values.join(", "),
        Sqlite.list(&target.key),
        set.join(", ")
    )
}

#[async_trait]
impl Applier for SqliteApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        // The arrays are shared, not copied.
        let (target, changes) = (Arc::clone(target), changes.clone());
        self.work(move |transaction| transaction.apply(&target, &changes)).await
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        let mark = mark.to_owned();
        self.work(move |transaction| transaction.commit(&mark)).await?;
        if let State::Open(transaction) = std::mem::replace(&mut self.state, State::Lost) {
            self.state = State::Idle(transaction.statements);
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        // Whoever has the turn rolls back when it is dropped.
        self.state = State::Idle(Statements::default());
        Ok(())
    }
}
