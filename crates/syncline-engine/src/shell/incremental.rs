//! What an incremental run has besides: the window of each stream, fixed when the run is created and
//! saved with it; the chain and the reads that keep to it; the mark that is left in the end.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;
use syncline_connect::{Marking, Read, Sink, Target, Task};
use syncline_state::{NewStream, Store};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Error, Result, TableSchema};

use super::{
    prepare::pushed,
    sift::Sift,
    work::{StreamWork, Work, broken},
};
use crate::incremental::{Cursor, Found, Mark, Place, Window};

/// What a stream of an incremental run is bound from anew, once its window is known.
pub struct Incremental {
    /// By what it is read in parts.
    pub cursor: Cursor,
    /// The stream's steps.
    pub steps: Vec<StepSpec>,
    /// The schema that they are bound to.
    pub input: TableSchema,
    /// The key of the masks.
    pub mask_key: Option<SecretString>,
}

/// A stream within its window.
pub(super) struct Within {
    pub(super) work: StreamWork,
    pub(super) window: Window,
    /// What keeps rows from being added twice; only where rows are added.
    pub(super) sift: Option<Sift>,
}

impl StreamWork {
    /// The stream within a window, and what attempts of this run have found already.
    fn within(&self, work: &Work, window: Window, found: Vec<(Place, Found)>) -> Result<Option<Within>> {
        let Some(incremental) = &self.incremental else { return Ok(None) };
        let Incremental { cursor, steps, input, mask_key } = incremental.as_ref();
        let stream = &self.read.stream;
        let condition = cursor.condition(&window);
        let name = self.target.source.to_string();
        let chain = Chain::bind_within(Some(&condition), steps, input, mask_key.as_ref(), &name)?;
        let filter = pushed(chain.pushdown(), |part| work.source.evaluates(stream, part));
        let (columns, sift) = match cursor.appends {
            true => {
                let (columns, sift) = Sift::new(cursor, &window, &chain, &stream.schema, found)?;
                (columns, Some(sift))
            }
            false => (chain.input_columns().to_vec(), None),
        };
        let read = Read { columns, filter, ..Read::clone(&self.read) };
        let work = StreamWork { read: Arc::new(read), chain: Arc::new(chain), ..self.clone() };
        Ok(Some(Within { work, window, sift }))
    }
}

/// The marks of a pipeline, by the stream's name at the source. What the target says outranks what the
/// state says; where it keeps none, the state does.
pub(super) async fn marks(
    sink: &dyn Sink,
    store: Option<&dyn Store>,
    pipeline: &str,
) -> Result<BTreeMap<String, String>> {
    match (sink.marks(pipeline).await?, store) {
        (Some(marks), _) => Ok(marks),
        (None, Some(store)) => store.marks(pipeline).await,
        (None, None) => Ok(BTreeMap::new()),
    }
}

/// Whether a target has rows that a mark could speak of.
pub(super) async fn has_rows(sink: &dyn Sink, target: &Arc<Target>) -> Result<bool> {
    let plans = sink.plan(std::slice::from_ref(target)).await?;
    Ok(plans.iter().any(|plan| plan.existing.as_ref().is_some_and(|existing| existing.has_rows)))
}

impl Work {
    /// The windows of a run that begins, as they are saved with it. Asked for under the pipeline's lock:
    /// what was planned before it may be outdated.
    pub(super) async fn new_windows(&self, streams: &mut [NewStream]) -> Result<()> {
        if self.streams.iter().all(|stream| stream.incremental.is_none()) {
            return Ok(());
        }
        let marks = marks(self.sink.as_ref(), Some(self.store.as_ref()), &self.pipeline).await?;
        for ((number, stream), new) in self.streams.iter().enumerate().zip(streams) {
            let Some(incremental) = &stream.incremental else { continue };
            let cursor = &incremental.cursor;
            let mut mark = marks.get(&new.source).map(|text| Mark::read(text)).transpose()?;
            if mark.is_some() && !has_rows(self.sink.as_ref(), &stream.target).await? {
                mark = None;
            }
            let edge = self.source.edge(&stream.read.stream, &cursor.column).await?;
            let window = cursor.window(mark, &edge).map_err(|error| about(error, &new.source))?;
            new.window = Some(serde_json::to_string(&window).map_err(|_| garbled())?);
            self.keep_to(number, stream.within(self, window, vec![])?)?;
        }
        Ok(())
    }

