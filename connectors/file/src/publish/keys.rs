//! The keys of staged rows, in memory: one wins where several have the same.

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types};
use arrow_schema::{DataType, TimeUnit};
use syncline_connect::{Target, Task};
use syncline_types::{
    Error, Result, TableSchema, codes,
    fingerprint::{Family, RowHasher},
};

/// A staged row's key, and where the row is.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u128,
    part: u32,
    row: u32,
    /// By which the last one wins; NULL comes before everything.
    cursor: Option<i128>,
}

/// Keys under collection.
pub(super) struct Collector<'a> {
    target: &'a Target,
    keys_max: u64,
    keys: Vec<Key>,
}

/// The keys of all staged rows that count.
pub(super) struct Keys {
    /// By hash.
    keys: Vec<Key>,
    /// Rows that another one with their key outdoes, by part and row.
    losers: Vec<(u32, u32)>,
}

/// Hashes keys.
pub(super) fn hasher(schema: &TableSchema, key: &[String]) -> Result<RowHasher> {
    let mut columns = vec![];
    for index in schema.indexes(key)? {
        let Some(column) = schema.columns.get(index) else { continue };
        columns.push((column.name.clone(), Family::common(column.logical, column.logical)));
    }
    RowHasher::new(schema, &columns)
}

impl<'a> Collector<'a> {
    pub(super) fn new(target: &'a Target, keys_max: u64) -> Self {
        Collector { target, keys_max, keys: vec![] }
    }

    /// Takes the keys of a batch whose first row is `first` of its part.
    pub(super) fn take(&mut self, part: u32, first: u32, hashes: &[u128], rows: &RecordBatch) -> Result<()> {
        if self.keys.len() as u64 + hashes.len() as u64 > self.keys_max {
            return Err(Error::new(&codes::UNSUPPORTED, "merge into", format!("`{}`", self.target.name))
                .because(format!("more than {} rows have arrived, whose keys are to be held in memory", self.keys_max))
                .hint("Copy it whole with --write overwrite, or allow more with merge_keys_max=N at about 50 bytes each"));
        }
        let cursor = match &self.target.cursor {
            None => None,
            Some(name) => Some(rows.column_by_name(name).ok_or_else(|| self.no_order(name))?),
        };
        for ((hash, row), at) in hashes.iter().zip(first..).zip(0..) {
            let cursor = match cursor {
                None => None,
                Some(array) => order(array, at)
                    .map_err(|()| self.no_order(self.target.cursor.as_deref().unwrap_or_default()))?,
            };
            self.keys.push(Key { hash: *hash, part, row, cursor });
        }
        Ok(())
    }

    fn no_order(&self, column: &str) -> Error {
        Error::new(&codes::UNSUPPORTED, "merge into", format!("`{}`", self.target.name)).because(format!(
            "rows with one key cannot be put in order by `{column}`, which is no number and no time"
        ))
    }

    /// # Errors
    /// [`codes::DUPLICATE_KEY`] when two rows have one key and nothing says which is the last.
    pub(super) fn finish(mut self) -> Result<Keys> {
        self.keys.sort_unstable_by_key(|key| (key.hash, key.cursor, key.part, key.row));
        let twice = self.keys.windows(2).filter(|pair| pair[0].hash == pair[1].hash);
        let losers: Vec<(u32, u32)> = twice.map(|pair| (pair[0].part, pair[0].row)).collect();
        if !losers.is_empty() && self.target.cursor.is_none() && self.target.task != Task::Delete {
            return Err(Error::new(&codes::DUPLICATE_KEY, "merge into", format!("`{}`", self.target.name))
                .because(format!(
                    "two of the rows that arrive have the same key ({})",
                    self.target.key.join(", ")
                ))
                .hint("Name a key that is unique with --key COL,..., or remove one of the rows"));
        }
        let mut keys: Vec<Key> = Vec::with_capacity(self.keys.len() - losers.len());
        for key in self.keys {
            match keys.last_mut() {
                Some(last) if last.hash == key.hash => *last = key,
                _ => keys.push(key),
            }
        }
        let mut losers = losers;
        losers.sort_unstable();
        Ok(Keys { keys, losers })
    }
}

impl Keys {
    /// Keys of which each comes once, and of no staged row.
    pub(super) fn of(hashes: impl Iterator<Item = u128>) -> Self {
        let keys = hashes.map(|hash| Key { hash, part: 0, row: 0, cursor: None });
        let mut keys: Vec<Key> = keys.collect();
        keys.sort_unstable_by_key(|key| key.hash);
        Keys { keys, losers: vec![] }
    }

    /// The part and row of a key.
    pub(super) fn find(&self, hash: u128) -> Option<(u32, u32)> {
        let at = self.keys.binary_search_by_key(&hash, |key| key.hash).ok()?;
        self.keys.get(at).map(|key| (key.part, key.row))
    }

    /// Whether another row outdoes this one.
    pub(super) fn loses(&self, part: u32, row: u32) -> bool {
        self.losers.binary_search(&(part, row)).is_ok()
    }

    /// Whether a part has rows that others outdo.
    pub(super) fn has_losers(&self, part: u32) -> bool {
        let at = self.losers.partition_point(|(of, _)| *of < part);
        self.losers.get(at).is_some_and(|(of, _)| *of == part)
    }
}

/// A value's place in the order of its type; `None` for NULL.
pub(crate) fn order(array: &ArrayRef, row: usize) -> Result<Option<i128>, ()> {
    if array.is_null(row) {
        return Ok(None);
    }
    macro_rules! value {
        ($type:ty) => {
            i128::from(array.as_primitive::<$type>().value(row))
        };
    }
    Ok(Some(match array.data_type() {
        DataType::Int8 => value!(types::Int8Type),
        DataType::Int16 => value!(types::Int16Type),
        DataType::Int32 => value!(types::Int32Type),
        DataType::Int64 => value!(types::Int64Type),
        DataType::UInt8 => value!(types::UInt8Type),
        DataType::UInt16 => value!(types::UInt16Type),
        DataType::UInt32 => value!(types::UInt32Type),
        DataType::UInt64 => value!(types::UInt64Type),
        DataType::Date32 => value!(types::Date32Type),
        DataType::Time64(TimeUnit::Microsecond) => value!(types::Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => value!(types::TimestampMicrosecondType),
        DataType::Decimal128(..) => array.as_primitive::<types::Decimal128Type>().value(row),
        _ => return Err(()),
    }))
}
