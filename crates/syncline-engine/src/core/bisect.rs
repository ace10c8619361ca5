//! Finds the rows that a target refuses, when all it says is that some row of a batch is at fault.

use std::ops::Range;

/// Which part of a batch to try next, and which rows are found to be at fault.
#[derive(Clone, Debug)]
pub(super) struct Bisect {
    /// Parts still to try, the next one last.
    parts: Vec<Range<u32>>,
    rejected: Vec<u32>,
}

impl Bisect {
    /// For a batch of `rows` that was refused as a whole; `row` when the target said which.
    pub(super) fn new(rows: u32, row: Option<u32>) -> Self {
        let mut bisect = Bisect { parts: vec![], rejected: vec![] };
        bisect.cut(0..rows, row);
        bisect
    }

    /// The part to try next.
    pub(super) fn part(&self) -> Option<Range<u32>> {
        self.parts.last().cloned()
    }

    /// The part was taken.
    pub(super) fn taken(&mut self) {
        self.parts.pop();
    }

    /// The part was refused; `row` counts within it, when the target said which.
    pub(super) fn refused(&mut self, row: Option<u32>) {
        if let Some(part) = self.parts.pop() {
            self.cut(part, row);
        }
    }

    /// Takes the row at fault out of a part, or halves the part.
    fn cut(&mut self, part: Range<u32>, row: Option<u32>) {
        let rows = part.end - part.start;
        let cut = match row.filter(|row| *row < rows) {
            Some(row) => Some(part.start + row),
            None if rows == 1 => Some(part.start),
            None => None,
        };
        let (before, after) = match cut {
            Some(at) => {
                self.rejected.push(at);
                (part.start..at, at + 1..part.end)
            }
            None => {
                let middle = part.start + rows / 2;
                (part.start..middle, middle..part.end)
            }
        };
        // Pushed so that earlier rows are tried first.
        for part in [after, before] {
            if !part.is_empty() {
                self.parts.push(part);
            }
        }
    }

    /// The rows at fault.
    pub(super) fn into_rejected(self) -> Vec<u32> {
        self.rejected
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(rows: u32, bad: &[u32], told: bool) -> (Vec<u32>, Vec<u32>) {
        let fault = |part: &Range<u32>| bad.iter().find(|row| part.contains(row)).copied();
        let told = |part: &Range<u32>| fault(part).filter(|_| told).map(|row| row - part.start);
        let mut bisect = Bisect::new(rows, told(&(0..rows)));
        let mut taken = vec![];
        while let Some(part) = bisect.part() {
            if fault(&part).is_some() {
                bisect.refused(told(&part));
            } else {
                taken.extend(part);
                bisect.taken();
            }
        }
        (taken, bisect.into_rejected())
    }

    proptest! {
        #[test]
        fn exactly_the_bad_rows_are_rejected(rows in 1_u32..200, picks in proptest::collection::btree_set(0_u32..200, 1..6), told: bool) {
            let bad: Vec<u32> = picks.into_iter().filter(|row| *row < rows).collect();
            prop_assume!(!bad.is_empty());
            let (mut taken, rejected) = search(rows, &bad, told);
            prop_assert_eq!(&rejected, &bad);
            taken.extend(&rejected);
            taken.sort_unstable();
            prop_assert_eq!(taken, (0..rows).collect::<Vec<_>>());
        }
    }
}
