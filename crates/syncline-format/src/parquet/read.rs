//! Reading Parquet: a few rows at a time out of each column's pages, so that memory is bounded by the
//! pages and not by the row group.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::parquet::{
    errors::Result as ParquetResult,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::SchemaDescriptor,
};
use syncline_types::{Error, LogicalType, Result, TableSchema, codes};

use super::{
    rows::ColumnRows,
    source::Seekable,
    types::{Stored, stored},
    unreadable, value,
};
use crate::{
    Compression, Input,
    build::{Building, Shape},
    cell::Misfit,
    error,
    part::{Limits, PartReader, Step},
};

/// Rows and bytes that are decoded from each column's pages at once.
const LOAD_ROWS: u64 = 1_024;
const LOAD_BYTES: u64 = 512 << 10;

/// Reads one file.
pub(crate) struct Reader {
    file: SerializedFileReader<Seekable>,
    shape: Shape,
    wanted: Vec<Wanted>,
    /// The next row group, and what is open of the one before it.
    group: usize,
    columns: Vec<ColumnRows>,
    /// Rows of the group that are not loaded, and bytes that one of them has on average.
    unloaded: u64,
    average_bytes: u64,
    /// Rows that are loaded and not taken.
    loaded: u64,
    records: u64,
    failed: Option<Error>,
    scratch: String,
}

/// A column of the file that is read.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    index: usize,
    max_def_level: i16,
    stored: Stored,
    natural: LogicalType,
}

impl Reader {
    pub(crate) fn new(
        schema: &TableSchema,
        indexes: &[usize],
        compression: Compression,
        input: Input,
    ) -> Result<Self> {
        let (name, file) = open(input, compression)?;
        let shape = Shape::rows(&name, schema, indexes);
        let descriptor = file.metadata().file_metadata().schema_descr();
        check_columns(descriptor, schema, &name)?;
        let wanted = shape
            .columns
            .iter()
            .map(|column| find(descriptor, &column.name, &name))
            .collect::<Result<_>>()?;
        Ok(Reader {
            file,
            shape,
            wanted,
            group: 0,
            columns: vec![],
            unloaded: 0,
            average_bytes: 0,
            loaded: 0,
            records: 0,
            failed: None,
            scratch: String::new(),
        })
    }

    fn group_rows(&self) -> Option<u64> {
        let groups = self.file.metadata().row_groups();
        groups.get(self.group).map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// Opens the next row group that has rows; false when there are no more.
    fn open_group(&mut self) -> Result<bool> {
        while let Some(rows) = self.group_rows() {
            let index = self.group;
            self.group += 1;
            if rows == 0 {
                continue;
            }
            let columns = guarded(&self.shape.file, || {
                let group = self.file.get_row_group(index)?;
                let open = |wanted: &Wanted| {
                    Ok(ColumnRows::new(group.get_column_reader(wanted.index)?, wanted.max_def_level))
                };
                self.wanted.iter().map(open).collect::<ParquetResult<Vec<_>>>()
            })?;
            let sizes = self.file.metadata().row_group(index).columns();
            let size = |wanted: &Wanted| sizes.get(wanted.index).map_or(0, |chunk| chunk.uncompressed_size());
            let bytes: u64 = self.wanted.iter().map(|wanted| u64::try_from(size(wanted)).unwrap_or(0)).sum();
            (self.columns, self.unloaded, self.average_bytes) = (columns, rows, bytes.div_ceil(rows));
            return Ok(true);
        }
        Ok(false)
    }

    fn fill(&mut self, batch: &mut Building, limits: Limits) -> Result<Option<Step>> {
        let fixed = self.shape.fixed_bytes;
        while batch.records() < limits.rows.max(1) {
            let first = batch.records() == 0;
            if self.loaded == 0 {
                if self.unloaded == 0 && !self.open_group()? {
                    return Ok(first.then_some(Step::End));
                }
                let rows = (LOAD_BYTES / self.average_bytes.max(1)).clamp(1, LOAD_ROWS).min(self.unloaded);
                // What is in the pages comes on top of what is in the columns.
                let held = batch.bytes() + fixed + rows.saturating_mul(self.average_bytes).saturating_mul(2);
                if held > limits.bytes {
                    return Ok(first.then_some(Step::Needs(held)));
                }
                self.load(rows)?;
            }
            let bytes = fixed + self.columns.iter().map(ColumnRows::bytes).sum::<u64>();
            let held = batch.bytes() + bytes;
            if held > limits.bytes {
                return Ok(first.then_some(Step::Needs(held)));
            }
            let filled = self.push(batch);
            self.records += 1;
            batch.end_record(self.records, bytes, filled);
            self.columns.iter_mut().for_each(ColumnRows::advance);
            self.loaded -= 1;
        }
        Ok(None)
    }

    fn load(&mut self, rows: u64) -> Result<()> {
        let count = usize::try_from(rows).unwrap_or(usize::MAX);
        guarded(&self.shape.file, || self.columns.iter_mut().try_for_each(|column| column.load(count)))?;
        self.unloaded -= rows;
        self.loaded = rows;
        Ok(())
    }

    /// Appends the current row's values.
    fn push(&mut self, batch: &mut Building) -> Result<()> {
        let all =
            batch.builders.iter_mut().zip(&self.shape.columns).zip(self.columns.iter().zip(&self.wanted));
        for (index, ((builder, column), (rows, wanted))) in all.enumerate() {
            let pushed = match rows.current() {
                Some(raw) => {
                    let Wanted { stored, natural, .. } = *wanted;
                    value::push(stored, raw, natural, column.logical, builder, &mut self.scratch)
                }
                None if column.nullable => {
                    builder.push_null();
                    Ok(())
                }
                None => Err(Misfit("NULL, which the column never is")),
            };
            pushed.map_err(|misfit| self.shape.misfit(self.records + 1, index, misfit))?;
        }
        Ok(())
    }

    fn pass(&mut self, mut rows: u64) -> Result<()> {
        while rows > 0 {
            if self.loaded > 0 {
                self.columns.iter_mut().for_each(ColumnRows::advance);
                self.loaded -= 1;
                rows -= 1;
                self.records += 1;
                continue;
            }
            if self.unloaded == 0 {
                match self.group_rows() {
                    None => return Err(error::shrunk(&self.shape.file)),
                    // A whole group is passed by without a look at it.
                    Some(all) if all <= rows => {
                        self.group += 1;
                        self.records += all;
                        rows -= all;
                        continue;
                    }
                    Some(_) => {
                        self.open_group()?;
                    }
                }
            }
            let some = rows.min(self.unloaded);
            let count = usize::try_from(some).unwrap_or(usize::MAX);
            guarded(&self.shape.file, || self.columns.iter_mut().try_for_each(|column| column.skip(count)))?;
            self.unloaded -= some;
            self.records += some;
            rows -= some;
        }
        Ok(())
    }
}

impl PartReader for Reader {
    fn next(&mut self, limits: Limits) -> Result<Step> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let mut batch = Building::new(&self.shape);
        match self.fill(&mut batch, limits) {
            Ok(Some(step)) => return Ok(step),
            Ok(None) => {}
            Err(failed) => {
                self.failed = Some(failed.clone());
                if batch.records() == 0 {
                    return Err(failed);
                }
            }
        }
        // What failed behind these rows is told the next time.
        batch.finish(&self.shape, self.records).map(Step::Rows)
    }

