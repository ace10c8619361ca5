//! The shape of a table that we make: each column's type here, and what has to give way so that the
//! server takes it.

use syncline_connect::Target;
use syncline_sql::Dialect;
use syncline_types::{Column, DefaultValue, LogicalType, decimal};

use crate::{
    client::{Family, Server},
    config::{Tinyint1, ZeroDates},
    dialect::{Mysql, NAME},
    types::{Meaning, base, logical},
};

/// What all columns of a row may take, texts without a limit not counted.
const ROW_BYTES_MAX: u64 = 65_535;

/// The most characters of four bytes that fit a row.
const VARCHAR_LENGTH_MAX: u32 = 16_383;

/// The digits of a decimal, and those of them behind the point.
const DECIMAL_DIGITS_MAX: u8 = 65;
const DECIMAL_SCALE_MAX: u8 = 30;

/// InnoDB's own limit of what a key's columns take together.
pub(super) const KEY_BYTES_MAX: u64 = 3_072;

/// The type of a column that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) type_name: String,
    /// `CHARACTER SET ... COLLATE ...` of a text.
    charset: String,
    /// Why it is not the source's own type.
    pub(crate) note: Option<String>,
}

/// The columns' types, in the stream's order.
pub(crate) struct Shape(Vec<Made>);

/// Chooses the columns' types. `collations` are those that the server has.
pub(crate) fn shape(target: &Target, server: &Server, collations: &[String]) -> Shape {
    let same_dialect = target.schema.dialect == NAME;
    let mut made: Vec<Made> = target
        .schema
        .columns
        .iter()
        .map(|column| {
            let is_key = target.key.contains(&column.name);
            let own = column
                .native
                .as_deref()
                .filter(|_| same_dialect)
                .and_then(|native| own(native, column, server));
            let (type_name, note) = match (own, column.native.as_deref().filter(|_| same_dialect)) {
                (Some(own), _) => (own, None),
                (None, Some(native)) => {
                    let type_name = column_type(column.logical);
                    let note = format!("{server} has no {native}, so it becomes {type_name}");
                    let differs = logical(native, MEANING) == column.logical;
                    (type_name, differs.then_some(note))
                }
                (None, None) => (column_type(column.logical), None),
            };
            let exact = is_key && !same_dialect;
            let charset = charset(&type_name, column, exact, server, collations);
            Made { type_name, charset, note }
        })
        .collect();
    narrow(target, &mut made);
    Shape(made)
}

/// How types are understood where nobody has asked for anything else.
const MEANING: Meaning =
    Meaning { family: Family::Mysql, tinyint1: Tinyint1::Bool, zero_dates: ZeroDates::Reject };

/// The source's own type, where it is one here too and its values have not been taken for others.
fn own(native: &str, column: &Column, server: &Server) -> Option<String> {
    let meant = logical(native, MEANING);
    let both_json = matches!((meant, column.logical), (LogicalType::Json { .. }, LogicalType::Json { .. }));
    if meant != column.logical && !both_json && !(native == "tinyint(1)" && column.logical.is_integer()) {
        return None;
    }
    let known = match (base(native), server.is_mariadb()) {
        ("uuid", true) => server.version >= (10, 7, 0),
        ("inet6", true) => true,
        ("inet4", true) => server.version >= (10, 10, 0),
        ("vector", true) => server.version >= (11, 7, 0),
        ("vector", false) => server.version >= (9, 0, 0),
        _ => meant != LogicalType::Opaque && meant != LogicalType::Uuid,
    };
    // One server's name for it is the other's, too, but not in the other direction.
    known.then(|| native.replace("geomcollection", "geometrycollection"))
}

