//! Columns into rows: lines for `LOAD DATA`, or constants for `INSERT`.
//!
//! Lines are read by the server as bytes without a character set, so that nothing in them is taken
//! for anything else. What a column cannot take as bytes goes through a variable and a function
//! ([`RowEncoder::list`]). A row that its column could only hold altered is left out and told: `LOAD
//! DATA` would alter it without an error.

mod field;
mod json;

use std::fmt::Write;

use arrow_array::RecordBatch;
use syncline_connect::Reject;
use syncline_sql::Dialect;
use syncline_types::{Error, LogicalType, Result, TableSchema, codes};

use self::field::Field;
use crate::{
    client::Family,
    dialect::Mysql,
    schema::MysqlColumn,
    types::{base, is_geometry},
};

/// Written rows are handed on in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

/// How one column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Digits of a whole number.
    Integer,
    /// A whole number with four digits: two would be taken for a year of this or the last century.
    Year,
    /// `0` or `1`, as a number or as a bit.
    Bool,
    Bit,
    Float,
    Decimal,
    /// Bytes as they are.
    Text,
    /// JSON for a server that keeps its values and not its text.
    Json,
    Binary,
    /// WKB behind the number of its reference system, as columns of shapes hold it.
    Geometry,
    /// A string of bits as bytes, the last bit at the end.
    Bits,
    Date,
    Time,
    Timestamp,
    /// A time that may be negative or longer than a day.
    Duration,
    /// The text form of `syncline_types::text`.
    Written,
}

/// A column of the batch that is written.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its place in the batch.
    place: usize,
    name: String,
    logical: LogicalType,
    wire: Wire,
    /// What makes the column's value of what is sent: text before and behind it.
    through: Option<(&'static str, &'static str)>,
    nullable: bool,
    /// Whether a constant equals the values that the column holds of it, and no others.
    exact: bool,
}

/// Writes a stream's rows for the columns of one table.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    columns: Vec<Column>,
    /// Values beyond it could not be read back.
    value_bytes_max: usize,
}

