//! Streams without a key: their rows are found by all their values, and a change that is applied twice is
//! one too many. So it is known to the transaction which place in the log their copy is.

use std::sync::Arc;

use syncline_connect::{Delivery, Finding, Log, Sink, SinkCapability};
use syncline_state::Store;
use syncline_types::{Error, Position, Result, codes};

use super::{beside::owner_of, gather::Followed, mark::FollowMark};
use crate::shell::{StreamWork, work::broken};

/// What begins the names under which the places of copies stand in the state, before that of the stream.
const PLACE: &str = "+place ";

/// How a stream without a key at the target is followed, or why it is not.
pub(super) fn finding(work: &StreamWork, sink: &dyn Sink, capability: SinkCapability) -> Finding {
    let name = &work.target.source;
    let error = |code| Error::new(code, "follow without a key", format!("`{name}`"));
    if !work.by_values() {
        return Finding::blocker(
            error(&codes::KEY_MISSING)
                .because("its key does not come to the target, and a deletion tells nothing else of its row")
                .hint(
                    "Leave the key's columns in, name another unique key that is never NULL with --key COL,... \
                     (key: [COL]), or keep a log of its changes with --write append",
                ),
        );
    }
    let append = "Give it a key, or keep a log of its changes with --write append";
    if !capability.whole_rows {
        return Finding::blocker(
            error(&codes::KEY_MISSING)
                .because("the target finds rows by a key only, and this stream has none")
                .hint(append),
        );
    }
    // What keeps nothing counts nothing twice.
    if capability.readable && sink.guarantee(&work.target) != Delivery::ExactlyOnce {
        return Finding::blocker(
            error(&codes::KEY_MISSING)
                .because(
                    "a change that is applied again after a crash would count twice, and the target does not keep with \
                     its rows how far they are",
                )
                .hint(append),
        );
    }
    if work.passage.as_ref().is_some_and(|passage| passage.marks()) {
        return Finding::blocker(
            error(&codes::KEY_MISSING)
                .because("deletes: soft marks rows that are gone by their key")
                .hint("Write deletes: apply or ignore, or give it a key"),
        );
    }
    Finding::note(
        "without a key: changes find their rows by all their values; give it a key where it has one",
    )
}

/// Saves of which place in the log a stream is copied, before anything of it is.
pub(crate) async fn save_place(
    store: &dyn Store,
    pipeline: &str,
    work: &StreamWork,
    place: &Position,
) -> Result<()> {
    store.save_mark(owner_of(pipeline), &mark_of(work), Some(&place.0)).await
}

/// Of which place in the log a stream was copied; `None` where that need not be known.
pub(super) async fn place(store: &dyn Store, pipeline: &str, work: &StreamWork) -> Result<Option<Position>> {
    if !work.by_values() {
        return Ok(None);
    }
    let place = store.marks(pipeline).await?.remove(&mark_of(work));
    place
        .map(|place| Some(Position(place)))
        .ok_or_else(|| broken("a copy without a key has no place in the log"))
}

fn mark_of(work: &StreamWork) -> String {
    format!("{PLACE}{}", work.target.source)
}

/// From where on a stream is told its changes: behind what was applied, and what its copy has if it is without
/// a key.
pub(super) fn place_in<'a>(log: &dyn Log, stream: &Followed, mark: &'a FollowMark) -> Result<&'a Position> {
    let name = stream.target.source.to_string();
    let place = mark.place_of(&name);
    match mark.since.get(&name).filter(|_| stream.passage.by_values()) {
        Some(copied) if log.compare(copied, place)?.is_gt() => Ok(copied),
        _ => Ok(place),
    }
}

/// What it means that rows to be changed are not at the target.
pub(super) fn missed(stream: &Arc<syncline_connect::Target>, by_values: bool, missed: u64) -> Error {
    let name = stream.name.to_string();
    if by_values {
        return Error::new(&codes::LOG_INCOMPLETE, "delete rows of", format!("`{name}`"))
            .because(format!(
                "{missed} of them are not there with these values, and there is no key to find them by"
            ))
            .hint("Look at who writes to it, and copy it again: `syncline recopy`, or --restart");
    }
    Error::new(&codes::LOG_INCOMPLETE, "update rows of", format!("`{name}`"))
        .because(format!(
            "{missed} of them are not there, and the log does not repeat the values that were left alone"
        ))
        .hint("Look at who deletes rows from it; `syncline verify --repair` puts them back")
}
