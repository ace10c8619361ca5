//! A 128-bit hash of a row that is the same wherever the row is kept.
//!
//! Two systems keep one value in different types (`int4` here, `INTEGER` there; `json` and
//! `jsonb`), so both sides are hashed in the [`Family`] that their types share.

use arrow_array::RecordBatch;
use xxhash_rust::xxh3::xxh3_128;

use crate::{LogicalType, Result, TableSchema, decimal::Digits, interval::Interval, text::Values};

/// How values of a column are written before they are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The text form of [`crate::text`], as it is.
    Text,
    /// Numbers by value: `1`, `1.0` and `1.00` are one.
    Number,
    /// Floats as 64 bits, but every NaN is one, and so are 0 and -0: not every system keeps the sign.
    Float,
    /// Times of a day and spans of time as one: MySQL's `time` is both.
    Span,
    /// JSON by value, where a system normalises it: key order, blanks and the way a number is written do
    /// not count.
    Json,
}

impl Family {
    /// The family in which values of the two types compare.
    pub fn common(source: LogicalType, target: LogicalType) -> Family {
        use LogicalType as L;
        let number =
            |logical: L| logical.is_integer() || matches!(logical, L::Decimal { .. } | L::Numeric | L::Bool);
        let float = |logical: L| matches!(logical, L::Float32 | L::Float64);
        match (source, target) {
            (L::Bool, L::Bool) => Family::Text,
            // MySQL's only bit is a truth value.
            (L::Bits { length: Some(1), .. }, L::Bool) | (L::Bool, L::Bits { length: Some(1), .. }) => {
                Family::Number
            }
            (L::Time { .. }, L::Interval) | (L::Interval, L::Time { .. }) => Family::Span,
            // Where both keep what was written, even a doubled key has to be there.
            (L::Json { normalized: false }, L::Json { normalized: false }) => Family::Text,
            (L::Json { .. }, L::Json { .. }) => Family::Json,
            (a, b) if number(a) && number(b) => Family::Number,
            (a, b) if float(a) && float(b) => Family::Float,
            _ => Family::Text,
        }
    }
}

/// Hashes rows over chosen columns.
#[derive(Clone, Debug)]
pub struct RowHasher {
    columns: Vec<(usize, LogicalType, Family)>,
}

impl RowHasher {
    /// For batches of `schema`, over the columns named, each in its family, in this order.
    ///
    /// # Errors
    /// When a name is not a column.
    pub fn new(schema: &TableSchema, columns: &[(String, Family)]) -> Result<Self> {
        let columns = columns
            .iter()
            .map(|(name, family)| {
                let index = schema.index(name).ok_or_else(|| schema.unknown_column(name))?;
                Ok((index, schema.columns[index].logical, *family))
            })
            .collect::<Result<_>>()?;
        Ok(RowHasher { columns })
    }

    /// One hash a row.
    ///
    /// # Errors
    /// When the batch does not have the schema's types.
    pub fn hash(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        let columns = self
            .columns
            .iter()
            .map(|(index, logical, family)| Ok((Values::new(batch.column(*index), *logical)?, *family)))
            .collect::<Result<Vec<_>>>()?;
        let mut text = String::new();
        let mut bytes = vec![];
        Ok((0..batch.num_rows())
            .map(|row| {
                bytes.clear();
                for (values, family) in &columns {
                    write_value(values, *family, row, &mut text, &mut bytes);
                }
                xxh3_128(&bytes)
            })
            .collect())
    }
}

/// The hash of a text, for what is known by a name and not by its values.
pub fn hash_text(text: &str) -> u128 {
    xxh3_128(text.as_bytes())
}

/// Appends one value: a byte 0 for NULL, else 1, the length and the family's form.
fn write_value(values: &Values<'_>, family: Family, row: usize, text: &mut String, out: &mut Vec<u8>) {
    if values.is_null(row) {
        out.push(0);
        return;
    }
    text.clear();
    match (values, family) {
        (Values::Float32(array), Family::Float) => write_float(f64::from(array.value(row)), text),
        (Values::Float64(array), Family::Float) => write_float(array.value(row), text),
        (Values::Bool(array), Family::Number) => text.push(if array.value(row) { '1' } else { '0' }),
        (values, Family::Number) => {
            values.write(row, text);
            if let Some(digits) = Digits::parse(text) {
                text.clear();
                digits.normalized().write(text);
            }
        }
        (Values::Time(array), Family::Span) => {
            Interval { months: 0, days: 0, micros: array.value(row) }.write(text);
        }
        (Values::Text(array), Family::Json) => text.push_str(&json_by_value(array.value(row))),
        (values, _) => values.write(row, text),
    }
    out.push(1);
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_float(value: f64, out: &mut String) {
    use std::fmt::Write;
    // Adding 0 makes 0 of -0, and leaves all else as it is.
    let bits = if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() };
    let _ = write!(out, "{bits:x}");
}

