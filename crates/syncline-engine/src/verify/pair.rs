//! Both sides of one stream, opened to be compared.

use std::sync::Arc;

use syncline_config::{Deletes, Pipeline};
use syncline_connect::{Digest, Read, Selection, Session, Source, SplitOrder, Stream};
use syncline_steps::Chain;
use syncline_types::{
    Error, Extent, Result, Split, SplitId, StreamName, TableSchema, codes,
    fingerprint::{Family, RowHasher},
};

use crate::shell::{Limits, removal::DELETED_AT, work::StreamWork};

/// Chunks larger than this are not compared in one go: their keys are held in memory.
const CHUNK_ROWS_MAX: u64 = 250_000;

/// Both sides of one stream.
pub(crate) struct Pair {
    /// The stream's name at the source.
    pub(crate) name: String,
    pub(crate) source: Arc<Side>,
    pub(crate) target: Arc<Side>,
    /// The key's columns and their form, for pairing rows; every column where there is no key.
    pub(crate) pairing: Vec<(String, Family)>,
    /// All columns that are compared.
    pub(crate) columns: Vec<(String, Family)>,
    /// Names of the key's columns after the steps, which are those at the target.
    pub(crate) key: Vec<String>,
    /// Whether both databases compute the same checksum.
    pub(crate) method: bool,
}

/// One side of a stream.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) read: Arc<Read>,
    pub(crate) session: Arc<dyn Session>,
    /// The steps, at the source.
    pub(crate) chain: Option<Arc<Chain>>,
    /// Of the rows as they are compared.
    pub(crate) schema: TableSchema,
    pub(crate) rows: RowHasher,
    /// How fast rows may be read. Checksums that a database computes itself move none.
    pub(crate) limits: Limits,
    /// The place of the column that says since when a row counts as deleted, at a target that keeps
    /// such rows. They are passed over.
    pub(crate) deleted_at: Option<usize>,
}

/// A stream of which only the key is read, and what the filters look at.
pub(crate) fn keys_only(work: &StreamWork) -> Result<StreamWork> {
    let chain = work.chain.only(&work.target.key)?;
    let read = Read { columns: chain.input_columns().to_vec(), ..Read::clone(&work.read) };
    Ok(StreamWork { read: Arc::new(read), chain: Arc::new(chain), ..work.clone() })
}

async fn one_stream(target: &dyn Source, name: &StreamName) -> Result<Stream> {
    let mut found = target.discover(&Selection::Name(name.clone())).await?;
    found.pop().ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "verify", format!("`{name}`"))
            .because("there is no such table in the target")
    })
}

/// The columns that are compared, and in which form. What the target computes itself is left out.
fn columns(work: &StreamWork, there: &Stream) -> Result<Vec<(String, Family)>> {
    let mut families = vec![];
    for column in &work.chain.output().columns {
        let Some(at_target) = there.schema.column(&column.name) else {
            return Err(Error::new(
                &codes::COLUMN_MISSING,
                "verify column",
                format!("`{}.{}`", there.name, column.name),
            )
            .because("the target has no such column"));
        };
        if !at_target.generated || column.generated {
            families.push((column.name.clone(), Family::common(column.logical, at_target.logical)));
        }
    }
    Ok(families)
}

/// Whether both databases compute the same checksum over the same columns.
fn common_method(source: &dyn Source, target: &dyn Source, work: &StreamWork, target_read: &Read) -> bool {
    let same_columns = work.read.columns == target_read.columns;
    let methods = (source.digest_method(&work.read), target.digest_method(target_read));
    work.chain.is_empty() && same_columns && matches!(methods, (Some(a), Some(b)) if a == b)
}

impl Side {
    pub(crate) async fn new(
        source: &Arc<dyn Source>,
        read: Arc<Read>,
        work: Option<&StreamWork>,
        families: &[(String, Family)],
        parallel: usize,
        limits: &Limits,
        soft: bool,
    ) -> Result<Self> {
        let session = source.begin(std::slice::from_ref(&read), parallel).await?;
        let schema = match work {
            Some(work) => work.chain.output().clone(),
            None => read.schema(),
        };
        let rows = RowHasher::new(&schema, families)?;
        let deleted_at = schema.index(DELETED_AT).filter(|_| soft);
        Ok(Side {
            session: Arc::from(session),
            read,
            chain: work.map(|work| Arc::clone(&work.chain)),
            schema,
            rows,
            limits: limits.clone(),
            deleted_at,
        })
    }

