//! A transaction that keeps newer epochs from beginning, on a connection of its own.

use syncline_connect::RunRef;
use syncline_types::Result;

use super::{SinkShared, fenced, holds};
use crate::client::Client;

/// While it lives, no newer epoch begins. What is kept with it is there once it has ended; dropped
/// before, nothing of it is.
pub(crate) struct Fence {
    client: Client,
    pipeline: String,
}

impl Fence {
    /// Begins it, unless a newer epoch has begun.
    pub(crate) async fn begin(shared: &SinkShared, run: &RunRef, operation: &str) -> Result<Self> {
        let mut client = shared.connect().await?;
        let pipeline = run.pipeline.clone();
        client.run("START TRANSACTION", operation, &pipeline).await?;
        let answers = client.texts(&shared.ours.fence(&pipeline), operation, &pipeline).await?;
        if !holds(&answers, run) {
            return Err(fenced(run));
        }
        Ok(Fence { client, pipeline })
    }

    /// A query's only value, if it has one.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<Option<String>> {
        self.client.text(sql, "read the progress of", &self.pipeline).await
    }

    /// Changes something of ours with it.
    pub(crate) async fn keep(&mut self, sql: &str) -> Result<()> {
        self.client.run(sql, "save the progress of", &self.pipeline).await.map(drop)
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        self.client.run("COMMIT", "save the progress of", &self.pipeline).await.map(drop)
    }
}