/// JSON with sorted keys and normalised numbers; a text that is no JSON stays as it is.
fn json_by_value(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => sorted(value).to_string(),
        Err(_) => text.to_owned(),
    }
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        // Digits and a power of ten: written out, a number could take any space.
        Value::Number(number) => {
            let normal = Digits::parse(&number.to_string()).map(Digits::normalized).and_then(|number| {
                let sign = if number.negative { "-" } else { "" };
                let digits = std::str::from_utf8(&number.digits).ok().filter(|digits| !digits.is_empty());
                serde_json::from_str(&format!("{sign}{}e{}", digits.unwrap_or("0"), -i64::from(number.scale)))
                    .ok()
            });
            Value::Number(normal.unwrap_or(number))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array,
        Int32Array, Int64Array, StringArray, Time64MicrosecondArray,
    };

    use super::*;
    use crate::Column;

    fn hash(array: ArrayRef, logical: LogicalType, other: LogicalType) -> Vec<u128> {
        let schema = TableSchema::new("test", vec![Column::new("c", logical)]);
        let batch = RecordBatch::try_new(schema.arrow(), vec![array]).unwrap();
        let columns = [("c".to_owned(), Family::common(logical, other))];
        RowHasher::new(&schema, &columns).unwrap().hash(&batch).unwrap()
    }

    #[test]
    fn one_value_in_two_types_has_one_hash() {
        use LogicalType as L;
        let decimal = L::Decimal { precision: 10, scale: 2 };
        let cases: Vec<(ArrayRef, L, ArrayRef, L)> = vec![
            (Arc::new(Int32Array::from(vec![7])), L::Int32, Arc::new(Int64Array::from(vec![7])), L::Int64),
            (
                Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap()),
                decimal,
                Arc::new(StringArray::from(vec!["1.5"])),
                L::Numeric,
            ),
            (
                Arc::new(Float32Array::from(vec![0.5])),
                L::Float32,
                Arc::new(Float64Array::from(vec![0.5])),
                L::Float64,
            ),
            (
                Arc::new(StringArray::from(vec![r#"{"b":1.0, "a":[1e2]}"#])),
                L::JSON,
                Arc::new(StringArray::from(vec![r#"{"a": [100], "b": 1}"#])),
                L::Json { normalized: true },
            ),
            (
                Arc::new(Time64MicrosecondArray::from(vec![86_399_000_001])),
                L::Time { precision: 6 },
                Arc::new(
                    FixedSizeBinaryArray::try_from_iter(
                        [Interval { months: 0, days: 0, micros: 86_399_000_001 }.to_bytes()].into_iter(),
                    )
                    .unwrap(),
                ),
                L::Interval,
            ),
            (
                Arc::new(StringArray::from(vec!["1"])),
                L::Bits { length: Some(1), varying: false },
                Arc::new(BooleanArray::from(vec![true])),
                L::Bool,
            ),
        ];
        for (a, a_type, b, b_type) in cases {
            assert_eq!(hash(a, a_type, b_type), hash(b, b_type, a_type), "{a_type} and {b_type}");
        }
    }

    #[test]
    fn numbers_in_json_are_compared_by_value_however_far_off() {
        let written = ["[1e2000]", "[-0, 0.10]", "[1e-2000]", "{\"a\": \"\\u00e9\"}"];
        let normalized = [
            format!("[1{}]", "0".repeat(2000)),
            "[0, 0.1]".into(),
            format!("[0.{}1]", "0".repeat(1999)),
            "{\"a\": \"é\"}".into(),
        ];
        let (json, jsonb) = (LogicalType::JSON, LogicalType::Json { normalized: true });
        let left = hash(Arc::new(StringArray::from(written.to_vec())), json, jsonb);
        let right = hash(Arc::new(StringArray::from(normalized.to_vec())), jsonb, json);
        assert_eq!(left, right);
        assert!((1..4).all(|at| left[0] != left[at]));
    }

    #[test]
    fn zeros_are_one_and_so_is_every_nan() {
        let quiet = f64::from_bits(0x7FF8_0000_0000_0001);
        let floats = Float64Array::from(vec![0.0, -0.0, f64::NAN, quiet, f64::MIN_POSITIVE]);
        let hashes = hash(Arc::new(floats), LogicalType::Float64, LogicalType::Float32);
        assert_eq!((hashes[0], hashes[2]), (hashes[1], hashes[3]));
        assert!(hashes[0] != hashes[2] && hashes[0] != hashes[4]);
    }

    #[test]
    fn json_that_both_ends_keep_as_written_is_compared_as_written() {
        let texts = || Arc::new(StringArray::from(vec![r#"{"a":1,"a":2}"#, r#"{"a": 2}"#]));
        let written = hash(texts(), LogicalType::JSON, LogicalType::JSON);
        assert_ne!(written[0], written[1]);
        let by_value = hash(texts(), LogicalType::JSON, LogicalType::Json { normalized: true });
        assert_eq!(by_value[0], by_value[1]);
    }

    #[test]
    fn null_empty_and_shifted_values_differ() {
        let schema = TableSchema::new(
            "test",
            vec![Column::new("a", LogicalType::TEXT), Column::new("b", LogicalType::TEXT)],
        );
        let a = StringArray::from(vec![None, Some(""), Some("x"), Some("")]);
        let b = StringArray::from(vec![Some(""), None, Some(""), Some("x")]);
        let batch = RecordBatch::try_new(schema.arrow(), vec![Arc::new(a), Arc::new(b)]).unwrap();
        let columns = ["a", "b"].map(|name| (name.to_owned(), Family::Text));
        let mut hashes = RowHasher::new(&schema, &columns).unwrap().hash(&batch).unwrap();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }
}
