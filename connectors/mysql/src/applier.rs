//! Applies changes: rows go into temporary tables, and from there, by key, into the targets, all in one
//! transaction that begins with the fence and ends with the mark.
//!
//! Temporary tables can be made and dropped within a transaction, which emptying them by `TRUNCATE`
//! would end.

mod landing;
mod sql;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use syncline_connect::{Applier, LOG_MARK, Marking, NetChanges, RunRef, Target};
use syncline_types::{Error, Result, codes};

use self::landing::Landing;
use crate::{
    client::Client,
    sink::{SinkShared, fenced, holds},
    writer::{complaint_of, run_insert, set_up, statement},
};

/// So many rows go by statements: below it the server needs longer to ask for a file than to read them.
const INSERT_ROWS_MAX: usize = 256;

const APPLY: &str = "apply changes to table";

pub(crate) struct MysqlApplier {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    state: State,
    /// Where rows wait, by the target's number and the columns that they have.
    landings: HashMap<(u32, Vec<String>), Arc<Landing>>,
    /// The temporary tables that are there, which are empty.
    made: HashSet<String>,
    /// Written rows on their way.
    piece: Vec<u8>,
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
        let (landings, made, piece) = (HashMap::new(), HashSet::new(), vec![]);
        Ok(MysqlApplier { client, shared, run, state: State::Idle, landings, made, piece })
    }

    /// Begins a transaction where none is open. Until [`MysqlApplier::state`] is set anew it counts as lost.
    async fn begin(&mut self) -> Result<()> {
        let place = self.shared.config.place();
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Open => return Ok(()),
            State::Idle => {}
            State::Lost => {
                return Err(Error::new(&codes::BROKEN_INVARIANT, "apply changes to", place)
                    .because("the applier has failed before"));
            }
        }
        let operation = "begin a transaction on";
        self.client.run("START TRANSACTION", operation, &place).await?;
        let fence = self.shared.ours.fence(&self.run.pipeline);
        let answers = self.client.texts(&fence, operation, &place).await?;
        if holds(&answers, &self.run) { Ok(()) } else { Err(fenced(&self.run)) }
    }

    /// Where rows with these columns wait, made and empty.
    async fn landing(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let place = (target.stream, names);
        let landing = match self.landings.get(&place) {
            Some(landing) => Arc::clone(landing),
            None => {
                let number = self.landings.len();
                let found =
                    Landing::look_up(&mut self.client, &self.shared, target, &place.1, number).await?;
                let landing = Arc::new(found);
                self.landings.insert(place, Arc::clone(&landing));
                landing
            }
        };
        if !self.made.contains(&landing.table) {
            // A call that was broken off may have made it already.
            let clear = format!("DROP TEMPORARY TABLE IF EXISTS {}", landing.table);
            for sql in [&clear, &landing.create] {
                self.client.run(sql, "prepare to apply changes to table", &landing.name).await?;
            }
            self.made.insert(landing.table.clone());
        }
        Ok(landing)
    }

    /// Rows into their temporary table.
    async fn land(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let landing = self.landing(target, rows).await?;
        match rows.num_rows() <= INSERT_ROWS_MAX || !self.shared.local_infile {
            true => self.insert(&landing, rows).await?,
            false => self.load(&landing, rows).await?,
        }
        Ok(landing)
    }

    async fn insert(&mut self, landing: &Landing, batch: &RecordBatch) -> Result<()> {
        let mut rows = landing.encoder.open(batch)?;
        let mut rejects = vec![];
        let (insert, name) = (&landing.insert, &landing.name);
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

    async fn load(&mut self, landing: &Landing, batch: &RecordBatch) -> Result<()> {
        let mut rows = landing.encoder.open(batch)?;
        let mut rejects = vec![];
        let mut load = self.client.load(&landing.load, APPLY, &landing.name).await?;
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

    /// Sets what is given of rows that are there; returns how many are not.
    async fn update(&mut self, target: &Target, rows: &RecordBatch) -> Result<u64> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let missed = sql::missed(&table, &landing.table, &target.key);
        let answer = self.client.texts_long(&missed, APPLY, &landing.name).await?;
        let missed = answer.into_iter().flatten().next().flatten().and_then(|count| count.parse().ok());
        let missed = missed.ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, APPLY, format!("`{}`", landing.name))
                .because("a count is no number")
        })?;
        // Where nothing but the key is known there is nothing to set.
        if let Some(sql) = sql::update(&table, &landing.table, &landing.columns, &target.key) {
            self.client.run_long(&sql, APPLY, &landing.name).await?;
        }
        self.clear(&landing, rows.num_rows()).await?;
        Ok(missed)
    }

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
        if let Some(sql) = sql::update(&table, &landing.table, &landing.columns, &target.key) {
            self.client.run_long(&sql, APPLY, &landing.name).await?;
        }
        let sql = sql::insert_missing(&table, &landing.table, &landing.columns, &target.key);
        self.client.run_long(&sql, APPLY, &landing.name).await?;
        self.clear(&landing, rows.num_rows()).await
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
        if changes.emptied {
            let sql = format!("DELETE FROM {}", self.shared.quoted(&target.name));
            self.client.run_long(&sql, "empty table", &target.name.to_string()).await?;
        }
        if changes.deletes.num_rows() > 0 {
            self.delete(target, &changes.deletes).await?;
        }
        let mut missed = 0;
        for rows in &changes.updates {
            missed += self.update(target, rows).await?;
        }
        if changes.rows.num_rows() > 0 {
            self.upsert(target, &changes.rows).await?;
        }
        Ok(missed)
    }
}

#[async_trait]
impl Applier for MysqlApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        self.begin().await?;
        let missed = self.apply_all(target, changes).await?;
        self.state = State::Open;
        Ok(missed)
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        self.begin().await?;
        let place = self.shared.config.place();
        for sql in self.shared.ours.marking(&self.run, LOG_MARK, Marking::Save(mark)) {
            self.client.run(&sql, "commit to", &place).await?;
        }
        self.client.run_long("COMMIT", "commit to", &place).await?;
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
