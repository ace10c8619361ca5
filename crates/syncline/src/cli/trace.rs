//! `syncline trace FILE PIPELINE STREAM KEY...`: where one row is, and why it is not where it is looked for.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use syncline_config::duration_seconds;
use syncline_engine::{
    follow::{Done, Told},
    trace::{Traced, Verdict, trace},
};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::{Output, bytes, time, told_time};

#[derive(Args)]
pub(crate) struct TraceCommand {
    /// The pipeline file, or a source
    #[arg(value_name = "FILE|FROM")]
    file: String,
    /// The pipeline, or the target, with the options of the copy
    #[arg(value_name = "PIPELINE|TO")]
    pipeline: String,
    /// The stream, by its name at the source or at the target
    #[arg(value_name = "STREAM")]
    of: String,
    /// The row's key: COLUMN=VALUE of each of its columns, or the value alone where there is one column
    #[arg(required = true)]
    row: Vec<String>,
    #[command(flatten)]
    options: PipelineOptions,
    /// Of a pipeline that follows: how long a row that differs is looked at again, until it is clear
    /// whether it was on its way
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration_seconds)]
    settle: u64,
}

impl TraceCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let pipelines = resolve(vec![self.file, self.pipeline], self.options)?;
        let [pipeline] = pipelines.as_slice() else {
            return Err(
                Error::new(&codes::BAD_USAGE, "trace", "a row").because("one pipeline is to be named")
            );
        };
        let cx = Session::context(pipeline);
        let settle = Duration::from_secs(self.settle);
        let registry = syncline_connectors::by_scheme;
        let traced = tokio::select! {
            traced = trace(pipeline, &self.of, &self.row, registry, &cx, &session.state, settle) => traced?,
            () = session.stop.cancelled() => {
                return Err(Error::new(&codes::INTERRUPTED, "trace a row of", format!("`{}`", self.of)).because("it was asked to stop"));
            }
        };
        cx.close().await;
        tell(&pipeline.id, &traced, session.output);
        session.output.object(&object(&pipeline.id, &traced));
        Ok(if traced.verdict.is_well() { Ended::Well } else { Ended::Different })
    }
}

fn object(pipeline: &str, traced: &Traced) -> serde_json::Value {
    let step = traced.step.as_ref().map(|step| {
        json!({
            "number": step.number, "kind": step.kind, "text": step.text,
            "outcome": if step.refused.is_some() { "refused" } else { "left_out" },
            "code": step.refused.as_ref().map(|error| error.code().to_string()),
            "reason": step.refused.as_ref().map(Error::sentence),
        })
    });
    let letters: Vec<_> = traced
        .letters
        .iter()
        .map(|letter| json!({"id": letter.id, "code": letter.code, "reason": letter.reason, "at": letter.at}))
        .collect();
    let standing = traced.standing.as_ref();
    let last_change = traced.told.map(|told| {
        let last = told.last.map(|last| {
            json!({
                "number": last.number, "done": last.done, "applied": told.is_applied,
                "committed": last.committed_micros.map(told_time),
            })
        });
        json!({"last": last, "known_from": told.known_from})
    });
    json!({
        "event": "trace", "pipeline": pipeline, "stream": traced.stream, "target": traced.target, "key": traced.key,
        "at_source": traced.at_source, "unreadable": traced.unreadable.as_ref().map(|error| error.code().to_string()),
        "step": step, "dead_letters": letters,
        "at_target": traced.at_target, "differing": traced.differing,
        "mark": standing.map(|standing| &standing.mark.0),
        "behind_bytes": standing.and_then(|standing| standing.behind),
        "changes": last_change,
        "running": standing.map(|standing| standing.runs),
        "verdict": traced.verdict,
    })
}

