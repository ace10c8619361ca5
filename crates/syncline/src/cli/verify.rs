//! `syncline verify`: whether both ends have the same rows, and `--repair` puts right those that differ.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use syncline_config::{Pipeline, Sync, duration_seconds};
use syncline_connect::Context;
use syncline_engine::{
    repair::{self, Repaired, Repairs, repair},
    verify::{Difference, FollowedUpTo, Kind, Observer, StreamVerdict, Verified, verify},
};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::{Output, bytes, count, duration, table, time, told_time};

#[derive(Args)]
pub(crate) struct VerifyCommand {
    /// FILE [PIPELINE]..., or FROM TO with the options of the copy; those that are about writing
    /// change nothing here
    #[arg(required = true, value_name = "FILE [PIPELINE]... | FROM TO")]
    arguments: Vec<String>,
    #[command(flatten)]
    options: PipelineOptions,
    /// Put right what differs, and compare again: rows that the target lacks or has otherwise are
    /// written by key, rows that the source lacks are deleted. 0 only if the last look finds no
    /// difference
    #[arg(long)]
    repair: bool,
    /// Of a pipeline that follows: how long rows that differ in a stream are looked at again, until it is
    /// clear whether they were on their way
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration_seconds)]
    settle: u64,
}

/// Rows named for people; programs are told all.
const NAMED_MAX: usize = 20;

/// How often it is said how far a comparison is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

impl VerifyCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let mut all = vec![];
        let mut moments = vec![];
        let settle = Duration::from_secs(self.settle);
        for pipeline in resolve(self.arguments, self.options)? {
            let cx = Session::context(&pipeline);
            let told = Told { output: session.output, named: 0, last: Instant::now() };
            let (streams, followed) = match self.repair {
                true => mend(&pipeline, &cx, settle, told, session).await?,
                false => look(&pipeline, &cx, settle, told, session).await?,
            };
            cx.close().await;
            if pipeline.sync == Sync::Follow {
                conclude(&pipeline.id, &streams, followed.as_ref(), self.settle, session.output);
            }
            moments.extend(followed.map(|followed| followed.moment));
            all.extend(streams);
        }
        let mut summary = json!({"event": "summary", "streams": all});
        // Of several pipelines each has its own, told before.
        if let [moment] = moments.as_slice() {
            summary["position"] = json!(moment.position.0);
            summary["at"] = json!(told_time(moment.micros));
        }
        session.output.object(&summary);
        Ok(if all.iter().all(|stream| stream.verdict.equal()) { Ended::Well } else { Ended::Different })
    }
}

/// A stream in the summary: the last look at it, and what was done before.
#[derive(Serialize)]
struct Summed {
    #[serde(flatten)]
    verdict: StreamVerdict,
    /// Rows that were written or deleted to put it right.
    repaired: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repair>,
}

/// What a repair did.
#[derive(Serialize)]
struct Repair {
    /// The first look.
    before: StreamVerdict,
    written: u64,
    deleted: u64,
    /// Rows that the target refused; they are dead letters.
    rejected: u64,
}

async fn look(
    pipeline: &Pipeline,
    cx: &Context,
    settle: Duration,
    mut told: Told,
    session: &Session,
) -> Result<(Vec<Summed>, Option<FollowedUpTo>)> {
    let compared = verify(pipeline, syncline_connectors::by_scheme, cx, &session.state, settle, &mut told);
    let Verified { streams, followed } = tokio::select! {
        verified = compared => verified?,
        () = session.stop.cancelled() => {
            return Err(Error::new(&codes::INTERRUPTED, "verify", format!("`{}`", pipeline.id)).because("it was asked to stop"));
        }
    };
    report(&streams, None, session.output);
    let alone = |verdict| Summed { verdict, repaired: 0, repair: None };
    Ok((streams.into_iter().map(alone).collect(), followed))
}

