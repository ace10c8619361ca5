//! What the fuzz targets call: rows of the binary protocol and the packets of a login and of answers,
//! of any bytes at all. Built for tests and fuzzing only.

use syncline_types::{Column, LogicalType as L, build::ColumnBuilder};

use crate::{
    client::look_into,
    decode::{Decoded, RowDecoder},
};

/// Columns that rows are read into.
const TYPES: [(&str, L); 16] = [
    ("tinyint(1)", L::Bool),
    ("bit(1)", L::Bool),
    ("smallint", L::Int16),
    ("bigint unsigned", L::UInt64),
    ("double", L::Float64),
    ("decimal(12,2)", L::Decimal { precision: 12, scale: 2 }),
    ("decimal(65,30)", L::Decimal { precision: 65, scale: 30 }),
    ("bit(10)", L::Bits { length: Some(10), varying: false }),
    ("date", L::Date),
    ("datetime(6)", L::TIMESTAMP),
    ("datetime(3)", L::TEXT),
    ("time(6)", L::Interval),
    ("varchar(20)", L::TEXT),
    ("blob", L::Binary),
    ("geometry", L::Binary),
    ("uuid", L::Uuid),
];

/// A row whose columns are chosen by the first bytes: how many, then the type of each.
pub fn mysql_row(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let Some((types, row)) = rest.split_at_checked(usize::from(count % 8)) else { return };
    let column = |byte: &u8| {
        let (native, logical) = TYPES[usize::from(byte % 16)];
        Column::new("c", logical).native(native)
    };
    let columns: Vec<Column> = types.iter().map(column).collect();
    let decoder = RowDecoder::new(&columns, count & 0x80 != 0);
    let mut builders = decoder.builders(1);
    let rows = match decoder.decode(row, &mut builders, 0) {
        Ok(Decoded::Row) => 1,
        Ok(Decoded::Rejected(_)) => 0,
        // What a broken row leaves behind is never used.
        Err(_) => return,
    };
    for column in builders.into_iter().map(ColumnBuilder::finish) {
        assert_eq!(column.expect("texts have been looked at").len(), rows);
    }
}

/// A packet of a login, or of an answer: each reader of one looks into it.
pub fn mysql_packet(bytes: &[u8]) {
    look_into(bytes);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{mysql_packet, mysql_row, replay::replay};

    #[test]
    fn rows_of_the_corpus() {
        replay("mysql_row", mysql_row);
    }

    #[test]
    fn packets_of_the_corpus() {
        replay("mysql_packet", mysql_packet);
    }
}
