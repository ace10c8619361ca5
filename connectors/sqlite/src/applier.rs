//! Applies changes, row by row on the connection that writes, all in one transaction that begins with the
//! fence and ends with the mark. Without a key rows are found by all their values, all that go together.

mod by_values;

use std::{collections::HashMap, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Applier, Emptied, LOG_MARK, Marking, Moved, NetChanges, Origin, RunRef, Target};
use syncline_sql::{Dialect, changing};
use syncline_types::{Error, Result, codes};

use crate::{
    client::{Database, begin, commit},
    dialect::{MAIN, Sqlite, qualified},
    error::Explain,
    origin,
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
    /// What the changes to come have come through.
    origin: Origin,
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
    /// What the next changes have come through, and what was said last.
    origin: Origin,
    said: Origin,
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
    /// Keeps a whole row until all are there that go with it.
    Await,
    /// Sets columns of all rows where they are NULL.
    Note,
    /// Sets columns, those of the key among them, of the row whose key comes behind them.
    Move,
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
        SqliteApplier { shared, run, origin: Origin::default(), state: State::Idle(Statements::default()) }
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
                let (origin, said) = (Origin::default(), Origin::default());
                Transaction { turn, run: self.run.clone(), begun: false, origin, said, statements }
            }
            State::Lost => {
                return Err(Error::new(&codes::BROKEN_INVARIANT, "apply changes to", self.place())
                    .because("the applier has failed before"));
            }
        };
        transaction.origin.clone_from(&self.origin);
        let work = move || {
            transaction.begin()?;
            transaction.say()?;
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

    /// Says what comes next has come through, where that was not said yet.
    fn say(&mut self) -> Result<()> {
        if self.said != self.origin {
            origin::say(self.turn.connection()?, &self.origin)?;
            self.said.clone_from(&self.origin);
        }
        Ok(())
    }

    fn apply(&mut self, target: &Target, changes: &NetChanges) -> Result<u64> {
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        let mut one = One { connection, database: &database, statements: &mut self.statements, target };
        match &changes.emptied {
            Some(Emptied::Deleted) => one.empty()?,
            Some(Emptied::Noted(note)) => one.changed(Kind::Note, note).map(drop)?,
            None => {}
        }
        let mut missed = 0;
        match (changes.deletes.num_rows(), target.key.is_empty()) {
            (0, _) => {}
            (_, false) => one.delete(&changes.deletes)?,
            (_, true) => missed += one.take_away(&changes.deletes)?,
        }
        if let Some(moved) = &changes.moved {
            missed += one.move_row(moved)?;
        }
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
        origin::unsay(connection)?;
        commit(connection, &database)?;
        (self.begun, self.said) = (false, Origin::default());
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

    /// A row goes to another key; returns how many rows are not there.
    fn move_row(&mut self, moved: &Moved) -> Result<u64> {
        let both = beside(&moved.to, &moved.from)?;
        let statement = self.statement(Kind::Move, &both)?;
        let (mut changed, mut refused) = (0, None);
        statement.run(self.connection, &both, |_, written| {
            match written {
                Ok(rows) => changed = rows,
                Err(error) => refused = Some(error),
            }
            Ok(())
        })?;
        if changed > 0 {
            return Ok(0);
        }
        // It may be there already, for which the statement was refused.
        let there = self.statement(Kind::Find, &moved.to)?.finds(self.connection, &moved.to, 0)?;
        match refused {
            Some(error) if !there => Err(at(error, 0)),
            _ => {
                self.delete(&moved.from)?;
                self.update(&moved.to)
            }
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
            Kind::Await => by_values::wait(&written),
            Kind::Note => note(target, &written),
            Kind::Move => move_row(target, &written),
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

/// The columns of two rows as one.
fn beside(one: &RecordBatch, other: &RecordBatch) -> Result<RecordBatch> {
    let fields: Vec<_> = one.schema().fields().iter().chain(other.schema().fields()).cloned().collect();
    let columns = one.columns().iter().chain(other.columns()).cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "apply changes", "").because(error))
}

/// Sets columns where they are NULL.
fn note(target: &Target, given: &[String]) -> String {
    let set = given.iter().zip(1..).map(|(name, number)| {
        let name = Sqlite.quote(name);
        format!("{name} = ifnull({name}, ?{number})")
    });
    let null = given.iter().map(|name| format!("{} IS NULL", Sqlite.quote(name)));
    let (set, null) = (set.collect::<Vec<_>>().join(", "), null.collect::<Vec<_>>().join(" OR "));
    format!("UPDATE OR ABORT {} SET {set} WHERE {null}", qualified(&target.name.table))
}

/// Sets columns of the row whose key comes behind them.
fn move_row(target: &Target, given: &[String]) -> String {
    let first = |name: &String| given.iter().position(|other| other == name);
    let set = given.iter().enumerate().filter(|(place, name)| first(name) == Some(*place));
    let set = set.map(|(place, name)| format!("{} = ?{}", Sqlite.quote(name), place + 1));
    let was = target.key.iter().filter_map(|key| {
        let place = given.iter().rposition(|name| name == key)?;
        Some(format!("{} = ?{}", Sqlite.quote(key), place + 1))
    });
    let (set, was) = (set.collect::<Vec<_>>().join(", "), was.collect::<Vec<_>>().join(" AND "));
    format!("UPDATE OR ABORT {} SET {set} WHERE {was}", qualified(&target.name.table))
}

/// A row takes the place of the one with its key; one whose key is the same by a collation only stays. Where there
/// is no key every row is a new one.
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
    let insert = format!(
        "INSERT OR ABORT INTO {MAIN}.{} AS t ({}) VALUES ({})",
        Sqlite.quote(&target.name.table),
        Sqlite.list(given),
        values.join(", "),
    );
    match target.key.is_empty() {
        true => insert,
        false => {
            let key = Sqlite.list(&target.key);
            format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {}{same}", set.join(", "))
        }
    }
}

#[async_trait]
impl Applier for SqliteApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        // The arrays are shared, not copied.
        let (target, changes) = (Arc::clone(target), changes.clone());
        self.work(move |transaction| transaction.apply(&target, &changes)).await
    }

    fn come_through(&mut self, origin: &Origin) {
        self.origin.clone_from(origin);
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
