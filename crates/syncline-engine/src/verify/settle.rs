//! Rows that differ while changes are applied: looked at again and again, until it is clear that they do.
//!
//! Of each look it is noted where the log ended after the source was read. Once the pipeline is past
//! that, whatever the source had then is at the target, or something newer. So a row that is equal in any
//! look was on its way. One that differs is the same at the source, and the same other one at the target,
//! look after look, also once the pipeline is past the first of them. A row that goes to and fro between
//! two values could show the one here and the other there by chance, but not that many times.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use syncline_types::{Position, Result, Split, SplitId, StreamName};
use tokio::time::{Instant, sleep};

use super::{
    Difference, Kind, Moving, Observer, StreamVerdict, compare,
    look::{Lookup, Seen, Suspect},
    pair::Pair,
    place::Place,
    rows,
    wanted::{Found, FoundRow, Wanted},
};

/// Looks that have to find the same before a row is said to differ.
const ALIKE: u32 = 12;
/// As many are too dear where one takes longer than this, because rows are not found by their keys.
const LOOK_QUICK: Duration = Duration::from_secs(2);
const ALIKE_SLOW: u32 = 4;
/// Those among them that have to be taken when the pipeline was past the first of them.
const PAST: u32 = 3;
/// Rows that are looked at again; if more differ, these come first.
const SUSPECTS_MAX: usize = 200_000;
/// Between two looks: at first, and once all should have been clear.
const PAUSE: Duration = Duration::from_millis(150);
const PAUSE_LATER: Duration = Duration::from_secs(1);
const LATER: u32 = 40;

/// What came of looking at a stream.
pub(crate) struct Looked {
    pub(crate) verdict: StreamVerdict,
    /// The rows that differ.
    pub(crate) wanted: Wanted,
}

/// What became of rows that differed.
#[derive(Default)]
struct Settled {
    /// They differ.
    differing: Vec<Suspect>,
    unsettled: Vec<Suspect>,
    settled: u64,
}

/// Compares a stream whose changes are being applied.
pub(crate) async fn compare_moving(
    lookup: &Lookup<'_>,
    place: &Place,
    settle: Duration,
    scratch: &Path,
    observer: &mut dyn Observer,
) -> Result<Looked> {
    let (pipeline, ends) = (lookup.pipeline, lookup.ends);
    let keeps = lookup.work.passage.as_ref().is_some_and(|passage| passage.keeps());
    let mut until = None;
    let mut moving = Moving::default();
    loop {
        let pair = Pair::open(pipeline, lookup.work, &ends.source, &ends.target).await?;
        let mut wanted = Wanted::found(SUSPECTS_MAX).leaving_extra(keeps);
        let mut unnamed = Unnamed { observer, only_extra: false };
        let mut verdict = compare(&pair, pipeline.parallel, scratch, &mut wanted, &mut unnamed).await?;
        if keeps {
            moving.kept = verdict.extra;
            verdict.extra = 0;
        }
        let until = *until.get_or_insert_with(|| Instant::now() + settle);
        let found = wanted.found.take().unwrap_or_default();
        let (schema, key) = (pair.source.schema.clone(), pair.naming());
        // A look is taken in sessions of its own.
        drop(pair);
        let differing = verdict.differing();
        let rest = differing - found.rows.len() as u64;
        if differing > 0 {
            observer.settling(&verdict.stream, differing);
        }
        let Found { rows: suspects, splits } = found;
        let mut settled = settle_all(lookup, place, suspects, &splits, until).await?;
        if keeps {
            // Deleted at the source between two looks.
            let gone = |suspect: &mut Suspect| suspect.seen.unwrap_or_default().kind() == Kind::Extra;
            let of_both = [&mut settled.differing, &mut settled.unsettled];
            moving.kept +=
                of_both.into_iter().map(|all| all.extract_if(.., gone).count() as u64).sum::<u64>();
        }
        moving.settled += settled.settled;
        let clear = settled.differing.is_empty() && settled.unsettled.is_empty();
        if rest > 0 && clear && Instant::now() < until {
            continue;
        }
        moving.unsettled = settled.unsettled.len() as u64 + rest;
        let named = |suspect: &Suspect, kind: Kind| Difference {
            kind,
            key: rows::key_object(suspect.text.as_deref().unwrap_or_default(), &schema, &key),
        };
        verdict = StreamVerdict { missing: 0, different: 0, extra: 0, moving: Some(moving), ..verdict };
        for suspect in settled.differing {
            let kind = suspect.seen.unwrap_or_default().kind();
            verdict.count(kind);
            observer.difference(&verdict.stream, &named(&suspect, kind));
            let split = suspect.split.and_then(|id| splits.get(&id));
            wanted.note_side(kind, suspect.key, split);
        }
        for suspect in &settled.unsettled {
            let kind = suspect.seen.unwrap_or_default().kind();
            observer.unsettled(&verdict.stream, &named(suspect, kind));
        }
        return Ok(Looked { verdict, wanted });
    }
}