    fn skip(&mut self, records: u64) -> Result<()> {
        self.pass(records).inspect_err(|failed| self.failed = Some(failed.clone()))
    }
}

/// The file's name and what its footer says.
pub(super) fn open(
    input: Input,
    compression: Compression,
) -> Result<(String, SerializedFileReader<Seekable>)> {
    let (name, source) = Seekable::open(input, compression)?;
    let file = guarded(&name, || SerializedFileReader::new(source))?;
    Ok((name, file))
}

/// Parquet's reader checks most of what it is given, and not all: a damaged file may make it panic.
fn guarded<T>(file: &str, read: impl FnOnce() -> ParquetResult<T>) -> Result<T> {
    // What was being read is not used again after a panic: the error is kept and given out for ever.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|failed| unreadable(file, &failed)),
        Err(_) => Err(error::broken(file, "it is damaged in a way that its reader does not expect")),
    }
}

/// The file has the stream's columns, all of them and no others.
fn check_columns(descriptor: &SchemaDescriptor, schema: &TableSchema, file: &str) -> Result<()> {
    let differs = |reason: String| {
        Error::new(&codes::SCHEMA_CHANGED, "read", error::quoted(file))
            .because(reason)
            .hint("All files of a stream must have the same columns")
    };
    let fields = descriptor.root_schema().get_fields();
    if let Some(other) = fields.iter().find(|field| schema.column(field.name()).is_none()) {
        return Err(differs(format!("the stream has no column `{}`", other.name())));
    }
    let missing = |name: &str| !fields.iter().any(|field| field.name() == name);
    match schema.columns.iter().find(|column| missing(&column.name)) {
        Some(column) => Err(differs(format!("column `{}` is not in it", column.name))),
        None => Ok(()),
    }
}

fn find(descriptor: &SchemaDescriptor, name: &str, file: &str) -> Result<Wanted> {
    let is_it = |index: &usize| descriptor.column(*index).path().parts() == [name];
    let index = (0..descriptor.num_columns()).find(is_it);
    match index.map(|index| (index, descriptor.column(index))) {
        Some((index, column)) if column.max_rep_level() == 0 => {
            let (stored, natural) = stored(&column);
            Ok(Wanted { index, max_def_level: column.max_def_level(), stored, natural })
        }
        _ => Err(nested(name, file)),
    }
}

/// The error for a column of lists or structures.
pub(super) fn nested(column: &str, file: &str) -> Error {
    Error::new(&codes::UNMAPPED_TYPE, "read column", format!("`{column}` of `{file}`"))
        .because("it is a list or structure, and columns here have plain values")
}
