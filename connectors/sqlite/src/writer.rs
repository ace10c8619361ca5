//! The lane of writing: a transaction a commit.
//!
//! It begins with the fence and the split's own progress row, so that whoever reads the file later can
//! tell our transactions by their first change. Rows come behind a savepoint, up to which they can be
//! taken back.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Batch, Outcome, ProgressDelta, RunRef, Target, Writer};
use syncline_types::{Error, ErrorKind, Result, SplitId, codes};

use crate::{
    client::{begin, commit},
    error::Explain,
    origin,
    sink::{SinkShared, checkpoint, landing::Landing, turn::Turn},
};

pub(crate) struct SqliteWriter {
    shared: Arc<SinkShared>,
    run: RunRef,
    state: State,
    /// Where each stream's rows go, once it has been looked up.
    landings: HashMap<u32, Arc<Landing>>,
}

enum State {
    /// Nothing has been written since the last commit.
    Idle,
    /// A transaction is open.
    Open(Transaction),
    /// A call was broken off or has failed, and what it had written is rolled back.
    Lost,
}

/// An open transaction, or the turn to begin one.
struct Transaction {
    turn: Turn,
    run: RunRef,
    begun: bool,
    /// The splits whose rows it holds.
    touched: Vec<(u32, SplitId)>,
}

impl SqliteWriter {
    pub(crate) fn new(shared: Arc<SinkShared>, run: RunRef) -> Self {
        SqliteWriter { shared, run, state: State::Idle, landings: HashMap::new() }
    }

    /// The open transaction, or a new one.
    async fn transaction(&mut self) -> Result<Transaction> {
        if matches!(self.state, State::Idle) {
            let turn = self.shared.line.turn().await;
            return Ok(Transaction { turn, run: self.run.clone(), begun: false, touched: vec![] });
        }
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Open(transaction) => Ok(transaction),
            State::Idle | State::Lost => {
                Err(Error::new(&codes::BROKEN_INVARIANT, "write to", self.shared.line.database().place())
                    .because("the writer has failed before"))
            }
        }
    }

    /// Does something with a transaction on a thread that may block. Only what a row is at fault for
    /// leaves the transaction to go on with; whatever else fails ends it, and so does nobody waiting
    /// for the end of the call.
    async fn work<T: Send + 'static>(
        &mut self,
        transaction: Transaction,
        work: impl FnOnce(&mut Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.state = State::Lost;
        let (transaction, result) = self
            .shared
            .cx
            .blocking("write rows", move || {
                let mut transaction = transaction;
                let result = work(&mut transaction);
                Ok((transaction, result))
            })
            .await?;
        if result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Value) {
            self.state = State::Open(transaction);
        }
        result
    }
}

impl Transaction {
    /// Begins where that is still to be done, and notes that rows of a split come.
    fn begin(&mut self, stream: u32, split: SplitId) -> Result<()> {
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        if !self.begun {
            begin(connection, &database)?;
            checkpoint::fence(connection, &self.run)?;
            if !self.run.origin.is_here() {
                origin::say(connection, &self.run.origin)?;
            }
            checkpoint::touch(connection, &self.run, stream, split)?;
            savepoint(connection, "SAVEPOINT rows")?;
            self.begun = true;
            self.touched.push((stream, split));
        }
        if !self.touched.contains(&(stream, split)) {
            checkpoint::touch(connection, &self.run, stream, split)?;
            self.touched.push((stream, split));
        }
        Ok(())
    }

    fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        let database = self.turn.database.clone();
        let connection = self.turn.connection()?;
        savepoint(connection, "RELEASE rows")?;
        for delta in deltas {
            checkpoint::save_split(connection, &self.run, delta.stream, delta.split, &delta.row)?;
        }
        origin::unsay(connection)?;
        commit(connection, &database)
    }
}

fn savepoint(connection: &Connection, sql: &str) -> Result<()> {
    connection.execute_batch(sql).explain("keep rows apart in", "the transaction")
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn write(&mut self, target: &Arc<Target>, split: SplitId, batch: &Batch) -> Result<Vec<Outcome>> {
        let transaction = self.transaction().await?;
        let known = self.landings.get(&target.stream).cloned();
        // The arrays are shared, not copied; the batch keeps its memory.
        let batch = Batch {
            rows: batch.rows.clone(),
            bytes: batch.bytes,
            position: None,
            rejects: vec![],
            memory: None,
        };
        let (target, stream) = (Arc::clone(target), target.stream);
        let (outcomes, landing) = self
            .work(transaction, move |transaction| {
                transaction.begin(stream, split)?;
                let database = transaction.turn.database.clone();
                let run = transaction.run.clone();
                let connection = transaction.turn.connection()?;
                let landing = match known {
                    Some(landing) => landing,
                    None => Arc::new(Landing::find(connection, &database, &run, &target)?),
                };
                Ok((landing.insert(connection, &batch)?, landing))
            })
            .await?;
        self.landings.insert(stream, landing);
        Ok(outcomes)
    }

    async fn flush(&mut self) -> Result<()> {
        if matches!(self.state, State::Idle) {
            return Ok(());
        }
        let transaction = self.transaction().await?;
        self.work(transaction, |transaction| {
            savepoint(transaction.turn.connection()?, "RELEASE rows; SAVEPOINT rows")
        })
        .await
    }

    async fn abort(&mut self) -> Result<()> {
        if matches!(self.state, State::Idle) {
            return Ok(());
        }
        let transaction = self.transaction().await?;
        self.work(transaction, |transaction| savepoint(transaction.turn.connection()?, "ROLLBACK TO rows"))
            .await
    }

    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        let first = match (deltas.first(), &self.state) {
            // Nothing was written, and there is nothing to say.
            (None, State::Idle) => return Ok(()),
            (first, _) => first.map(|first| (first.stream, first.split)),
        };
        let transaction = self.transaction().await?;
        let deltas = deltas.to_vec();
        let result = self
            .work(transaction, move |transaction| {
                if let Some((stream, split)) = first {
                    transaction.begin(stream, split)?;
                }
                transaction.commit(&deltas)
            })
            .await;
        // A commit that failed is rolled back, whatever it failed for.
        self.state = if result.is_ok() { State::Idle } else { State::Lost };
        result
    }
}
