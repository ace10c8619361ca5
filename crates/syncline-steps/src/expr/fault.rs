//! Rows on which an expression fails.
//!
//! A failure belongs to its row, not to the batch: the row's value is without meaning, the others
//! stand. Only what is really asked for counts, so that `case when b <> 0 then a / b end` does not
//! fail where `b` is 0. A reason is a fixed text and can hold no value of the row.

/// Why a value cannot be computed, as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) &'static str);

impl Fault {
    pub(crate) const DIVISION_BY_ZERO: Fault = Fault("division by zero");
    pub(crate) const INTEGER_RANGE: Fault = Fault("an integer is out of range");
    pub(crate) const NUMBER_RANGE: Fault = Fault("an exact number has more than 76 digits");
    pub(crate) const NUMBER_SIZE: Fault = Fault("a number does not fit its precision and scale");
    pub(crate) const NOT_A_NUMBER: Fault = Fault("an exact number is NaN or infinite");
    pub(crate) const FLOAT_OVERFLOW: Fault = Fault("a floating-point number is out of range");
    pub(crate) const FLOAT_UNDERFLOW: Fault = Fault("a floating-point number is too close to zero");
    pub(crate) const INFINITE_TIME: Fault = Fault("a date or time is infinite");
    pub(crate) const TIME_RANGE: Fault = Fault("a date or time is out of range");
    pub(crate) const INTERVAL_RANGE: Fault = Fault("an interval is out of range");
    pub(crate) const TEXT_SIZE: Fault = Fault("a text is too long");
    pub(crate) const BAD_JSON: Fault = Fault("a text is not valid JSON");
}

/// The rows of a batch that failed, ascending, each with its first reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<(u32, Fault)>);

impl Faults {
    /// Whether every row is well.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a row behind all that are in already.
    pub(crate) fn push(&mut self, row: usize, fault: Fault) {
        // A batch has far fewer rows than 32 bits count.
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < row), "rows come in order");
        self.0.push((row, fault));
    }

    /// The reason of one row.
    pub(crate) fn get(&self, row: usize) -> Option<Fault> {
        if self.0.is_empty() {
            return None;
        }
        let row = u32::try_from(row).ok()?;
        self.0.binary_search_by_key(&row, |(at, _)| *at).ok().map(|at| self.0[at].1)
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<Fault> {
        self.0.first().map(|(_, fault)| *fault)
    }

    /// Every row with its reason.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Fault)> + '_ {
        self.0.iter().map(|(row, fault)| (*row as usize, *fault))
    }

    /// Both; where a row is in both, `self` has its reason.
    #[must_use]
    pub(crate) fn and(self, other: Faults) -> Faults {
        if self.0.is_empty() {
            return other;
        }
        if other.0.is_empty() {
            return self;
        }
        let mut all = self.0;
        all.extend(other.0);
        // The sort is stable: what was first for a row stays first.
        all.sort_by_key(|(row, _)| *row);
        all.dedup_by_key(|(row, _)| *row);
        Faults(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_of_a_row_stays() {
        let (mut a, mut b) = (Faults::default(), Faults::default());
        a.push(1, Fault::DIVISION_BY_ZERO);
        a.push(5, Fault::DIVISION_BY_ZERO);
        b.push(0, Fault::INTEGER_RANGE);
        b.push(5, Fault::INTEGER_RANGE);
        let both = a.and(b);
        let rows: Vec<(usize, Fault)> = both.iter().collect();
        assert_eq!(
            rows,
            [(0, Fault::INTEGER_RANGE), (1, Fault::DIVISION_BY_ZERO), (5, Fault::DIVISION_BY_ZERO)]
        );
        assert_eq!((both.get(5), both.get(2)), (Some(Fault::DIVISION_BY_ZERO), None));
    }
}
