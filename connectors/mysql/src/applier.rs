//! Applies changes: rows go into temporary tables, and from there, by key, into the targets, all in one
//! transaction that begins with the fence and ends with the mark. A few rows are sent as constants, with the
//! transaction's beginning in one message. New rows go straight into the targets: where one of them is there
//! already, all go the other way. Without a key rows are found by all their values.
//!
//! Temporary tables can be made and dropped within a transaction, which emptying them by `TRUNCATE`
//! would end.

mod by_values;
mod few;
mod landing;
mod sql;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use syncline_connect::{Applier, Emptied, LOG_MARK, Marking, Moved, NetChanges, Origin, RunRef, Target};
use syncline_sql::bookkeeping;
use syncline_types::{Error, ErrorKind, Result, codes};

use self::{
    few::{Few, SET_ROWS_MAX, Shapes},
    landing::Landing,
};
use crate::{
    client::{Client, Outcome, Rows},
    origin,
    sink::{SinkShared, fenced, holds},
    writer::{complaint_of, run_insert, set_up, statement},
};

/// So many rows go by statements: below it the server needs longer to ask for a file than to read them.
const INSERT_ROWS_MAX: usize = 256;

/// Fewer new rows than this go with the others where there are many.
const NEW_ROWS_MIN: usize = 100;
/// Where new rows were there already, so many parts go the other way before it is tried again.
const WARY_PARTS: u32 = 16;

const APPLY: &str = "apply changes to table";

pub(crate) struct MysqlApplier {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    state: State,
    /// What the changes to come have come through, and what the open transaction and the session have said last.
    origin: Origin,
    said: Origin,
    set: Origin,
    /// Where rows wait, by the target's number, what they are, and the columns that they have.
    landings: HashMap<(u32, Kind, Vec<String>), Arc<Landing>>,
    /// The temporary tables that are there, which are empty.
    made: HashSet<String>,
    /// Written rows on their way.
    piece: Vec<u8>,
    /// By the target's number, how many parts are not to go straight into it.
    wary: HashMap<u32, u32>,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// Changes.
    Change,
    /// The key that a row is to leave, while the one it goes to waits too.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was applied since the last commit.
    Idle,
    /// A transaction is open.
    Open,
    /// A call was broken off or has failed: what is applied can only be taken back.
    Lost,
}

impl MysqlApplier {
    pub(crate) async fn open(mut client: Client, shared: Arc<SinkShared>, run: RunRef) -> Result<Self> {
        set_up(&mut client, &shared).await?;
        client.allow_several("set up a session on", &shared.config.place()).await?;
        let (landings, made, piece) = (HashMap::new(), HashSet::new(), vec![]);
        let (origin, said, set) = (Origin::default(), Origin::default(), Origin::default());
        let (state, wary) = (State::Idle, HashMap::new());
        Ok(MysqlApplier { client, shared, run, state, origin, said, set, landings, made, piece, wary })
    }

    /// Begins a transaction where none is open. Until [`MysqlApplier::state`] is set anew it counts as lost.
    async fn begin(&mut self) -> Result<()> {
        if self.state == State::Open && self.said == self.origin && self.set == self.origin {
            self.state = State::Lost;
            return Ok(());
        }
        let place = self.shared.config.place();
        match self.go_on(b"", "begin a transaction on", &place).await? {
            (_, Some(error)) => Err(error),
            (_, None) => Ok(()),
        }
    }

    /// Runs statements in the transaction, which is begun with the same message where none is open. Says how
    /// each has ended up to the first that failed, and why that did. As with [`MysqlApplier::begin`], it counts
    /// as lost.
    async fn go_on(
        &mut self,
        sql: &[u8],
        operation: &str,
        object: &str,
    ) -> Result<(Vec<(Outcome, Rows)>, Option<Error>)> {
        let begins = match std::mem::replace(&mut self.state, State::Lost) {
            State::Open => false,
            State::Idle => true,
            State::Lost => {
                return Err(Error::new(&codes::BROKEN_INVARIANT, operation, object)
                    .because("the applier has failed before"));
            }
        };
        let mut before = vec![];
        if begins {
            before = vec!["START TRANSACTION".to_owned(), self.shared.ours.fence(&self.run.pipeline)];
            self.said = Origin::default();
        }
        before.extend(self.say());
        if before.is_empty() {
            return self.client.run_several(sql, operation, object).await;
        }
        let mut all = before.join(";").into_bytes();
        if !sql.is_empty() {
            all.push(b';');
            all.extend_from_slice(sql);
        }
        let (mut answers, error) = self.client.run_several(&all, operation, object).await?;
        if begins && answers.get(1).is_some_and(|(_, epoch)| !holds(epoch, &self.run)) {
            return Err(fenced(&self.run));
        }
        if answers.len() < before.len() {
            return Err(error.unwrap_or_else(|| {
                Error::new(&codes::BROKEN_INVARIANT, operation, object).because("an answer is missing")
            }));
        }
        answers.drain(..before.len());
        Ok((answers, error))
    }