    /// The windows of a run that goes on.
    pub(super) async fn saved_windows(&self, run: &str, published: &[u32]) -> Result<()> {
        if self.streams.iter().all(|stream| stream.incremental.is_none()) {
            return Ok(());
        }
        let saved = self.store.load(&self.pipeline).await?.ok_or_else(|| broken("the run is not saved"))?;
        for ((number, stream), saved) in self.streams.iter().enumerate().zip(saved.streams) {
            if stream.incremental.is_none() {
                continue;
            }
            let text = saved.window.ok_or_else(|| broken("the run has no window"))?;
            let window = serde_json::from_str(&text).map_err(|_| garbled())?;
            let found = self.store.found(run, stream.target.stream).await?;
            let found = found.into_iter().map(|(split, at, found)| {
                Ok(((split, at), serde_json::from_str(&found).map_err(|_| garbled())?))
            });
            self.keep_to(number, stream.within(self, window, found.collect::<Result<_>>()?)?)?;
        }
        self.take_over_marks(published).await
    }

    /// Marks that the target has saved with streams of which the state does not know that they are
    /// published.
    async fn take_over_marks(&self, published: &[u32]) -> Result<()> {
        let Some(marks) = self.sink.marks(&self.pipeline).await? else { return Ok(()) };
        for stream in self.streams.iter().filter(|stream| published.contains(&stream.target.stream)) {
            let source = stream.target.source.to_string();
            if let Some(mark) = marks.get(&source).filter(|_| stream.incremental.is_some()) {
                self.store.save_mark(&self.pipeline, &source, Some(mark)).await?;
            }
        }
        Ok(())
    }

    fn keep_to(&self, number: usize, within: Option<Within>) -> Result<()> {
        let (Some(within), Some(slot)) = (within, self.windows.get(number)) else { return Ok(()) };
        slot.set(within).map_err(|_| broken("a window was there already"))
    }

    /// The window of a stream, once a run has begun.
    pub fn window(&self, number: usize) -> Option<(&Cursor, &Window)> {
        let within = self.windows.get(number)?.get()?;
        within.work.incremental.as_ref().map(|incremental| (&incremental.cursor, &within.window))
    }

    pub(super) fn sift(&self, number: usize) -> Option<&Sift> {
        self.windows.get(number)?.get()?.sift.as_ref()
    }

    /// What becomes of a stream's mark when it is published.
    pub(super) fn next_mark(&self, number: usize) -> Result<Next> {
        let stream = self.stream(number)?;
        // Who changes or removes rows by their keys has not read the stream.
        if stream.target.task != Task::Load {
            return Ok(Next::Keep);
        }
        let Some(incremental) = &stream.incremental else { return Ok(Next::Clear) };
        let within = self.windows.get(number).and_then(|slot| slot.get());
        let within = within.ok_or_else(|| broken("the stream has no window"))?;
        let seen = within.sift.as_ref().map(Sift::seen);
        Ok(match incremental.cursor.mark(&within.window, seen) {
            Some(mark) => Next::Save(mark.write()),
            None => Next::Keep,
        })
    }

    /// Saves in the state what the target has saved when it published.
    pub(super) async fn save_mark(&self, number: usize) -> Result<()> {
        let source = self.stream(number)?.target.source.to_string();
        match self.next_mark(number)? {
            Next::Keep => Ok(()),
            Next::Save(mark) => self.store.save_mark(&self.pipeline, &source, Some(&mark)).await,
            Next::Clear => self.store.save_mark(&self.pipeline, &source, None).await,
        }
    }
}

/// A [`Marking`] with its text.
pub(super) enum Next {
    Keep,
    Save(String),
    Clear,
}

impl Next {
    pub(super) fn marking(&self) -> Marking<'_> {
        match self {
            Next::Keep => Marking::Keep,
            Next::Save(mark) => Marking::Save(mark),
            Next::Clear => Marking::Clear,
        }
    }
}

/// Says of which stream an error speaks.
pub(super) fn about(error: Error, stream: &str) -> Error {
    let told = Error::new(error.code(), "prepare", format!("stream `{stream}`")).because(error.sentence());
    match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn garbled() -> Error {
    broken("what the state says of a window is not as it was written")
}
