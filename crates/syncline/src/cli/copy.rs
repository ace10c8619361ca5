//! `syncline copy FROM TO`: one pipeline from the command line.

use clap::Args;
use syncline_config::{Pipeline, Sync};
use syncline_engine::{
    follow::FollowOptions,
    shell::{Outcome, Prepared, RunOptions, prepare, run},
};
use syncline_types::{Error, Result, codes};

use super::{Ended, Session, follow::follow_pipeline, pipelines::PipelineOptions, plan};
use crate::{
    output::{Output, bytes, count, duration, table},
    progress::Progress,
};

#[derive(Args)]
pub(crate) struct CopyCommand {
    /// The connection to read from
    from: String,
    /// The connection to write to
    to: String,
    #[command(flatten)]
    options: PipelineOptions,
    /// Throw away an unfinished run and begin again
    #[arg(long)]
    restart: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    /// With --sync follow: end once everything is applied that has happened when it begins
    #[arg(long)]
    until_caught_up: bool,
}

impl CopyCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let pipeline = self.options.pipeline(self.from, self.to)?;
        if self.dry_run {
            return plan::show(&[pipeline], session).await;
        }
        check_until_caught_up(self.until_caught_up, std::slice::from_ref(&pipeline))?;
        let options = FollowOptions { restart: self.restart, until_caught_up: self.until_caught_up };
        run_pipeline(&pipeline, options, session).await?;
        Ok(Ended::Well)
    }
}

/// Refuses the option where no pipeline needs it.
pub(super) fn check_until_caught_up(given: bool, pipelines: &[Pipeline]) -> Result<()> {
    if !given || pipelines.iter().any(|pipeline| pipeline.sync == Sync::Follow) {
        return Ok(());
    }
    Err(Error::new(&codes::BAD_USAGE, "use option", "`--until-caught-up`")
        .because("no pipeline here follows, and every other one ends by itself")
        .hint("Write sync: follow (--sync follow) with it, or leave it out"))
}

/// Runs one pipeline and prints what came of it.
pub(crate) async fn run_pipeline(
    pipeline: &Pipeline,
    options: FollowOptions,
    session: &Session,
) -> Result<()> {
    if pipeline.sync == Sync::Follow {
        return follow_pipeline(pipeline, options, session).await;
    }
    let options = RunOptions { restart: options.restart };
    let (prepared, mut progress) = make_ready(pipeline, options.restart, session).await?;
    let outcome = run(prepared, &session.state, options, &session.stop, &mut progress).await?;
    report(&outcome, session.output);
    match outcome.error() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Prepares a pipeline, says what is worth a warning, and gets ready to show how it goes.
pub(super) async fn make_ready(
    pipeline: &Pipeline,
    anew: bool,
    session: &Session,
) -> Result<(Prepared, Progress)> {
    let cx = Session::context(pipeline);
    // Nothing has been changed while it is prepared, so stopping is simply to stop.
    let prepared = tokio::select! {
        prepared = prepare(pipeline, syncline_connectors::by_scheme, &cx, &session.state, anew) => prepared?,
        () = session.stop.cancelled() => return Err(stopped(pipeline)),
    };
    warn(&prepared, session.output);
    let streams = prepared
        .streams
        .iter()
        .map(|stream| (stream.work.target.source.to_string(), stream.work.read.stream.rows_estimate))
        .collect();
    let progress = Progress::new(session.output, &pipeline.id, session.bars.clone(), streams);
    Ok((prepared, progress))
}

fn stopped(pipeline: &Pipeline) -> Error {
    Error::new(&codes::INTERRUPTED, "run", format!("`{}`", pipeline.id))
        .because("it was asked to stop before it had begun")
}

/// Warnings are seen even by those who do not look at the plan first.
fn warn(prepared: &Prepared, output: Output) {
    use syncline_connect::Severity;
    if output == Output::Text {
        for stream in &prepared.streams {
            for finding in stream.findings.iter().filter(|finding| finding.severity == Severity::Warning) {
                eprintln!("warning: {}", finding.message);
            }
        }
    }
}

pub(super) fn report(outcome: &Outcome, output: Output) {
    let summary = &outcome.summary;
    for (stream, error) in &outcome.failed {
        match output {
            Output::Text => eprintln!("{stream}: {error}"),
            Output::Json => output.object(&serde_json::json!({
                "event": "stream_failed",
                "pipeline": summary.pipeline,
                "stream": stream,
                "code": error.code().to_string(),
                "message": error.sentence(),
            })),
        }
    }
    if outcome.ended.is_none() {
        #[derive(serde::Serialize)]
        struct Event<'a> {
            event: &'static str,
            #[serde(flatten)]
            summary: &'a syncline_engine::shell::Summary,
        }
        output.object(&Event { event: "summary", summary });
    }
    if output == Output::Json {
        return;
    }
    // Only pipelines that remove rows have something to say of it.
    let removes = summary.streams.iter().any(|stream| stream.deleted > 0);
    let mut heading = vec!["stream", "target", "rows", "resumed", "rejected"];
    heading.extend(removes.then_some("deleted"));
    heading.extend(["bytes", "time", "rows/s", ""]);
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for stream in &summary.streams {
        let rate = if stream.seconds > 0.0 { (stream.rows as f64 / stream.seconds) as u64 } else { 0 };
        let mut row = vec![
            stream.stream.clone(),
            stream.target.clone(),
            count(stream.rows),
            count(stream.rows_resumed),
            count(stream.rejected),
        ];
        row.extend(removes.then(|| count(stream.deleted)));
        row.extend([bytes(stream.bytes), duration(stream.seconds), count(rate), stream.outcome.to_owned()]);
        rows.push(row);
    }
    for line in table(&rows, 0) {
        eprintln!("{line}");
    }
    for stream in &summary.streams {
        let Some(window) = &stream.window else { continue };
        let from = window.from.as_deref().unwrap_or("the first value");
        let upto = window.upto.as_deref().unwrap_or("none yet");
        eprintln!("{}: `{}` from {from} to {upto}", stream.stream, window.cursor);
        if let Some(warning) = &window.warning {
            eprintln!("warning: {}: {warning}", stream.stream);
        }
    }
    if summary.resumed || summary.snapshots > 1 {
        eprintln!(
            "The rows come from more than one snapshot: exact if the source did not change meanwhile. \
             --restart copies from one."
        );
    }
    eprintln!("`{}` took {}", summary.pipeline, duration(summary.seconds));
}