    /// The statements that say what comes next has come through, where that was not said yet.
    fn say(&mut self) -> Vec<String> {
        let mut statements = vec![];
        if self.set != self.origin {
            statements.push(origin::set(&self.origin));
            self.set.clone_from(&self.origin);
        }
        if self.said != self.origin {
            let place = (bookkeeping::NO_STREAM.into(), bookkeeping::NO_SPLIT);
            statements.push(origin::say(&self.shared, &self.run, place, &self.origin));
            self.said.clone_from(&self.origin);
        }
        statements
    }

    /// What rows with these columns are written by.
    async fn shape(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        self.shape_of(target, Kind::Change, rows).await
    }

    async fn shape_of(&mut self, target: &Target, kind: Kind, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let place = (target.stream, kind, names);
        if let Some(landing) = self.landings.get(&place) {
            return Ok(Arc::clone(landing));
        }
        let number = self.landings.len();
        let landing = Landing::look_up(&mut self.client, &self.shared, target, &place.2, number).await?;
        let landing = Arc::new(landing);
        self.landings.insert(place, Arc::clone(&landing));
        Ok(landing)
    }

    /// Rows into their temporary table.
    async fn land(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        self.land_as(target, Kind::Change, rows).await
    }

    async fn land_as(&mut self, target: &Target, kind: Kind, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let landing = self.shape_of(target, kind, rows).await?;
        if !self.made.contains(&landing.table) {
            // A call that was broken off may have made it already.
            let clear = format!("DROP TEMPORARY TABLE IF EXISTS {}", landing.table);
            for sql in [&clear, &landing.create] {
                self.client.run(sql, "prepare to apply changes to table", &landing.name).await?;
            }
            self.made.insert(landing.table.clone());
        }
        self.send(&landing, rows, false).await?;
        Ok(landing)
    }

    /// Sends rows to where they wait, or straight into the target.
    async fn send(&mut self, landing: &Landing, rows: &RecordBatch, straight: bool) -> Result<()> {
        let (load, insert) = match straight {
            true => (&landing.straight_load, &landing.straight_insert),
            false => (&landing.load, &landing.insert),
        };
        match rows.num_rows() <= INSERT_ROWS_MAX || !self.shared.local_infile {
            true => self.insert(landing, insert, rows).await,
            false => self.load(landing, load, rows).await,
        }
    }

    async fn insert(&mut self, landing: &Landing, insert: &str, batch: &RecordBatch) -> Result<()> {
        let mut rows = landing.encoder.open(batch)?;
        let (mut rejects, name) = (vec![], &landing.name);
        loop {
            let packet = self.client.packet_bytes_max;
            let (sql, taken) = statement(packet, insert, name, &mut rows, usize::MAX, &mut rejects)?;
            if let Some(reject) = rejects.pop() {
                return Err(reject.error.at_row(reject.row));
            }
            if taken.is_empty() {
                return Ok(());
            }
            run_insert(&mut self.client, &sql, &taken, name).await?;
        }
    }

    async fn load(&mut self, landing: &Landing, load: &str, batch: &RecordBatch) -> Result<()> {
        let mut rows = landing.encoder.open(batch)?;
        let mut rejects = vec![];
        let mut load = self.client.load(load, APPLY, &landing.name).await?;
        while rejects.is_empty() && rows.lines(&mut self.piece, &mut rejects) {
            load.send(&self.piece).await?;
        }
        let ended = load.finish().await;
        if let Some(reject) = rejects.into_iter().next() {
            return Err(reject.error.at_row(reject.row));
        }
        let sent = batch.num_rows() as u64;
        match complaint_of(&mut self.client, &ended?, sent, &landing.name).await? {
            Some((error, line)) => Err(match line {
                Some(line) => error.at_row(line - 1),
                None => error,
            }),
            None => Ok(()),
        }
    }

    async fn delete(&mut self, target: &Target, keys: &RecordBatch) -> Result<()> {
        let landing = self.land(target, keys).await?;
        let sql = sql::delete(&self.shared.quoted(&target.name), &landing.table, &target.key);
        self.client.run_long(&sql, APPLY, &landing.name).await?;
        self.clear(&landing, keys.num_rows()).await
    }

