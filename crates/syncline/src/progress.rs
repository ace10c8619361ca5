//! What is shown while rows move: bars on a terminal, a line now and then elsewhere, objects for
//! programs.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use syncline_engine::{
    core::{Scope, StreamPhase, StreamView},
    shell::Observer,
};
use syncline_types::Error;

use crate::output::{Output, bytes, count, duration};

/// How often a line or object is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
const OBJECT_EVERY: Duration = Duration::from_secs(1);

/// The place where bars are drawn; hidden where there is no terminal.
pub(crate) fn bars(output: Output) -> MultiProgress {
    let target = match output {
        Output::Text => ProgressDrawTarget::stderr(),
        Output::Json => ProgressDrawTarget::hidden(),
    };
    MultiProgress::with_draw_target(target)
}

/// Shows a run.
pub(crate) struct Progress {
    output: Output,
    pipeline: String,
    bars: MultiProgress,
    streams: Vec<Shown>,
    last: Instant,
}

/// One stream as it is shown.
struct Shown {
    name: String,
    rows_estimate: Option<u64>,
    bar: Option<ProgressBar>,
    /// When its first split was known.
    began: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(
        output: Output,
        pipeline: &str,
        bars: MultiProgress,
        streams: Vec<(String, Option<u64>)>,
    ) -> Self {
        let streams = streams
            .into_iter()
            .map(|(name, rows_estimate)| Shown { name, rows_estimate, bar: None, began: None })
            .collect();
        Progress { output, pipeline: pipeline.to_owned(), bars, streams, last: Instant::now() }
    }

    fn draw(&mut self, views: &[StreamView]) {
        for (shown, view) in self.streams.iter_mut().zip(views) {
            shown.draw(view, &self.bars);
        }
    }

    fn lines(&self, views: &[StreamView]) {
        for (shown, view) in self.streams.iter().zip(views) {
            if view.splits_known > 0 && view.phase == StreamPhase::Copying {
                eprintln!("{}: {}", shown.name, shown.sentence(view));
            }
        }
    }

    fn object(&self, views: &[StreamView]) {
        let streams: Vec<_> = self
            .streams
            .iter()
            .zip(views)
            .map(|(shown, view)| {
                json!({
                    "stream": shown.name,
                    "phase": view.phase,
                    "rows": view.rows,
                    "bytes": view.bytes,
                    "rejected": view.rejected,
                    "chunks_done": view.splits_done,
                    "chunks_known": view.splits_known,
                })
            })
            .collect();
        self.output.object(&json!({"event": "progress", "pipeline": self.pipeline, "streams": streams}));
    }
}

impl Shown {
    /// How many rows there will be, as far as anybody knows.
    fn total(&self, view: &StreamView) -> Option<u64> {
        self.rows_estimate.map(|rows| rows.max(view.rows))
    }

    /// Rows, bytes, rate and what is left.
    fn sentence(&self, view: &StreamView) -> String {
        let seconds = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        let total = self.total(view);
        let of = total.map(|total| format!(" of about {}", count(total))).unwrap_or_default();
        let mut sentence = format!("{}{of} rows, {}", count(view.rows), bytes(view.bytes));
        if view.planned && view.splits_done == view.splits_known {
            return sentence + ", being published";
        }
        let rate = view.rows.saturating_sub(view.rows_resumed) as f64 / seconds;
        if seconds > 0.0 && rate >= 1.0 {
            sentence += &format!(", {} rows/s", count(rate as u64));
            if let Some(left) = total.map(|total| total - view.rows).filter(|left| *left > 0) {
                sentence += &format!(", about {} left", duration(left as f64 / rate));
            }
        }
        sentence
    }

    fn draw(&mut self, view: &StreamView, bars: &MultiProgress) {
        if view.splits_known == 0 {
            return;
        }
        let (total, sentence) = (self.total(view), self.sentence(view));
        let bar = self.bar.get_or_insert_with(|| {
            let bar = bars.add(match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::new_spinner(),
            });
            let template = match total {
                Some(_) => "{prefix:20!} {bar:24} {msg}",
                None => "{prefix:20!} {spinner} {msg}",
            };
            // The template is a constant; a default style is no harm should it ever be wrong.
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_prefix(self.name.clone());
            bar
        });
        if view.phase == StreamPhase::Published {
            let (rows, size) = (count(view.rows), bytes(view.bytes));
            return bar.finish_with_message(format!("{rows} rows, {size}, published"));
        }
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(view.rows);
        bar.set_message(sentence);
    }
}

impl Observer for Progress {
    fn progress(&mut self, views: &[StreamView]) {
        for (shown, view) in self.streams.iter_mut().zip(views) {
            if view.splits_known > 0 {
                shown.began.get_or_insert_with(Instant::now);
            }
        }
        let terminal = self.output == Output::Text && !self.bars.is_hidden();
        let every = match self.output {
            _ if terminal => Duration::from_millis(100),
            Output::Text => LINE_EVERY,
            Output::Json => OBJECT_EVERY,
        };
        let all_published = views.iter().all(|view| view.phase == StreamPhase::Published);
        if self.last.elapsed() < every && !(terminal && all_published) {
            return;
        }
        self.last = Instant::now();
        match self.output {
            Output::Json => self.object(views),
            Output::Text if terminal => self.draw(views),
            Output::Text => self.lines(views),
        }
    }

    fn retrying(&mut self, _: Scope, error: &Error) {
        match self.output {
            Output::Text => self.bars.suspend(|| eprintln!("{}: {error}; trying again", self.pipeline)),
            Output::Json => self.output.object(&json!({
                "event": "retry",
                "pipeline": self.pipeline,
                "code": error.code().to_string(),
                "message": error.sentence(),
            })),
        }
    }
}
