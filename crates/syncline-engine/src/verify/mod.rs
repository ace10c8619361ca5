//! Whether both ends agree: checksums of chunks, and of chunks that differ the rows.
//!
//! Where the key orders alike on both sides and no step changes it, a chunk is a range of keys and
//! both sides are asked for just that range: for a checksum they compute themselves if they do it in
//! the same way, else for the rows. Where it does not (texts have a collation of their own
//! everywhere), or there is no key, rows are paired by hash and not by order.

mod by_hash;
mod by_range;
mod difference;
mod rows;

use std::{path::Path, sync::Arc};

use syncline_config::{Pipeline, StreamChoice};
use syncline_connect::{Context, Digest, Read, Selection, Session, Source, SplitOrder, Stream};
use syncline_steps::Chain;
use syncline_types::{
    Error, Extent, Result, Split, SplitId, StreamName, TableSchema, codes,
    fingerprint::{Family, RowHasher},
};

use crate::shell::{
    Limits, Registry,
    prepare::{bind, choose},
    work::StreamWork,
};

pub use difference::{Difference, Kind, StreamVerdict};

/// Chunks larger than this are not compared in one go: their keys are held in memory.
const CHUNK_ROWS_MAX: u64 = 250_000;

/// Is told what is found.
pub trait Observer: Send {
    /// A stream is being compared, in this way.
    fn comparing(&mut self, stream: &str, how: &str);
    /// So many rows of it have been compared.
    fn progress(&mut self, stream: &str, rows: u64);
    /// A row that is not the same on both sides.
    fn difference(&mut self, stream: &str, difference: &Difference);
}

/// Both sides of one stream.
pub(crate) struct Pair {
    source: Arc<Side>,
    target: Arc<Side>,
    /// The key's columns and their form, for pairing rows; every column where there is no key.
    pairing: Vec<(String, Family)>,
    /// Names of the key's columns after the steps, which are those at the target.
    key: Vec<String>,
}

/// One side of a stream.
pub(crate) struct Side {
    read: Arc<Read>,
    session: Arc<dyn Session>,
    /// The steps, at the source.
    chain: Option<Arc<Chain>>,
    /// Of the rows as they are compared.
    schema: TableSchema,
    rows: RowHasher,
    /// How fast rows may be read. Checksums that a database computes itself move none.
    limits: Limits,
}

/// Compares every stream of a pipeline.
///
/// # Errors
/// When a stream cannot be compared at all.
pub async fn verify(
    pipeline: &Pipeline,
    registry: Registry,
    cx: &Context,
    scratch: &Path,
    observer: &mut dyn Observer,
) -> Result<Vec<StreamVerdict>> {
    let (from, to) = (registry(&pipeline.from.scheme)?, registry(&pipeline.to.scheme)?);
    if to.capabilities().snapshot.is_none() {
        return Err(Error::new(&codes::UNSUPPORTED, "verify", format!("`{}`", pipeline.to))
            .because(format!("`{}` cannot be read", to.name())));
    }
    let source: Arc<dyn Source> = Arc::from(from.source(&from.configure(&pipeline.from)?, cx.clone()).await?);
    let target: Arc<dyn Source> = Arc::from(to.source(&to.configure(&pipeline.to)?, cx.clone()).await?);
    let mut verdicts = vec![];
    for (number, (choice, stream)) in choose(pipeline, source.as_ref()).await?.into_iter().enumerate() {
        let id =
            u32::try_from(number).map_err(|_| crate::shell::work::broken("there are too many streams"))?;
        verdicts
            .push(verify_stream(pipeline, choice, stream, id, &source, &target, scratch, observer).await?);
    }
    Ok(verdicts)
}

#[expect(clippy::too_many_arguments, reason = "a stream, both ends, and where to report and keep things")]
async fn verify_stream(
    pipeline: &Pipeline,
    choice: &StreamChoice,
    stream: Stream,
    id: u32,
    source: &Arc<dyn Source>,
    target: &Arc<dyn Source>,
    scratch: &Path,
    observer: &mut dyn Observer,
) -> Result<StreamVerdict> {
    let mut work = bind(pipeline, choice, stream, id, source.as_ref())?;
    let name = work.target.source.to_string();
    let mut read = Read::clone(&work.read);
    read.chunk_rows = read.chunk_rows.min(CHUNK_ROWS_MAX);
    work.read = Arc::new(read);
    let there = one_stream(target.as_ref(), &work.target.name).await?;
    let families = columns(&work, &there)?;
    let target_read = Arc::new(Read {
        columns: families.iter().map(|(name, _)| name.clone()).collect(),
        filter: None,
        chunk_rows: work.read.chunk_rows,
        stream: Arc::new(there),
    });
    let method = common_method(source.as_ref(), target.as_ref(), &work, &target_read);
    let key = work.target.key.clone();
    let in_key: Vec<(String, Family)> =
        families.iter().filter(|(name, _)| key.contains(name)).cloned().collect();
    let pair = Pair {
        pairing: if in_key.is_empty() { families.clone() } else { in_key },
        key,
        source: Arc::new(Side::new(source, Arc::clone(&work.read), Some(&work), &families, pipeline).await?),
        target: Arc::new(Side::new(target, target_read, None, &families, pipeline).await?),
    };
    let ranges = pair.key_ranges();
    let how = match (&ranges, method) {
        (true, true) => "by ranges of keys, with checksums computed by both databases",
        (true, false) => "by ranges of keys, with checksums computed here",
        (false, true) => "as a whole, with checksums computed by both databases",
        (false, false) => "pairing rows by hash",
    };
    observer.comparing(&name, how);
    if !ranges && method {
        // Equal as a whole is equal; only if not are rows looked at.
        let (a, b) = tokio::try_join!(pair.source.digest_all(), pair.target.digest_all())?;
        if a == b {
            return Ok(StreamVerdict {
                source_rows: a.rows,
                target_rows: b.rows,
                ..StreamVerdict::new(name)
            });
        }
    }
    match ranges {
        true => by_range::compare(&pair, method, pipeline.parallel, name, observer).await,
        false => by_hash::compare(&pair, scratch, name, observer).await,
    }
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
    async fn new(
        source: &Arc<dyn Source>,
        read: Arc<Read>,
        work: Option<&StreamWork>,
        families: &[(String, Family)],
        pipeline: &Pipeline,
    ) -> Result<Self> {
        let session = source.begin(std::slice::from_ref(&read), pipeline.parallel).await?;
        let schema = match work {
            Some(work) => work.chain.output().clone(),
            None => read.schema(),
        };
        let rows = RowHasher::new(&schema, families)?;
        Ok(Side {
            session: Arc::from(session),
            read,
            chain: work.map(|work| Arc::clone(&work.chain)),
            schema,
            rows,
            limits: Limits::new(pipeline.limits.rows_per_second, pipeline.limits.bytes_per_second),
        })
    }

    /// Rows and checksum of everything.
    async fn digest_all(&self) -> Result<Digest> {
        let whole = Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None };
        self.session.digest(&self.read, &whole).await
    }
}

impl Pair {
    /// Whether a range of keys means the same rows on both sides.
    fn key_ranges(&self) -> bool {
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