async fn mend(
    pipeline: &Pipeline,
    cx: &Context,
    settle: Duration,
    mut told: Told,
    session: &Session,
) -> Result<(Vec<Summed>, Option<FollowedUpTo>)> {
    let registry = syncline_connectors::by_scheme;
    let repairs = repair(pipeline, registry, cx, &session.state, settle, &session.stop, &mut told).await?;
    let Repairs { streams: repaired, followed } = repairs;
    for Repaired { before, problem, .. } in &repaired {
        if let Some(problem) = problem {
            match session.output {
                Output::Text => eprintln!("{}: {problem}", before.stream),
                Output::Json => session.output.object(&json!({
                    "event": "stream_failed", "pipeline": pipeline.id, "stream": before.stream,
                    "code": problem.code().to_string(), "message": problem.sentence(), "hint": problem.advice(),
                })),
            }
        }
    }
    let looks =
        |look: fn(&Repaired) -> &StreamVerdict| repaired.iter().map(look).cloned().collect::<Vec<_>>();
    session.output.line("before:");
    report(&looks(|stream| &stream.before), None, session.output);
    session.output.line("after:");
    report(&looks(|stream| &stream.after), Some(&repaired), session.output);
    let told = |Repaired { before, after, written, deleted, rejected, .. }| Summed {
        verdict: after,
        repaired: written + deleted,
        repair: Some(Repair { before, written, deleted, rejected }),
    };
    Ok((repaired.into_iter().map(told).collect(), followed))
}

/// What it all means for a pipeline that follows.
fn conclude(
    pipeline: &str,
    streams: &[Summed],
    followed: Option<&FollowedUpTo>,
    settle_seconds: u64,
    output: Output,
) {
    let Some(FollowedUpTo { moment, standing }) = followed else {
        output.line(format!("{pipeline}: it has not followed yet, as far as is known here"));
        return;
    };
    let (position, at) = (&moment.position.0, time(moment.micros));
    output.object(&json!({
        "event": "followed", "pipeline": pipeline, "position": position, "at": told_time(moment.micros),
        "mark": standing.mark.0, "behind_bytes": standing.behind, "running": standing.runs,
    }));
    let sum = |of: fn(&StreamVerdict) -> u64| streams.iter().map(|stream| of(&stream.verdict)).sum::<u64>();
    let (differing, unsettled) = (sum(StreamVerdict::differing), sum(StreamVerdict::unsettled));
    let behind = match standing.behind {
        Some(behind) => format!("{}, {} of the log behind its end", standing.mark.0, bytes(behind)),
        None => standing.mark.0.clone(),
    };
    if streams.iter().all(|stream| stream.verdict.equal()) {
        output.line(format!("{pipeline}: equal up to {position}, where the log ended at {at} UTC"));
    } else if differing > 0 && streams.iter().all(|stream| stream.verdict.moving.is_some()) {
        output.line(format!(
            "{pipeline}: {} although the pipeline is past that; --repair puts it right",
            rows_differ(differing)
        ));
    }
    let kept = sum(|verdict| verdict.moving.map_or(0, |moving| moving.kept));
    if kept > 0 {
        output.line(format!(
            "{pipeline}: {} only at the target, and kept there: `deletes: ignore`",
            rows_are(kept)
        ));
    }
    match (unsettled, standing.runs) {
        (0, _) => {}
        (_, true) => output.line(format!(
            "{pipeline}: {} still moving after {}: the pipeline is at {behind}. Give them more time with --settle",
            rows_are(unsettled),
            duration(settle_seconds as f64)
        )),
        (_, false) => output.line(format!(
            "{pipeline}: the pipeline is not running. It is at {behind}; {}, which may be by changes that it has \
             not applied yet. Run it (with --until-caught-up, if it is to end), and verify again",
            rows_differ(unsettled)
        )),
    }
}

fn rows(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "row" } else { "rows" })
}

fn rows_differ(number: u64) -> String {
    format!("{} {}", rows(number), if number == 1 { "differs" } else { "differ" })
}

fn rows_are(number: u64) -> String {
    format!("{} {}", rows(number), if number == 1 { "is" } else { "are" })
}

