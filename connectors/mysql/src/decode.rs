//! Rows of the binary protocol into columns, where they lie.
//!
//! A row is a zero, a bit for each column that is NULL (the first two bits mean nothing), and the
//! values: numbers in their own width with the least byte first, dates in as many bytes as they
//! need, everything else as a length and bytes.

mod field;
mod kind;

use syncline_types::{Column, Error, LogicalType, Result, build::ColumnBuilder, codes};

use self::field::push;
pub(crate) use self::{
    field::{BadField, Date, NO_BOOL, Pushed, bits, geometry, push_date, push_text},
    kind::Kind,
};
use crate::client::ColumnDefinition;

/// Bits of a row's NULLs that come before the first column's.
const NULLS_OFFSET: usize = 2;

/// Reads the columns of a stream's rows.
#[derive(Debug)]
pub(crate) struct RowDecoder {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    logical: LogicalType,
    kind: Kind,
}

/// What became of a row.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// It is in the builders.
    Row,
    /// It cannot be read into its columns' types; the builders are as before.
    Rejected(Error),
}

impl RowDecoder {
    /// For these columns, where dates that are no day become NULL if `zero_dates_null`.
    pub(crate) fn new(columns: &[Column], zero_dates_null: bool) -> Self {
        let fields = columns.iter().map(|column| Field {
            name: column.name.clone(),
            logical: column.logical,
            kind: Kind::of(column, zero_dates_null),
        });
        RowDecoder { fields: fields.collect() }
    }

    /// Whether rows with such columns are what this decoder reads; else the first column's name
    /// that is not.
    pub(crate) fn fits(&self, columns: &[ColumnDefinition]) -> Result<(), &str> {
        for (at, field) in self.fields.iter().enumerate() {
            if !columns.get(at).is_some_and(|column| field.kind.reads(column, field.logical)) {
                return Err(&field.name);
            }
        }
        if columns.len() == self.fields.len() { Ok(()) } else { Err("") }
    }

    pub(crate) fn builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.fields.iter().map(|field| ColumnBuilder::new(field.logical, rows)).collect()
    }

    /// Reads one row; `rows` is how many the builders hold.
    pub(crate) fn decode(&self, row: &[u8], builders: &mut [ColumnBuilder], rows: usize) -> Result<Decoded> {
        let nulls_bytes = (self.fields.len() + NULLS_OFFSET).div_ceil(8);
        let row = row.strip_prefix(&[0]).ok_or_else(broken)?;
        let (nulls, mut rest) = row.split_at_checked(nulls_bytes).ok_or_else(broken)?;
        for (at, (field, builder)) in self.fields.iter().zip(builders.iter_mut()).enumerate() {
            let bit = at + NULLS_OFFSET;
            if nulls[bit / 8] >> (bit % 8) & 1 == 1 {
                builder.push_null();
                continue;
            }
            match push(&mut rest, field.kind, builder) {
                Ok(()) => {}
                Err(BadField::Form) => return Err(broken()),
                Err(BadField::Value(reason, hint)) => {
                    let error =
                        Error::new(&codes::VALUE_UNREADABLE, "read column", format!("`{}`", field.name))
                            .because(reason);
                    builders.iter_mut().for_each(|builder| builder.truncate(rows));
                    return Ok(Decoded::Rejected(hint.map_or(error.clone(), |hint| error.hint(hint))));
                }
            }
        }
        if rest.is_empty() { Ok(Decoded::Row) } else { Err(broken()) }
    }
}

fn broken() -> Error {
    Error::new(&codes::BAD_BYTES, "read rows from", "the server")
        .because("they are not in the binary protocol's form")
        .hint("Look at what stands between here and the server")
}

#[cfg(test)]
mod tests;