fn tell(pipeline: &str, traced: &Traced, output: Output) {
    output.line(format!("{} {} -> {}", traced.stream, traced.key, traced.target));
    output.line(match (traced.at_source, &traced.unreadable) {
        (_, Some(error)) => format!("  source   it is there, and cannot be read: {error}"),
        (true, None) => "  source   it is there".to_owned(),
        (false, None) => "  source   it is not there".to_owned(),
    });
    if let Some(step) = &traced.step {
        let which = format!("  steps    step {} of {}", step.number, traced.steps);
        output.line(match &step.refused {
            Some(error) => format!("{which} refuses it: {} ({error})", step.text),
            None => format!("{which} leaves it out: {}", step.text),
        });
    } else if traced.at_source && traced.unreadable.is_none() && traced.steps > 0 {
        output.line(format!("  steps    it passes all {}", traced.steps));
    }
    for letter in &traced.letters {
        output
            .line(format!("  letter   #{} at {}: {} [{}]", letter.id, letter.at, letter.reason, letter.code));
    }
    output.line(match (traced.at_target, traced.differing.as_slice()) {
        (false, _) => "  target   it is not there".to_owned(),
        (true, []) if traced.verdict == Verdict::Applied => "  target   it is there, and the same".to_owned(),
        (true, []) => "  target   it is there".to_owned(),
        (true, columns) => format!("  target   it is there, and differs in {}", columns.join(", ")),
    });
    if let Some(standing) = &traced.standing {
        let behind = match standing.behind {
            Some(behind) => format!("{} of the log behind its end", bytes(behind)),
            None => "its distance from the end cannot be told".to_owned(),
        };
        let runs = if standing.runs { "runs" } else { "does not run" };
        output.line(format!("  pipeline {runs}; it is at {}, {behind}", standing.mark.0));
    }
    if let Some(told) = &traced.told {
        output.line(format!("  change   {}", change(told)));
    }
    output.line(verdict(pipeline, traced));
}

/// What the pipeline has read of the row last.
fn change(told: &Told) -> String {
    let Some(last) = &told.last else {
        return format!("none of it was read since the pipeline's change {}", told.known_from);
    };
    let done = match last.done {
        Done::Inserted => "inserted",
        Done::Updated => "updated",
        Done::MovedHere => "moved here from another key",
        Done::MovedAway => "moved away to another key",
        Done::Deleted => "deleted",
    };
    let when =
        last.committed_micros.map_or(String::new(), |micros| format!(", committed at {}", time(micros)));
    let applied = if told.is_applied { "applied" } else { "read, and not applied yet" };
    format!("last {done}{when}; the pipeline's change {}, {applied}", last.number)
}

/// What it comes to, and what to do.
fn verdict(pipeline: &str, traced: &Traced) -> String {
    let follows = traced.standing.is_some();
    let differs = |what: &str| match follows {
        true => format!("{what} although the pipeline is past it: syncline verify --repair puts it right"),
        false => format!(
            "{what}: the source has changed since the last run, or the target has; run it again, or syncline verify --repair"
        ),
    };
    match traced.verdict {
        Verdict::Applied => "applied".to_owned(),
        Verdict::Filtered => match &traced.step {
            Some(step) => format!("filtered by step {}", step.number),
            None => "filtered".to_owned(),
        },
        Verdict::Absent => "at neither end: it was never there, or is deleted at both".to_owned(),
        Verdict::Kept => {
            "deleted at the source, and kept at the target, as `deletes: ignore` says".to_owned()
        }
        Verdict::NotReadYet => match traced.standing.as_ref().is_some_and(|standing| standing.runs) {
            true => "not read yet: the pipeline has not come so far, or the row is changed all the time"
                .to_owned(),
            false => "not read yet: the pipeline does not run".to_owned(),
        },
        Verdict::DeadLettered => format!("dead-lettered: syncline dlq show {pipeline}"),
        Verdict::Refused => "refused: it cannot go on, and there is no dead letter of it yet".to_owned(),
        Verdict::Missing => differs("missing at the target"),
        Verdict::Different => differs("different at the target"),
        Verdict::Extra => differs("only at the target"),
    }
}
