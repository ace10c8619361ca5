//! `syncline plan`: checks, and shows what a run would do. Changes nothing.

use clap::Args;
use serde_json::{Value, json};
use syncline_config::Pipeline;
use syncline_connect::{Context, Existing, Finding, Severity, WriteMode};
use syncline_engine::shell::{Prepared, PreparedStream, prepare};
use syncline_types::{Error, Result, codes};

use super::{
    Ended, Session,
    pipelines::{PipelineOptions, resolve},
};
use crate::output::{Output, bytes, count, table};

#[derive(Args)]
pub(crate) struct PlanCommand {
    /// FILE [PIPELINE]..., or FROM TO
    #[arg(required = true, value_name = "FILE [PIPELINE]... | FROM TO")]
    arguments: Vec<String>,
    #[command(flatten)]
    options: PipelineOptions,
}

impl PlanCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        show(&resolve(self.arguments, self.options)?, session).await
    }
}

/// Prints the plans of some pipelines; fails when a run of one would.
pub(crate) async fn show(pipelines: &[Pipeline], session: &Session) -> Result<Ended> {
    let mut blocked: Option<Error> = None;
    for pipeline in pipelines {
        let cx = Session::context(pipeline);
        let prepared = tokio::select! {
            prepared = look(pipeline, &cx, session) => prepared?,
            () = session.stop.cancelled() => {
                return Err(Error::new(&codes::INTERRUPTED, "plan", format!("`{}`", pipeline.id)).because("it was asked to stop"));
            }
        };
        print(&prepared, session.output);
        if let Some(blocker) = prepared.blocker() {
            blocked.get_or_insert_with(|| {
                // A blocker is a failure of the plan, whatever its kind would mean elsewhere.
                Error::new(&codes::PLAN_BLOCKED, "plan to run", format!("`{}`", pipeline.id))
                    .because(blocker.sentence())
                    .hint(blocker.advice())
            });
        }
        drop(prepared);
        cx.close().await;
    }
    match blocked {
        Some(error) => Err(error),
        None => Ok(Ended::Well),
    }
}

async fn look(pipeline: &Pipeline, cx: &Context, session: &Session) -> Result<Prepared> {
    let mut prepared = prepare(pipeline, syncline_connectors::by_scheme, cx, &session.state, false).await?;
    prepared.look_ahead().await;
    Ok(prepared)
}

/// Which rows an incremental run of a stream would read.
fn window(stream: &PreparedStream) -> Option<String> {
    let incremental = stream.work.incremental.as_ref()?;
    Some(stream.ahead.as_ref()?.describe(&incremental.cursor))
}

fn print(prepared: &Prepared, output: Output) {
    let pipeline = &prepared.pipeline;
    output.line(format!("pipeline {}", pipeline.id));
    output.line(format!("  from {}: {}, {}", pipeline.from, prepared.from.system, prepared.from.connection));
    output.line(format!("  to   {}: {}, {}", pipeline.to, prepared.to.system, prepared.to.connection));
    for stream in &prepared.streams {
        print_stream(stream, output);
    }
    output.line("Not copied: indexes, foreign keys, checks, triggers and comments. Keys, NOT NULL and constant defaults are.");
    output.object(&json!({
        "event": "plan",
        "pipeline": pipeline.id,
        "from": {"url": pipeline.from.to_string(), "system": prepared.from.system, "connection": prepared.from.connection},
        "to": {"url": pipeline.to.to_string(), "system": prepared.to.system, "connection": prepared.to.connection},
        "streams": prepared.streams.iter().map(object).collect::<Vec<_>>(),
    }));
}

fn size(stream: &PreparedStream) -> String {
    let about = &stream.work.read.stream;
    match (about.rows_estimate, about.bytes_estimate) {
        (Some(rows), Some(size)) => format!("about {} rows, {}", count(rows), bytes(size)),
        (Some(rows), None) => format!("about {} rows", count(rows)),
        (None, Some(size)) => format!("rows not known, {}", bytes(size)),
        (None, None) => "size not known".to_owned(),
    }
}

