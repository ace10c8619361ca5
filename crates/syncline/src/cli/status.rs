//! `syncline status [FILE]`: what is done, what is left.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;
use syncline_config::File;
use syncline_connect::LOG_MARK;
use syncline_engine::{
    follow::{FollowMark, LIVE_MARK, Lag, copy_of},
    incremental::Mark,
};
use syncline_state::{RunSummary, SavedStream, Store, StreamPhase};
use syncline_types::{Progress, Result};

use super::{Ended, Session};
use crate::output::{bytes, count, duration, table};

#[derive(Args)]
pub(crate) struct StatusCommand {
    /// Only the pipelines of this file; by default all that the state knows
    file: Option<std::path::PathBuf>,
}

impl StatusCommand {
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let names: Option<Vec<String>> = match &self.file {
            Some(file) => Some(File::read(file)?.pipeline_names().map(str::to_owned).collect()),
            None => None,
        };
        let mut summaries = match session.state.open(false)? {
            Some(store) => store.summaries().await?,
            None => vec![],
        };
        // Copies beside a pipeline are shown with it.
        let pipelines: Vec<String> = summaries.iter().map(|summary| copy_of(&summary.pipeline)).collect();
        let (copies, mut summaries): (Vec<_>, Vec<_>) =
            summaries.drain(..).partition(|summary| pipelines.contains(&summary.pipeline));
        if let Some(names) = &names {
            summaries.retain(|summary| names.contains(&summary.pipeline));
        }
        for summary in &summaries {
            let copy = copies.iter().find(|copy| copy.pipeline == copy_of(&summary.pipeline));
            show(session, summary, copy);
        }
        let never =
            names.iter().flatten().filter(|name| !summaries.iter().any(|known| known.pipeline == **name));
        for name in never {
            session.output.object(&json!({"event": "status", "pipeline": name, "state": "never run"}));
            session.output.line(format!("{name}: never run"));
        }
        if summaries.is_empty() && names.is_none() {
            session
                .output
                .line(format!("nothing has been run with the state in {}", session.state.path().display()));
        }
        Ok(Ended::Well)
    }
}

/// What is known of one stream.
struct Done {
    rows: u64,
    bytes: u64,
    rejected: u64,
    chunks_done: usize,
}

fn done(stream: &SavedStream) -> Done {
    let rows = || stream.splits.iter().filter_map(|split| split.row.as_ref());
    Done {
        rows: rows().map(|row| row.rows).sum(),
        bytes: rows().map(|row| row.bytes).sum(),
        rejected: rows().map(|row| row.rejected).sum(),
        chunks_done: rows().filter(|row| row.progress == Progress::Done).count(),
    }
}