impl RowEncoder {
    /// For rows of `schema`, of which the columns at these places are written into these.
    pub(crate) fn new(
        schema: &TableSchema,
        written: &[(usize, &MysqlColumn)],
        family: Family,
        packet_bytes_max: u64,
    ) -> Result<Self> {
        let columns = written.iter().filter_map(|(place, there)| {
            let column = schema.columns.get(*place)?;
            Some(wire(column.logical, there, family).map(|wire| Column {
                place: *place,
                name: column.name.clone(),
                logical: column.logical,
                wire,
                through: through(there, family),
                nullable: there.column.nullable,
                exact: is_exact(wire, there),
            }))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let value_bytes_max = usize::try_from(packet_bytes_max).unwrap_or(usize::MAX);
        Ok(RowEncoder { columns, value_bytes_max })
    }

    /// The columns' names.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|column| Mysql.quote(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Whether constants of these columns find a row as the columns themselves do.
    pub(crate) fn finds(&self, key: &[String]) -> bool {
        let exact = self.columns.iter().filter(|column| column.exact && column.through.is_none());
        let exact: Vec<&String> = exact.map(|column| &column.name).collect();
        key.iter().all(|name| exact.contains(&name))
    }

    /// The statement that loads rows as lines into a table, whose name is quoted.
    pub(crate) fn load_into(&self, table: &str) -> String {
        format!(
            "LOAD DATA LOCAL INFILE 'syncline' INTO TABLE {table} CHARACTER SET binary \
             FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' \
             LINES STARTING BY '' TERMINATED BY '\\n' {}",
            self.list()
        )
    }

    /// The columns as `LOAD DATA` wants them: `(a, @v1) SET b = f(@v1)`.
    fn list(&self) -> String {
        let (mut list, mut set) = (vec![], vec![]);
        for (at, column) in self.columns.iter().enumerate() {
            let name = Mysql.quote(&column.name);
            match column.through {
                None => list.push(name),
                Some((before, after)) => {
                    list.push(format!("@syncline_{at}"));
                    set.push(format!("{name} = {before}@syncline_{at}{after}"));
                }
            }
        }
        let set = if set.is_empty() { String::new() } else { format!(" SET {}", set.join(", ")) };
        format!("({}){set}", list.join(", "))
    }

    /// Looks at a batch through the eyes of its columns' types.
    pub(crate) fn open<'a>(&'a self, batch: &'a RecordBatch) -> Result<Rows<'a>> {
        let fields = self
            .columns
            .iter()
            .map(|column| Field::new(column, batch.column(column.place), self.value_bytes_max))
            .collect::<Result<Vec<_>>>()?;
        Ok(Rows { fields, rows: batch.num_rows(), row: 0, field: 0, offset: 0, checked: false })
    }
}

/// Numbers with digits behind the point would be compared as floats, and columns of one length fill values up.
fn is_exact(wire: Wire, there: &MysqlColumn) -> bool {
    match wire {
        Wire::Integer => base(there.type_name()) != "decimal",
        Wire::Text | Wire::Binary => matches!(base(there.type_name()), "varchar" | "varbinary"),
        _ => false,
    }
}

/// What has to be done to what is sent, in either way of sending it.
fn through(there: &MysqlColumn, family: Family) -> Option<(&'static str, &'static str)> {
    const UTF8: Option<(&str, &str)> = Some(("CONVERT(", " USING utf8mb4)"));
    let of_another_charset = there.charset.as_deref().is_some_and(|charset| !charset.starts_with("utf8"));
    match (base(there.type_name()), family) {
        ("vector", Family::Mysql) => Some(("STRING_TO_VECTOR(", ")")),
        ("vector", Family::Mariadb) => Some(("VEC_FromText(", ")")),
        // Bytes without a character set would be taken for the type's own inner form, or refused.
        ("json", Family::Mysql) | ("uuid" | "inet4" | "inet6", Family::Mariadb) => UTF8,
        _ if of_another_charset => UTF8,
        _ => None,
    }
}

/// The form in which values of a type go into a column.
fn wire(logical: LogicalType, there: &MysqlColumn, family: Family) -> Result<Wire> {
    use LogicalType as L;
    let native = base(there.type_name());
    let wire = match (native, logical) {
        ("tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double", _)
            if logical.is_integer() =>
        {
            Wire::Integer
        }
        ("year", _) if logical.is_integer() => Wire::Year,
        ("tinyint" | "smallint" | "mediumint" | "int" | "bigint", L::Bool) => Wire::Bool,
        ("bit", L::Bool) => Wire::Bit,
        ("bit", L::Bits { .. }) => Wire::Bits,
        ("float" | "double", L::Float32 | L::Float64) => Wire::Float,
        ("decimal", L::Decimal { .. } | L::Numeric) => Wire::Decimal,
        ("date", L::Date) => Wire::Date,
        ("time", L::Time { .. }) => Wire::Time,
        ("time", L::Interval) => Wire::Duration,
        ("datetime", L::Timestamp { zoned: false, .. }) => Wire::Timestamp,
        ("timestamp", L::Timestamp { zoned: true, .. }) => Wire::Timestamp,
        (name, L::Binary) if is_geometry(name) => Wire::Geometry,
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", L::Binary) => Wire::Binary,
        ("json", _) if family == Family::Mysql && logical != L::Binary => Wire::Json,
        (_, L::Text { .. } | L::Json { .. } | L::Numeric | L::Bits { .. } | L::Opaque) => Wire::Text,
        ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "uuid", _)
            if logical != L::Binary =>
        {
            Wire::Written
        }
        _ => {
            return Err(Error::new(
                &codes::TYPE_MISMATCH,
                "write column",
                format!("`{}`", there.column.name),
            )
            .because(format!("values of type {logical} have no form there; it is {}", there.type_name())));
        }
    };
    Ok(wire)
}

/// A batch being written.
pub(crate) struct Rows<'a> {
    fields: Vec<Field<'a>>,
    rows: usize,
    /// What is written next: a row, a field of it, and how much of that is written already.
    row: usize,
    field: usize,
    offset: usize,
    /// Whether the row at hand has been looked at.
    checked: bool,
}

