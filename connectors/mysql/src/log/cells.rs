//! Where in a row of the log each column's value lies.

use super::{
    fields::{Broken, Fields},
    table_map::{Form, kind as k},
};

/// A column's value in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    /// The log leaves it out.
    Absent,
    /// Its bytes, without their length, by where they are from the beginning of the rows.
    Value {
        from: usize,
        upto: usize,
    },
    /// What differs from the value before, in the form of JSON.
    Partial {
        from: usize,
        upto: usize,
    },
}

/// A bit for each column, the lowest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    pub(super) fn take(fields: &mut Fields<'a>, count: usize) -> Result<Self, Broken> {
        fields.take(count.div_ceil(8)).map(Bits)
    }

    pub(super) fn has(self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    pub(super) fn count(self, columns: usize) -> usize {
        (0..columns).filter(|at| self.has(*at)).count()
    }
}

/// Which columns a row may tell partially: the value's options say whether it does.
const PARTIAL_JSON: u64 = 1;

/// Finds the values of one row, which begins at `at`, and returns where it ends.
pub(super) fn find(
    rows: &[u8],
    at: usize,
    forms: &[Form],
    present: Bits<'_>,
    may_be_partial: bool,
    cells: &mut Vec<Cell>,
) -> Result<usize, Broken> {
    cells.clear();
    let mut fields = Fields(rows.get(at..).ok_or(Broken)?);
    let mut partial = None;
    if may_be_partial && fields.lenenc()? & PARTIAL_JSON != 0 {
        let count = forms.iter().filter(|form| form.kind == k::JSON).count();
        partial = Some(Bits::take(&mut fields, count)?);
    }
    let nulls = Bits::take(&mut fields, present.count(forms.len()))?;
    let (mut told, mut jsons) = (0, 0);
    for (column, form) in forms.iter().enumerate() {
        // Each column of JSON has a bit, whether the row has it or not.
        let is_partial = form.kind == k::JSON && {
            jsons += 1;
            partial.is_some_and(|bits| bits.has(jsons - 1))
        };
        if !present.has(column) {
            cells.push(Cell::Absent);
            continue;
        }
        told += 1;
        if nulls.has(told - 1) {
            cells.push(Cell::Null);
            continue;
        }
        let length = length(&mut fields, *form)?;
        let from = rows.len() - fields.0.len();
        fields.take(length)?;
        let upto = from + length;
        cells.push(if is_partial { Cell::Partial { from, upto } } else { Cell::Value { from, upto } });
    }
    Ok(rows.len() - fields.0.len())
}

/// How many bytes the value in front has, with its length taken off where it has one.
fn length(fields: &mut Fields<'_>, form: Form) -> Result<usize, Broken> {
    let meta = usize::from(form.meta);
    Ok(match form.kind {
        k::TINY | k::YEAR => 1,
        k::SHORT => 2,
        k::INT24 | k::DATE | k::NEWDATE | k::TIME => 3,
        k::LONG | k::FLOAT | k::TIMESTAMP => 4,
        k::LONGLONG | k::DOUBLE | k::DATETIME => 8,
        k::TIMESTAMP2 => 4 + fraction_bytes(meta),
        k::DATETIME2 => 5 + fraction_bytes(meta),
        k::TIME2 => 3 + fraction_bytes(meta),
        k::NEWDECIMAL => decimal_bytes(meta >> 8, meta & 0xFF).ok_or(Broken)?,
        // Whole bytes, and the bits that are over.
        k::BIT => (meta >> 8) + usize::from(meta & 0xFF > 0),
        k::ENUM | k::SET if meta <= 8 => meta,
        k::VARCHAR | k::VAR_STRING | k::STRING => {
            let width = if meta > 255 { 2 } else { 1 };
            usize::try_from(fields.number(width)?).map_err(|_| Broken)?
        }
        k::TINY_BLOB | k::BLOB | k::MEDIUM_BLOB | k::LONG_BLOB | k::GEOMETRY | k::JSON | k::VECTOR
            if meta <= 4 =>
        {
            usize::try_from(fields.number(meta)?).map_err(|_| Broken)?
        }
        _ => return Err(Broken),
    })
}

/// The bytes of so many digits of a second's fraction.
pub(super) fn fraction_bytes(digits: usize) -> usize {
    digits.div_ceil(2)
}

/// The bytes of so many digits: nine of them are four bytes, and what is over as few as they need.
pub(super) fn digits_bytes(digits: usize) -> usize {
    digits / 9 * 4 + (digits % 9).div_ceil(2)
}

/// The bytes of a decimal.
fn decimal_bytes(precision: usize, scale: usize) -> Option<usize> {
    Some(digits_bytes(precision.checked_sub(scale)?) + digits_bytes(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_forms() {
        let forms =
            [(k::LONG, 0), (k::VARCHAR, 300), (k::NEWDECIMAL, 0x0A02), (k::BIT, 0x0102), (k::JSON, 4)];
        let forms = forms.map(|(kind, meta)| Form { kind, meta });
        let rows =
            [&[0xAA][..], &[0b010], &[1, 0, 0, 0], &[1, 2], &[5, 0, 0, 0, b'a', b'b', b'c', b'd', b'e']]
                .concat();
        let present = [0b1_1011];
        let mut fields = Fields(&present);
        let present = Bits::take(&mut fields, 5).unwrap();
        let mut cells = vec![];
        let end = find(&rows, 1, &forms, present, false, &mut cells).unwrap();
        assert_eq!(end, rows.len());
        let value = |from, upto| Cell::Value { from, upto };
        assert_eq!(cells, [value(2, 6), Cell::Null, Cell::Absent, value(6, 8), value(12, 17)]);
        for length in 0..rows.len() {
            assert_eq!(find(&rows[..length], 1, &forms, present, false, &mut cells), Err(Broken));
        }
    }

    #[test]
    fn decimals_have_as_many_bytes_as_they_need() {
        for (precision, scale, bytes) in [(10, 2, 5), (14, 4, 7), (1, 0, 1), (65, 30, 30), (9, 9, 4)] {
            assert_eq!(decimal_bytes(precision, scale), Some(bytes), "{precision} {scale}");
        }
        assert_eq!(decimal_bytes(2, 3), None);
    }
}
