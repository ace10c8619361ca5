//! One lane of writing: a connection, a transaction a commit, a `LOAD DATA` a stream.
//!
//! The transaction begins with the fence and the split's own progress row, so that whoever reads the
//! log later can tell our transactions by their first change. Rows come behind a savepoint.
//!
//! `LOAD DATA LOCAL` alters what does not fit and skips what is there, and only warns of it. So every
//! one of them has to end with as many rows as were sent, none skipped and no warning; else it is
//! taken back, and the first warning says which row it was.

mod landing;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{Batch, Outcome, ProgressDelta, Reject, RunRef, Target, Writer};
use syncline_types::{Error, ErrorKind, Result, SplitId, codes};

use self::landing::{How, Landing};
use crate::{
    client::{Client, Outcome as Ended},
    error::from_warning,
    origin,
    sink::{SinkShared, fenced, holds},
};

/// Statements of rows are not longer than this, where a row alone is not.
const INSERT_BYTES_MAX: usize = 1 << 20;

/// What a statement has beside its rows.
const INSERT_BYTES_BESIDE: usize = 64 << 10;

/// Warnings that speak of the statement and not of its rows: deprecated words, and statements that
/// may do something else on a replica.
const NOT_OF_ROWS: &[u16] = &[1287, 1592, 1681];

const WRITE: &str = "write to table";

pub(crate) struct MysqlWriter {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    /// Whether a transaction is open.
    open: bool,
    loading: Option<Loading>,
    /// Where each stream's rows go, once it has been looked up.
    landings: HashMap<u32, Arc<Landing>>,
    /// Written rows on their way.
    piece: Vec<u8>,
    /// For tables that take nothing back: servers that follow others by transactions refuse to write
    /// to them within one.
    beside: Option<Client>,
}

/// A `LOAD DATA` under way.
struct Loading {
    stream: u32,
    landing: Arc<Landing>,
    /// Rows sent before the batch at hand, and with it.
    before: u64,
    sent: u64,
    /// Rows of the batch at hand that were left out, in their order.
    left_out: Vec<u32>,
}

impl MysqlWriter {
    pub(crate) async fn open(mut client: Client, shared: Arc<SinkShared>, run: RunRef) -> Result<Self> {
        set_up(&mut client, &shared).await?;
        client.run(&origin::set(&run.origin), "set up a session on", &shared.config.place()).await?;
        let (landings, piece) = (HashMap::new(), vec![]);
        Ok(MysqlWriter { client, shared, run, open: false, loading: None, landings, piece, beside: None })
    }

    /// Begins a transaction for a split.
    async fn begin(&mut self, stream: u32, split: SplitId) -> Result<()> {
        if self.open {
            return Ok(());
        }
        let (place, operation) = (self.shared.config.place(), "begin a transaction on");
        self.client.run("START TRANSACTION", operation, &place).await?;
        let fence = self.shared.ours.fence(&self.run.pipeline);
        let answers = self.client.texts(&fence, operation, &place).await?;
        if !holds(&answers, &self.run) {
            self.client.run("ROLLBACK", "end a transaction on", &place).await?;
            return Err(fenced(&self.run));
        }
        if !self.run.origin.is_here() {
            let place = (stream.into(), split.0.into());
            let say = origin::say(&self.shared, &self.run, place, &self.run.origin);
            self.client.run(&say, operation, &self.shared.config.place()).await?;
        }
        self.client.run(&self.shared.ours.touch(&self.run, stream, split), operation, &place).await?;
        self.client.run("SAVEPOINT syncline", operation, &place).await?;
        self.open = true;
        Ok(())
    }

    async fn landing(&mut self, target: &Target) -> Result<Arc<Landing>> {
        if let Some(landing) = self.landings.get(&target.stream) {
            return Ok(Arc::clone(landing));
        }
        let landing = Arc::new(Landing::look_up(&mut self.client, &self.shared, &self.run, target).await?);
        self.landings.insert(target.stream, Arc::clone(&landing));
        Ok(landing)
    }

