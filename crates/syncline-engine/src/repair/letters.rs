//! The state of a small run that is never resumed: nothing of it is kept but its dead letters, which
//! belong to the pipeline.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_state::{Letter, LetterPlace, NewLetter, NewRun, RunSummary, SavedRun, Store, StreamPhase};
use syncline_types::{Position, Result, Split, SplitId};

pub(crate) struct LettersOnly {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pipeline: String,
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
        self.store.reset_stream(run, stream).await
    }

    async fn save_progress(&self, _: &str, _: &ProgressDelta) -> Result<()> {
        Ok(())
    }

    async fn save_letters(&self, place: &LetterPlace, letters: &[NewLetter]) -> Result<()> {
        self.store.save_letters(&self.place(place), letters).await
    }

    async fn forget_letters(&self, place: &LetterPlace) -> Result<()> {
        self.store.forget_letters(&self.place(place)).await
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