impl Rows<'_> {
    /// Replaces `out` by the next piece of the rows as lines. Pieces may end anywhere. Rows left out
    /// are added to `rejects`. Returns whether there was anything left.
    pub(crate) fn lines(&mut self, out: &mut Vec<u8>, rejects: &mut Vec<Reject>) -> bool {
        out.clear();
        while self.row < self.rows && out.len() < PIECE_BYTES {
            if !self.checked && !self.takes_row(rejects) {
                continue;
            }
            let Some(field) = self.fields.get(self.field) else {
                out.push(b'\n');
                (self.row, self.field, self.checked) = (self.row + 1, 0, false);
                continue;
            };
            if self.field > 0 && self.offset == 0 {
                out.push(b'\t');
            }
            match field.line(self.row, self.offset, PIECE_BYTES, out) {
                Some(offset) => {
                    self.offset = offset;
                    // A long value goes on in the next piece.
                    return true;
                }
                None => (self.field, self.offset) = (self.field + 1, 0),
            }
        }
        !out.is_empty()
    }

    /// Appends rows as `(1,'a'),(2,NULL)` to a statement, until it has `bytes_max` or there are
    /// `rows_max` of them. Returns the numbers of the rows appended.
    pub(crate) fn constants(
        &mut self,
        out: &mut Vec<u8>,
        bytes_max: usize,
        rows_max: usize,
        rejects: &mut Vec<Reject>,
    ) -> Vec<u32> {
        let mut taken = vec![];
        while self.row < self.rows && taken.len() < rows_max && (taken.is_empty() || out.len() < bytes_max) {
            if !self.checked && !self.takes_row(rejects) {
                continue;
            }
            let start = out.len();
            out.push(if taken.is_empty() { b'(' } else { b',' });
            if !taken.is_empty() {
                out.push(b'(');
            }
            for (at, field) in self.fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                field.constant(self.row, out);
            }
            out.push(b')');
            if out.len() > bytes_max && !taken.is_empty() {
                // It begins the next statement.
                out.truncate(start);
                return taken;
            }
            taken.push(number(self.row));
            (self.row, self.checked) = (self.row + 1, false);
        }
        taken
    }

    /// The next row that is not left out.
    pub(crate) fn next_row(&mut self, rejects: &mut Vec<Reject>) -> Option<usize> {
        while self.row < self.rows {
            if self.takes_row(rejects) {
                (self.row, self.checked) = (self.row + 1, false);
                return Some(self.row - 1);
            }
        }
        None
    }

    /// Appends a row's values as `a=1`, of the columns that are picked.
    pub(crate) fn pairs(
        &self,
        row: usize,
        between: &str,
        picks: impl Fn(&String) -> bool,
        out: &mut Vec<u8>,
    ) {
        for (at, field) in self.fields.iter().filter(|field| picks(field.name())).enumerate() {
            if at > 0 {
                out.extend_from_slice(between.as_bytes());
            }
            out.extend_from_slice(Mysql.quote(field.name()).as_bytes());
            out.push(b'=');
            field.constant(row, out);
        }
    }

    /// Appends a row's value of the column that is picked.
    pub(crate) fn value(&self, row: usize, picks: impl Fn(&String) -> bool, out: &mut Vec<u8>) {
        if let Some(field) = self.fields.iter().find(|field| picks(field.name())) {
            field.constant(row, out);
        }
    }

    /// Whether every column can hold its value. If not, the row is left out.
    fn takes_row(&mut self, rejects: &mut Vec<Reject>) -> bool {
        let refused = self.fields.iter().find_map(|field| Some((field, field.refuses(self.row)?)));
        let Some((field, reason)) = refused else {
            self.checked = true;
            return true;
        };
        let error = Error::new(&codes::VALUE_REFUSED, "write column", format!("`{}`", field.name()));
        rejects.push(Reject { row: number(self.row), place: None, error: error.because(reason) });
        self.row += 1;
        false
    }
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// Appends to bytes as `write!` does to a text. It cannot fail.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
