//! The servers' types and what they mean.
//!
//! A type is known by the text that `information_schema` has for it, in one form for all servers:
//! without the width that a number is shown with, which only some still tell. `tinyint(1)` keeps it,
//! since it is what tells booleans.
//!
//! Geometries travel as WKB; one in a reference system other than 0 as EWKB, which is WKB with the
//! system's number behind the type, so that nothing of it is lost.

use syncline_sql::Dialect;
use syncline_types::{Column, LogicalType};

use crate::{
    client::Family,
    config::{MysqlConfig, Tinyint1, ZeroDates},
    dialect::Mysql,
};

/// How a type is to be taken where the user can choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) family: Family,
    pub(crate) tinyint1: Tinyint1,
    pub(crate) zero_dates: ZeroDates,
}

impl Meaning {
    pub(crate) fn new(family: Family, config: &MysqlConfig) -> Self {
        Meaning { family, tinyint1: config.tinyint1, zero_dates: config.zero_dates }
    }
}

/// The type's name without anything in brackets or behind them, in small letters.
pub(crate) fn base(native: &str) -> &str {
    native.split(['(', ' ']).next().unwrap_or_default()
}

/// A type's text in the one form for all servers.
pub(crate) fn canonical(column_type: &str) -> String {
    let name = base(column_type);
    // Labels keep their case; names are in small letters already.
    let numeric = matches!(name, "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year");
    if !numeric || column_type == "tinyint(1)" {
        return column_type.replace(" zerofill", "");
    }
    let unsigned = if column_type.contains("unsigned") && name != "year" { " unsigned" } else { "" };
    format!("{name}{unsigned}")
}

/// What a type, in its one form, means.
pub(crate) fn logical(native: &str, meaning: Meaning) -> LogicalType {
    use LogicalType as L;
    let unsigned = native.contains(" unsigned");
    let first = argument(native, 0);
    let dates_as_text = meaning.zero_dates == ZeroDates::Text;
    let precision = first.and_then(|digits| u8::try_from(digits).ok()).unwrap_or(0);
    match base(native) {
        "tinyint" if native == "tinyint(1)" && meaning.tinyint1 == Tinyint1::Bool => L::Bool,
        "tinyint" if unsigned => L::UInt8,
        "tinyint" => L::Int8,
        "smallint" if unsigned => L::UInt16,
        "smallint" | "year" => L::Int16,
        "mediumint" | "int" if unsigned => L::UInt32,
        "mediumint" | "int" => L::Int32,
        "bigint" if unsigned => L::UInt64,
        "bigint" => L::Int64,
        "decimal" => {
            let scale = argument(native, 1).and_then(|digits| u8::try_from(digits).ok()).unwrap_or(0);
            L::Decimal { precision: first.and_then(|digits| u8::try_from(digits).ok()).unwrap_or(10), scale }
        }
        "float" => L::Float32,
        "double" => L::Float64,
        "bit" if first.is_none_or(|bits| bits == 1) => L::Bool,
        "bit" => L::Bits { length: first, varying: false },
        "date" | "datetime" | "timestamp" if dates_as_text => L::TEXT,
        "date" => L::Date,
        "datetime" => L::Timestamp { zoned: false, precision },
        "timestamp" => L::Timestamp { zoned: true, precision },
        "time" => L::Interval,
        "char" | "varchar" => L::Text { length: first, padded: false },
        "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => L::TEXT,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => L::Binary,
        "json" => L::Json { normalized: meaning.family == Family::Mysql },
        "uuid" => L::Uuid,
        name if is_geometry(name) => L::Binary,
        _ => L::Opaque,
    }
}

/// Whether a type holds shapes.
pub(crate) fn is_geometry(name: &str) -> bool {
    matches!(
        name,
        "geometry"
            | "point"
            | "linestring"
            | "polygon"
            | "multipoint"
            | "multilinestring"
            | "multipolygon"
            | "geometrycollection"
            | "geomcollection"
    )
}

/// A number in the brackets.
fn argument(native: &str, at: usize) -> Option<u32> {
    let (_, inside) = native.split_once('(')?;
    inside.split_once(')')?.0.split(',').nth(at)?.trim().parse().ok()
}

