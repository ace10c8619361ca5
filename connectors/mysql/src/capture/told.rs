//! Records that looks have told and that are still there: they are passed over until they are deleted, and
//! deleted, by their numbers, once what was told of them is durable at the target.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::install::{NOTE, Note};

/// Numbers that follow on each other, from one to another.
pub(super) type Range = (u64, u64);

/// How many ranges a statement passes over. Records that it does not pass over are told again.
const RANGES_MAX: usize = 200;

/// How many records are deleted in one transaction, in how many ranges.
const DELETED_AT_ONCE: u64 = 5_000;

/// What is known of records, by streams.
pub(super) struct Told(Mutex<State>);

struct State {
    /// By the moments of the looks.
    looks: BTreeMap<(u64, u64), Vec<StreamTold>>,
    /// As they are saved beside the records.
    notes: Vec<Note>,
}

/// What a look has told of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamTold {
    /// The records, in the order of their numbers.
    pub(super) ranges: Vec<Range>,
    /// What is to be noted once they are deleted.
    pub(super) note: Note,
}

/// What is deleted in one transaction.
#[derive(Debug)]
pub(super) struct Step {
    /// By stream.
    pub(super) deletes: Vec<Vec<Range>>,
    /// Notes that change with it.
    pub(super) notes: Vec<(usize, Note)>,
    /// The last look of which nothing is left.
    finished: Option<(u64, u64)>,
    /// A look of which something is left: of each stream, that.
    left: Option<((u64, u64), Vec<StreamTold>)>,
}