/// The type that a column gets when its source's own type name is of no use here.
pub(super) fn column_type(logical: LogicalType) -> String {
    use LogicalType as L;
    let fraction = |name: &str, precision: u8| match precision {
        0 => name.to_owned(),
        precision => format!("{name}({precision})"),
    };
    match logical {
        L::Bool => "tinyint(1)".into(),
        L::Int8 => "tinyint".into(),
        L::Int16 => "smallint".into(),
        L::Int32 => "int".into(),
        L::Int64 => "bigint".into(),
        L::UInt8 => "tinyint unsigned".into(),
        L::UInt16 => "smallint unsigned".into(),
        L::UInt32 => "int unsigned".into(),
        L::UInt64 => "bigint unsigned".into(),
        L::Float32 => "float".into(),
        L::Float64 => "double".into(),
        L::Decimal { precision, scale }
            if precision <= DECIMAL_DIGITS_MAX && scale <= DECIMAL_SCALE_MAX && precision > 0 =>
        {
            format!("decimal({precision},{scale})")
        }
        // Not `char`, which gives back no blanks at the end.
        L::Text { length: Some(length), .. } if length <= VARCHAR_LENGTH_MAX => format!("varchar({length})"),
        L::Binary => "longblob".into(),
        L::Bits { length: Some(length @ 1..=64), varying: false } => format!("bit({length})"),
        L::Date => "date".into(),
        L::Time { precision } => fraction("time", precision),
        L::Timestamp { zoned: false, precision } => fraction("datetime", precision),
        L::Timestamp { zoned: true, precision } => fraction("timestamp", precision),
        L::Json { .. } => "json".into(),
        L::Uuid => "char(36)".into(),
        L::Decimal { .. } | L::Numeric | L::Text { .. } | L::Bits { .. } | L::Interval | L::Opaque => {
            "longtext".into()
        }
    }
}

