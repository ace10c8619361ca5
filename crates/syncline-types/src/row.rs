//! One row of a batch as JSON, for dead letters and reports.

use arrow_array::RecordBatch;
use serde_json::{Map, Number, Value};

use crate::{LogicalType, Result, TableSchema, text::Values};

/// The row as an object, columns in schema order. Numbers stay numbers with all their digits, JSON
/// columns become JSON, everything else is in the text form of [`crate::text`].
///
/// # Errors
/// When the batch does not have the schema's columns.
pub fn row_json(batch: &RecordBatch, schema: &TableSchema, row: usize) -> Result<Value> {
    let mut object = Map::new();
    for (column, array) in schema.columns.iter().zip(batch.columns()) {
        let values = Values::new(array, column.logical)?;
        let value = values.text(row).map_or(Value::Null, |text| cell(text, column.logical));
        object.insert(column.name.clone(), value);
    }
    Ok(Value::Object(object))
}

fn cell(text: String, logical: LogicalType) -> Value {
    use LogicalType as L;
    let parsed = match logical {
        L::Bool => Some(Value::Bool(text == "true")),
        L::Json { .. } => serde_json::from_str(&text).ok(),
        L::Float32 | L::Float64 | L::Decimal { .. } | L::Numeric => {
            serde_json::from_str::<Number>(&text).ok().map(Value::Number)
        }
        logical if logical.is_integer() => serde_json::from_str::<Number>(&text).ok().map(Value::Number),
        _ => None,
    };
    parsed.unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::Column;

    #[test]
    fn numbers_keep_all_their_digits() {
        let schema = TableSchema::new(
            "test",
            vec![
                Column::new("id", LogicalType::Int64),
                Column::new("price", LogicalType::Decimal { precision: 30, scale: 2 }),
                Column::new("ratio", LogicalType::Float64),
                Column::new("doc", LogicalType::JSON),
                Column::new("note", LogicalType::TEXT),
            ],
        );
        let price = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_i128])
            .with_precision_and_scale(30, 2)
            .unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![i64::MAX])),
            Arc::new(price),
            Arc::new(Float64Array::from(vec![f64::NAN])),
            Arc::new(StringArray::from(vec![r#"{"n":9007199254740993}"#])),
            Arc::new(StringArray::from(vec![None::<&str>])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
        assert_eq!(
            row_json(&batch, &schema, 0).unwrap().to_string(),
            r#"{"id":9223372036854775807,"price":123456789012345678901.23,"ratio":"NaN","doc":{"n":9007199254740993},"note":null}"#
        );
    }
}
