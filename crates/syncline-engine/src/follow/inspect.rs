//! What stands in the way of following, beyond what a copy needs.

use std::sync::Arc;

use syncline_config::{Echoes, Pipeline};
use syncline_connect::{Delivery, Finding, Read, Severity, Sink, SinkCapability, Source, Target, WriteMode};
use syncline_types::{Error, Result, codes};

use super::values;
use crate::{between::Between, shell::StreamWork};

/// What stands in the way of following these streams, or weakens it, and how often their changes are told.
/// Changes nothing.
pub(crate) async fn inspect(
    pipeline: &Pipeline,
    source: &dyn Source,
    sink: &dyn Sink,
    capability: SinkCapability,
    works: &[StreamWork],
) -> Result<(Vec<Finding>, Delivery)> {
    let log = source.log(&pipeline.id).await?;
    let reads: Vec<Arc<Read>> = works.iter().map(|work| Arc::clone(&work.read)).collect();
    let mut findings = log.inspect(&reads).await?;
    findings.extend(sink.inspect_applier().await?);
    let targets: Vec<Arc<Target>> = works.iter().map(|work| Arc::clone(&work.target)).collect();
    let between = Between::of(source, &reads, sink, &targets, false).await?;
    findings.extend(echoes(&between, pipeline.follow.echoes));
    for (work, lacking) in works.iter().zip(log.lacks(&reads).await?) {
        let name = &work.target.source;
        if work.target.key.is_empty() && work.target.write != WriteMode::Append {
            findings.push(values::finding(work, sink, capability).of(name));
        }
        if work.target.write == WriteMode::Append && !log.tells_every_change() {
            let note = "the source tells what a row has become, not each change of it: those in between are not in the log \
                        of changes that this writes";
            findings.push(Finding::warning(note).of(name));
        }
        let needed = work.passage.as_ref().and_then(|passage| passage.needs_told(&lacking));
        // Who does not know which row it is has said that already.
        let is_blocked = findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocker && finding.stream.as_ref() == Some(name));
        if let Some(column) = needed.filter(|_| !is_blocked) {
            let why = match work.by_values() {
                true => "it has no key, so that rows are found by all their values",
                false => "its steps look at rows as a whole",
            };
            findings.push(
                Finding::blocker(
                    Error::new(&codes::LOG_INCOMPLETE, "follow stream", format!("`{name}`")).because(
                        format!("{why}, and an update that leaves `{column}` alone does not tell it"),
                    ),
                )
                .of(name),
            );
        }
    }
    Ok((findings, log.delivery()))
}

/// What becomes of changes that come back.
fn echoes(between: &Between, echoes: Echoes) -> Option<Finding> {
    if between.target.is_empty() || between.is_one() || echoes == Echoes::Apply {
        return None;
    }
    Some(Finding::note("changes that have come through the target's database are passed over"))
}