    /// Sends a batch to the stream's `LOAD DATA`; another stream's is ended first.
    async fn load(&mut self, landing: Arc<Landing>, target: &Target, batch: &Batch) -> Result<Vec<Reject>> {
        if self.loading.as_ref().is_some_and(|loading| loading.stream != target.stream) {
            self.end_load().await?;
        }
        let name = landing.name.clone();
        if self.loading.is_none() {
            self.client.load(&landing.load, WRITE, &name).await?;
        }
        let loading = self.loading.get_or_insert_with(|| Loading {
            stream: target.stream,
            landing: Arc::clone(&landing),
            before: 0,
            sent: 0,
            left_out: vec![],
        });
        let mut load = self.client.loading(WRITE, &name).ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, WRITE, &name).because("nothing is being loaded")
        })?;
        let mut rows = landing.encoder.open(&batch.rows)?;
        let mut rejects = vec![];
        while rows.lines(&mut self.piece, &mut rejects) {
            load.send(&self.piece).await?;
        }
        loading.before = loading.sent;
        loading.sent += (batch.rows.num_rows() - rejects.len()) as u64;
        loading.left_out = rejects.iter().map(|reject| reject.row).collect();
        Ok(rejects)
    }

    /// Ends the `LOAD DATA` under way, and looks whether all its rows are there as they were sent.
    async fn end_load(&mut self) -> Result<()> {
        let Some(loading) = self.loading.take() else { return Ok(()) };
        let name = loading.landing.name.clone();
        let Some(load) = self.client.loading(WRITE, &name) else {
            return Err(Error::new(&codes::BROKEN_INVARIANT, WRITE, &name).because("nothing is being loaded"));
        };
        let ended = load.finish().await?;
        match complaint_of(&mut self.client, &ended, loading.sent, &name).await? {
            Some((error, line)) => Err(match line.and_then(|line| loading.row(line - 1)) {
                Some(row) => error.at_row(row),
                None => error,
            }),
            None => Ok(()),
        }
    }

    /// Inserts a batch by statements of many rows each.
    async fn insert(&mut self, landing: &Landing, batch: &Batch) -> Result<Vec<Reject>> {
        let mut rows = landing.encoder.open(&batch.rows)?;
        let mut rejects = vec![];
        loop {
            let (packet, insert) = (self.client.packet_bytes_max, &landing.insert);
            let (sql, taken) = statement(packet, insert, &landing.name, &mut rows, usize::MAX, &mut rejects)?;
            if taken.is_empty() {
                return Ok(rejects);
            }
            run_insert(&mut self.client, &sql, &taken, &landing.name).await?;
        }
    }

    /// Inserts a batch row by row, where a statement of many that fails would leave some of them.
    async fn insert_one_by_one(&mut self, landing: &Landing, batch: &Batch) -> Result<Vec<Reject>> {
        let mut beside = match self.beside.take() {
            Some(client) => client,
            None => self.shared.connect().await?,
        };
        let mut rows = landing.encoder.open(&batch.rows)?;
        let mut rejects = vec![];
        loop {
            let (packet, insert) = (self.client.packet_bytes_max, &landing.insert);
            let (sql, taken) = statement(packet, insert, &landing.name, &mut rows, 1, &mut rejects)?;
            let Some(row) = taken.first() else {
                self.beside = Some(beside);
                return Ok(rejects);
            };
            match run_insert(&mut beside, &sql, &taken, &landing.name).await {
                Err(error) if error.kind() == ErrorKind::Value => {
                    rejects.push(Reject { row: *row, place: None, error });
                }
                done => done?,
            }
        }
    }
}

impl Loading {
    /// The row of the batch at hand that a line is, where it is one of its rows.
    fn row(&self, line: u32) -> Option<u32> {
        let mut row = u32::try_from(u64::from(line).checked_sub(self.before)?).ok()?;
        for left_out in &self.left_out {
            if *left_out <= row {
                row += 1;
            }
        }
        Some(row)
    }
}

#[async_trait]
impl Writer for MysqlWriter {
    async fn write(&mut self, target: &Arc<Target>, split: SplitId, batch: &Batch) -> Result<Vec<Outcome>> {
        self.begin(target.stream, split).await?;
        let landing = self.landing(target).await?;
        let rejects = match landing.how {
            How::Load => self.load(landing, target, batch).await?,
            How::Insert => self.insert(&landing, batch).await?,
            How::OneByOne => self.insert_one_by_one(&landing, batch).await?,
        };
        Ok(rejects.into_iter().map(Outcome::Reject).collect())
    }

