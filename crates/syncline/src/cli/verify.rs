//! `syncline verify`: whether both ends have the same rows, and `--repair` puts right those that differ.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use syncline_config::Pipeline;
use syncline_connect::Context;
use syncline_engine::{
    repair::{self, Repaired, repair},
    verify::{Difference, Kind, Observer, StreamVerdict, verify},
};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::{Output, count, table};

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
}

/// Rows named for people; programs are told all.
const NAMED_MAX: usize = 20;

/// How often it is said how far a comparison is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

impl VerifyCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let mut all = vec![];
        for pipeline in resolve(self.arguments, self.options)? {
            let cx = Session::context(&pipeline);
            let told = Told { output: session.output, named: 0, last: Instant::now() };
            let streams = match self.repair {
                true => mend(&pipeline, &cx, told, session).await?,
                false => look(&pipeline, &cx, told, session).await?,
            };
            cx.close().await;
            all.extend(streams);
        }
        session.output.object(&json!({"event": "summary", "streams": all}));
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

async fn look(pipeline: &Pipeline, cx: &Context, mut told: Told, session: &Session) -> Result<Vec<Summed>> {
    let compared = verify(pipeline, syncline_connectors::by_scheme, cx, session.state.path(), &mut told);
    let verdicts = tokio::select! {
        verdicts = compared => verdicts?,
        () = session.stop.cancelled() => {
            return Err(Error::new(&codes::INTERRUPTED, "verify", format!("`{}`", pipeline.id)).because("it was asked to stop"));
        }
    };
    report(&verdicts, None, session.output);
    let alone = |verdict| Summed { verdict, repaired: 0, repair: None };
    Ok(verdicts.into_iter().map(alone).collect())
}

async fn mend(pipeline: &Pipeline, cx: &Context, mut told: Told, session: &Session) -> Result<Vec<Summed>> {
    let registry = syncline_connectors::by_scheme;
    let repaired = repair(pipeline, registry, cx, &session.state, &session.stop, &mut told).await?;
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
    Ok(repaired.into_iter().map(told).collect())
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
        self.output.object(
            &json!({"event": "difference", "stream": stream, "kind": difference.kind, "key": difference.key}),
        );
        self.named += 1;
        match self.named {
            named if named <= NAMED_MAX => {
                let kind = match difference.kind {
                    Kind::Missing => "missing",
                    Kind::Different => "different",
                    Kind::Extra => "extra",
                };
                self.output.line(format!("{stream}: {kind} {}", difference.key));
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
    let mut heading = vec!["stream", "source rows", "target rows", "missing", "different", "extra"];
    heading.extend(repaired.map(|_| "repaired"));
    heading.push("");
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (at, verdict) in verdicts.iter().enumerate() {
        let words = match (verdict.equal(), verdict.unreadable) {
            (true, _) => "equal".to_owned(),
            (false, 0) => "not equal".to_owned(),
            (false, unreadable) => format!("not equal, {} rows cannot be read", count(unreadable)),
        };
        let mut row = vec![
            verdict.stream.clone(),
            count(verdict.source_rows),
            count(verdict.target_rows),
            count(verdict.missing),
            count(verdict.different),
            count(verdict.extra),
        ];
        if let Some(stream) = repaired.and_then(|repaired| repaired.get(at)) {
            row.push(count(stream.written + stream.deleted));
        }
        row.push(words);
        rows.push(row);
    }
    table(&rows, 0).iter().for_each(|line| output.line(line));
}
