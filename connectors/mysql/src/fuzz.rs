//! What the fuzz targets call: rows of the binary protocol, the packets of a login and of answers, and the
//! events of the log, of any bytes at all. Built for tests and fuzzing only.

use syncline_types::{Column, LogicalType as L, build::ColumnBuilder};

use crate::{
    client::look_into,
    decode::{Decoded, RowDecoder},
    log::look_into as look_into_log,
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

/// Columns of the table whose rows the log has.
const LOGGED: [(&str, L); 19] = [
    ("int", L::Int32),
    ("tinyint(1)", L::Bool),
    ("bit(10)", L::Bits { length: Some(10), varying: false }),
    ("mediumint unsigned", L::UInt32),
    ("double", L::Float64),
    ("decimal(12,2)", L::Decimal { precision: 12, scale: 2 }),
    ("decimal(65,30)", L::Decimal { precision: 65, scale: 30 }),
    ("date", L::Date),
    ("datetime(6)", L::TIMESTAMP),
    ("timestamp(3)", L::TIMESTAMPTZ),
    ("time(6)", L::Interval),
    ("year", L::Int16),
    ("varchar(300)", L::TEXT),
    ("char(5)", L::TEXT),
    ("enum('a','b')", L::TEXT),
    ("set('x','y')", L::TEXT),
    ("binary(4)", L::Binary),
    ("geometry", L::Binary),
    ("json", L::Json { normalized: true }),
];

/// Events of a log, one behind the other, as in a file of it without its first four bytes.
pub fn binlog(bytes: &[u8]) {
    rows_told(bytes);
}

/// How many rows such events tell, if they are read to their end.
fn rows_told(bytes: &[u8]) -> usize {
    let column = |(at, (native, logical)): (usize, &(&str, L))| {
        let column = Column::new(format!("c{at}"), *logical).native(*native);
        let labels = |labels: [&str; 2]| Some(labels.map(str::to_owned).to_vec());
        match at {
            0 => column.required(),
            14 => Column { labels: labels(["a", "b"]), ..column },
            15 => Column { labels: labels(["x", "y"]), ..column },
            _ => column,
        }
    };
    look_into_log(LOGGED.iter().enumerate().map(column).collect(), bytes)
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
    use super::{binlog, mysql_packet, mysql_row, replay::replay, rows_told};

    #[test]
    fn logs_of_the_corpus_are_read_to_their_ends() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/binlog");
        for file in std::fs::read_dir(folder).expect("the folder is there") {
            let path = file.expect("it can be listed").path();
            // Inserted, moved, changed and deleted rows of both servers.
            assert_eq!(rows_told(&std::fs::read(&path).expect("it can be read")), 8, "{}", path.display());
        }
    }

    #[test]
    fn logs_of_the_corpus() {
        replay("binlog", binlog);
    }

    #[test]
    fn rows_of_the_corpus() {
        replay("mysql_row", mysql_row);
    }

    #[test]
    fn packets_of_the_corpus() {
        replay("mysql_packet", mysql_packet);
    }
}
