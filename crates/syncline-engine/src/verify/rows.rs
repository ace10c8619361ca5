//! Reads one side, steps applied, batch by batch.

use arrow_array::{Array, RecordBatch};
use serde_json::Value;
use syncline_connect::Next;
use syncline_types::{LogicalType, Result, Split, TableSchema, row_json, text::Values};

use super::pair::Side;
use crate::shell::work::broken;

/// Calls `each` with every batch of a split. Returns how many rows cannot be read.
pub(crate) async fn each_batch(
    side: &Side,
    split: &Split,
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<u64> {
    let mut reader = side.session.open(&side.read, split, None).await?;
    let mut unreadable = 0;
    loop {
        let mut batch = match reader.next().await? {
            Next::Batch(batch) => batch,
            Next::Idle(_) => continue,
            Next::End => return Ok(unreadable),
        };
        side.limits.pass(batch.rows.num_rows() as u64, batch.bytes).await;
        unreadable += batch.rejects.len() as u64;
        if let Some(chain) = &side.chain {
            let applied = chain
                .apply(std::mem::replace(&mut batch.rows, RecordBatch::new_empty(side.schema.arrow())))?;
            unreadable += applied.rejects.len() as u64;
            batch.rows = applied.rows;
        }
        if let Some(place) = side.deleted_at {
            let live = arrow_array::BooleanArray::from_iter(
                (0..batch.rows.num_rows()).map(|row| Some(batch.rows.column(place).is_null(row))),
            );
            let kept = arrow_select::filter::filter_record_batch(&batch.rows, &live);
            batch.rows = kept.map_err(|error| broken(&error.to_string()))?;
        }
        each(&batch.rows)?;
    }
}

/// The text of some columns of each row, as one text that no other values give.
pub(super) fn key_texts(rows: &RecordBatch, schema: &TableSchema, key: &[String]) -> Result<Vec<String>> {
    let columns = key
        .iter()
        .map(|name| {
            let index = schema.index(name).ok_or_else(|| schema.unknown_column(name))?;
            Values::new(rows.column(index), schema.columns[index].logical)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((0..rows.num_rows())
        .map(|row| {
            let mut text = String::new();
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    text.push(SEPARATOR);
                }
                column.write(row, &mut text);
            }
            text
        })
        .collect())
}

/// Stands between the parts of a key; no type that orders alike everywhere has it in its text.
const SEPARATOR: char = '\u{1}';

/// The texts that a key's text is made of.
pub(super) fn key_parts(text: &str) -> Vec<String> {
    text.split(SEPARATOR).map(str::to_owned).collect()
}

/// The texts of a key's columns as an object, columns by name.
pub(crate) fn key_object(parts: &[String], schema: &TableSchema, key: &[String]) -> Value {
    let parts = key.iter().zip(parts).map(|(name, part)| {
        let integer = schema.column(name).is_some_and(|column: &syncline_types::Column| {
            column.logical.is_integer() && column.logical != LogicalType::UInt64
        });
        let number = part.parse::<i64>().ok().filter(|_| integer);
        (name.clone(), number.map_or_else(|| Value::from(part.as_str()), Value::from))
    });
    Value::Object(parts.collect())
}

/// The texts of some columns, those of one row after those of another; a NULL has none.
pub(crate) fn texts(rows: &RecordBatch, schema: &TableSchema, names: &[String]) -> Result<Vec<Vec<String>>> {
    let columns = names
        .iter()
        .map(|name| {
            let index = schema.index(name).ok_or_else(|| schema.unknown_column(name))?;
            Values::new(rows.column(index), schema.columns[index].logical)
        })
        .collect::<Result<Vec<_>>>()?;
    let row = |row| columns.iter().map(|column| column.text(row).unwrap_or_default()).collect();
    Ok((0..rows.num_rows()).map(row).collect())
}

/// Some columns of a row as an object.
pub(super) fn row_object(
    rows: &RecordBatch,
    schema: &TableSchema,
    row: usize,
    columns: &[(String, syncline_types::fingerprint::Family)],
) -> Result<Value> {
    let Value::Object(all) = row_json(rows, schema, row)? else { return Ok(Value::Null) };
    let chosen = all.into_iter().filter(|(name, _)| columns.iter().any(|(column, _)| column == name));
    Ok(Value::Object(chosen.collect()))
}
