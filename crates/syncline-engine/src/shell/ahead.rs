//! Where an incremental run would go on from, for `plan` and for whoever looks before a run.

use syncline_connect::{Edge, Finding, Sink, Source};
use syncline_state::{StateDirectory, Store};
use syncline_types::Result;

use super::{
    Prepared, PreparedStream,
    incremental::{about, marks},
};
use crate::incremental::{Cursor, Mark};

/// Where an incremental run of a stream goes on from.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// The mark of the run before, unless it does not count.
    pub mark: Option<Mark>,
    /// Whether there is one that does not count, because the target has no rows.
    pub disregarded: bool,
}

impl Ahead {
    /// Which rows a run would read, in words.
    pub fn describe(&self, cursor: &Cursor) -> String {
        let column = &cursor.column;
        let highest = "to the highest value then";
        let from = self.mark.clone().and_then(|mark| cursor.window(Some(mark), &Edge::default()).ok()?.from);
        match (&self.mark, from) {
            (_, Some(from)) if cursor.appends => {
                format!("rows with `{column}` from {from} {highest}, but for those that were added before")
            }
            (_, Some(from)) => format!("rows with `{column}` from {from} {highest}"),
            (Some(_), None) => format!("rows with `{column}` {highest}"),
            (None, None) => format!("all rows with `{column}` {highest}, and those without a value"),
        }
    }
}

/// Finds for each stream of an incremental run where it goes on from.
pub(super) async fn find(
    streams: &mut [PreparedStream],
    sink: &dyn Sink,
    state: &StateDirectory,
    pipeline: &str,
) -> Result<()> {
    if streams.iter().all(|stream| stream.work.incremental.is_none()) {
        return Ok(());
    }
    let store = state.open(false)?;
    let store: Option<&dyn Store> = store.as_ref().map(|store| store as &dyn Store);
    let marks = marks(sink, store, pipeline).await?;
    for stream in streams {
        let Some(incremental) = &stream.work.incremental else { continue };
        let source = stream.work.target.source.to_string();
        let mark = marks.get(&source).map(|text| Mark::read(text)).transpose()?;
        let has_rows = stream.plan.existing.as_ref().is_some_and(|existing| existing.has_rows);
        let disregarded = mark.is_some() && !has_rows;
        if disregarded {
            stream.findings.push(Finding::note(
                "the target has no rows, so the mark of earlier runs does not count: everything is copied",
            ));
        }
        let mark = mark.filter(|_| has_rows);
        if let Some(Err(error)) = mark.as_ref().map(|mark| incremental.cursor.check(mark)) {
            stream.findings.push(Finding::blocker(about(error, &source)));
        }
        stream.ahead = Some(Ahead { mark, disregarded });
    }
    Ok(())
}

impl Prepared {
    /// Asks the source how far each cursor goes, for a plan. A run asks by itself when it begins.
    pub async fn look_ahead(&mut self) {
        for stream in &mut self.streams {
            let Some(incremental) = &stream.work.incremental else { continue };
            let cursor = &incremental.cursor;
            let source = stream.work.target.source.to_string();
            let mark = stream.ahead.as_ref().and_then(|ahead| ahead.mark.clone());
            let later = mark.is_some();
            match edge(self.source.as_ref(), stream, cursor, mark).await {
                Ok(nulls) if nulls > 0 && later => {
                    stream.findings.push(Finding::warning(without(cursor, nulls)))
                }
                Ok(_) => {}
                // What does not fit in the mark is said already.
                Err(error) if error.code() == &syncline_types::codes::MARK_UNUSABLE => {}
                Err(error) => stream.findings.push(Finding::blocker(about(error, &source))),
            }
        }
    }
}

async fn edge(
    source: &dyn Source,
    stream: &PreparedStream,
    cursor: &Cursor,
    mark: Option<Mark>,
) -> Result<u64> {
    let edge = source.edge(&stream.work.read.stream, &cursor.column).await?;
    cursor.window(mark, &edge).map(|window| window.nulls)
}

/// What is said of rows that only the first run has read.
pub(super) fn without(cursor: &Cursor, nulls: u64) -> String {
    format!(
        "{nulls} rows have no value in the cursor `{}`: only the first run copies such rows, and nothing tells \
         whether they have come or changed since",
        cursor.column
    )
}
