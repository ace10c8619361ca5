//! What the fuzz targets call: rows of COPY's binary form and messages of the log, of any bytes at all.
//! Built for tests and fuzzing only.

use syncline_types::{Column, LogicalType as L, build::ColumnBuilder};

use crate::{
    decode::{Decoded, RowDecoder},
    log::look_into,
};

/// Columns that rows are read into.
const TYPES: [L; 16] = [
    L::Bool,
    L::Int16,
    L::Int32,
    L::Int64,
    L::Float32,
    L::Float64,
    L::Decimal { precision: 12, scale: 2 },
    L::Decimal { precision: 60, scale: 20 },
    L::Numeric,
    L::TEXT,
    L::Binary,
    L::Bits { length: None, varying: true },
    L::TIMESTAMPTZ,
    L::Interval,
    L::Json { normalized: true },
    L::Uuid,
];

/// A row whose columns are chosen by the first bytes: how many, then the type of each.
pub fn postgres_row(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let Some((types, row)) = rest.split_at_checked(usize::from(count % 8)) else { return };
    let logical = |byte: &u8| TYPES[usize::from(byte % 16)];
    let columns: Vec<Column> = types.iter().map(|byte| Column::new("c", logical(byte))).collect();
    let mut decoder = RowDecoder::new(&columns, true);
    let mut builders = decoder.builders(1);
    let mut header = b"PGCOPY\n\xff\r\n\0".to_vec();
    header.extend([0; 8]);
    let Ok(Decoded::Nothing) = decoder.decode(&header, &mut builders, 0) else {
        panic!("a header is no row")
    };
    let rows = match decoder.decode(row, &mut builders, 0) {
        Ok(Decoded::Row) => 1,
        Ok(Decoded::Rejected(_) | Decoded::Nothing) => 0,
        // What a broken row leaves behind is never used.
        Err(_) => return,
    };
    for column in builders.into_iter().map(ColumnBuilder::finish) {
        assert_eq!(column.expect("texts have been looked at").len(), rows);
    }
}

/// Messages of the log, each behind its length in two bytes, for a table whose columns are chosen by
/// the first bytes: how many and whether the first is the key, then the type of each.
pub fn pgoutput(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first() else { return };
    let Some((types, mut rest)) = rest.split_at_checked(usize::from(head % 8)) else { return };
    let column = |(at, byte): (usize, &u8)| {
        let column = Column::new(format!("c{at}"), TYPES[usize::from(byte % 16)]);
        if at == 0 { column.required() } else { column }
    };
    let columns = types.iter().enumerate().map(column).collect();
    let messages = std::iter::from_fn(|| {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (message, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = after;
        Some(message)
    });
    look_into(columns, head & 0x80 != 0, messages);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{pgoutput, postgres_row, replay::replay};

    #[test]
    fn rows_of_the_corpus() {
        replay("postgres_row", postgres_row);
    }

    #[test]
    fn messages_of_the_corpus() {
        replay("pgoutput", pgoutput);
    }
}
