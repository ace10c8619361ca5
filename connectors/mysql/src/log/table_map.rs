//! What the log says of a table before its rows: its name, and its columns' types in the form in which
//! their values are written.

use super::fields::{Broken, Fields};

/// The types of values, by their numbers in the log.
pub(super) mod kind {
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const NEWDATE: u8 = 14;
    pub(crate) const VARCHAR: u8 = 15;
    pub(crate) const BIT: u8 = 16;
    pub(crate) const TIMESTAMP2: u8 = 17;
    pub(crate) const DATETIME2: u8 = 18;
    pub(crate) const TIME2: u8 = 19;
    pub(crate) const VECTOR: u8 = 242;
    pub(crate) const JSON: u8 = 245;
    pub(crate) const NEWDECIMAL: u8 = 246;
    pub(crate) const ENUM: u8 = 247;
    pub(crate) const SET: u8 = 248;
    pub(crate) const TINY_BLOB: u8 = 249;
    pub(crate) const MEDIUM_BLOB: u8 = 250;
    pub(crate) const LONG_BLOB: u8 = 251;
    pub(crate) const BLOB: u8 = 252;
    pub(crate) const VAR_STRING: u8 = 253;
    pub(crate) const STRING: u8 = 254;
    pub(crate) const GEOMETRY: u8 = 255;
}

/// How a column's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kind: u8,
    /// What else has to be known: digits, a length, by the kind.
    pub(super) meta: u16,
}

/// A table as the log describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableMap<'a> {
    pub(super) id: u64,
    pub(super) database: &'a [u8],
    pub(super) table: &'a [u8],
    pub(super) columns: Vec<Form>,
    /// The columns' names, where the server tells them.
    pub(super) names: Option<Vec<&'a [u8]>>,
    /// Which of the columns of numbers have no sign, where the server tells it.
    pub(super) unsigned: Option<Vec<bool>>,
}

/// A table's number and names alone, which is all that tables of others are looked at.
pub(super) fn table_name(body: &[u8]) -> Result<(u64, &[u8], &[u8]), Broken> {
    let mut fields = Fields(body);
    head(&mut fields)
}

fn head<'a>(fields: &mut Fields<'a>) -> Result<(u64, &'a [u8], &'a [u8]), Broken> {
    let id = fields.number(6)?;
    let _flags = fields.u16()?;
    let mut name = || {
        let length = fields.u8()?;
        let name = fields.take(usize::from(length))?;
        fields.take(1)?;
        Ok(name)
    };
    Ok((id, name()?, name()?))
}

pub(super) fn table_map(body: &[u8]) -> Result<TableMap<'_>, Broken> {
    let mut fields = Fields(body);
    let (id, database, table) = head(&mut fields)?;
    let count = fields.length()?;
    let kinds = fields.take(count)?;
    let mut metas = Fields(fields.counted()?);
    let columns = kinds.iter().map(|kind| form(*kind, &mut metas)).collect::<Result<Vec<_>, _>>()?;
    // Which columns may be NULL.
    fields.take(count.div_ceil(8))?;
    let (names, unsigned) = described(fields, &columns)?;
    Ok(TableMap { id, database, table, columns, names, unsigned })
}

/// A column's form, with as much beside its kind as the kind has.
fn form(kind: u8, metas: &mut Fields<'_>) -> Result<Form, Broken> {
    use self::kind as k;
    let meta = match kind {
        k::FLOAT | k::DOUBLE | k::TIMESTAMP2 | k::DATETIME2 | k::TIME2 => u16::from(metas.u8()?),
        k::TINY_BLOB | k::BLOB | k::MEDIUM_BLOB | k::LONG_BLOB | k::GEOMETRY | k::JSON | k::VECTOR => {
            u16::from(metas.u8()?)
        }
        // The first byte is the higher one: digits and digits behind the point; a type and a length.
        k::NEWDECIMAL | k::STRING | k::VAR_STRING | k::ENUM | k::SET => u16::from_be_bytes(metas.array()?),
        k::VARCHAR | k::BIT => metas.u16()?,
        k::TINY | k::SHORT | k::LONG | k::LONGLONG | k::INT24 | k::YEAR => 0,
        k::DATE | k::NEWDATE | k::TIMESTAMP | k::DATETIME | k::TIME => 0,
        _ => return Err(Broken),
    };
    Ok(match kind {
        k::STRING => string_form(meta),
        kind => Form { kind, meta },
    })
}