struct Told {
    output: Output,
    /// Rows of the stream that have been named.
    named: usize,
    last: Instant,
}

impl Observer for Told {
    fn comparing(&mut self, stream: &str, how: &str) {
        self.named = 0;
        self.output.object(&json!({"event": "comparing", "stream": stream, "how": how}));
        if self.output == Output::Text {
            eprintln!("{stream}: comparing {how}");
        }
    }

    fn progress(&mut self, stream: &str, rows: u64) {
        if rows == 0 || self.last.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.last = Instant::now();
        self.output.object(&json!({"event": "progress", "stream": stream, "rows": rows}));
        if self.output == Output::Text {
            eprintln!("{stream}: {} rows compared", count(rows));
        }
    }

    fn difference(&mut self, stream: &str, difference: &Difference) {
        self.name("difference", "", stream, difference);
    }

    fn settling(&mut self, stream: &str, number: u64) {
        self.output.object(&json!({"event": "settling", "stream": stream, "rows": number}));
        if self.output == Output::Text {
            eprintln!("{stream}: {} and may be on the way; looking again", rows_differ(number));
        }
    }

    fn unsettled(&mut self, stream: &str, difference: &Difference) {
        self.name("unsettled", "perhaps ", stream, difference);
    }

    fn passed_over(&mut self, stream: &str) {
        self.output.object(&json!({"event": "passed_over", "stream": stream}));
        self.output.line(format!("{stream}: not compared, its target is a log of changes"));
    }
}

impl Told {
    fn name(&mut self, event: &str, perhaps: &str, stream: &str, difference: &Difference) {
        self.output.object(
            &json!({"event": event, "stream": stream, "kind": difference.kind, "key": difference.key}),
        );
        self.named += 1;
        match self.named {
            named if named <= NAMED_MAX => {
                let kind = match difference.kind {
                    Kind::Missing => "missing",
                    Kind::Different => "different",
                    Kind::Extra => "extra",
                };
                self.output.line(format!("{stream}: {perhaps}{kind} {}", difference.key));
            }
            named if named == NAMED_MAX + 1 => {
                self.output.line(format!("{stream}: more rows differ; --output json names them"));
            }
            _ => {}
        }
    }
}

impl repair::Observer for Told {
    fn repairing(&mut self, stream: &str, rows: u64, gone: u64) {
        self.output.object(&json!({"event": "repairing", "stream": stream, "write": rows, "delete": gone}));
        if self.output == Output::Text {
            eprintln!("{stream}: writing {} rows, deleting {}", count(rows), count(gone));
        }
    }
}

/// The verdicts as a table; with what was repaired, where anything was.
fn report(verdicts: &[StreamVerdict], repaired: Option<&[Repaired]>, output: Output) {
    let moving = verdicts.iter().any(|verdict| verdict.moving.is_some());
    let mut heading = vec!["stream", "source rows", "target rows", "missing", "different", "extra"];
    heading.extend(moving.then_some("moving"));
    heading.extend(repaired.map(|_| "repaired"));
    heading.push("");
    let mut lines = vec![heading.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (at, verdict) in verdicts.iter().enumerate() {
        let words = match (verdict.equal(), verdict.unreadable) {
            (true, _) => "equal".to_owned(),
            (false, 0) if verdict.differing() == 0 => "not clear".to_owned(),
            (false, 0) => "not equal".to_owned(),
            (false, unreadable) => format!("not equal, {} cannot be read", rows(unreadable)),
        };
        let mut row = vec![
            verdict.stream.clone(),
            count(verdict.source_rows),
            count(verdict.target_rows),
            count(verdict.missing),
            count(verdict.different),
            count(verdict.extra),
        ];
        row.extend(moving.then(|| count(verdict.unsettled())));
        if let Some(stream) = repaired.and_then(|repaired| repaired.get(at)) {
            row.push(count(stream.written + stream.deleted));
        }
        row.push(words);
        lines.push(row);
    }
    table(&lines, 0).iter().for_each(|line| output.line(line));
}
