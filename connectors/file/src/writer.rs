//! One lane of writing. Rows go into parts under hidden names; a commit ends what is compressed, waits
//! for the disk and adds an entry to the journal. A part is gone on with after a commit, until it is
//! large enough; of what a crash leaves behind the last entry no row is anybody's.

mod part;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use syncline_connect::{Batch, Outcome, ProgressDelta, Reject, RunRef, Target, Writer};
use syncline_types::{Error, Result, SplitId, codes};

use crate::{
    encode::conform,
    error::shown,
    publish,
    sink::{
        SinkShared,
        journal::{Entry, Journal, Landing, PartState},
        make_folder,
    },
};
use part::OpenPart;

pub(crate) struct FileWriter {
    /// `None` while a call is under way; who breaks one off, or meets an error, has lost the writer.
    lane: Option<Lane>,
    shared: Arc<SinkShared>,
}

/// What a lane works with.
struct Lane {
    shared: Arc<SinkShared>,
    run: RunRef,
    number: u32,
    journal: Journal,
    /// The part under way for each stream.
    open: BTreeMap<u32, OpenPart>,
    /// Parts that became large enough since the last commit.
    full: Vec<(OpenPart, PartState)>,
    parts_made: u32,
    /// Whether rows were taken since the last flush.
    unflushed: bool,
}

impl FileWriter {
    /// # Errors
    /// [`codes::FENCED`] when a newer epoch has begun.
    pub(crate) fn new(shared: Arc<SinkShared>, run: RunRef) -> Result<Self> {
        let journal = shared.journal(&run)?;
        let number = shared.lanes.fetch_add(1, Ordering::Relaxed);
        let lane = Lane {
            shared: Arc::clone(&shared),
            run,
            number,
            journal,
            open: BTreeMap::new(),
            full: vec![],
            parts_made: 0,
            unflushed: false,
        };
        Ok(FileWriter { lane: Some(lane), shared })
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Lane) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut lane = self.lane.take().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "write to", shown(&self.shared.root))
                .because("the writer has failed before")
        })?;
        let worked =
            self.shared.cx.blocking("write rows", move || work(&mut lane).map(|value| (lane, value)));
        let (lane, value) = worked.await?;
        self.lane = Some(lane);
        Ok(value)
    }
}

#[async_trait]
impl Writer for FileWriter {
    async fn write(&mut self, target: &Arc<Target>, _: SplitId, batch: &Batch) -> Result<Vec<Outcome>> {
        let (target, rows) = (Arc::clone(target), batch.rows.clone());
        self.work(move |lane| lane.write(&target, &rows)).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.work(|lane| {
            lane.unflushed = false;
            Ok(())
        })
        .await
    }

    /// Whatever a format cannot hold is told row by row before anything of it is written, so there is
    /// nothing to take back but by mistake.
    async fn abort(&mut self) -> Result<()> {
        self.work(|lane| match lane.unflushed {
            false => Ok(()),
            true => Err(Error::new(&codes::UNSUPPORTED, "take rows back from", shown(&lane.shared.root))
                .because("they are in a file already")),
        })
        .await
    }

    async fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        let deltas = deltas.to_vec();
        self.work(move |lane| lane.commit(&deltas)).await
    }
}

impl Lane {
    fn write(&mut self, target: &Target, rows: &arrow_array::RecordBatch) -> Result<Vec<Outcome>> {
        self.journal.refresh()?;
        self.journal.fence(self.run.epoch)?;
        let landing = self.landing(target.stream)?;
        let resets = self.journal.known.resets_of(target.stream);
        // A stream that has begun again has no use for what was before.
        if self.open.get(&target.stream).is_some_and(|part| part.resets != resets) {
            self.open.remove(&target.stream);
        }
        let conformed = conform(target, rows, &landing.schema)?;
        if !self.open.contains_key(&target.stream) {
            let part = self.begin_part(target.stream, &landing, resets)?;
            self.open.insert(target.stream, part);
        }
        let Some(part) = self.open.get_mut(&target.stream) else { return Ok(conformed.refused) };
        let refusals = part.write(&conformed.rows)?;
        self.unflushed = true;
        if part.bytes() >= self.shared.part_bytes {
            let mut part = self.open.remove(&target.stream).expect("the part was just written to");
            if let Some(state) = part.settle()? {
                self.full.push((part, state));
            }
        }
        let refused = refusals.into_iter().map(|refusal| {
            let row = conformed.place(refusal.row);
            Outcome::Reject(Reject { row, place: None, error: refusal.error })
        });
        let refused: Vec<Outcome> = refused.collect();
        Ok([conformed.refused, refused].concat())
    }

    fn landing(&self, stream: u32) -> Result<Landing> {
        self.journal.known.landings.get(&stream).cloned().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "write to", shown(&self.shared.root))
                .because("the stream was not prepared")
        })
    }

    fn begin_part(&mut self, stream: u32, landing: &Landing, resets: u32) -> Result<OpenPart> {
        let folder = self.shared.root.join(&landing.folder);
        make_folder(&folder)?;
        let file = self.shared.part_name(&self.run, &folder, self.number, &mut self.parts_made);
        OpenPart::begin(stream, &folder, file, &landing.schema, &self.shared.layout, resets)
    }

    fn commit(&mut self, deltas: &[ProgressDelta]) -> Result<()> {
        let (mut closed, mut states): (Vec<OpenPart>, Vec<PartState>) =
            std::mem::take(&mut self.full).into_iter().unzip();
        for (stream, mut part) in std::mem::take(&mut self.open) {
            // A part that was not written to is settled: whoever comes back to its stream begins another.
            let Some(state) = part.settle()? else { continue };
            states.push(state);
            if self.landing(stream)?.staged && self.shared.layout.can_go_on() {
                self.open.insert(stream, part);
            } else {
                closed.push(part);
            }
        }
        self.unflushed = false;
        let mut streams: Vec<u32> = states.iter().map(|state| state.stream).collect();
        // Should the entry fail, it may stand in the journal all the same, and what it speaks of must be
        // there. If it does not, whoever begins next removes what nobody speaks of.
        self.open.values_mut().chain(&mut closed).for_each(OpenPart::keep);
        self.journal.add(self.run.epoch, &[Entry::commit(deltas, states)])?;
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            if !self.landing(stream)?.staged {
                publish::show(&self.shared, &self.run, &self.journal.known, stream)?;
            }
        }
        Ok(())
    }
}
