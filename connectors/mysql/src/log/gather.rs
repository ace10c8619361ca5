//! Changes of one stream on their way into columns.

use std::sync::Arc;

use arrow_schema::Schema;
use syncline_connect::{Changes, ChangesBuilder, How, Read, Went, Written};
use syncline_types::{Code, Error, Result, codes};

use super::{cells::Cell, table_map::Form, value::Reading};
use crate::decode::BadField;

/// What a stream's changes are gathered into.
#[derive(Debug)]
pub(super) struct Shape {
    /// For messages.
    pub(super) name: String,
    fields: Vec<Reading>,
    /// Of `fields`, those that tell a row that is gone: the key, or all.
    key: Vec<usize>,
    /// Whether it is the key.
    keyed: bool,
    rows: Arc<Schema>,
    gone: Arc<Schema>,
    /// The columns of the table, of which some are `fields`.
    columns: Vec<String>,
}

/// Where in a table's rows a stream's values are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The form of every column of the table.
    pub(super) forms: Arc<[Form]>,
    /// The place of each field.
    fields: Vec<usize>,
}

/// A row of the log: its bytes, and where in them each column's value lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) cells: &'a [Cell],
}

impl<'a> Row<'a> {
    fn cell(&self, at: usize) -> Cell {
        self.cells.get(at).copied().unwrap_or(Cell::Absent)
    }

    fn value(&self, from: usize, upto: usize) -> &'a [u8] {
        self.bytes.get(from..upto).unwrap_or_default()
    }

    /// The bytes of a column's value, of which NULL has none; the outer `None` where it is not told.
    fn told(&self, at: usize) -> Option<Option<&'a [u8]>> {
        match self.cell(at) {
            Cell::Null => Some(None),
            Cell::Value { from, upto } => Some(Some(self.value(from, upto))),
            Cell::Absent | Cell::Partial { .. } => None,
        }
    }
}

/// What was gathered.
#[derive(Debug)]
pub(super) struct Gathered(ChangesBuilder);

impl Shape {
    pub(super) fn new(read: &Read, fields: Vec<Reading>) -> Result<Self> {
        let (rows, gone) = (read.logged_schema(), read.gone_schema());
        let names: Vec<String> = gone.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Shape {
            name: read.stream.name.to_string(),
            fields,
            key: rows.indexes(&names)?,
            keyed: !rows.key.is_empty(),
            rows: rows.arrow(),
            gone: gone.arrow(),
            columns: read.stream.schema.columns.iter().map(|column| column.name.clone()).collect(),
        })
    }

    /// Where the fields are in rows of a table with columns of these forms, by their names, or in the
    /// order that is known where they are not told. `None` when the table is not the one that is known.
    pub(super) fn layout(
        &self,
        forms: &Arc<[Form]>,
        names: Option<&[&[u8]]>,
        unsigned: Option<&[bool]>,
    ) -> Option<Layout> {
        let places: Vec<usize> = match names {
            Some(names) => {
                let place = |field: &Reading| names.iter().position(|name| *name == field.name.as_bytes());
                let known = |name: &[u8]| self.columns.iter().any(|column| column.as_bytes() == name);
                let places = self.fields.iter().map(place).collect::<Option<_>>()?;
                if !names.iter().all(|name| known(name)) {
                    return None;
                }
                places
            }
            None if self.columns.len() != forms.len() => return None,
            None => {
                let place = |field: &Reading| self.columns.iter().position(|column| *column == field.name);
                self.fields.iter().map(place).collect::<Option<_>>()?
            }
        };
        let fits = |(field, at): (&Reading, &usize)| {
            let sign = unsigned.and_then(|unsigned| unsigned.get(*at).copied());
            forms.get(*at).is_some_and(|form| field.reads(*form, sign))
        };
        let all_fit = self.fields.iter().zip(&places).all(fits);
        all_fit.then(|| Layout { forms: Arc::clone(forms), fields: places })
    }

    fn error(&self, code: &'static Code, reason: impl std::fmt::Display) -> Error {
        Error::new(code, "follow table", format!("`{}`", self.name)).because(reason)
    }

    fn garbled(&self) -> Error {
        self.error(&codes::BAD_BYTES, "a row is not of the form that the log has described")
            .hint("Look at what stands between here and the server")
    }

    fn untold(&self) -> Error {
        self.error(&codes::LOG_INCOMPLETE, "the log does not tell which row was deleted or changed")
            .hint("Run SET GLOBAL binlog_row_image = 'FULL' and let sessions begin anew, or give the table a primary key; then copy it again: --restart")
    }

    fn unfilled(&self, field: &Reading) -> Error {
        let reason = format!("the log does not tell what a new row has in column `{}`", field.name);
        self.error(&codes::LOG_INCOMPLETE, reason)
            .hint("Run SET GLOBAL binlog_row_image = 'FULL' and let sessions begin anew; then copy it again: --restart")
    }

    fn unreadable(&self, field: &Reading, reason: &str, hint: Option<&str>) -> Error {
        let error = Error::new(&codes::VALUE_UNREADABLE, "read column", format!("`{}`", field.name));
        let error = error.because(reason);
        hint.map_or(error.clone(), |hint| error.hint(hint))
    }
}

