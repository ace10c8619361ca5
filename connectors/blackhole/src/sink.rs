//! Takes every row and keeps none. Progress is the engine's own: there is nothing here to hold it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, Batch, ColumnPlan, Delivery, Lanes, Marking, NetChanges, Origin, Outcome, ProgressDelta,
    Published, RunRef, Sink, Target, TargetPlan, TargetProgress, Writer,
};
use syncline_types::{Result, SplitId};

pub(crate) struct BlackholeSink;

struct BlackholeWriter;

struct BlackholeApplier;

#[async_trait]
impl Sink for BlackholeSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        Ok(targets.iter().map(|target| plan(target)).collect())
    }

    async fn lock(&self, _: &str, epoch_min: u64) -> Result<u64> {
        Ok(epoch_min + 1)
    }

    async fn apply(&self, _: &RunRef, _: &Arc<Target>, _: &Action) -> Result<()> {
        Ok(())
    }

    async fn progress(&self, _: &str) -> Result<Option<TargetProgress>> {
        Ok(None)
    }

    async fn writer(&self, _: &RunRef) -> Result<Box<dyn Writer>> {
        Ok(Box::new(BlackholeWriter))
    }

    async fn applier(&self, _: &RunRef) -> Result<Box<dyn Applier>> {
        Ok(Box::new(BlackholeApplier))
    }

    async fn marks(&self, _: &str) -> Result<Option<BTreeMap<String, String>>> {
        Ok(None)
    }

    async fn finish(&self, _: &RunRef, _: &Arc<Target>, _: Marking<'_>) -> Result<Published> {
        Ok(Published { how: "forgotten".into() })
    }

    async fn reset(&self, _: &RunRef, _: &Arc<Target>) -> Result<()> {
        Ok(())
    }

    async fn close(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

fn plan(target: &Target) -> TargetPlan {
    let columns = target
        .schema
        .columns
        .iter()
        .map(|column| ColumnPlan {
            name: column.name.clone(),
            logical: column.logical,
            source_type: column.native.clone(),
            target_type: "nothing".into(),
            note: None,
        })
        .collect();
    TargetPlan { existing: None, columns, before: vec![], publish: vec![], findings: vec![] }
}

#[async_trait]
impl Writer for BlackholeWriter {
    async fn write(&mut self, _: &Arc<Target>, _: SplitId, _: &Batch) -> Result<Vec<Outcome>> {
        Ok(vec![])
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }

    async fn commit(&mut self, _: &[ProgressDelta]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Applier for BlackholeApplier {
    async fn apply(&mut self, _: &Arc<Target>, _: &NetChanges) -> Result<u64> {
        // What is kept nowhere is missed nowhere.
        Ok(0)
    }

    fn come_through(&mut self, _: &Origin) {}

    async fn commit(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
