//! How a run begins: as a new one, as the rest of one that was cut short, or not at all.

use std::collections::BTreeMap;

use syncline_connect::{ProgressDelta, ProgressRow, TargetProgress};
use syncline_state::SavedRun;
use syncline_types::SplitId;

use super::{Job, StreamPhase};

/// What is to be done with what was found.
#[derive(Debug, PartialEq)]
pub(super) enum Start {
    /// A new run. `clean`: the target still holds something of an earlier one.
    New { clean: bool },
    /// Go on with this one.
    Resume(Resume),
    /// Something is wrong that only the user can decide.
    Refuse(Refusal),
}

/// How an unfinished run goes on.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Resume {
    /// Progress that the target has and the state lacks.
    pub(super) deltas: Vec<ProgressDelta>,
    /// What is durable of each split, by the target's word where it has one.
    pub(super) rows: BTreeMap<(u32, SplitId), ProgressRow>,
    /// Streams that are published.
    pub(super) published: Vec<usize>,
    /// Streams whose staging is not what the state thinks, and which begin again.
    pub(super) reset: Vec<usize>,
}

/// Why a run does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The target holds an unfinished run that the state does not know.
    StateLost,
    /// The state knows an unfinished run with rows in the user's own table, and the target has lost
    /// how far it was.
    TargetLost,
    /// The unfinished run had other steps, streams or schemas.
    Changed,
}

pub(super) fn decide(job: &Job, saved: Option<&SavedRun>, target: Option<&TargetProgress>) -> Start {
    let target_run = target.and_then(|target| target.run.as_deref());
    if job.restart {
        return Start::New { clean: true };
    }
    let Some(saved) = saved else {
        return match target_run {
            Some(_) => Start::Refuse(Refusal::StateLost),
            None => Start::New { clean: false },
        };
    };
    if target_run.is_some_and(|run| run != saved.run) {
        return Start::Refuse(Refusal::StateLost);
    }
    if saved.finished {
        return Start::New { clean: target_run.is_some() };
    }
    if saved.fingerprint != job.fingerprint || saved.streams.len() != job.streams.len() {
        return Start::Refuse(Refusal::Changed);
    }
    resume(job, saved, target)
}

fn resume(job: &Job, saved: &SavedRun, target: Option<&TargetProgress>) -> Start {
    let mut resume = Resume::default();
    for (number, (stream, plan)) in saved.streams.iter().zip(&job.streams).enumerate() {
        let id = u32::try_from(number).expect("streams are numbered in 32 bits");
        let by_target = target.is_some_and(|target| target.published.contains(&id));
        if stream.phase == StreamPhase::Published || by_target {
            resume.published.push(number);
        }
        let known = |split: &SplitId| stream.splits.iter().any(|saved| saved.split.id == *split);
        if let Some(target) = target
            && target
                .splits
                .range((id, SplitId(0))..=(id, SplitId(u32::MAX)))
                .any(|((_, split), _)| !known(split))
        {
            return Start::Refuse(Refusal::StateLost);
        }
        let mut lost = false;
        for split in &stream.splits {
            let key = (id, split.split.id);
            let row = match target {
                Some(target) => target.splits.get(&key),
                None => split.row.as_ref(),
            };
            lost |= row.is_none() && split.row.is_some();
            let Some(row) = row else { continue };
            if split.row.as_ref() != Some(row) {
                resume.deltas.push(ProgressDelta { stream: id, split: key.1, row: row.clone() });
            }
            resume.rows.insert(key, row.clone());
        }
        if lost && !resume.published.contains(&number) {
            if !plan.staged {
                return Start::Refuse(Refusal::TargetLost);
            }
            resume.reset.push(number);
        } else if lost {
            // Its checkpoint was cleared after it was published; what the state saved still counts.
            for split in &stream.splits {
                if let Some(row) = &split.row {
                    resume.rows.insert((id, split.split.id), row.clone());
                }
            }
        }
    }
    Start::Resume(resume)
}