/// The labels of an `enum` or `set`, as far as the server tells them: its catalogue has `?` for every letter
/// beyond the first 65,536.
pub(crate) fn labels(native: &str) -> Option<Vec<String>> {
    if !matches!(base(native), "enum" | "set") {
        return None;
    }
    let (_, inside) = native.split_once('(')?;
    let inside = inside.strip_suffix(')')?;
    let (mut labels, mut label) = (vec![], None::<String>);
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        match (&mut label, c) {
            (None, '\'') => label = Some(String::new()),
            (None, _) => {}
            (Some(text), '\'') if chars.peek() == Some(&'\'') => {
                chars.next();
                text.push('\'');
            }
            (Some(_), '\'') => labels.extend(label.take()),
            (Some(text), '\\') => text.extend(chars.next().map(|escaped| match escaped {
                '0' => '\0',
                'n' => '\n',
                'r' => '\r',
                other => other,
            })),
            (Some(text), c) => text.push(c),
        }
    }
    Some(labels)
}

/// What is selected to read a column.
pub(crate) fn expression(column: &Column, family: Family) -> String {
    let name = Mysql.quote(&column.name);
    if column.logical != LogicalType::Opaque {
        return name;
    }
    match (column.native.as_deref().map(base), family) {
        (Some("vector"), Family::Mysql) => format!("VECTOR_TO_STRING({name})"),
        (Some("vector"), Family::Mariadb) => format!("VEC_ToText({name})"),
        _ => format!("CAST({name} AS CHAR)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(family: Family) -> Meaning {
        Meaning { family, tinyint1: Tinyint1::Bool, zero_dates: ZeroDates::Reject }
    }

    #[test]
    fn types_have_one_form_on_all_servers() {
        for (told, expected) in [
            ("int(11)", "int"),
            ("int(5) unsigned zerofill", "int unsigned"),
            ("bigint unsigned", "bigint unsigned"),
            ("tinyint(1)", "tinyint(1)"),
            ("tinyint(1) unsigned", "tinyint unsigned"),
            ("tinyint(4)", "tinyint"),
            ("year(4)", "year"),
            ("decimal(10,2) unsigned zerofill", "decimal(10,2) unsigned"),
            ("enum('A b','zerofillB')", "enum('A b','zerofillB')"),
        ] {
            assert_eq!(canonical(told), expected);
        }
    }

    #[test]
    fn types_mean_what_they_say() {
        use LogicalType as L;
        for (native, expected) in [
            ("tinyint(1)", L::Bool),
            ("tinyint", L::Int8),
            ("tinyint unsigned", L::UInt8),
            ("mediumint unsigned", L::UInt32),
            ("bigint unsigned", L::UInt64),
            ("year", L::Int16),
            ("decimal(65,30) unsigned", L::Decimal { precision: 65, scale: 30 }),
            ("decimal(5,0)", L::Decimal { precision: 5, scale: 0 }),
            ("bit(1)", L::Bool),
            ("bit(9)", L::Bits { length: Some(9), varying: false }),
            ("datetime", L::Timestamp { zoned: false, precision: 0 }),
            ("datetime(6)", L::TIMESTAMP),
            ("timestamp(3)", L::Timestamp { zoned: true, precision: 3 }),
            ("time(2)", L::Interval),
            ("char(7)", L::Text { length: Some(7), padded: false }),
            ("varbinary(9)", L::Binary),
            ("enum('a')", L::TEXT),
            ("json", L::Json { normalized: true }),
            ("point", L::Binary),
            ("uuid", L::Uuid),
            ("inet6", L::Opaque),
            ("vector(3)", L::Opaque),
        ] {
            assert_eq!(logical(native, meaning(Family::Mysql)), expected, "{native}");
        }
        assert_eq!(logical("json", meaning(Family::Mariadb)), L::JSON);
        let numbers = Meaning { tinyint1: Tinyint1::Int, ..meaning(Family::Mysql) };
        assert_eq!(logical("tinyint(1)", numbers), L::Int8);
        let texts = Meaning { zero_dates: ZeroDates::Text, ..meaning(Family::Mysql) };
        assert_eq!(logical("datetime(6)", texts), L::TEXT);
    }

    #[test]
    fn labels_may_hold_anything() {
        let labels = labels(r"enum('a','it''s',',','(x)','','\\N\n')").unwrap();
        assert_eq!(labels, ["a", "it's", ",", "(x)", "", "\\N\n"]);
        assert_eq!(super::labels("varchar(3)"), None);
    }
}
