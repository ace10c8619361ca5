//! One lane of writing: a connection, a transaction a commit, a COPY a stream.
//!
//! The transaction begins with the fence and the split's own progress row, so that whoever reads the
//! log later can tell our transactions by their first change. Rows come behind a savepoint, to which
//! a COPY that failed is rolled back.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::SinkExt;
use syncline_connect::{Batch, Outcome, ProgressDelta, RunRef, Target, Writer};
use syncline_sql::{Dialect, bookkeeping};
use syncline_types::{Error, Result, SplitId, codes};
use tokio_postgres::CopyInSink;

use crate::{
    client::Client,
    dialect::Postgres,
    encode::RowEncoder,
    origin,
    schema::{describe, find},
    sink::{SinkShared, fenced, holds},
};

pub(crate) struct PostgresWriter {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    /// Whether a transaction is open.
    open: bool,
    copy: Option<Copy>,
    /// Where each stream's rows go, once it has been looked up.
    landings: HashMap<u32, Arc<Landing>>,
}

/// The table that a stream's rows are written to.
struct Landing {
    copy_sql: String,
    encoder: RowEncoder,
    name: String,
}

/// A COPY under way.
struct Copy {
    stream: u32,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    landing: Arc<Landing>,
    /// Rows sent before the batch at hand: the server counts lines from the COPY's beginning.
    sent: u32,
    /// Rows sent of the batch at hand.
    at_hand: u32,
    /// Rows of the batch at hand that were left out, in their order.
    left_out: Vec<u32>,
}

impl PostgresWriter {
    pub(crate) fn new(client: Client, shared: Arc<SinkShared>, run: RunRef) -> Self {
        PostgresWriter { client, shared, run, open: false, copy: None, landings: HashMap::new() }
    }

    /// Begins a transaction for a split.
    async fn begin(&mut self, stream: u32, split: SplitId) -> Result<()> {
        if self.open {
            return Ok(());
        }
        let place = self.shared.config.place();
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE";
        if self.shared.keeps_progress {
            let sql = format!(
                "{begin}; {}; {}{}; SAVEPOINT rows",
                self.shared.fence(&self.run.pipeline),
                origin::first(&self.run.origin),
                self.shared.save_row(&self.run, stream.into(), split.0.into(), "")
            );
            let answers = self.client.texts(&sql, "begin a transaction on", &place).await?;
            if !holds(&answers, &self.run) {
                self.client.run("ROLLBACK", "end a transaction on", &place).await?;
                return Err(fenced(&self.run));
            }
        } else {
            let sql = format!("{begin}; {}SAVEPOINT rows", origin::first(&self.run.origin));
            self.client.run(&sql, "begin a transaction on", &place).await?;
        }
        self.open = true;
        Ok(())
    }

    async fn landing(&mut self, target: &Target) -> Result<Arc<Landing>> {
        if let Some(landing) = self.landings.get(&target.stream) {
            return Ok(Arc::clone(landing));
        }
        let landing = Arc::new(look_up(&self.client, &self.shared, &self.run, target).await?);
        self.landings.insert(target.stream, Arc::clone(&landing));
        Ok(landing)
    }

    /// The COPY of a stream; another stream's is ended first.
    async fn copy(&mut self, target: &Target) -> Result<&mut Copy> {
        if self.copy.as_ref().is_some_and(|copy| copy.stream != target.stream) {
            self.end_copy().await?;
        }
        if self.copy.is_none() {
            let landing = self.landing(target).await?;
            let sink = self
                .client
                .answer("write to table", &landing.name, self.client.inner.copy_in(landing.copy_sql.as_str()))
                .await?;
            let mut copy = Copy {
                stream: target.stream,
                sink: Box::pin(sink),
                landing,
                sent: 0,
                at_hand: 0,
                left_out: vec![],
            };
            let header = copy.landing.encoder.header();
            copy.send(&self.client, header).await?;
            self.copy = Some(copy);
        }
        self.copy.as_mut().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "write to table", &target.name).because("no COPY is open")
        })
    }

    /// Ends the COPY under way: only now the server says whether it takes its rows.
    async fn end_copy(&mut self) -> Result<()> {
        let Some(mut copy) = self.copy.take() else { return Ok(()) };
        let trailer = copy.landing.encoder.trailer();
        let name = copy.landing.name.clone();
        let sent = copy.send(&self.client, trailer).await;
        let finish = copy.sink.as_mut().finish();
        let ended = self.client.answer("write to table", &name, finish).await.map(drop);
        // A server that has refused the rows answers to the end, whatever became of sending.
        ended.and(sent).map_err(|error| copy.place(error))
    }
}

