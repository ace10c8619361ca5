//! Changes of one stream under construction, for readers of logs that tell them one by one.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::SchemaRef;
use syncline_types::{Error, LogicalType, Result, build::ColumnBuilder, codes};

use crate::{Changes, Reject, Went, Written};

/// Rows that columns have room for before they grow.
const ROWS_EXPECTED: usize = 64;

/// Gathers what a log tells of one stream into columns.
///
/// A row is written field by field, each by [`ChangesBuilder::value`] or [`ChangesBuilder::leave_out`], and
/// ended by [`ChangesBuilder::write`] or, where a value cannot be read, by [`ChangesBuilder::refuse`].
#[derive(Debug)]
pub struct ChangesBuilder {
    rows: Vec<ColumnBuilder>,
    written: Vec<Written>,
    absent: Vec<Option<BooleanBufferBuilder>>,
    gone: Vec<ColumnBuilder>,
    went: Vec<Went>,
    truncated: Option<u64>,
    rejects: Vec<Reject>,
}

impl ChangesBuilder {
    /// For rows with fields of these types, and for rows that are gone with those.
    pub fn new(rows: impl Iterator<Item = LogicalType>, gone: impl Iterator<Item = LogicalType>) -> Self {
        let builder = |logical| ColumnBuilder::new(logical, ROWS_EXPECTED);
        let rows: Vec<ColumnBuilder> = rows.map(builder).collect();
        ChangesBuilder {
            absent: rows.iter().map(|_| None).collect(),
            rows,
            written: vec![],
            gone: gone.map(builder).collect(),
            went: vec![],
            truncated: None,
            rejects: vec![],
        }
    }

    /// Where the next value of a field goes.
    #[inline]
    pub fn value(&mut self, field: usize) -> &mut ColumnBuilder {
        &mut self.rows[field]
    }

    /// The log does not tell the next value of a field, which is as it was.
    pub fn leave_out(&mut self, field: usize) {
        self.rows[field].push_null();
        let absent = self.absent[field].get_or_insert_with(|| BooleanBufferBuilder::new(ROWS_EXPECTED));
        absent.append_n(self.written.len() - absent.len(), false);
        absent.append(true);
    }

    /// Ends a row.
    #[inline]
    pub fn write(&mut self, written: Written) {
        self.written.push(written);
    }

    /// Forgets what was begun of a row, which is refused for this reason.
    pub fn refuse(&mut self, error: Error) {
        let rows = self.written.len();
        self.rows.iter_mut().for_each(|builder| builder.truncate(rows));
        self.absent.iter_mut().flatten().for_each(|absent| absent.truncate(rows));
        let row = u32::try_from(self.rejects.len()).unwrap_or(u32::MAX);
        self.rejects.push(Reject { row, place: None, error });
    }

    /// Where the next value of a field goes that tells a row that is gone.
    #[inline]
    pub fn gone_value(&mut self, field: usize) -> &mut ColumnBuilder {
        &mut self.gone[field]
    }

    /// Ends a row that is gone.
    #[inline]
    pub fn go(&mut self, went: Went) {
        self.went.push(went);
    }

    /// Everything before was removed at once.
    pub fn truncate(&mut self, sequence: u64) {
        self.truncated = Some(sequence);
    }

    /// As the engine takes them.
    ///
    /// # Errors
    /// [`codes::BROKEN_INVARIANT`] when a row has not had all its fields.
    pub fn finish(self, stream: usize, rows: &SchemaRef, gone: &SchemaRef) -> Result<Changes> {
        let (count, gone_count) = (self.written.len(), self.went.len());
        let absent = self.absent.into_iter().map(|absent| {
            let mut absent = absent?;
            absent.append_n(count - absent.len(), false);
            let absent = absent.finish();
            (absent.count_set_bits() > 0).then_some(absent)
        });
        Ok(Changes {
            stream,
            absent: absent.collect(),
            rows: batch(rows, self.rows, count)?,
            written: self.written,
            gone: batch(gone, self.gone, gone_count)?,
            went: self.went,
            truncated: self.truncated,
            rejects: self.rejects,
        })
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ColumnBuilder>, rows: usize) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(ColumnBuilder::finish).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
        .map_err(|error| Error::new(&codes::BROKEN_INVARIANT, "gather changes", "").because(error))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, cast::AsArray, types::Int64Type};
    use syncline_types::{Column, TableSchema};

    use super::*;
    use crate::How;

    fn push(builder: &mut ColumnBuilder, value: i64) {
        let ColumnBuilder::Int64(column) = builder else { panic!("{builder:?}") };
        column.push(value);
    }

    #[test]
    fn a_row_that_is_refused_leaves_nothing_and_what_is_left_out_is_absent() {
        let of = |names: &[&str]| {
            let columns = names.iter().map(|name| Column::new(*name, LogicalType::Int64)).collect();
            TableSchema::new("test", columns).arrow()
        };
        let int = || std::iter::repeat(LogicalType::Int64);
        let mut builder = ChangesBuilder::new(int().take(2), int().take(1));
        let written = |sequence| Written { sequence, how: How::Update };
        for (id, value) in [(1, Some(10)), (2, None), (3, Some(30)), (4, None)] {
            push(builder.value(0), id);
            match value {
                Some(value) => push(builder.value(1), value),
                None => builder.leave_out(1),
            }
            if id == 4 {
                builder.refuse(Error::new(&codes::VALUE_UNREADABLE, "read", "a value"));
            } else {
                builder.write(written(id as u64));
            }
        }
        push(builder.value(0), 5);
        push(builder.value(1), 50);
        builder.write(written(5));
        push(builder.gone_value(0), 9);
        builder.go(Went { sequence: 6, moved: false });
        let changes = builder.finish(3, &of(&["id", "v"]), &of(&["id"])).unwrap();
        assert_eq!(changes.rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3, 5]);
        assert!(changes.rows.column(1).is_null(1), "what is absent is NULL in the batch");
        let absent = changes.absent[1].as_ref().unwrap();
        assert_eq!(absent.iter().collect::<Vec<_>>(), [false, true, false, false]);
        assert!(changes.absent[0].is_none());
        assert_eq!((changes.rejects.len(), changes.rejects[0].row), (1, 0));
        assert_eq!((changes.gone.num_rows(), changes.stream), (1, 3));
    }
}