/// A text's character set and collation. Keys of other systems tell apart what differs in any way,
/// so here they have to, too.
fn charset(type_name: &str, column: &Column, exact: bool, server: &Server, collations: &[String]) -> String {
    if !matches!(
        base(type_name),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
    ) {
        return String::new();
    }
    if column.logical == LogicalType::Uuid {
        return " CHARACTER SET ascii COLLATE ascii_bin".into();
    }
    let known = |name: &&str| collations.iter().any(|known| known == name);
    let binary = if server.is_mariadb() { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
    let chosen =
        column.collation.as_deref().filter(known).or_else(|| Some(binary).filter(|_| exact).filter(known));
    match chosen {
        None => " CHARACTER SET utf8mb4".into(),
        Some(collation) => {
            let charset = collation.split('_').next().unwrap_or_default();
            format!(" CHARACTER SET {charset} COLLATE {collation}")
        }
    }
}

/// Makes the widest texts such as take no room in the row, until the others fit it.
fn narrow(target: &Target, made: &mut [Made]) {
    loop {
        let total: u64 = made.iter().map(bytes).sum();
        if total <= ROW_BYTES_MAX {
            return;
        }
        let columns = target.schema.columns.iter();
        let can_give = made.iter_mut().zip(columns).filter(|(made, column)| {
            !target.key.contains(&column.name) && matches!(base(&made.type_name), "varchar" | "varbinary")
        });
        let Some((widest, _)) = can_give.max_by_key(|(made, _)| bytes(made)) else { return };
        let wider = if base(&widest.type_name) == "varchar" { "longtext" } else { "longblob" };
        widest.note = Some(format!(
            "{} and the other columns are too long for a row, so it becomes {wider}",
            widest.type_name
        ));
        widest.type_name = wider.to_owned();
    }
}

/// What a value takes in the row at most, about.
fn bytes(made: &Made) -> u64 {
    let length = || {
        let (_, inside) = made.type_name.split_once('(')?;
        inside.split(')').next()?.split(',').next()?.parse::<u64>().ok()
    };
    let of_charset =
        if made.charset.contains("SET ascii") || made.charset.contains("SET latin1") { 1 } else { 4 };
    match base(&made.type_name) {
        "char" | "varchar" => length().unwrap_or(1) * of_charset + 2,
        "binary" | "varbinary" => length().unwrap_or(1) + 2,
        "decimal" => length().unwrap_or(10) / 2 + 2,
        "tinytext" | "text" | "mediumtext" | "longtext" | "tinyblob" | "blob" | "mediumblob" | "longblob"
        | "json" => 12,
        _ => 8,
    }
}

/// Whether a key over a whole column of the type can be made.
pub(super) fn can_be_key(type_name: &str) -> bool {
    let name = base(type_name);
    !name.ends_with("text") && !name.ends_with("blob") && name != "json" && !crate::types::is_geometry(name)
}

impl Shape {
    pub(crate) fn of(&self, target: &Target, column: &str) -> Option<&Made> {
        let place = target.schema.columns.iter().position(|known| known.name == column)?;
        self.0.get(place)
    }

    /// What a key over these columns takes.
    pub(super) fn key_bytes(&self, target: &Target) -> u64 {
        target.key.iter().filter_map(|name| self.of(target, name)).map(bytes).sum()
    }

    /// `` `a` int NOT NULL DEFAULT 1 ``
    pub(super) fn definition(&self, target: &Target, column: &Column) -> String {
        let Some(made) = self.of(target, &column.name) else { return String::new() };
        let is_key = target.key.contains(&column.name);
        let null = if column.nullable && !is_key { "NULL" } else { "NOT NULL" };
        let mut text = format!("{} {}{} {null}", Mysql.quote(&column.name), made.type_name, made.charset);
        if column.identity && numbers_itself(target, column, &made.type_name) {
            text.push_str(" AUTO_INCREMENT");
        } else if let Some(default) = default(column, &made.type_name) {
            text.push_str(&format!(" DEFAULT {default}"));
        }
        text
    }
}

/// A table numbers one column, which has to lead a key.
fn numbers_itself(target: &Target, column: &Column, type_name: &str) -> bool {
    target.key.first() == Some(&column.name)
        && matches!(base(type_name), "tinyint" | "smallint" | "mediumint" | "int" | "bigint")
}

/// The constant of a column's default, where it is a value of its type: the server would refuse the table.
/// Long texts have none.
fn default(column: &Column, type_name: &str) -> Option<String> {
    let is_text = matches!(column.logical, LogicalType::Text { .. });
    let text = match column.default.as_ref()? {
        DefaultValue::Bool(value) if !is_text => value.to_string(),
        DefaultValue::Number(text) if !is_text => text.clone(),
        DefaultValue::Text(text) => text.clone(),
        DefaultValue::Bool(_) | DefaultValue::Number(_) => return None,
    };
    use LogicalType as L;
    let fits = match column.logical {
        L::Text { length: Some(length), .. } => text.chars().count() <= length as usize,
        L::Int8 => text.parse::<i8>().is_ok(),
        L::Int16 => text.parse::<i16>().is_ok(),
        L::Int32 => text.parse::<i32>().is_ok(),
        L::Int64 => text.parse::<i64>().is_ok(),
        L::UInt8 => text.parse::<u8>().is_ok(),
        L::UInt16 => text.parse::<u16>().is_ok(),
        L::UInt32 => text.parse::<u32>().is_ok(),
        L::UInt64 => text.parse::<u64>().is_ok(),
        L::Decimal { precision, scale } => decimal::parse_256(&text, precision, scale).is_some(),
        _ => true,
    };
    let constant = (fits && can_be_key(type_name)).then(|| Mysql.constant(column, &text)).flatten()?;
    // A default is no expression: MySQL takes a date for one only as a text.
    let plain = ["DATE ", "TIMESTAMP ", "TIME "].iter().find_map(|word| constant.strip_prefix(word));
    Some(plain.map_or(constant.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_ours_becomes_one_of_theirs() {
        use LogicalType as L;
        for (logical, expected) in [
            (L::Bool, "tinyint(1)"),
            (L::UInt64, "bigint unsigned"),
            (L::Decimal { precision: 65, scale: 30 }, "decimal(65,30)"),
            (L::Decimal { precision: 66, scale: 0 }, "longtext"),
            (L::Decimal { precision: 40, scale: 31 }, "longtext"),
            (L::Numeric, "longtext"),
            (L::Text { length: Some(3), padded: true }, "varchar(3)"),
            (L::Text { length: Some(300), padded: true }, "varchar(300)"),
            (L::Text { length: Some(20_000), padded: false }, "longtext"),
            (L::TEXT, "longtext"),
            (L::Bits { length: Some(9), varying: false }, "bit(9)"),
            (L::Bits { length: Some(9), varying: true }, "longtext"),
            (L::TIMESTAMP, "datetime(6)"),
            (L::Timestamp { zoned: true, precision: 0 }, "timestamp"),
            (L::Interval, "longtext"),
            (L::JSON, "json"),
            (L::Uuid, "char(36)"),
        ] {
            assert_eq!(column_type(logical), expected, "{logical}");
        }
    }
}
