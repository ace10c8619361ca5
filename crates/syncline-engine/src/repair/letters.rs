//! The state of a small run that is never resumed: nothing of it is kept but its dead letters, which
//! belong to the pipeline.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_state::{Letter, LetterPlace, NewLetter, NewRun, RunSummary, SavedRun, Store, StreamPhase};
use syncline_types::{Position, Result, Split, SplitId};

pub(crate) struct LettersOnly {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pipeline: String,
    /// Letters that are caught here, where they are not to be saved.
    pub(crate) caught: Option<Caught>,
}

/// Letters with the place of their attempt.
pub(crate) type Caught = Arc<Mutex<Vec<(LetterPlace, NewLetter)>>>;

/// What was caught so far.
pub(crate) fn locked(caught: &Caught) -> MutexGuard<'_, Vec<(LetterPlace, NewLetter)>> {
    caught.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LettersOnly {
    fn place(&self, place: &LetterPlace) -> LetterPlace {
        LetterPlace { pipeline: self.pipeline.clone(), ..place.clone() }
    }
}

#[async_trait]
impl Store for LettersOnly {
    async fn load(&self, _: &str) -> Result<Option<SavedRun>> {
        Ok(None)
    }

    async fn create(&self, _: &NewRun) -> Result<()> {
        Ok(())
    }

    async fn resume(&self, _: &str, _: u64, _: &[ProgressDelta], _: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn finish(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn save_split(&self, _: &str, _: u32, _: &Split) -> Result<()> {
        Ok(())
    }

    async fn save_planned(&self, _: &str, _: u32) -> Result<()> {
        Ok(())
    }

    async fn save_phase(&self, _: &str, _: u32, _: StreamPhase) -> Result<()> {
        Ok(())
    }

    async fn reset_stream(&self, run: &str, stream: u32) -> Result<()> {
        match &self.caught {
            Some(caught) => locked(caught).clear(),
            None => self.store.reset_stream(run, stream).await?,
        }
        Ok(())
    }

    async fn save_progress(&self, _: &str, _: &ProgressDelta) -> Result<()> {
        Ok(())
    }

    async fn save_letters(&self, place: &LetterPlace, letters: &[NewLetter]) -> Result<()> {
        match &self.caught {
            Some(caught) => locked(caught).extend(letters.iter().map(|new| (place.clone(), new.clone()))),
            None => self.store.save_letters(&self.place(place), letters).await?,
        }
        Ok(())
    }

    async fn forget_letters(&self, place: &LetterPlace) -> Result<()> {
        match &self.caught {
            Some(caught) => locked(caught).retain(|(kept, _)| kept != place),
            None => self.store.forget_letters(&self.place(place)).await?,
        }
        Ok(())
    }

    async fn save_found(&self, _: &LetterPlace, _: &str) -> Result<()> {
        Ok(())
    }

    async fn found(&self, _: &str, _: u32) -> Result<Vec<(SplitId, Option<Position>, String)>> {
        Ok(vec![])
    }

    async fn marks(&self, _: &str) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }

    async fn save_mark(&self, _: &str, _: &str, _: Option<&str>) -> Result<()> {
        Ok(())
    }

    async fn summaries(&self) -> Result<Vec<RunSummary>> {
        self.store.summaries().await
    }

    async fn letters(&self, pipeline: &str, id: Option<i64>) -> Result<Vec<Letter>> {
        self.store.letters(pipeline, id).await
    }

    async fn drop_letters(&self, pipeline: &str, id: Option<i64>) -> Result<u64> {
        self.store.drop_letters(pipeline, id).await
    }
}
