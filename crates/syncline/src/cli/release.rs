//! `syncline release FILE [PIPELINE]... | FROM TO`: gives up what a source keeps for pipelines that follow it.

use clap::Args;
use serde_json::json;
use syncline_config::{Pipeline, Sync};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::Output;

#[derive(Args)]
pub(crate) struct ReleaseCommand {
    /// FILE [PIPELINE]..., or FROM TO with the options of the copy
    #[arg(required = true, value_name = "FILE [PIPELINE]... | FROM TO")]
    arguments: Vec<String>,
    #[command(flatten)]
    options: PipelineOptions,
}

impl ReleaseCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let named = self.arguments.len() > 1;
        let pipelines = resolve(self.arguments, self.options)?;
        let follows = |pipeline: &&Pipeline| pipeline.sync == Sync::Follow;
        // Of a file as a whole, those that follow are meant.
        let none = !pipelines.iter().any(|pipeline| follows(&pipeline));
        if let Some(other) = pipelines.iter().find(|pipeline| (named || none) && !follows(pipeline)) {
            return Err(not_following(other));
        }
        for pipeline in pipelines.iter().filter(follows) {
            release(pipeline, session).await?;
            match session.output {
                Output::Text => eprintln!("{}: its source keeps nothing for it any more", pipeline.id),
                Output::Json => session.output.object(&json!({"event": "released", "pipeline": pipeline.id})),
            }
        }
        Ok(Ended::Well)
    }
}

/// Gives up one pipeline's place, unless it is being run.
async fn release(pipeline: &Pipeline, session: &Session) -> Result<()> {
    let _lock = session.state.lock(&pipeline.id)?;
    let cx = Session::context(pipeline);
    let connector = syncline_connectors::by_scheme(&pipeline.from.scheme)?;
    let config = connector.configure(&pipeline.from)?;
    let source = connector.source(&config, cx.clone()).await?;
    let released = source.log(&pipeline.id).await?.release().await;
    drop(source);
    cx.close().await;
    released
}

fn not_following(pipeline: &Pipeline) -> Error {
    Error::new(&codes::BAD_USAGE, "release pipeline", format!("`{}`", pipeline.id))
        .because("it does not follow its source, which keeps nothing for it")
        .hint("Name a pipeline with sync: follow (--sync follow)")
}