impl Told {
    pub(super) fn new(notes: Vec<Note>) -> Self {
        Told(Mutex::new(State { looks: BTreeMap::new(), notes }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what a look tells.
    pub(super) fn add(&self, moment: (u64, u64), streams: Vec<StreamTold>) {
        self.state().looks.insert(moment, streams);
    }

    /// A condition for the records of a stream that are not told yet, and whether it holds for none other.
    pub(super) fn untold(&self, stream: usize) -> (String, bool) {
        let state = self.state();
        let told = state.looks.values().filter_map(|streams| streams.get(stream));
        let mut ranges: Vec<Range> = told.flat_map(|told| told.ranges.iter().copied()).collect();
        ranges.sort_unstable();
        untold(joined(&ranges))
    }

    /// What of the looks up to this one is to be deleted next.
    pub(super) fn step(&self, upto: (u64, u64)) -> Option<Step> {
        let state = self.state();
        let mut step = Step {
            deletes: state.notes.iter().map(|_| vec![]).collect(),
            notes: vec![],
            finished: None,
            left: None,
        };
        let (mut notes, mut room) = (state.notes.clone(), DELETED_AT_ONCE);
        for (moment, streams) in state.looks.range(..=upto) {
            let mut left = streams.clone();
            for (stream, told) in left.iter_mut().enumerate() {
                let Some(deletes) = step.deletes.get_mut(stream) else { continue };
                let (taken, rest) = first(&told.ranges, room, RANGES_MAX.saturating_sub(deletes.len()));
                room -= taken.iter().map(|(from, to)| to - from + 1).sum::<u64>();
                deletes.extend(taken);
                told.ranges = rest;
            }
            if left.iter().all(|told| told.ranges.is_empty()) {
                step.finished = Some(*moment);
                notes = left.into_iter().map(|told| told.note).collect();
                continue;
            }
            // Before its oldest record there is now no moment of which the number of rows is known.
            notes.iter_mut().for_each(|note| note.rows = None);
            step.left = Some((*moment, left));
            break;
        }
        let changed =
            notes.into_iter().zip(&state.notes).enumerate().filter(|(_, (note, saved))| note != *saved);
        step.notes = changed.map(|(stream, (note, _))| (stream, note)).collect();
        (step.finished.is_some() || step.left.is_some()).then_some(step)
    }

    /// A step is done.
    pub(super) fn done(&self, step: Step) {
        let mut state = self.state();
        if let Some(finished) = step.finished {
            state.looks.retain(|moment, _| *moment > finished);
        }
        if let Some((moment, left)) = step.left {
            state.looks.insert(moment, left);
        }
        for (stream, note) in step.notes {
            if let Some(saved) = state.notes.get_mut(stream) {
                *saved = note;
            }
        }
    }
}

/// Ranges that touch become one.
fn joined(sorted: &[Range]) -> Vec<Range> {
    let mut joined: Vec<Range> = vec![];
    for (from, to) in sorted {
        match joined.last_mut() {
            Some((_, end)) if *from <= end.saturating_add(1) => *end = (*end).max(*to),
            _ => joined.push((*from, *to)),
        }
    }
    joined
}

/// Where many ranges are told, the shortest are not passed over.
fn untold(mut told: Vec<Range>) -> (String, bool) {
    let is_exact = told.len() <= RANGES_MAX;
    if !is_exact {
        told.sort_unstable_by_key(|(from, to)| std::cmp::Reverse(to - from));
        told.truncate(RANGES_MAX);
        told.sort_unstable();
    }
    let (mut parts, mut behind) = (vec![], NOTE);
    for (from, to) in told {
        if from > behind + 1 {
            parts.push(format!("number > {behind} AND number < {from}"));
        }
        behind = to;
    }
    parts.push(format!("number > {behind}"));
    (format!("({})", parts.join(" OR ")), is_exact)
}

/// The first of these, up to so many numbers in so many ranges; and the rest.
fn first(ranges: &[Range], mut room: u64, ranges_max: usize) -> (Vec<Range>, Vec<Range>) {
    let (mut taken, mut rest) = (vec![], vec![]);
    for (from, to) in ranges.iter().copied() {
        let end = if taken.len() < ranges_max { to.min((from + room).saturating_sub(1)) } else { 0 };
        if end < from {
            rest.push((from, to));
            room = 0;
            continue;
        }
        room -= end - from + 1;
        taken.push((from, end));
        if end < to {
            rest.push((end + 1, to));
        }
    }
    (taken, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(rows: Option<u64>) -> Note {
        serde_json::from_value(serde_json::json!({
            "life": "l", "table": ["d", "t"], "key": [], "triggers": [], "altered": "", "rows": rows
        }))
        .unwrap()
    }

    fn told(ranges: &[Range], rows: u64) -> Vec<StreamTold> {
        vec![StreamTold { ranges: ranges.to_vec(), note: note(Some(rows)) }]
    }

    #[test]
    fn what_is_told_is_passed_over_and_nothing_else() {
        let all = Told::new(vec![note(None)]);
        assert_eq!(all.untold(0), ("(number > 1)".to_owned(), true));
        all.add((1, 1), told(&[(2, 5), (8, 8)], 1));
        all.add((1, 2), told(&[(6, 6), (20, 30)], 1));
        let expected = "(number > 6 AND number < 8 OR number > 8 AND number < 20 OR number > 30)";
        assert_eq!(all.untold(0), (expected.to_owned(), true));
    }

    #[test]
    fn of_many_ranges_the_longest_are_passed_over() {
        let all = Told::new(vec![note(None)]);
        let mut ranges: Vec<Range> = (0..RANGES_MAX as u64).map(|at| (10 * at + 2, 10 * at + 3)).collect();
        ranges.push((9_000, 9_000));
        all.add((1, 1), told(&ranges, 1));
        let (condition, is_exact) = all.untold(0);
        assert!(!is_exact && condition.ends_with("OR number > 1993)"), "{condition}");
    }

    #[test]
    fn records_are_deleted_by_their_numbers_in_parts() {
        let all = Told::new(vec![note(None)]);
        all.add((1, 1), told(&[(2, 3), (5, 5)], 7));
        all.add((1, 2), told(&[(4, 4), (10, 6_000)], 8));
        all.add((2, 0), told(&[(7_000, 7_000)], 9));
        assert!(all.step((1, 0)).is_none());
        let step = all.step((1, 1)).unwrap();
        assert_eq!((&step.deletes, &step.notes), (&vec![vec![(2, 3), (5, 5)]], &vec![(0, note(Some(7)))]));
        all.done(step);
        let step = all.step((1, 2)).unwrap();
        assert_eq!(step.deletes, [vec![(4, 4), (10, 5_008)]]);
        assert_eq!(step.notes, [(0, note(None))], "it is between two moments");
        all.done(step);
        assert_eq!(
            all.untold(0).0,
            "(number > 1 AND number < 5009 OR number > 6000 AND number < 7000 OR number > 7000)"
        );
        let step = all.step((1, 2)).unwrap();
        assert_eq!((&step.deletes, &step.notes), (&vec![vec![(5_009, 6_000)]], &vec![(0, note(Some(8)))]));
        all.done(step);
        assert!(all.step((1, 2)).is_none());
        assert_eq!(all.untold(0).0, "(number > 1 AND number < 7000 OR number > 7000)");
    }
}