    /// Sets these columns of all rows in which they are NULL.
    async fn note(&mut self, target: &Target, note: &RecordBatch) -> Result<()> {
        let landing = self.land(target, note).await?;
        let table = self.shared.quoted(&target.name);
        for column in &landing.columns {
            self.client.run_long(&sql::note(&table, &landing.table, column), APPLY, &landing.name).await?;
        }
        self.clear(&landing, note.num_rows()).await
    }

    /// A row goes to another key; returns how many rows are not there.
    async fn move_row(&mut self, target: &Target, moved: &Moved) -> Result<u64> {
        let from = self.land_as(target, Kind::Left, &moved.from).await?;
        let to = self.land(target, &moved.to).await?;
        let table = self.shared.quoted(&target.name);
        // To the target the two keys may be the same.
        let there = sql::others(&table, &to.table, &from.table, &target.key);
        let mut missed = None;
        if self.count(&there, &to).await? == 0 {
            let sql = sql::move_row(&table, &to.table, &from.table, &to.columns, &target.key);
            let found = self.client.run_long(&sql, APPLY, &to.name).await?.count("Rows matched");
            missed = Some(u64::from(found != Some(1)));
        }
        self.clear(&from, 1).await?;
        self.clear(&to, 1).await?;
        match missed {
            Some(missed) => Ok(missed),
            None => {
                self.delete(target, &moved.from).await?;
                self.update(target, &moved.to).await
            }
        }
    }