    /// Rows and checksum of everything.
    pub(crate) async fn digest_all(&self) -> Result<Digest> {
        let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        self.session.digest(&self.read, &whole).await
    }
}

impl Pair {
    /// Opens both sides of a stream, each with a session of its own.
    pub(crate) async fn open(
        pipeline: &Pipeline,
        work: &StreamWork,
        source: &Arc<dyn Source>,
        target: &Arc<dyn Source>,
    ) -> Result<Self> {
        let limits = Limits::new(pipeline.limits.rows_per_second, pipeline.limits.bytes_per_second);
        Self::of(work, source, target, pipeline.parallel, &limits).await
    }

    /// Opens both sides of a stream to read some of its rows.
    pub(crate) async fn of_some(
        pipeline: &Pipeline,
        work: &StreamWork,
        source: &Arc<dyn Source>,
        target: &Arc<dyn Source>,
    ) -> Result<Self> {
        let limits = Limits::new(pipeline.limits.rows_per_second, pipeline.limits.bytes_per_second);
        Self::of(work, source, target, 1, &limits).await
    }

    /// Opens both sides of a stream to compare its keys alone.
    pub(crate) async fn of_keys(
        work: &StreamWork,
        source: &Arc<dyn Source>,
        target: &Arc<dyn Source>,
        parallel: usize,
        limits: &Limits,
    ) -> Result<Self> {
        Self::of(&keys_only(work)?, source, target, parallel, limits).await
    }

    async fn of(
        work: &StreamWork,
        source: &Arc<dyn Source>,
        target: &Arc<dyn Source>,
        parallel: usize,
        limits: &Limits,
    ) -> Result<Self> {
        let mut read = Read::clone(&work.read);
        read.chunk_rows = read.chunk_rows.min(CHUNK_ROWS_MAX);
        let work = StreamWork { read: Arc::new(read), ..work.clone() };
        let there = one_stream(target.as_ref(), &work.target.name).await?;
        let families = columns(&work, &there)?;
        let mut wanted: Vec<String> = families.iter().map(|(name, _)| name.clone()).collect();
        let soft = work.deletes == Deletes::Soft;
        if soft && there.schema.column(DELETED_AT).is_some() && !wanted.iter().any(|name| name == DELETED_AT)
        {
            wanted.push(DELETED_AT.to_owned());
        }
        let target_read = Arc::new(Read {
            columns: wanted,
            filter: None,
            chunk_rows: work.read.chunk_rows,
            stream: Arc::new(there),
        });
        let method = !soft && common_method(source.as_ref(), target.as_ref(), &work, &target_read);
        let key = work.target.key.clone();
        let in_key: Vec<(String, Family)> =
            families.iter().filter(|(name, _)| key.contains(name)).cloned().collect();
        Ok(Pair {
            name: work.target.source.to_string(),
            columns: families.clone(),
            pairing: if in_key.is_empty() { families.clone() } else { in_key },
            key,
            source: Arc::new(
                Side::new(source, Arc::clone(&work.read), Some(&work), &families, parallel, limits, false)
                    .await?,
            ),
            target: Arc::new(Side::new(target, target_read, None, &families, parallel, limits, soft).await?),
            method,
        })
    }

    /// The columns by which a row is named: its key, or all where there is none.
    pub(crate) fn naming(&self) -> Vec<String> {
        match self.key.is_empty() {
            true => self.pairing.iter().map(|(name, _)| name.clone()).collect(),
            false => self.key.clone(),
        }
    }

    /// Hashes the keys of one side's rows.
    pub(crate) fn keys(&self, schema: &TableSchema) -> Result<RowHasher> {
        RowHasher::new(schema, &self.pairing)
    }

    /// Whether a range of keys means the same rows on both sides.
    pub(crate) fn key_ranges(&self) -> bool {
        let (SplitOrder::Key(source), SplitOrder::Key(target)) =
            (&self.source.read.stream.order, &self.target.read.stream.order)
        else {
            return false;
        };
        let Some(chain) = &self.source.chain else { return false };
        let kept = |name: &String| {
            let column = self.source.read.stream.schema.column(name);
            let after = chain.output().column(name);
            let there = self.target.read.stream.schema.column(name);
            match (column, after, there) {
                (Some(column), Some(after), Some(there)) => {
                    column.logical == after.logical
                        && column.native == after.native
                        && column.logical.orders_alike()
                        && there.logical.orders_alike()
                        && column.logical.is_integer() == there.logical.is_integer()
                }
                _ => false,
            }
        };
        source == target && !self.key.is_empty() && source == &self.key && source.iter().all(kept)
    }
}
