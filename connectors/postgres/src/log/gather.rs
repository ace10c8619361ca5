//! Changes of one stream on their way into columns.

use std::sync::Arc;

use arrow_schema::Schema;
use syncline_connect::{Changes, ChangesBuilder, How, Read, Went, Written};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

use super::{
    message::{Field, Old, Tuple},
    value::push,
};
use crate::decode::BadField;

/// What a stream's changes are gathered into.
#[derive(Debug)]
pub(super) struct Shape {
    /// For messages.
    pub(super) name: String,
    fields: Vec<(String, LogicalType)>,
    /// Of `fields`, those that tell a row that is gone: the key, or all.
    key: Vec<usize>,
    /// Whether it is the key.
    keyed: bool,
    rows: Arc<Schema>,
    gone: Arc<Schema>,
    /// Whether texts may be something else than UTF-8, and each is looked at.
    checks_text: bool,
}

/// Where in a table's tuples a stream's values are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// How many values a tuple has.
    width: usize,
    /// The place of each field.
    fields: Vec<usize>,
    /// Whether old rows tell everything that a row that is gone is told by.
    tells_gone: bool,
}

/// What was gathered.
#[derive(Debug)]
pub(super) struct Gathered(ChangesBuilder);

impl Shape {
    pub(super) fn new(read: &Read, checks_text: bool) -> Result<Self> {
        let (rows, gone) = (read.logged_schema(), read.gone_schema());
        let names: Vec<String> = gone.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Shape {
            name: read.stream.name.to_string(),
            fields: rows.columns.iter().map(|column| (column.name.clone(), column.logical)).collect(),
            key: rows.indexes(&names)?,
            keyed: !rows.key.is_empty(),
            rows: rows.arrow(),
            gone: gone.arrow(),
            checks_text,
        })
    }

    /// Where the fields are in tuples of a table with these columns; `identity` says of each whether
    /// old rows tell it. `None` when one is not there.
    pub(super) fn layout(&self, columns: &[&str], identity: &[bool]) -> Option<Layout> {
        let place = |(name, _): &(String, LogicalType)| columns.iter().position(|column| column == name);
        let fields: Vec<usize> = self.fields.iter().map(place).collect::<Option<_>>()?;
        let told = |field: &usize| identity.get(fields[*field]).copied().unwrap_or(false);
        Some(Layout { width: columns.len(), tells_gone: self.key.iter().all(told), fields })
    }

    fn error(&self, code: &'static syncline_types::Code, reason: impl std::fmt::Display) -> Error {
        Error::new(code, "follow table", format!("`{}`", self.name)).because(reason)
    }

    fn garbled(&self) -> Error {
        self.error(&codes::BAD_BYTES, "a row is not of the form that the log has described")
    }

    fn untold(&self) -> Error {
        self.error(&codes::SCHEMA_CHANGED, "the log does not tell which row was deleted or changed")
            .hint("Set its replica identity back to the primary key or to FULL, and copy it again: --restart")
    }
}

impl Gathered {
    pub(super) fn new(shape: &Shape) -> Self {
        let logical = |place: &usize| shape.fields[*place].1;
        let rows = shape.fields.iter().map(|(_, logical)| *logical);
        Gathered(ChangesBuilder::new(rows, shape.key.iter().map(logical)))
    }

    /// A row that was added.
    pub(super) fn insert(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        new: &Tuple<'_>,
        sequence: u64,
    ) -> Result<()> {
        self.write(shape, layout, new, None, Written { sequence, how: How::Insert })
    }

    /// A row that was changed. Returns how many places in the order of the log it takes.
    pub(super) fn update(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: Option<&Old<'_>>,
        new: &Tuple<'_>,
        sequence: u64,
    ) -> Result<u64> {
        if !layout.tells_gone {
            return Err(shape.untold());
        }
        let moved = match old {
            Some(old) => self.moved(shape, layout, old, new, sequence)?,
            None => 0,
        };
        let how = if moved == 0 { How::Update } else { How::Move };
        let written = Written { sequence: sequence + moved, how };
        self.write(shape, layout, new, old, written)?;
        Ok(1 + moved)
    }

    /// A row that was deleted.
    pub(super) fn delete(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: &Old<'_>,
        sequence: u64,
    ) -> Result<()> {
        self.remove(shape, layout, old, Went { sequence, moved: false })
    }