    async fn count(&mut self, sql: &str, landing: &Landing) -> Result<u64> {
        let answer = self.client.texts_long(sql, APPLY, &landing.name).await?;
        let count = answer.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok());
        count.ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, APPLY, format!("`{}`", landing.name))
                .because("a count is no number")
        })
    }

    /// Sets what is given of rows that are there; returns how many are not.
    async fn update(&mut self, target: &Target, rows: &RecordBatch) -> Result<u64> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let missed = self.count(&sql::missed(&table, &landing.table, &target.key), &landing).await?;
        // Where nothing but the key is known there is nothing to set.
        if let Some(sql) = sql::update(&table, &landing.table, &landing.columns, &target.key) {
            self.client.run_long(&sql, APPLY, &landing.name).await?;
        }
        self.clear(&landing, rows.num_rows()).await?;
        Ok(missed)
    }

    /// Sets rows that are there, and adds those that are not.
    async fn upsert(&mut self, target: &Target, rows: &RecordBatch) -> Result<()> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        if let Some(sql) = sql::clash(&table, &landing.table, &target.key, &landing.texts)
            && !self.client.texts_long(&sql, APPLY, &landing.name).await?.is_empty()
        {
            return Err(Error::new(&codes::DUPLICATE_KEY, APPLY, format!("`{}`", landing.name))
                .because("by the collation of its key, a row is there whose key is another one at the source")
                .hint("Give the column a collation that tells them apart, such as utf8mb4_bin"));
        }
        let mut found = None;
        if let Some(sql) = sql::update(&table, &landing.table, &landing.columns, &target.key) {
            found = self.client.run_long(&sql, APPLY, &landing.name).await?.count("Rows matched");
        }
        if found != Some(rows.num_rows() as u64) {
            let sql = sql::insert_missing(&table, &landing.table, &landing.columns, &target.key);
            self.client.run_long(&sql, APPLY, &landing.name).await?;
        }
        self.clear(&landing, rows.num_rows()).await
    }

    /// Adds rows that are thought to be new; false if the target does not take them like that. Then nothing has
    /// become of them, but in a table that takes nothing back.
    async fn add(&mut self, target: &Target, rows: &RecordBatch) -> Result<bool> {
        if let Some(parts) = self.wary.get_mut(&target.stream).filter(|parts| **parts > 0) {
            *parts -= 1;
            return Ok(false);
        }
        let landing = self.shape(target, rows).await?;
        self.client.run("SAVEPOINT syncline", APPLY, &landing.name).await?;
        match self.send(&landing, rows, true).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() != ErrorKind::Value || !self.client.is_usable() => Err(error),
            // Whatever the reason is, the other way does without it or tells it.
            Err(_) => {
                self.wary.insert(target.stream, WARY_PARTS);
                self.client.run_long("ROLLBACK TO SAVEPOINT syncline", APPLY, &landing.name).await?;
                Ok(false)
            }
        }
    }

    /// Whole rows, of which so many at the end are thought to be new.
    async fn write(&mut self, target: &Target, rows: &RecordBatch, fresh: usize) -> Result<()> {
        if target.key.is_empty() {
            let landing = self.shape(target, rows).await?;
            return self.send(&landing, rows, true).await;
        }
        let fresh = if fresh < NEW_ROWS_MIN { 0 } else { fresh };
        let known = rows.num_rows() - fresh;
        if known > 0 {
            self.upsert(target, &rows.slice(0, known)).await?;
        }
        let new = rows.slice(known, fresh);
        if fresh == 0 || self.add(target, &new).await? {
            return Ok(());
        }
        self.upsert(target, &new).await.map_err(|error| error.further_on(known))
    }

    /// What a few changes come to, as statements; `None` where there are more, or some of them set only a part
    /// of a row.
    async fn few(&mut self, target: &Target, changes: &NetChanges) -> Result<Option<Few>> {
        let (deletes, rows) = (&changes.deletes, &changes.rows);
        let few = deletes.num_rows() + rows.num_rows() <= INSERT_ROWS_MAX
            && rows.num_rows() - changes.fresh <= SET_ROWS_MAX
            && changes.updates.is_empty();
        let plain = changes.moved.is_none() && !matches!(changes.emptied, Some(Emptied::Noted(_)));
        if !few || !plain || target.key.is_empty() || self.state == State::Lost {
            return Ok(None);
        }
        let (mut to_delete, mut to_write) = (None, None);
        if deletes.num_rows() > 0 {
            to_delete = Some(self.shape(target, deletes).await?);
        }
        if rows.num_rows() > 0 {
            to_write = Some(self.shape(target, rows).await?);
        }
        let shapes = Shapes { keys: to_delete.as_deref(), rows: to_write.as_deref() };
        Few::of(target, &self.shared.quoted(&target.name), changes, &shapes)
    }

    /// Leaves a temporary table empty: dropped, where it would take long to delete its rows.
    async fn clear(&mut self, landing: &Landing, rows: usize) -> Result<()> {
        let sql = match rows <= INSERT_ROWS_MAX {
            true => format!("DELETE FROM {}", landing.table),
            false => {
                self.made.remove(&landing.table);
                format!("DROP TEMPORARY TABLE {}", landing.table)
            }
        };
        self.client.run_long(&sql, "clear away after table", &landing.name).await.map(drop)
    }

    async fn apply_all(&mut self, target: &Target, changes: &NetChanges) -> Result<u64> {
        match &changes.emptied {
            Some(Emptied::Deleted) => {
                let sql = format!("DELETE FROM {}", self.shared.quoted(&target.name));
                self.client.run_long(&sql, "empty table", &target.name.to_string()).await?;
            }
            Some(Emptied::Noted(note)) => self.note(target, note).await?,
            None => {}
        }
        let (mut missed, deletes) = (0, changes.deletes.num_rows());
        match target.key.is_empty() {
            _ if deletes == 0 => {}
            false => self.delete(target, &changes.deletes).await?,
            true => {
                let landing = self.land(target, &changes.deletes).await?;
                missed += (deletes as u64).saturating_sub(self.take_away(target, &landing).await?);
                self.clear(&landing, deletes).await?;
            }
        }
        if let Some(moved) = &changes.moved {
            missed += self.move_row(target, moved).await?;
        }
        for rows in &changes.updates {
            missed += self.update(target, rows).await?;
        }
        if changes.rows.num_rows() > 0 {
            self.write(target, &changes.rows, changes.fresh).await?;
        }
        Ok(missed)
    }
}

#[async_trait]
impl Applier for MysqlApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        if let Some(few) = self.few(target, changes).await? {
            let (answers, error) = self.go_on(&few.sql, APPLY, &target.name.to_string()).await?;
            // Any other may have ended the transaction.
            if let Some(error) = error.as_ref().filter(|error| error.kind() != ErrorKind::Value) {
                return Err(error.clone());
            }
            self.state = State::Open;
            if error.is_none() && few.is_done(&answers) {
                return Ok(0);
            }
        }
        self.begin().await?;
        let missed = self.apply_all(target, changes).await?;
        self.state = State::Open;
        Ok(missed)
    }

    fn come_through(&mut self, origin: &Origin) {
        self.origin.clone_from(origin);
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        let mut sql = self.shared.ours.marking(&self.run, LOG_MARK, Marking::Save(mark));
        sql.push("COMMIT".into());
        let place = self.shared.config.place();
        if let (_, Some(error)) = self.go_on(sql.join(";").as_bytes(), "commit to", &place).await? {
            return Err(error);
        }
        self.state = State::Idle;
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        if self.state == State::Idle {
            return Ok(());
        }
        self.state = State::Lost;
        self.client.run_long("ROLLBACK", "take changes back from", &self.shared.config.place()).await?;
        self.made.clear();
        self.state = State::Idle;
        Ok(())
    }
}
