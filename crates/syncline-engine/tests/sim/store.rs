//! A simulated state store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_state::{
    Letter, LetterPlace, NewLetter, NewRun, NewStream, RunSummary, SavedRun, SavedSplit, SavedStream, Store,
    StreamPhase,
};
use syncline_types::{Error, Position, Result, Split, SplitId, codes};

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
        let world = self.0.get();
        let mut run = world.states[self.1].run.clone();
        if world.has(Mistake::WindowMoves)
            && let Some(highest) = world.tables[0].rows.values().flatten().max()
        {
            let windows = run.iter_mut().flat_map(|run| &mut run.streams).filter_map(|s| s.window.as_mut());
            for window in windows {
                let mut moved: serde_json::Value = serde_json::from_str(window).unwrap();
                moved["upto"] = highest.to_string().into();
                *window = moved.to_string();
            }
        }
        Ok(run)
    }

    async fn create(&self, run: &NewRun) -> Result<()> {
        let stream = |stream: &NewStream| SavedStream {
            phase: StreamPhase::Copying,
            planned: false,
            window: stream.window.clone(),
            splits: vec![],
        };
        let mut world = self.0.get();
        world.states[self.1].found.clear();
        world.states[self.1].run = Some(SavedRun {
            run: run.run.clone(),
            epoch: run.epoch,
            fingerprint: run.fingerprint.clone(),
            finished: false,
            streams: run.streams.iter().map(stream).collect(),
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
        self.0.get().states[self.1].found.retain(|place, _| place.0 != stream);
        self.change(run, |saved| {
            let saved = saved.streams.get_mut(stream as usize)?;
            (saved.phase, saved.planned) = (StreamPhase::Copying, false);
            saved.splits.clear();
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

    async fn save_found(&self, place: &LetterPlace, found: &str) -> Result<()> {
        let mut world = self.0.get();
        if !world.has(Mistake::FoundNotSaved) {
            let key = (place.stream, place.split, place.at.as_ref().map(|at| at.0.clone()));
            world.states[self.1].found.insert(key, found.to_owned());
        }
        Ok(())
    }

    async fn found(&self, _: &str, stream: u32) -> Result<Vec<(SplitId, Option<Position>, String)>> {
        let world = self.0.get();
        let found = world.states[self.1].found.iter().filter(|((of, _, _), _)| *of == stream);
        Ok(found.map(|((_, split, at), found)| (*split, at.clone().map(Position), found.clone())).collect())
    }

    async fn marks(&self, _: &str) -> Result<BTreeMap<String, String>> {
        Ok(self.0.get().states[self.1].marks.clone())
    }

    async fn save_mark(&self, _: &str, source: &str, mark: Option<&str>) -> Result<()> {
        let marks = &mut self.0.get().states[self.1].marks;
        match mark {
            Some(mark) => drop(marks.insert(source.to_owned(), mark.to_owned())),
            None => drop(marks.remove(source)),
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
