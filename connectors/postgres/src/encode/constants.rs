//! Rows as constants of an `INSERT ... VALUES`, for which the server is asked once.

use arrow_array::RecordBatch;
use syncline_types::Result;

use super::{Column, Format, Out, RowEncoder, Wire, refused};

impl RowEncoder {
    /// The same columns as texts, which the server reads by the type of the column they go to.
    pub(crate) fn as_text(&self) -> RowEncoder {
        let columns = self.columns.iter().map(|column| Column {
            place: column.place,
            name: column.name.clone(),
            logical: column.logical,
            wire: Wire::Written,
        });
        RowEncoder { columns: columns.collect(), format: Format::Text }
    }

    /// Appends rows as `(E'1', NULL), (E'2', E'a')`; false when they are more than `bytes_max`, and the text is
    /// of no use.
    ///
    /// # Errors
    /// With the row that cannot be written.
    pub(crate) fn constants(&self, batch: &RecordBatch, bytes_max: usize, sql: &mut String) -> Result<bool> {
        let rows = self.open(batch)?;
        let mut out = Out::default();
        for row in 0..batch.num_rows() {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for (at, field) in rows.fields.iter().enumerate() {
                if at > 0 {
                    sql.push_str(", ");
                }
                if field.nulls && field.values.is_null(row) {
                    sql.push_str("NULL");
                    continue;
                }
                out.bytes.clear();
                let written = field.write_text(row, &mut out);
                written.map_err(|reason| {
                    refused(field.name, reason).at_row(u32::try_from(row).unwrap_or(u32::MAX))
                })?;
                // What COPY's text escapes, such a constant does in the same way.
                let Ok(text) = std::str::from_utf8(&out.bytes) else { return Ok(false) };
                if sql.len() + text.len() > bytes_max {
                    return Ok(false);
                }
                sql.push_str("E'");
                sql.push_str(&text.replace('\'', "''"));
                sql.push('\'');
            }
            sql.push(')');
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BinaryArray, Int64Array, StringArray};
    use syncline_types::{Column, LogicalType, TableSchema};

    use super::*;
    use crate::types::{PgType, oid};

    #[test]
    fn constants_are_quoted_and_end_at_the_limit() {
        let columns = vec![
            Column::new("a", LogicalType::Int64),
            Column::new("b", LogicalType::TEXT),
            Column::new("c", LogicalType::Binary),
        ];
        let schema = TableSchema::new("test", columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec!["it's \\ a\ttab", "\\N"])),
            Arc::new(BinaryArray::from(vec![b"\x00'".as_slice(), b""])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), arrays).unwrap();
        let types =
            [oid::INT8, oid::TEXT, oid::BYTEA].map(|oid| PgType { oid, modifier: -1, is_enum: false });
        let written: Vec<(usize, PgType)> = types.into_iter().enumerate().collect();
        let encoder = RowEncoder::new(&schema, &written).as_text();
        let mut sql = String::new();
        assert!(encoder.constants(&batch, 1_000, &mut sql).unwrap());
        assert_eq!(sql, r"(E'1', E'it''s \\ a\ttab', E'\\x0027'), (NULL, E'\\N', E'\\x')");
        assert!(!encoder.constants(&batch, 20, &mut String::new()).unwrap());
    }
}
