//! `syncline recopy FILE PIPELINE STREAM`: copies a stream again, or a part of it, of a pipeline that
//! follows.

use clap::Args;
use serde_json::json;
use syncline_config::Sync;
use syncline_engine::{
    follow::{FollowOptions, Wish, ask_for_copy, check_wish},
    shell::prepare,
};
use syncline_types::{Error, Result, codes};

use super::{Ended, Session, follow::follow_pipeline, pipelines::of_file};

#[derive(Args)]
pub(crate) struct RecopyCommand {
    /// The pipeline file
    file: String,
    /// The pipeline; it may be running
    pipeline: String,
    /// The stream, by its name at the source
    stream: String,
    /// Only rows for which this SQL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
}

impl RecopyCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let pipelines = of_file(vec![self.file, self.pipeline])?;
        let Some(pipeline) = pipelines.first() else { return Ok(Ended::Well) };
        if pipeline.sync != Sync::Follow {
            return Err(Error::new(
                &codes::BAD_USAGE,
                "copy again for pipeline",
                format!("`{}`", pipeline.id),
            )
            .because("it does not follow, so every run of it copies")
            .hint("Run it: syncline run"));
        }
        let wish = Wish { filter: self.filter };
        let cx = Session::context(pipeline);
        let prepared = prepare(pipeline, syncline_connectors::by_scheme, &cx, &session.state, false).await?;
        let stream = check_wish(&prepared, &self.stream, &wish)?;
        drop(prepared);
        cx.close().await;
        let store = session.state.open(true)?.ok_or_else(|| {
            Error::new(&codes::STATE_FAILED, "copy again for pipeline", format!("`{}`", pipeline.id))
                .because("there is no state")
        })?;
        let running = session.state.is_locked(&pipeline.id);
        ask_for_copy(&store, &pipeline.id, &stream, wish).await?;
        drop(store);
        session.output.object(&json!({
            "event": "recopy", "pipeline": pipeline.id, "stream": stream, "running": running,
        }));
        if running {
            session.output.line(format!("{}: the running pipeline copies {stream} again", pipeline.id));
            return Ok(Ended::Well);
        }
        let options = FollowOptions { restart: false, until_caught_up: true };
        follow_pipeline(pipeline, options, session).await?;
        Ok(Ended::Well)
    }
}
