//! A simulated state store.

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_state::{
    Letter, LetterPlace, NewLetter, NewRun, RunSummary, SavedRun, SavedSplit, SavedStream, Store, StreamPhase,
};
use syncline_types::{Error, Result, Split, codes};

use super::world::{Mistake, Shared};

/// One of the world's state directories.
pub(crate) struct SimStore(pub(crate) Shared, pub(crate) usize);

fn failed() -> Error {
    Error::new(&codes::STATE_FAILED, "save", "the simulated state")
}

impl SimStore {
    /// Changes the run, or fails without changing anything.
    fn change(&self, run: &str, change: impl FnOnce(&mut SavedRun) -> Option<()>) -> Result<()> {
        let mut world = self.0.get();
        let chaos = world.chaos;
        if world.dice.chance(chaos / 20) {
            return Err(failed());
        }
        match world.states[self.1].run.as_mut().filter(|saved| saved.run == run) {
            // Somebody else's run has taken the place of ours.
            None => Err(failed()),
            Some(saved) => change(saved).ok_or_else(failed),
        }
    }
}

fn save(run: &mut SavedRun, delta: &ProgressDelta) -> Option<()> {
    let stream = run.streams.get_mut(delta.stream as usize)?;
    stream.splits.iter_mut().find(|saved| saved.split.id == delta.split)?.row = Some(delta.row.clone());
    Some(())
}

#[async_trait]
impl Store for SimStore {
    async fn load(&self, _: &str) -> Result<Option<SavedRun>> {
        Ok(self.0.get().states[self.1].run.clone())
    }

    async fn create(&self, run: &NewRun) -> Result<()> {
        let stream = SavedStream { phase: StreamPhase::Copying, planned: false, splits: vec![] };
        self.0.get().states[self.1].run = Some(SavedRun {
            run: run.run.clone(),
            epoch: run.epoch,
            fingerprint: run.fingerprint.clone(),
            finished: false,
            streams: vec![stream; run.streams.len()],
        });
        Ok(())
    }

    async fn resume(&self, run: &str, epoch: u64, deltas: &[ProgressDelta], published: &[u32]) -> Result<()> {
        self.change(run, |saved| {
            saved.epoch = epoch;
            for stream in published {
                saved.streams.get_mut(*stream as usize)?.phase = StreamPhase::Published;
            }
            deltas.iter().try_for_each(|delta| save(saved, delta))
        })
    }

    async fn finish(&self, run: &str) -> Result<()> {
        self.change(run, |saved| {
            saved.finished = true;
            Some(())
        })
    }

    async fn save_split(&self, run: &str, stream: u32, split: &Split) -> Result<()> {
        if self.0.get().has(Mistake::SplitNotSaved) && self.0.get().dice.chance(300) {
            return Ok(());
        }
        self.change(run, |saved| {
            let splits = &mut saved.streams.get_mut(stream as usize)?.splits;
            if splits.iter().any(|saved| saved.split.id == split.id) {
                return None;
            }
            splits.push(SavedSplit { split: split.clone(), row: None });
            Some(())
        })
    }

    async fn save_planned(&self, run: &str, stream: u32) -> Result<()> {
        self.change(run, |saved| {
            saved.streams.get_mut(stream as usize)?.planned = true;
            Some(())
        })
    }

    async fn save_phase(&self, run: &str, stream: u32, phase: StreamPhase) -> Result<()> {
        self.change(run, |saved| {
            saved.streams.get_mut(stream as usize)?.phase = phase;
            Some(())
        })
    }

    async fn reset_stream(&self, run: &str, stream: u32) -> Result<()> {
        self.0.get().states[self.1].letters.retain(|(place, _)| place.stream != stream || place.run != run);
        self.change(run, |saved| {
            *saved.streams.get_mut(stream as usize)? =
                SavedStream { phase: StreamPhase::Copying, planned: false, splits: vec![] };
            Some(())
        })
    }

    async fn save_progress(&self, run: &str, delta: &ProgressDelta) -> Result<()> {
        self.change(run, |saved| save(saved, delta))
    }

    async fn save_letters(&self, place: &LetterPlace, letters: &[NewLetter]) -> Result<()> {
        let saved = letters.iter().map(|letter| (place.clone(), letter.clone()));
        self.0.get().states[self.1].letters.extend(saved);
        Ok(())
    }

    async fn forget_letters(&self, place: &LetterPlace) -> Result<()> {
        let mut world = self.0.get();
        if !world.has(Mistake::LettersKept) {
            world.states[self.1].letters.retain(|(kept, _)| kept != place);
        }
        Ok(())
    }

    async fn summaries(&self) -> Result<Vec<RunSummary>> {
        unreachable!("nobody asks")
    }

    async fn letters(&self, _: &str, _: Option<i64>) -> Result<Vec<Letter>> {
        unreachable!("nobody asks")
    }

    async fn drop_letters(&self, _: &str, _: Option<i64>) -> Result<u64> {
        unreachable!("nobody asks")
    }
}
