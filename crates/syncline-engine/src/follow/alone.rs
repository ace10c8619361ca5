//! Changes one by one, in the order of the log: for a target that does not take them together, since a value
//! that only one row may have has passed from one to another, or since it refuses one of them.

use syncline_connect::{Changes, Written};

/// One change; an update that moves its row to another key counts as one.
pub(crate) struct Alone {
    /// Its place in the order of the log.
    pub(crate) sequence: u64,
    pub(crate) changes: Changes,
}

/// Takes changes apart. Rows that could not be read are not among them.
pub(crate) fn apart(changes: &Changes) -> Vec<Alone> {
    let mut all = vec![];
    let mut moved = vec![false; changes.went.len()];
    for (row, written) in changes.written.iter().enumerate() {
        // It says itself where it was before, right in front.
        let from = changes.went.iter().position(|went| went.moved && went.sequence + 1 == written.sequence);
        if let Some(from) = from {
            moved[from] = true;
        }
        let sequence = from.map_or(written.sequence, |from| changes.went[from].sequence);
        all.push(Alone { sequence, changes: only(changes, Some((row, *written)), from, false) });
    }
    for (row, went) in changes.went.iter().enumerate().filter(|(row, _)| !moved[*row]) {
        all.push(Alone { sequence: went.sequence, changes: only(changes, None, Some(row), false) });
    }
    if let Some(sequence) = changes.truncated {
        // What came before is gone with it, and has no need to be there first.
        all.retain(|one| one.sequence > sequence);
        all.push(Alone { sequence, changes: only(changes, None, None, true) });
    }
    all
}

fn only(changes: &Changes, row: Option<(usize, Written)>, gone: Option<usize>, truncated: bool) -> Changes {
    let (from, rows) = row.map_or((0, 0), |(row, _)| (row, 1));
    let absent = changes.absent.iter().map(|absent| absent.as_ref().map(|absent| absent.slice(from, rows)));
    Changes {
        stream: changes.stream,
        rows: changes.rows.slice(from, rows),
        written: row.map(|(_, written)| written).into_iter().collect(),
        absent: absent.collect(),
        gone: changes.gone.slice(gone.unwrap_or(0), usize::from(gone.is_some())),
        went: gone.map(|gone| changes.went[gone]).into_iter().collect(),
        truncated: changes.truncated.filter(|_| truncated),
        rejects: vec![],
    }
}
