//! Pipelines that copy and then follow: what is shown of them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::MultiProgress;
use serde_json::json;
use syncline_config::Pipeline;
use syncline_connect::ColumnChange;
use syncline_engine::{
    core::{RetryPolicy, Scope, StreamView},
    follow::{Counted, FollowOptions, Lag, LiveObserver, Observer, Stopped, follow},
    shell::{self, Outcome},
};
use syncline_types::{Error, Position, Result, Retry, codes};

use super::{
    Session,
    copy::{make_ready, report},
};
use crate::{
    output::{Output, counted_as, duration},
    progress::Progress,
};

/// How often a line is printed while changes come.
const LINE_EVERY: Duration = Duration::from_secs(5);
const OBJECT_EVERY: Duration = Duration::from_secs(1);
/// So often it is looked again at a table whose columns changed while it was looked at.
const LOOKS_AGAIN: u32 = 3;

/// Copies a pipeline's streams and follows them, until it is stopped.
pub(super) async fn follow_pipeline(
    pipeline: &Pipeline,
    mut options: FollowOptions,
    session: &Session,
) -> Result<()> {
    let mut shown: Option<Shown> = None;
    let mut failures = 0_u32;
    let ended = loop {
        let began_at = shown.as_ref().and_then(|shown| shown.position.clone());
        let passed = pass(pipeline, options, session, &mut shown).await;
        match (passed, &mut shown) {
            (Ok(Stopped::Again), _) => (options.restart, failures) = (false, 0),
            (Ok(Stopped::Asked | Stopped::Reached), _) => break Ok(()),
            // Once it follows, what may pass does not end it while it gets ready to go on otherwise either.
            (Err(error), Some(shown)) if shown.position.is_some() && may_pass(&error, failures) => {
                options.restart = false;
                failures = if shown.position == began_at { failures.saturating_add(1) } else { 1 };
                let pause = Duration::from_millis(RetryPolicy::default().step_millis(failures));
                shown.waiting(&error, pause);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = session.stop.cancelled() => {}
                }
            }
            (Err(error), _) => break Err(error),
        }
    };
    let Some(shown) = shown.filter(|shown| shown.position.is_some()) else { return ended };
    shown.tell("stopped", &shown.all);
    match ended {
        // Once it follows it ends well when it is asked to, also while it gets ready to go on otherwise.
        Err(error) if *error.code() == codes::INTERRUPTED && session.stop.is_cancelled() => Ok(()),
        ended => ended,
    }
}

/// Gets ready and follows, until it has come to its end or has to get ready again.
async fn pass(
    pipeline: &Pipeline,
    options: FollowOptions,
    session: &Session,
    shown: &mut Option<Shown>,
) -> Result<Stopped> {
    let (prepared, copy) = make_ready(pipeline, options.restart, session).await?;
    let shown = shown.get_or_insert_with(|| Shown::new(pipeline, session, copy));
    follow(prepared, &session.state, options, &session.stop, shown).await
}

/// Whether what failed may go well after a pause, when it has failed so often in a row.
fn may_pass(error: &Error, failures: u32) -> bool {
    // A column may have gone between two looks at its table; where a pipeline names it, it stays missing.
    let has_moved = *error.code() == codes::COLUMN_MISSING && failures < LOOKS_AGAIN;
    error.retry() == Retry::Backoff || has_moved
}

/// Shows a pipeline that follows.
struct Shown {
    copy: Progress,
    output: Output,
    bars: MultiProgress,
    pipeline: String,
    all: Counted,
    /// What has come since something was printed last.
    since: Counted,
    last: Instant,
    /// Once it follows.
    position: Option<Position>,
    /// How far behind it is.
    lag: Lag,
    /// How old the last transaction was when it was applied.
    seconds: Option<f64>,
}

impl Shown {
    fn new(pipeline: &Pipeline, session: &Session, copy: Progress) -> Self {
        Shown {
            copy,
            output: session.output,
            bars: session.bars.clone(),
            pipeline: pipeline.id.clone(),
            all: Counted::default(),
            since: Counted::default(),
            last: Instant::now(),
            position: None,
            lag: Lag::default(),
            seconds: None,
        }
    }

    /// Says of some streams what has become of them.
    fn say(&self, event: &str, streams: &[String], what: &str) {
        match self.output {
            Output::Text => eprintln!("{}: {} {what}", self.pipeline, streams.join(", ")),
            Output::Json => {
                self.output.object(&json!({"event": event, "pipeline": self.pipeline, "streams": streams}))
            }
        }
    }