    /// Everything before was removed at once.
    pub(super) fn truncate(&mut self, sequence: u64) {
        self.0.truncate(sequence);
    }

    /// Tells of the old key where the update has changed it.
    fn moved(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        old: &Old<'_>,
        new: &Tuple<'_>,
        sequence: u64,
    ) -> Result<u64> {
        let before = old.tuple();
        if before.len() != layout.width || new.len() != layout.width {
            return Err(shape.garbled());
        }
        let differs = |field: &usize| {
            let at = layout.fields[*field];
            new[at] != Field::Unchanged && new[at] != before[at]
        };
        if !shape.key.iter().any(differs) {
            return Ok(0);
        }
        self.remove(shape, layout, old, Went { sequence, moved: true })?;
        Ok(1)
    }

    fn remove(&mut self, shape: &Shape, layout: &Layout, old: &Old<'_>, went: Went) -> Result<()> {
        // Without a key a row is told by all its values.
        if !layout.tells_gone || !shape.keyed && matches!(old, Old::Identity(_)) {
            return Err(shape.untold());
        }
        let tuple = old.tuple();
        if tuple.len() != layout.width {
            return Err(shape.garbled());
        }
        for (place, field) in shape.key.iter().enumerate() {
            let (name, logical) = &shape.fields[*field];
            let value = tuple[layout.fields[*field]];
            if shape.keyed && value == Field::Null {
                return Err(shape.untold());
            }
            match push(value, *logical, shape.checks_text, self.0.gone_value(place)) {
                Ok(()) => {}
                Err(BadField::Form) => return Err(shape.garbled()),
                // Were it set aside, the row would stay at the target for good.
                Err(BadField::Value(reason)) => {
                    return Err(shape.error(
                        &codes::VALUE_UNREADABLE,
                        format!("of a deletion, column `{name}`: {reason}"),
                    ));
                }
            }
        }
        self.0.go(went);
        Ok(())
    }

    fn write(
        &mut self,
        shape: &Shape,
        layout: &Layout,
        new: &Tuple<'_>,
        old: Option<&Old<'_>>,
        written: Written,
    ) -> Result<()> {
        let old = old.map(Old::tuple);
        if new.len() != layout.width || old.is_some_and(|old| old.len() != layout.width) {
            return Err(shape.garbled());
        }
        for (field, (name, logical)) in shape.fields.iter().enumerate() {
            let at = layout.fields[field];
            let value = match new[at] {
                // A whole old row has it. One that only tells the key has NULL in its place.
                Field::Unchanged => match old.map(|old| old[at]) {
                    Some(Field::Null) | None => Field::Unchanged,
                    Some(value) => value,
                },
                value => value,
            };
            let is_key = shape.keyed && shape.key.contains(&field);
            if is_key && value == Field::Null {
                return Err(shape.garbled());
            }
            let pushed = if value == Field::Unchanged && written.how != How::Insert {
                if is_key {
                    Err(BadField::Value("the log does not repeat it, and it is a part of the key"))
                } else {
                    self.0.leave_out(field);
                    Ok(())
                }
            } else {
                push(value, *logical, shape.checks_text, self.0.value(field))
            };
            match pushed {
                Ok(()) => {}
                Err(BadField::Form) => return Err(shape.garbled()),
                Err(BadField::Value(reason)) => {
                    let error = Error::new(&codes::VALUE_UNREADABLE, "read column", format!("`{name}`"))
                        .because(reason);
                    self.0.refuse(error);
                    return Ok(());
                }
            }
        }
        self.0.write(written);
        Ok(())
    }

    /// As the engine takes them.
    pub(super) fn finish(self, shape: &Shape, stream: usize) -> Result<Changes> {
        self.0.finish(stream, &shape.rows, &shape.gone)
    }
}

/// Whether columns that the log describes are those of a stream. Not so when one that is read is
/// another one now or gone, or when one has come; what a publication leaves out nobody misses.
pub(crate) fn fits(read: &Read, schema: &TableSchema, described: &[Column]) -> bool {
    let same = |one: &Column, other: &Column| one.native == other.native && one.logical == other.logical;
    let read_is_there = read.columns.iter().all(|name| {
        let there = described.iter().find(|column| column.name == *name);
        schema.column(name).zip(there).is_some_and(|(known, there)| same(known, there))
    });
    let nothing_new =
        described.iter().all(|column| schema.column(&column.name).is_some_and(|known| same(known, column)));
    read_is_there && nothing_new
}