fn at_target(existing: Option<&Existing>) -> String {
    match existing {
        None => "there is no such table".to_owned(),
        Some(existing) => {
            let rows = match (existing.has_rows, existing.rows_estimate) {
                (false, _) => "empty".to_owned(),
                (true, Some(rows)) => format!("about {} rows", count(rows)),
                (true, None) => "has rows".to_owned(),
            };
            let whose = if existing.ours { ", made by Syncline" } else { "" };
            format!("table is there, {rows}{whose}")
        }
    }
}

fn print_stream(stream: &PreparedStream, output: Output) {
    let target = &stream.work.target;
    output.line("");
    output.line(format!(
        "stream {} ({}) -> {} ({})",
        target.source,
        size(stream),
        target.name,
        at_target(stream.plan.existing.as_ref())
    ));
    output.line(format!("  {}, {}", target.write, stream.delivery));
    if let Some(window) = window(stream) {
        output.line(format!("  {window}"));
    }
    for step in stream.work.chain.steps() {
        output.line(format!("  step: {step}"));
    }
    if stream.work.read.filter.is_some() {
        output.line("  the source evaluates the filter, or a part of it, itself");
    }
    let mut rows = vec![["column", "at the source", "at the target", ""].map(str::to_owned).to_vec()];
    for column in &stream.plan.columns {
        let source_type = column.source_type.clone().unwrap_or_else(|| column.logical.to_string());
        let key = if target.key.contains(&column.name) { "key" } else { "" };
        let notes: Vec<&str> = [key, column.note.as_deref().unwrap_or_default()]
            .into_iter()
            .filter(|note| !note.is_empty())
            .collect();
        rows.push(vec![column.name.clone(), source_type, column.target_type.clone(), notes.join(", ")]);
    }
    table(&rows, 4).iter().for_each(|line| output.line(line));
    for action in &stream.plan.before {
        output.line(format!("  before: {} {}: {}", action.verb, action.object, action.detail));
    }
    for action in &stream.plan.publish {
        output.line(format!("  at the end: {} {}: {}", action.verb, action.object, action.detail));
    }
    if let Some(passage) = &stream.work.passage {
        let deletes = if passage.keeps() { "; what is deleted there stays here" } else { "" };
        let how = match (target.write, target.key.is_empty()) {
            (WriteMode::Append, _) => "write every change down".to_owned(),
            (_, true) => "apply every change by all values of its row".to_owned(),
            (_, false) => format!("apply every change by ({})", target.key.join(", ")),
        };
        output.line(format!("  then: follow {}: {how}{deletes}", target.source));
    }
    if target.write == WriteMode::Append
        && stream.plan.existing.as_ref().is_some_and(|existing| existing.has_rows)
    {
        output.line("  note: append adds all rows again each time");
    }
    for finding in &stream.findings {
        output.line(format!("  {}: {}", severity(finding), finding.message));
    }
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Blocker => "blocker",
    }
}

fn object(stream: &PreparedStream) -> Value {
    let target = &stream.work.target;
    let about = &stream.work.read.stream;
    let existing = stream.plan.existing.as_ref().map(|existing| {
        json!({"has_rows": existing.has_rows, "rows_estimate": existing.rows_estimate, "made_by_syncline": existing.ours})
    });
    json!({
        "stream": target.source.to_string(),
        "target": target.name.to_string(),
        "write": target.write,
        "window": window(stream),
        "key": target.key,
        "guarantee": stream.delivery,
        "steps": stream.work.chain.steps(),
        "rows_estimate": about.rows_estimate,
        "bytes_estimate": about.bytes_estimate,
        "existing": existing,
        "columns": stream.plan.columns,
        "before": stream.plan.before,
        "publish": stream.plan.publish,
        "findings": stream.findings.iter().map(|finding| json!({
            "severity": severity(finding),
            "message": finding.message,
            "code": finding.error.as_ref().map(|error| error.code().to_string()),
        })).collect::<Vec<_>>(),
    })
}
