//! Whether both ends agree: checksums of chunks, and of chunks that differ the rows.
//!
//! Where the key orders alike on both sides and no step changes it, a chunk is a range of keys and
//! both sides are asked for just that range: for a checksum they compute themselves if they do it in
//! the same way, else for the rows. Where it does not (texts have a collation of their own
//! everywhere), or there is no key, rows are paired by hash and not by order.
//!
//! Where a pipeline follows, what differs may be on its way: it is looked at again as the pipeline
//! goes on (`settle.rs`).

mod by_hash;
mod by_range;
mod difference;
pub(crate) mod look;
pub(crate) mod pair;
pub(crate) mod place;
pub(crate) mod rows;
pub(crate) mod settle;
pub(crate) mod wanted;

use std::{path::Path, sync::Arc, time::Duration};

use syncline_config::{Pipeline, Sync};
use syncline_connect::{Context, Sink, Source, WriteMode};
use syncline_state::StateDirectory;
use syncline_steps::StepSpec;
use syncline_types::{Error, Result, TableSchema, codes};

use crate::shell::{
    Registry,
    prepare::{bind, choose, written},
    work::{StreamWork, broken},
};
use look::Lookup;
use pair::Pair;
use place::Place;
use wanted::Wanted;

pub use difference::{Difference, Kind, Moving, StreamVerdict};
pub use place::{Moment, Standing};

/// Is told what is found.
pub trait Observer: Send {
    /// A stream is being compared, in this way.
    fn comparing(&mut self, stream: &str, how: &str);
    /// So many rows of it have been compared.
    fn progress(&mut self, stream: &str, rows: u64);
    /// A row that is not the same on both sides.
    fn difference(&mut self, stream: &str, difference: &Difference);
    /// So many rows differ at first sight, and may be on their way: they are looked at again.
    fn settling(&mut self, stream: &str, rows: u64);
    /// A row that differs in the last look, and may be on its way.
    fn unsettled(&mut self, stream: &str, difference: &Difference);
    /// A stream whose target is a log of changes, which is nothing to compare.
    fn passed_over(&mut self, stream: &str);
}

/// What was found of a pipeline.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Stream by stream.
    pub streams: Vec<StreamVerdict>,
    /// Where it follows, and is known to have.
    pub followed: Option<FollowedUpTo>,
}

/// What a comparison of a pipeline that follows speaks of.
#[derive(Clone, Debug)]
pub struct FollowedUpTo {
    /// The source before the first row was read: what is equal has every change before it.
    pub moment: Moment,
    /// How far the pipeline is at the end.
    pub standing: Standing,
}

/// Both ends of a pipeline, open for reading, and what it copies.
pub(crate) struct Ends {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) target: Arc<dyn Source>,
    pub(crate) works: Vec<StreamWork>,
    /// For each of these, what its steps begin with, and the steps.
    pub(crate) written: Vec<(TableSchema, Vec<StepSpec>)>,
    /// The streams whose targets are logs of changes, by their names at the source.
    pub(crate) logs: Vec<String>,
}

impl Ends {
    /// Opens them.
    pub(crate) async fn open(pipeline: &Pipeline, registry: Registry, cx: &Context) -> Result<Self> {
        let (from, to) = (registry(&pipeline.from.scheme)?, registry(&pipeline.to.scheme)?);
        if to.capabilities().snapshot.is_none() {
            return Err(Error::new(&codes::UNSUPPORTED, "verify", format!("`{}`", pipeline.to))
                .because(format!("`{}` cannot be read", to.name())));
        }
        let source: Arc<dyn Source> =
            Arc::from(from.source(&from.configure(&pipeline.from)?, cx.clone()).await?);
        let target: Arc<dyn Source> = Arc::from(to.source(&to.configure(&pipeline.to)?, cx.clone()).await?);
        let (mut works, mut all, mut logs) = (vec![], vec![], vec![]);
        for (number, (choice, stream)) in choose(pipeline, source.as_ref()).await?.into_iter().enumerate() {
            let id = u32::try_from(number).map_err(|_| broken("there are too many streams"))?;
            if pipeline.sync == Sync::Follow && choice.write == WriteMode::Append {
                logs.push(stream.name.to_string());
                continue;
            }
            all.push(written(choice, &stream)?);
            works.push(bind(pipeline, choice, stream, id, source.as_ref())?);
        }
        match logs.first().filter(|_| works.is_empty()) {
            Some(name) => Err(log_of_changes("compare", name)),
            None => Ok(Ends { source, target, works, written: all, logs }),
        }
    }

