//! The rows of an event, given to each stream of their table.

use syncline_types::Result;

use super::{
    cells::{Bits, Cell, find},
    event::{Rows, RowsKind},
    fields::{Broken, Fields},
    gather::{Gathered, Layout, Row, Shape},
    table_map::Form,
    unpack::unpack,
};

/// The streams of a table, with where their values are; none where nobody follows it.
pub(super) type Layouts = Vec<(usize, Layout)>;

/// What is gathered, and what it is gathered by.
pub(super) struct Target<'a> {
    pub(super) shapes: &'a [Shape],
    pub(super) gathered: &'a mut [Option<Gathered>],
    pub(super) layouts: &'a Layouts,
    /// By stream, whether it is not given its rows, which its copy has.
    pub(super) copied: &'a [bool],
}

/// Memory that is used again for each row.
#[derive(Default)]
pub(super) struct Scratch {
    old: Vec<Cell>,
    new: Vec<Cell>,
    unpacked: Vec<u8>,
}

/// What rows are kept for the next event that has to be unpacked.
const UNPACKED_KEPT_BYTES: usize = 1 << 20;

/// The table that rows are of: its number in the log.
pub(super) fn table_id(body: &[u8]) -> Result<u64, Broken> {
    Fields(body).number(6)
}

/// What stands before the rows: how many columns there are, and which of them rows have, before and
/// after an update.
struct Head<'a> {
    columns: usize,
    first: Bits<'a>,
    second: Option<Bits<'a>>,
    rows: &'a [u8],
}

fn head<'a>(rows: &Rows<'a>) -> Result<Head<'a>, Broken> {
    let mut fields = Fields(rows.body);
    fields.take(6 + 2)?;
    if rows.has_extra {
        // The length counts itself.
        let extra = usize::from(fields.u16()?).checked_sub(2).ok_or(Broken)?;
        fields.take(extra)?;
    }
    let columns = fields.length()?;
    let first = Bits::take(&mut fields, columns)?;
    let updates = matches!(rows.kind, RowsKind::Update | RowsKind::PartialUpdate);
    let second = updates.then(|| Bits::take(&mut fields, columns)).transpose()?;
    Ok(Head { columns, first, second, rows: fields.0 })
}

/// How many bytes the rows have once they are unpacked.
pub(super) fn unpacked_bytes(rows: &Rows<'_>) -> Result<usize, Broken> {
    match rows.compressed {
        true => super::unpack::unpacked_bytes(head(rows)?.rows),
        false => Ok(rows.body.len()),
    }
}

/// Takes an event's rows. Returns how many changes they are, and how many places in the order of the log
/// they take from `sequence` on.
pub(super) fn take(
    rows: &Rows<'_>,
    target: &mut Target<'_>,
    scratch: &mut Scratch,
    sequence: u64,
) -> Result<(usize, u64)> {
    let head = head(rows)?;
    let Some((_, layout)) = target.layouts.first() else { return Ok((0, 0)) };
    let forms = layout.forms.clone();
    if head.columns != forms.len() {
        return Err(Broken.into());
    }
    let Scratch { old, new, unpacked } = scratch;
    let bytes = match rows.compressed {
        true => {
            unpacked.clear();
            unpack(head.rows, unpacked)?;
            unpacked.as_slice()
        }
        false => head.rows,
    };
    let (mut at, mut changes, mut places) = (0, 0, 0);
    while at < bytes.len() {
        at = row(rows.kind, &head, bytes, at, &forms, old, new)?;
        places += give(rows.kind, target, bytes, old, new, sequence + places)?;
        changes += 1;
    }
    if unpacked.capacity() > UNPACKED_KEPT_BYTES {
        *unpacked = vec![];
    }
    Ok((changes, places))
}

/// What the last of these rows has in a column, where an insert or update tells it.
pub(super) fn last_value(rows: &Rows<'_>, forms: &[Form], column: usize) -> Result<Option<Vec<u8>>> {
    let head = head(rows)?;
    if head.columns != forms.len() {
        return Err(Broken.into());
    }
    let mut unpacked = vec![];
    let bytes = match rows.compressed {
        true => {
            unpack(head.rows, &mut unpacked)?;
            unpacked.as_slice()
        }
        false => head.rows,
    };
    let (mut old, mut new, mut at, mut last) = (vec![], vec![], 0, None);
    while at < bytes.len() {
        at = row(rows.kind, &head, bytes, at, forms, &mut old, &mut new)?;
        if let Some(Cell::Value { from, upto }) = new.get(column) {
            last = bytes.get(*from..*upto).map(<[u8]>::to_vec);
        }
    }
    Ok(last)
}

/// Finds what a change tells, before and after it.
fn row(
    kind: RowsKind,
    head: &Head<'_>,
    bytes: &[u8],
    at: usize,
    forms: &[Form],
    old: &mut Vec<Cell>,
    new: &mut Vec<Cell>,
) -> Result<usize, Broken> {
    let end = match kind {
        RowsKind::Insert => find(bytes, at, forms, head.first, false, new)?,
        RowsKind::Delete => find(bytes, at, forms, head.first, false, old)?,
        RowsKind::Update | RowsKind::PartialUpdate => {
            let behind = find(bytes, at, forms, head.first, false, old)?;
            let second = head.second.ok_or(Broken)?;
            find(bytes, behind, forms, second, kind == RowsKind::PartialUpdate, new)?
        }
    };
    // Rows without any bytes would never come to an end.
    if end > at { Ok(end) } else { Err(Broken) }
}

/// Gives a change to each stream.
fn give(
    kind: RowsKind,
    target: &mut Target<'_>,
    bytes: &[u8],
    old: &[Cell],
    new: &[Cell],
    sequence: u64,
) -> Result<u64> {
    let (old, new) = (Row { bytes, cells: old }, Row { bytes, cells: new });
    let mut places = 0;
    for (stream, layout) in target.layouts.iter().filter(|(stream, _)| !target.copied[*stream]) {
        let (Some(shape), Some(gathered)) = (target.shapes.get(*stream), target.gathered.get_mut(*stream))
        else {
            return Err(Broken.into());
        };
        let gathered = gathered.get_or_insert_with(|| Gathered::new(shape));
        let taken = match kind {
            RowsKind::Insert => gathered.insert(shape, layout, new, sequence).map(|()| 1),
            RowsKind::Delete => gathered.delete(shape, layout, old, sequence).map(|()| 1),
            RowsKind::Update | RowsKind::PartialUpdate => gathered.update(shape, layout, old, new, sequence),
        };
        places = taken?.max(places);
    }
    Ok(places)
}