fn show(session: &Session, summary: &RunSummary, copy: Option<&RunSummary>) {
    let running = session.state.is_locked(&summary.pipeline);
    let followed = summary.marks.get(LOG_MARK).and_then(|text| FollowMark::read(text).ok());
    let state = match (summary.run.finished, running) {
        (true, true) if followed.is_some() => "following",
        (true, false) if followed.is_some() => "stopped",
        (true, _) => "finished",
        (false, true) => "running",
        (false, false) => "unfinished",
    };
    let output = session.output;
    output.line(format!("{}: {state}, {} -> {}", summary.pipeline, summary.from, summary.to));
    output.line(format!(
        "  run {} begun {} UTC, last change {} UTC",
        summary.run.run, summary.started, summary.updated
    ));
    let mut rows = vec![
        ["stream", "target", "phase", "rows", "bytes", "rejected", "chunks done", "left"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let (mut streams, mut marks) = (vec![], vec![]);
    for (names, stream) in summary.streams.iter().zip(&summary.run.streams) {
        let done = done(stream);
        let phase = match stream.phase {
            StreamPhase::Published => "published",
            StreamPhase::Copying if stream.splits.is_empty() => "planned",
            StreamPhase::Copying => "copying",
        };
        let left = stream.splits.len() - done.chunks_done;
        let left_text = match (stream.phase, stream.planned) {
            (StreamPhase::Published, _) => "nothing".to_owned(),
            (StreamPhase::Copying, true) if left == 0 => "to be published".to_owned(),
            (StreamPhase::Copying, _) if stream.splits.is_empty() => "everything".to_owned(),
            (StreamPhase::Copying, true) if left == 1 => "1 chunk".to_owned(),
            (StreamPhase::Copying, true) => format!("{left} chunks"),
            // Chunks are planned as they are needed.
            (StreamPhase::Copying, false) => match names.rows_estimate {
                Some(estimate) => format!("about {} rows", count(estimate.saturating_sub(done.rows))),
                None => "not known yet".to_owned(),
            },
        };
        streams.push(json!({
            "stream": names.source, "target": names.target, "phase": phase, "rows": done.rows, "bytes": done.bytes,
            "rejected": done.rejected, "chunks_done": done.chunks_done, "chunks_known": stream.splits.len(),
            "all_chunks_known": stream.planned,
        }));
        rows.push(vec![
            names.source.clone(),
            names.target.clone(),
            phase.to_owned(),
            count(done.rows),
            bytes(done.bytes),
            count(done.rejected),
            format!(
                "{} of {}{}",
                done.chunks_done,
                stream.splits.len(),
                if stream.planned { "" } else { "+" }
            ),
            left_text,
        ]);
    }
    table(&rows, 2).iter().for_each(|line| output.line(line));
    if let Some(mark) = &followed {
        let streams: Vec<&str> = mark.copied.keys().map(String::as_str).collect();
        output.line(format!("  followed up to {}: {}", mark.position.0, streams.join(", ")));
        behind_lines(mark, copy).iter().for_each(|line| output.line(line));
    }
    let lag = summary.marks.get(LIVE_MARK).and_then(|text| serde_json::from_str::<Lag>(text).ok());
    if let Some(lag) = &lag {
        output.line(format!("  {}", lag_line(lag)));
        lag_table(lag).iter().for_each(|line| output.line(line));
    }
    // Names with a `+` are those of the pipeline itself.
    for (source, text) in summary.marks.iter().filter(|(source, _)| !source.starts_with('+')) {
        let mark = Mark::read(text).ok();
        let value = mark.as_ref().and_then(|mark| mark.value.as_deref()).unwrap_or("no value yet");
        let cursor = mark.as_ref().map_or("?", |mark| mark.cursor.as_str());
        output.line(format!("  mark of {source}: `{cursor}` {value}"));
        marks.push(
            json!({"stream": source, "cursor": cursor, "value": mark.and_then(|mark| mark.value.clone())}),
        );
    }
    if summary.letters > 0 {
        output.line(format!("  {} dead letters: syncline dlq list {}", summary.letters, summary.pipeline));
    }
    if state == "unfinished" {
        output.line("  The same command goes on with it; --restart begins again.");
    }
    output.object(&json!({
        "event": "status", "pipeline": summary.pipeline, "state": state, "run": summary.run.run,
        "from": summary.from, "to": summary.to, "started": summary.started, "updated": summary.updated,
        "dead_letters": summary.letters, "streams": streams, "marks": marks,
        "followed": followed.map(|mark| json!({
            "position": mark.position.0, "streams": mark.copied.keys().collect::<Vec<_>>(),
            "behind": behind(&mark, copy).into_iter().map(|(stream, state, rows)| json!({"stream": stream, "state": state, "rows": rows})).collect::<Vec<_>>(),
        })),
        "lag": lag,
    }));
}

/// The streams that the others have left behind, what becomes of them, and how many rows are copied.
fn behind(mark: &FollowMark, copy: Option<&RunSummary>) -> Vec<(String, &'static str, u64)> {
    let rows = |name: &String| {
        let copied = copy.iter().flat_map(|copy| copy.streams.iter().zip(&copy.run.streams));
        copied.filter(|(names, _)| names.source == *name).map(|(_, stream)| done(stream).rows).sum()
    };
    let is_copied_now =
        |name: &String| mark.copying.as_ref().is_some_and(|copying| copying.streams.contains(name));
    let state = |name: &String| match mark.copied.contains_key(name) {
        true => "catching up",
        false if is_copied_now(name) => "copying",
        false => "waiting",
    };
    mark.behind.keys().map(|name| (name.clone(), state(name), rows(name))).collect()
}

fn behind_lines(mark: &FollowMark, copy: Option<&RunSummary>) -> Vec<String> {
    let line = |(name, state, rows)| match state {
        "copying" => format!("  behind the others: {name}, being copied: {} rows so far", count(rows)),
        "waiting" => format!("  behind the others: {name}, copied when the other copy is done"),
        _ => format!("  behind the others: {name}, copied and catching up"),
    };
    behind(mark, copy).into_iter().map(line).collect()
}

/// How far the streams are that are followed.
fn lag_table(lag: &Lag) -> Vec<String> {
    if lag.streams.is_empty() {
        return vec![];
    }
    let mut rows = vec![
        ["stream", "log left", "changes applied", "the last", "after its commit"].map(str::to_owned).to_vec(),
    ];
    for (name, stream) in &lag.streams {
        rows.push(vec![
            name.clone(),
            stream.bytes.map(bytes).unwrap_or_default(),
            count(stream.changes),
            stream.at.map(|at| format!("{} ago", duration(seconds_ago(at)))).unwrap_or_default(),
            stream.seconds.map(duration).unwrap_or_default(),
        ]);
    }
    table(&rows, 2)
}

fn seconds_ago(at: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    now.saturating_sub(at) as f64
}

/// How far behind a pipeline was when it was last looked at.
fn lag_line(lag: &Lag) -> String {
    let mut parts = vec![];
    parts.extend(lag.seconds.map(|seconds| format!("{} behind", duration(seconds))));
    parts.extend(lag.bytes.map(|left| format!("{} of the log left", bytes(left))));
    parts.extend(lag.stalled.as_ref().map(|cause| format!("no progress: {cause}")));
    format!("{}, {} ago", parts.join(", "), duration(seconds_ago(lag.at)))
}