    /// Tells of those that are not compared.
    pub(crate) fn tell(&self, observer: &mut dyn Observer) {
        self.logs.iter().for_each(|stream| observer.passed_over(stream));
    }
}

/// Why a stream is not compared that has a row for each change.
pub(crate) fn log_of_changes(operation: &str, stream: &str) -> Error {
    Error::new(&codes::UNSUPPORTED, operation, format!("`{stream}`"))
        .because("its target is a log of changes (write: append), which has a row for each change and not for each row")
        .hint("Ask the target itself: _op, _seq and _position tell what became of a row")
}

/// Compares every stream of a pipeline. Where changes are followed, rows that differ are looked at again
/// for as long as `settle` says, for each stream.
///
/// # Errors
/// When a stream cannot be compared at all.
pub async fn verify(
    pipeline: &Pipeline,
    registry: Registry,
    cx: &Context,
    state: &StateDirectory,
    settle: Duration,
    observer: &mut dyn Observer,
) -> Result<Verified> {
    let ends = Ends::open(pipeline, registry, cx).await?;
    ends.tell(observer);
    let place = followed(pipeline, registry, cx, ends.source.as_ref(), state).await?;
    let moment = match &place {
        Some(place) => Some(place.moment().await?),
        None => None,
    };
    let scratch = state.path().join(format!("verify-{}", std::process::id()));
    let mut streams = vec![];
    for work in &ends.works {
        streams.push(match &place {
            Some(place) if place.follows(&work.target.source).await? => {
                let lookup = Lookup { pipeline, work, ends: &ends };
                settle::compare_moving(&lookup, place, settle, &scratch, observer).await?.verdict
            }
            _ => {
                let pair = Pair::open(pipeline, work, &ends.source, &ends.target).await?;
                compare(&pair, pipeline.parallel, &scratch, &mut Wanted::none(), observer).await?
            }
        });
    }
    let followed = match (&place, moment) {
        (Some(place), Some(moment)) => Some(FollowedUpTo { moment, standing: place.standing().await? }),
        _ => None,
    };
    Ok(Verified { streams, followed })
}

/// Where a pipeline is that follows; `None` for others, and for one that never has.
pub(crate) async fn followed(
    pipeline: &Pipeline,
    registry: Registry,
    cx: &Context,
    source: &dyn Source,
    state: &StateDirectory,
) -> Result<Option<Place>> {
    if pipeline.sync != Sync::Follow {
        return Ok(None);
    }
    let to = registry(&pipeline.to.scheme)?;
    let sink: Arc<dyn Sink> = Arc::from(to.sink(&to.configure(&pipeline.to)?, cx.clone()).await?);
    Place::open(pipeline, source, sink, state).await
}

/// Compares both sides of a stream. What differs is told, and noted as far as there is room for it.
pub(crate) async fn compare(
    pair: &Pair,
    parallel: usize,
    scratch: &Path,
    wanted: &mut Wanted,
    observer: &mut dyn Observer,
) -> Result<StreamVerdict> {
    let (ranges, method) = (pair.key_ranges(), pair.method);
    let how = match (ranges, method) {
        (true, true) => "by ranges of keys, with checksums computed by both databases",
        (true, false) => "by ranges of keys, with checksums computed here",
        (false, true) => "as a whole, with checksums computed by both databases",
        (false, false) => "pairing rows by hash",
    };
    observer.comparing(&pair.name, how);
    if !ranges && method {
        // Equal as a whole is equal; only if not are rows looked at.
        let (a, b) = tokio::try_join!(pair.source.digest_all(), pair.target.digest_all())?;
        if a == b {
            let name = pair.name.clone();
            return Ok(StreamVerdict {
                source_rows: a.rows,
                target_rows: b.rows,
                ..StreamVerdict::new(name)
            });
        }
    }
    match ranges {
        true => by_range::compare(pair, parallel, wanted, observer).await,
        false => by_hash::compare(pair, scratch, wanted, observer).await,
    }
}