    fn tell(&self, event: &str, counted: &Counted) {
        let lag = self.seconds;
        let position = self.position.as_ref().map(|position| position.0.as_str()).unwrap_or_default();
        match self.output {
            Output::Text => {
                let lag = lag
                    .map(|lag| format!(", the last {} after its commit", duration(lag)))
                    .unwrap_or_default();
                eprintln!(
                    "{}: {} in {} {}{lag}, up to {position}",
                    self.pipeline,
                    counted_as(counted.changes, "change"),
                    counted_as(counted.transactions, "transaction"),
                    if event == "stopped" { "applied in all" } else { "applied" },
                );
            }
            Output::Json => self.output.object(&json!({
                "event": event,
                "pipeline": self.pipeline,
                "changes": counted.changes,
                "transactions": counted.transactions,
                "bytes": counted.bytes,
                "rejected": counted.rejected,
                "lag_seconds": lag,
                "lag_bytes": self.lag.bytes,
                "position": position,
            })),
        }
    }
}

/// How long ago the last transaction was committed at the source.
fn lag_seconds(counted: &Counted) -> Option<f64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_micros();
    let committed = u128::try_from(counted.committed_micros?).ok()?;
    Some(now.saturating_sub(committed) as f64 / 1e6)
}

impl shell::Observer for Shown {
    fn progress(&mut self, views: &[StreamView]) {
        self.copy.progress(views);
    }

    fn retrying(&mut self, scope: Scope, error: &Error) {
        self.copy.retrying(scope, error);
    }
}

impl LiveObserver for Shown {
    fn applied(&mut self, counted: &Counted, position: &Position) {
        self.all.add(counted.clone());
        self.since.add(counted.clone());
        self.position = Some(position.clone());
        self.seconds = lag_seconds(counted).or(self.seconds);
        // Where nothing concerned the streams, the position alone has gone on.
        let is_news = self.since.changes > 0;
        let every = if self.output == Output::Text { LINE_EVERY } else { OBJECT_EVERY };
        if is_news && self.last.elapsed() >= every {
            self.last = Instant::now();
            let since = std::mem::take(&mut self.since);
            self.tell("applied", &since);
        }
    }

    fn waiting(&mut self, error: &Error, pause: Duration) {
        match self.output {
            Output::Text => {
                eprintln!("{}: {error}; trying again in {}", self.pipeline, duration(pause.as_secs_f64()))
            }
            Output::Json => self.output.object(&json!({
                "event": "retry",
                "pipeline": self.pipeline,
                "code": error.code().to_string(),
                "message": error.sentence(),
                "pause_seconds": pause.as_secs_f64(),
            })),
        }
    }

    fn joined(&mut self, streams: &[String]) {
        self.say("joined", streams, "caught up and followed with the others");
    }

    fn lags(&mut self, lag: &Lag) {
        self.lag = lag.clone();
        self.output.object(&json!({
            "event": "lag",
            "pipeline": self.pipeline,
            "seconds": lag.seconds,
            "bytes": lag.bytes,
            "stalled": lag.stalled,
            "streams": lag.streams,
        }));
    }

    fn warned(&mut self, what: &str) {
        match self.output {
            Output::Text => eprintln!("warning: {}: {what}", self.pipeline),
            Output::Json => {
                self.output.object(&json!({"event": "warning", "pipeline": self.pipeline, "message": what}))
            }
        }
    }
}

impl Observer for Shown {
    fn following(&mut self, copied: Option<&Outcome>, position: &Position) {
        if let Some(outcome) = copied {
            report(outcome, self.output);
        }
        self.position = Some(position.clone());
        match self.output {
            Output::Text => eprintln!("{}: following from {}", self.pipeline, position.0),
            Output::Json => self
                .output
                .object(&json!({"event": "following", "pipeline": self.pipeline, "position": position.0})),
        }
    }

    fn copying(&mut self, streams: &[(String, Option<u64>)], beside: bool) {
        self.copy = Progress::new(self.output, &self.pipeline, self.bars.clone(), streams.to_vec());
        if beside {
            let names: Vec<String> = streams.iter().map(|(name, _)| name.clone()).collect();
            self.say("copying", &names, "being copied, while the others are followed");
        }
    }

    fn copied(&mut self, outcome: &Outcome) {
        report(outcome, self.output);
    }

    fn evolved(&mut self, stream: &str, told: &[String], changes: &[ColumnChange], copy_again: bool) {
        let at_target: Vec<String> = changes.iter().map(ToString::to_string).collect();
        match self.output {
            Output::Text => {
                let target =
                    if at_target.is_empty() { "stays as it is".to_owned() } else { at_target.join(", ") };
                let again = if copy_again { "; it is copied again" } else { "" };
                eprintln!(
                    "{}: {stream} has changed: {}. The target: {target}{again}",
                    self.pipeline,
                    told.join(", ")
                );
            }
            Output::Json => self.output.object(&json!({
                "event": "schema_changed",
                "pipeline": self.pipeline,
                "stream": stream,
                "source": told,
                "target": at_target,
                "copied_again": copy_again,
            })),
        }
    }
}
