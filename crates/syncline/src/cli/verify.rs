//! `syncline verify`: whether both ends have the same rows.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use syncline_engine::verify::{Difference, Kind, Observer, StreamVerdict, verify};
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
            let mut told = Told { output: session.output, named: 0, last: Instant::now() };
            let compared =
                verify(&pipeline, syncline_connectors::by_scheme, &cx, session.state.path(), &mut told);
            let verdicts = tokio::select! {
                verdicts = compared => verdicts?,
                () = session.stop.cancelled() => {
                    return Err(Error::new(&codes::INTERRUPTED, "verify", format!("`{}`", pipeline.id)).because("it was asked to stop"));
                }
            };
            cx.close().await;
            report(&verdicts, session.output);
            all.extend(verdicts);
        }
        session.output.object(&json!({"event": "summary", "streams": all}));
        Ok(if all.iter().all(StreamVerdict::equal) { Ended::Well } else { Ended::Different })
    }
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

fn report(verdicts: &[StreamVerdict], output: Output) {
    let mut rows = vec![
        ["stream", "source rows", "target rows", "missing", "different", "extra", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    for verdict in verdicts {
        let words = match (verdict.equal(), verdict.unreadable) {
            (true, _) => "equal".to_owned(),
            (false, 0) => "not equal".to_owned(),
            (false, unreadable) => format!("not equal, {} rows cannot be read", count(unreadable)),
        };
        rows.push(vec![
            verdict.stream.clone(),
            count(verdict.source_rows),
            count(verdict.target_rows),
            count(verdict.missing),
            count(verdict.different),
            count(verdict.extra),
            words,
        ]);
    }
    table(&rows, 0).iter().for_each(|line| output.line(line));
}