    async fn flush(&mut self) -> Result<()> {
        self.end_load().await?;
        if self.open {
            // One of the same name takes the other's place.
            self.client.run("SAVEPOINT syncline", "keep rows in", &self.shared.config.place()).await?;
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        if self.loading.take().is_some()
            && let Some(load) = self.client.loading(WRITE, &self.run.pipeline)
        {
            // What it has taken goes with the savepoint, and so does what it says of it.
            match load.finish().await {
                Err(error) if error.kind() != ErrorKind::Value => return Err(error),
                _ => {}
            }
        }
        if self.open {
            let sql = "ROLLBACK TO SAVEPOINT syncline";
            self.client.run(sql, "take rows back from", &self.shared.config.place()).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        self.end_load().await?;
        let Some(first) = deltas.first() else { return Ok(()) };
        // Nothing may have been written; progress is committed all the same.
        self.begin(first.stream, first.split).await?;
        let place = self.shared.config.place();
        let sql = self.shared.ours.save_progress(&self.run, deltas);
        self.client.run(&sql, "commit to", &place).await?;
        self.client.run_long("COMMIT", "commit to", &place).await?;
        self.open = false;
        Ok(())
    }
}

/// Sets up a session that writes.
pub(crate) async fn set_up(client: &mut Client, shared: &SinkShared) -> Result<()> {
    let place = shared.config.place();
    let format = "SELECT @@binlog_format";
    // That form of the log has no place for what several lanes do beside one another.
    let by_statement =
        client.text(format, "ask for the settings of", &place).await?.as_deref() == Some("STATEMENT");
    if !by_statement {
        let sql = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        client.run(sql, "set up a session on", &place).await?;
    }
    client.run("SET SESSION max_error_count = 64", "set up a session on", &place).await.map(drop)
}

/// A statement of the next rows, and which rows they are. `insert` is what comes before them.
pub(crate) fn statement(
    packet_bytes_max: u64,
    insert: &str,
    name: &str,
    rows: &mut crate::encode::Rows<'_>,
    rows_max: usize,
    rejects: &mut Vec<Reject>,
) -> Result<(String, Vec<u32>)> {
    let packet = usize::try_from(packet_bytes_max).unwrap_or(usize::MAX);
    let bytes_max = INSERT_BYTES_MAX.min(packet.saturating_sub(INSERT_BYTES_BESIDE).max(1));
    let mut sql = insert.as_bytes().to_vec();
    let taken = rows.constants(&mut sql, bytes_max, rows_max, rejects);
    let sql = String::from_utf8(sql)
        .map_err(|_| Error::new(&codes::BROKEN_INVARIANT, WRITE, name).because("a statement is no text"))?;
    Ok((sql, taken))
}

/// What is wrong with a load of so many rows, and the line that it is of; `None` when all of them are there
/// as they were sent.
pub(crate) async fn complaint_of(
    client: &mut Client,
    ended: &Ended,
    sent: u64,
    name: &str,
) -> Result<Option<(Error, Option<u32>)>> {
    let whole = ended.count("Records") == Some(sent) && ended.count("Skipped") == Some(0);
    let clean = ended.warnings == 0 && ended.count("Warnings") == Some(0);
    if whole && clean {
        return Ok(None);
    }
    match complaint(client, name).await? {
        None if !whole => {
            let error = Error::new(&codes::VALUE_REFUSED, WRITE, format!("`{name}`"))
                .because("the server has left rows out and does not say why");
            Ok(Some((error, None)))
        }
        found => Ok(found),
    }
}

/// The first warning of the last statement that speaks of a row, and the row of the statement.
async fn complaint(client: &mut Client, name: &str) -> Result<Option<(Error, Option<u32>)>> {
    let warnings = client.texts("SHOW WARNINGS", "look at the warnings of", name).await?;
    let object = format!("`{name}`");
    Ok(warnings.into_iter().find_map(|row| {
        let [_, Some(number), Some(message)] = <[_; 3]>::try_from(row).ok()? else { return None };
        let number = number.parse::<u16>().ok().filter(|number| !NOT_OF_ROWS.contains(number))?;
        Some(from_warning(number, &message, WRITE, &object))
    }))
}

/// Runs an `INSERT` of these rows of the batch at hand.
pub(crate) async fn run_insert(client: &mut Client, sql: &str, rows: &[u32], name: &str) -> Result<()> {
    let row_of = |at: Option<u32>| rows.get(usize::try_from(at?).ok()?).copied();
    let ended: Ended = match client.run_long(sql, WRITE, name).await {
        Ok(ended) => ended,
        Err(error) => {
            return Err(match row_of(error.row()) {
                Some(row) => error.at_row(row),
                None => error,
            });
        }
    };
    if ended.warnings > 0
        && let Some((error, line)) = complaint(client, name).await?
    {
        return Err(match row_of(line.map(|line| line - 1)) {
            Some(row) => error.at_row(row),
            None => error,
        });
    }
    if ended.affected == rows.len() as u64 {
        return Ok(());
    }
    Err(Error::new(&codes::VALUE_REFUSED, WRITE, format!("`{name}`"))
        .because("the server has left rows out and does not say why"))
}
