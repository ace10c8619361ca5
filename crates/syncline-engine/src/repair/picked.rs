//! The rows of a stream that were picked by the hashes of their keys, read again as they were read to
//! be compared: from the same session as long as that lives, with the steps applied.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use async_trait::async_trait;
use syncline_connect::{
    Batch, Digest, Edge, Finding, Next, Read, Reader, Selection, Session, Source, Splitter, Stream,
};
use syncline_types::{Error, Position, Predicate, Result, Split, codes, fingerprint::RowHasher};

use super::spill::{Spill, Spilled};
use crate::{
    shell::work::broken,
    verify::{pair::Side, rows},
};

/// Which rows, and how they are known.
pub(crate) struct Pick {
    pub(crate) side: Arc<Side>,
    pub(crate) keys: RowHasher,
    /// The hashes of their keys, sorted.
    pub(crate) wanted: Vec<u128>,
    /// The splits they are in; empty where that is not known.
    pub(crate) splits: Vec<Split>,
}

/// A source of the rows picked.
pub(crate) struct Picked {
    source: Arc<dyn Source>,
    pick: Arc<Pick>,
    /// The session that rows were compared in, until it is used up.
    first: Mutex<Option<Arc<dyn Session>>>,
}

impl Pick {
    /// The rows of a batch that are wanted, after the steps.
    pub(crate) fn of(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let rows = match &self.side.chain {
            // What a step rejects was counted when it was compared, and stays as it is.
            Some(chain) => chain.apply(rows)?.rows,
            None => rows,
        };
        self.chosen(&rows)
    }

    /// The rows that are wanted of some that the steps are done with.
    pub(crate) fn chosen(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let hashes = self.keys.hash(rows)?;
        let kept: BooleanArray =
            hashes.iter().map(|hash| Some(self.wanted.binary_search(hash).is_ok())).collect();
        filter_record_batch(rows, &kept).map_err(|error| broken(&error.to_string()))
    }
}

/// Reads the rows now and keeps them in a file, for whoever has to do something before they are written.
pub(crate) async fn keep(pick: Pick, folder: &Path) -> Result<Spilled> {
    let mut spill = Spill::create(folder, "rows", &pick.side.schema)?;
    if pick.wanted.is_empty() {
        return spill.end();
    }
    let mut planned = match pick.splits.is_empty() {
        true => Some(pick.side.session.splitter(&pick.side.read, None).await?),
        false => None,
    };
    let mut known = pick.splits.iter().cloned();
    loop {
        let split = match &mut planned {
            Some(splitter) => splitter.next().await?,
            None => known.next(),
        };
        let Some(split) = split else { return spill.end() };
        rows::each_batch(&pick.side, &split, |batch| spill.write(&pick.chosen(batch)?)).await?;
    }
}

impl Picked {
    pub(crate) fn new(source: &Arc<dyn Source>, pick: Pick) -> Self {
        let first = Mutex::new(Some(Arc::clone(&pick.side.session)));
        Picked { source: Arc::clone(source), pick: Arc::new(pick), first }
    }
}

fn not_asked(operation: &str) -> Error {
    Error::new(&codes::UNSUPPORTED, operation, "rows that were picked")
}

#[async_trait]
impl Source for Picked {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        self.source.discover(selection).await
    }

    fn evaluates(&self, stream: &Stream, filter: &Predicate) -> bool {
        self.source.evaluates(stream, filter)
    }

    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        self.source.inspect(reads).await
    }

    async fn begin(&self, reads: &[Arc<Read>], parallel: usize) -> Result<Box<dyn Session>> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let session = match first {
            Some(session) => session,
            None => Arc::from(self.source.begin(reads, parallel).await?),
        };
        Ok(Box::new(PickedSession { session, pick: Arc::clone(&self.pick) }))
    }

    async fn edge(&self, _: &Stream, _: &str) -> Result<Edge> {
        Err(not_asked("look for the end of"))
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

struct PickedSession {
    session: Arc<dyn Session>,
    pick: Arc<Pick>,
}

#[async_trait]
impl Session for PickedSession {
    fn describe(&self) -> String {
        self.session.describe()
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        if self.pick.splits.is_empty() {
            return self.session.splitter(read, last).await;
        }
        let left = self.pick.splits.iter().filter(|split| last.is_none_or(|last| split.id > last.id));
        Ok(Box::new(Known(left.cloned().collect::<Vec<_>>().into_iter())))
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        let reader = self.session.open(read, split, at).await?;
        Ok(Box::new(PickedReader { reader, pick: Arc::clone(&self.pick), held: None }))
    }

    async fn digest(&self, _: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(not_asked("compute a checksum of"))
    }
}

/// Splits that are known already, in the order of their ids.
struct Known(std::vec::IntoIter<Split>);

#[async_trait]
impl Splitter for Known {
    async fn next(&mut self) -> Result<Option<Split>> {
        Ok(self.0.next())
    }
}

struct PickedReader {
    reader: Box<dyn Reader>,
    pick: Arc<Pick>,
    /// A batch on its way, so that whoever stops waiting loses none.
    held: Option<Batch>,
}

#[async_trait]
impl Reader for PickedReader {
    async fn next(&mut self) -> Result<Next> {
        if self.held.is_none() {
            match self.reader.next().await? {
                Next::Batch(batch) => self.held = Some(batch),
                other => return Ok(other),
            }
        }
        if let Some(batch) = &self.held {
            self.pick.side.limits.pass(batch.rows.num_rows() as u64, batch.bytes).await;
        }
        let Some(mut batch) = self.held.take() else { return Err(broken("a batch was held")) };
        let before = batch.rows.num_rows() as u64;
        let schema = batch.rows.schema();
        let rows = std::mem::replace(&mut batch.rows, RecordBatch::new_empty(schema));
        batch.rows = self.pick.of(rows)?;
        batch.bytes = batch.bytes * batch.rows.num_rows() as u64 / before.max(1);
        // They were counted when the rows were compared.
        batch.rejects.clear();
        Ok(Next::Batch(batch))
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        self.reader.confirm(upto).await
    }

    async fn tick(&mut self) -> Result<()> {
        self.reader.tick().await
    }
}