/// Enumerations and sets say in their first byte what they are; long texts put two bits of their length
/// there, each turned.
fn string_form(meta: u16) -> Form {
    let [high, low] = meta.to_be_bytes();
    if matches!(high, kind::ENUM | kind::SET) {
        return Form { kind: high, meta: u16::from(low) };
    }
    let longer = u16::from(high & 0x30 ^ 0x30) << 4;
    Form { kind: kind::STRING, meta: longer | u16::from(low) }
}

type Described<'a> = (Option<Vec<&'a [u8]>>, Option<Vec<bool>>);

/// What the server tells of the columns beyond their forms.
fn described<'a>(mut fields: Fields<'a>, columns: &[Form]) -> Result<Described<'a>, Broken> {
    const SIGNEDNESS: u8 = 1;
    const COLUMN_NAME: u8 = 4;
    let (mut names, mut unsigned) = (None, None);
    while !fields.is_empty() {
        let field = fields.u8()?;
        let value = fields.counted()?;
        match field {
            SIGNEDNESS => unsigned = Some(bits(value, columns)?),
            COLUMN_NAME => {
                let mut value = Fields(value);
                let all: Result<Vec<&[u8]>, Broken> = columns.iter().map(|_| value.counted()).collect();
                names = Some(all?);
            }
            _ => {}
        }
    }
    Ok((names, unsigned))
}

/// A bit for each number, the highest first; false for everything else.
fn bits(bytes: &[u8], columns: &[Form]) -> Result<Vec<bool>, Broken> {
    let mut at = 0;
    columns
        .iter()
        .map(|form| {
            if !is_number(form.kind) {
                return Ok(false);
            }
            let bit = bytes.get(at / 8).ok_or(Broken)? >> (7 - at % 8) & 1 == 1;
            at += 1;
            Ok(bit)
        })
        .collect()
}

fn is_number(kind: u8) -> bool {
    use self::kind as k;
    matches!(
        kind,
        k::TINY
            | k::SHORT
            | k::INT24
            | k::LONG
            | k::LONGLONG
            | k::YEAR
            | k::NEWDECIMAL
            | k::FLOAT
            | k::DOUBLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_what_is_told_of_its_columns() {
        let body = [
            &[9, 0, 0, 0, 0, 0, 1, 0][..],
            b"\x02db\0\x01t\0",
            // int, varchar(300), enum, char(70) of four bytes each, decimal(10,2)
            &[5, kind::LONG, kind::VARCHAR, kind::STRING, kind::STRING, kind::NEWDECIMAL],
            &[8, 0x2C, 1, kind::ENUM, 1, 0xEE, 0x18, 10, 2],
            &[0xFF],
            &[1, 1, 0b1000_0000],
            b"\x04\x0a\x01a\x01b\x01c\x01d\x01e",
            b"\x63\x01x",
        ]
        .concat();
        let map = table_map(&body).unwrap();
        assert_eq!((map.id, map.database, map.table), (9, &b"db"[..], &b"t"[..]));
        let forms: Vec<(u8, u16)> = map.columns.iter().map(|form| (form.kind, form.meta)).collect();
        let expected = [(3, 0), (15, 300), (247, 1), (254, 280), (246, 0x0A02)];
        assert_eq!(forms, expected);
        assert_eq!(map.names.unwrap(), [b"a", b"b", b"c", b"d", b"e"]);
        assert_eq!(map.unsigned.unwrap(), [true, false, false, false, false]);
        for end in 0..body.len() - 1 {
            // A shorter one is an error, or has less told of it.
            let _ = table_map(&body[..end]);
        }
    }
}