/// Looks at rows until each is clear, or there is no more time, or nobody applies changes.
async fn settle_all(
    lookup: &Lookup<'_>,
    place: &Place,
    found: Vec<FoundRow>,
    splits: &BTreeMap<SplitId, Split>,
    until: Instant,
) -> Result<Settled> {
    let mut suspects: Vec<Suspect> = found.into_iter().map(Suspect::new).collect();
    suspects.sort_by_key(|suspect| suspect.key);
    suspects.dedup_by_key(|suspect| suspect.key);
    let mut all = Settled::default();
    let mut looks = 0;
    while !suspects.is_empty() {
        let stream = &lookup.work.target.source;
        let mark = place.position(stream).await?;
        let began = Instant::now();
        let seen = lookup.look(&mut suspects, splits).await?;
        let took = began.elapsed();
        let alike = if took < LOOK_QUICK { ALIKE } else { ALIKE_SLOW };
        let head = Arc::new(place.head().await?);
        let before = suspects.len();
        let mut left = vec![];
        for (suspect, seen) in suspects.into_iter().zip(seen).filter(|(_, seen)| !seen.equal()) {
            left.push(suspect.again(seen, &head, &mark, place)?);
        }
        all.settled += (before - left.len()) as u64;
        let differs = |suspect: &Suspect| suspect.past >= PAST && suspect.alike >= alike;
        let (differing, left) = left.into_iter().partition::<Vec<_>, _>(differs);
        all.differing.extend(differing);
        suspects = left;
        looks += 1;
        if took >= LOOK_QUICK && !suspects.is_empty() {
            // Another look is too dear before anything can be told by it.
            wait_past(place, stream, &head, until).await?;
        }
        // Of those that the pipeline is past something is still found out.
        let hopeless = place.stands_still() && suspects.iter().all(|suspect| suspect.past == 0);
        if hopeless || Instant::now() >= until {
            break;
        }
        if !suspects.is_empty() {
            sleep(if looks < LATER { PAUSE } else { PAUSE_LATER }).await;
        }
    }
    all.differing.sort_by(|a, b| order(a).cmp(&order(b)));
    suspects.sort_by(|a, b| order(a).cmp(&order(b)));
    all.unsettled = suspects;
    Ok(all)
}

/// Waits until the pipeline is past a position, or there is no more time, or nobody applies changes.
async fn wait_past(place: &Place, stream: &StreamName, position: &Position, until: Instant) -> Result<()> {
    while !place.is_past(&place.position(stream).await?, position)?
        && !place.stands_still()
        && Instant::now() < until
    {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// How the ends compare in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seems {
    /// Both have it alike, or not at all.
    Equal,
    Differs(Kind),
    /// It may be on its way.
    Unsettled(Kind),
}

/// The same with the columns that differ.
pub(crate) struct Seemed {
    pub(crate) seems: Seems,
    pub(crate) columns: Vec<String>,
}

/// Looks at one row; where a pipeline follows, until it is clear.
pub(crate) async fn one(
    lookup: &Lookup<'_>,
    place: Option<&Place>,
    found: FoundRow,
    until: Instant,
) -> Result<Seemed> {
    let (seems, suspect): (fn(Kind) -> Seems, _) = match place {
        Some(place) => {
            let mut all = settle_all(lookup, place, vec![found], &BTreeMap::new(), until).await?;
            match (all.differing.pop(), all.unsettled.pop()) {
                (Some(suspect), _) => (Seems::Differs, Some(suspect)),
                (None, suspect) => (Seems::Unsettled, suspect),
            }
        }
        None => {
            let mut suspects = [Suspect::new(found)];
            let seen = lookup.look(&mut suspects, &BTreeMap::new()).await?.pop();
            let [suspect] = suspects;
            (Seems::Differs, seen.filter(|seen| !seen.equal()).map(|_| Suspect { seen, ..suspect }))
        }
    };
    let Some(suspect) = suspect else { return Ok(Seemed { seems: Seems::Equal, columns: vec![] }) };
    let columns = lookup.columns(&suspect).await?;
    Ok(Seemed { seems: seems(suspect.seen.unwrap_or_default().kind()), columns })
}

/// As keys are listed: numbers by their size, and no text before a shorter one.
fn order(suspect: &Suspect) -> Option<Vec<(usize, &str)>> {
    suspect.text.as_ref().map(|parts| parts.iter().map(|part| (part.len(), part.as_str())).collect())
}

impl Suspect {
    fn new(found: FoundRow) -> Self {
        Suspect {
            key: found.key,
            split: found.split,
            text: found.text,
            seen: None,
            alike: 0,
            past: 0,
            since: None,
        }
    }

    /// As it is at one more look, before which the pipeline was at `mark`, and after which the log ended
    /// at `head`.
    fn again(self, seen: Seen, head: &Arc<Position>, mark: &Position, place: &Place) -> Result<Self> {
        let Some(since) = self.since.clone().filter(|_| self.seen == Some(seen)) else {
            return Ok(Suspect {
                seen: Some(seen),
                alike: 1,
                past: 0,
                since: Some(Arc::clone(head)),
                ..self
            });
        };
        let past = self.past + u32::from(place.is_past(mark, &since)?);
        Ok(Suspect { alike: self.alike + 1, past, ..self })
    }
}

/// Tells all but which rows differ at first sight, or which of them only the target has.
pub(crate) struct Unnamed<'a> {
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) only_extra: bool,
}

impl Observer for Unnamed<'_> {
    fn comparing(&mut self, stream: &str, how: &str) {
        self.observer.comparing(stream, how);
    }

    fn progress(&mut self, stream: &str, rows: u64) {
        self.observer.progress(stream, rows);
    }

    fn difference(&mut self, stream: &str, difference: &Difference) {
        if self.only_extra && difference.kind != Kind::Extra {
            self.observer.difference(stream, difference);
        }
    }

    fn settling(&mut self, stream: &str, rows: u64) {
        self.observer.settling(stream, rows);
    }

    fn unsettled(&mut self, stream: &str, difference: &Difference) {
        self.observer.unsettled(stream, difference);
    }

    fn passed_over(&mut self, stream: &str) {
        self.observer.passed_over(stream);
    }
}