impl Gathered {
    pub(super) fn new(shape: &Shape) -> Self {
        let rows = shape.fields.iter().map(|field| field.logical);
        Gathered(ChangesBuilder::new(rows, shape.key.iter().map(|place| shape.fields[*place].logical)))
    }

    /// A row that was added.
    pub(super) fn insert(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        new: Row<'_>,
        sequence: u64,
    ) -> Result<()> {
        self.write(shape, layout, None, new, Written { sequence, how: How::Insert })
    }

    /// A row that was changed. Returns how many places in the order of the log it takes.
    pub(super) fn update(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: Row<'_>,
        new: Row<'_>,
        sequence: u64,
    ) -> Result<u64> {
        let differs = |field: &usize| {
            let at = layout.fields[*field];
            let is_part = matches!(new.cell(at), Cell::Partial { .. });
            is_part || new.told(at).is_some_and(|new| old.told(at) != Some(new))
        };
        let moved = shape.key.iter().any(differs);
        if moved {
            self.remove(shape, layout, old, Went { sequence, moved: true })?;
        }
        let how = if moved { How::Move } else { How::Update };
        let places = 1 + u64::from(moved);
        self.write(shape, layout, Some(old), new, Written { sequence: sequence + places - 1, how })?;
        Ok(places)
    }

    /// A row that was deleted.
    pub(super) fn delete(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: Row<'_>,
        sequence: u64,
    ) -> Result<()> {
        self.remove(shape, layout, old, Went { sequence, moved: false })
    }

    /// Everything before was removed at once.
    pub(super) fn truncate(&mut self, sequence: u64) {
        self.0.truncate(sequence);
    }

    fn remove(&mut self, shape: &Shape, layout: &Layout, old: Row<'_>, went: Went) -> Result<()> {
        for (place, field) in shape.key.iter().enumerate() {
            let (reading, at) = (&shape.fields[*field], layout.fields[*field]);
            let builder = self.0.gone_value(place);
            let pushed = match old.told(at) {
                // Without a key a row is told by all its values.
                Some(None) if !shape.keyed => {
                    builder.push_null();
                    Ok(())
                }
                Some(Some(bytes)) => reading.push(bytes, layout.forms[at], builder),
                _ => return Err(shape.untold()),
            };
            match pushed {
                Ok(()) => {}
                Err(BadField::Form) => return Err(shape.garbled()),
                // Were it set aside, the row would stay at the target for good.
                Err(BadField::Value(reason, hint)) => return Err(shape.unreadable(reading, reason, hint)),
            }
        }
        self.0.go(went);
        Ok(())
    }

    fn write(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: Option<Row<'_>>,
        new: Row<'_>,
        written: Written,
    ) -> Result<()> {
        for field in 0..shape.fields.len() {
            let pushed = self.write_field(shape, layout, field, old, new);
            match pushed {
                Ok(true) => {}
                Ok(false) if written.how == How::Insert => {
                    let reading = &shape.fields[field];
                    if !reading.fill.push(reading.logical, self.0.value(field)) {
                        return Err(shape.unfilled(reading));
                    }
                }
                Ok(false) if shape.keyed && shape.key.contains(&field) => return Err(shape.untold()),
                Ok(false) => self.0.leave_out(field),
                Err(BadField::Form) => return Err(shape.garbled()),
                Err(BadField::Value(reason, hint)) => {
                    let error = shape.unreadable(&shape.fields[field], reason, hint);
                    self.0.refuse(error);
                    return Ok(());
                }
            }
        }
        self.0.write(written);
        Ok(())
    }

    /// Appends a field's value, or says that it is not told.
    fn write_field(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        field: usize,
        old: Option<Row<'_>>,
        new: Row<'_>,
    ) -> Result<bool, BadField> {
        let (reading, at, builder) = (&shape.fields[field], layout.fields[field], self.0.value(field));
        let form = layout.forms[at];
        // What is not in the new row is as it was.
        let told = match new.cell(at) {
            Cell::Partial { from, upto } => {
                let Some(Some(before)) = old.and_then(|old| old.told(at)) else {
                    return Err(BadField::Value(
                        "the log tells only what differs from a document that it does not tell",
                        Some("Set binlog_row_image to FULL, or binlog_row_value_options to nothing"),
                    ));
                };
                reading.push_changed(before, new.value(from, upto), builder)?;
                return Ok(true);
            }
            Cell::Absent => old.and_then(|old| old.told(at)),
            _ => new.told(at),
        };
        match told {
            Some(Some(bytes)) => reading.push(bytes, form, builder)?,
            Some(None) if shape.keyed && shape.key.contains(&field) => return Err(BadField::Form),
            Some(None) => builder.push_null(),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// As the engine takes them.
    pub(super) fn finish(self, shape: &Shape, stream: usize) -> Result<Changes> {
        self.0.finish(stream, &shape.rows, &shape.gone)
    }
}
