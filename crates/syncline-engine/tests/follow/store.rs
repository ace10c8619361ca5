//! The state, of which following needs the mark alone.

use std::collections::BTreeMap;

use async_trait::async_trait;
use syncline_connect::ProgressDelta;
use syncline_state::{Letter, LetterPlace, NewLetter, NewRun, RunSummary, SavedRun, Store, StreamPhase};
use syncline_types::{Position, Result, Split, SplitId};

use crate::world::World;

/// The state as the process of an epoch has it: an older one that goes on has a copy of its own, since the
/// directory's lock keeps it from this one.
pub(crate) struct SimStore(pub(crate) World, pub(crate) u64);

const COPIED: &str = "the copy is done, and no row is refused";

#[async_trait]
impl Store for SimStore {
    async fn save_mark(&self, _: &str, _: &str, mark: Option<&str>) -> Result<()> {
        self.0.step().await;
        self.0.may_fail("save the mark of")?;
        let mut world = self.0.get();
        if world.epoch == self.1 {
            world.state_mark = serde_json::from_str(mark.unwrap()).unwrap();
        }
        Ok(())
    }

    async fn load(&self, _: &str) -> Result<Option<SavedRun>> {
        unreachable!("{COPIED}")
    }

    async fn create(&self, _: &NewRun) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn resume(&self, _: &str, _: u64, _: &[ProgressDelta], _: &[u32]) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn finish(&self, _: &str) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn save_split(&self, _: &str, _: u32, _: &Split) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn save_planned(&self, _: &str, _: u32) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn save_phase(&self, _: &str, _: u32, _: StreamPhase) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn reset_stream(&self, _: &str, _: u32) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn save_progress(&self, _: &str, _: &ProgressDelta) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn save_found(&self, _: &LetterPlace, _: &str) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn found(&self, _: &str, _: u32) -> Result<Vec<(SplitId, Option<Position>, String)>> {
        unreachable!("{COPIED}")
    }

    async fn marks(&self, _: &str) -> Result<BTreeMap<String, String>> {
        unreachable!("{COPIED}")
    }

    async fn summaries(&self) -> Result<Vec<RunSummary>> {
        unreachable!("{COPIED}")
    }

    async fn letters(&self, _: &str, _: Option<i64>) -> Result<Vec<Letter>> {
        unreachable!("{COPIED}")
    }

    async fn drop_letters(&self, _: &str, _: Option<i64>) -> Result<u64> {
        unreachable!("{COPIED}")
    }

    async fn save_letters(&self, _: &LetterPlace, _: &[NewLetter]) -> Result<()> {
        unreachable!("{COPIED}")
    }

    async fn forget_letters(&self, _: &LetterPlace) -> Result<()> {
        Ok(())
    }
}