impl Copy {
    async fn send(&mut self, client: &Client, piece: Bytes) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let sink = &mut self.sink;
        client.answer("write to table", &self.landing.name, async { sink.send(piece).await }).await
    }

    /// The row of the batch at hand that the server's line is, where it is one of its rows.
    fn place(&self, error: Error) -> Error {
        let Some(line) = error.row() else { return error };
        let Some(mut row) = line.checked_sub(self.sent) else { return error };
        for left_out in &self.left_out {
            if *left_out <= row {
                row += 1;
            }
        }
        error.at_row(row)
    }
}

async fn look_up(client: &Client, shared: &SinkShared, run: &RunRef, target: &Target) -> Result<Landing> {
    let table = if target.staged { shared.stage(run, target) } else { target.name.clone() };
    let found: Vec<_> = find(client, &table).await?.into_iter().collect();
    let described = describe(client, found).await?.pop().ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "write to table", format!("`{table}`"))
            .because("it was prepared, and is no more")
            .hint("Begin again with --restart")
    })?;
    let mut written = vec![];
    for (place, column) in target.schema.columns.iter().enumerate() {
        let there = described.columns.iter().find(|there| there.column.name == column.name);
        match there {
            Some(there) if there.column.generated => {}
            Some(there) => written.push((place, there.pg_type.clone())),
            // Staging for a table that computes the column itself leaves it out.
            None if target.staged => {}
            None => {
                return Err(Error::new(
                    &codes::SCHEMA_CHANGED,
                    "write column",
                    format!("`{table}.{}`", column.name),
                )
                .because("the table had it when the run was planned, and has it no more"));
            }
        }
    }
    let names: Vec<String> = written
        .iter()
        .filter_map(|(place, _)| target.schema.columns.get(*place))
        .map(|column| Postgres.quote(&column.name))
        .collect();
    let encoder = RowEncoder::new(&target.schema, &written);
    // An empty list is not understood; a table without columns has rows all the same.
    let list = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let copy_sql = format!("COPY {}{list} FROM STDIN {}", shared.quoted(&table), encoder.format.option());
    Ok(Landing { copy_sql, encoder, name: target.name.to_string() })
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn write(&mut self, target: &Arc<Target>, split: SplitId, batch: &Batch) -> Result<Vec<Outcome>> {
        self.begin(target.stream, split).await?;
        self.copy(target).await?;
        let (client, Some(copy)) = (&self.client, self.copy.as_mut()) else { return Ok(vec![]) };
        let landing = Arc::clone(&copy.landing);
        let mut rows = landing.encoder.open(&batch.rows)?;
        let mut rejects = vec![];
        copy.sent += std::mem::take(&mut copy.at_hand);
        copy.left_out.clear();
        while let Some(pieces) = rows.pieces(&mut rejects) {
            for piece in pieces {
                copy.send(client, piece).await?;
            }
        }
        copy.left_out = rejects.iter().map(|reject| reject.row).collect();
        copy.at_hand = u32::try_from(batch.rows.num_rows() - rejects.len()).unwrap_or(u32::MAX);
        Ok(rejects.into_iter().map(Outcome::Reject).collect())
    }

    async fn flush(&mut self) -> Result<()> {
        self.end_copy().await?;
        if self.open {
            let sql = "RELEASE SAVEPOINT rows; SAVEPOINT rows";
            self.client.run(sql, "keep rows in", &self.shared.config.place()).await?;
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        // A COPY that is dropped is failed, and its answer is not waited for by anybody else.
        self.copy = None;
        if self.open {
            let sql = "ROLLBACK TO SAVEPOINT rows";
            self.client.run(sql, "take rows back from", &self.shared.config.place()).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        self.end_copy().await?;
        let Some(first) = deltas.first() else { return Ok(()) };
        // Nothing may have been written; progress is committed all the same.
        self.begin(first.stream, first.split).await?;
        let mut sql = String::new();
        if self.shared.keeps_progress {
            for delta in deltas {
                let position = bookkeeping::write_progress(&delta.row);
                sql.push_str(&self.shared.save_row(
                    &self.run,
                    delta.stream.into(),
                    delta.split.0.into(),
                    &position,
                ));
                sql.push(';');
            }
        }
        sql.push_str("COMMIT");
        self.client.run(&sql, "commit to", &self.shared.config.place()).await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for PostgresWriter {
    fn drop(&mut self) {
        // Without a word the server would go on with what it has; hung up on, it rolls back.
        if self.open {
            self.client.hang_up();
        }
    }
}
