//! How MySQL and MariaDB write names, constants and ranges of keys.

use syncline_sql::Dialect;
use syncline_types::{
    Column, KeyRange, LogicalType, StreamName, TableSchema, civil, interval::Interval, text,
};

/// The servers' way of writing SQL.
pub(crate) struct Mysql;

/// The name that schemas of this connector carry.
pub(crate) const NAME: &str = "mysql";

impl Dialect for Mysql {
    fn name(&self) -> &'static str {
        NAME
    }

    fn quote(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }

    /// Floats have none: a column of 32 bits is compared as one of 64, so that the shortest text of
    /// its value is another number.
    fn constant(&self, column: &Column, value: &str) -> Option<String> {
        use LogicalType as L;
        match column.logical {
            L::Bool => match value {
                "true" => Some("1".into()),
                "false" => Some("0".into()),
                _ => None,
            },
            L::Int8 | L::Int16 | L::Int32 | L::Int64 | L::UInt8 | L::UInt16 | L::UInt32 | L::UInt64 => {
                value.parse::<i128>().ok().map(|value| value.to_string())
            }
            L::Decimal { .. } => is_decimal(value).then(|| value.to_owned()),
            L::Float32 | L::Float64 | L::Numeric | L::Json { .. } => None,
            L::Date => civil::parse_date(value).map(|_| format!("DATE {}", text_constant(value))),
            L::Timestamp { zoned, .. } => {
                let (micros, has_zone) = civil::parse_timestamp(value)?;
                (has_zone == zoned).then(|| timestamp_constant(micros))
            }
            L::Time { .. } => civil::parse_time(value).map(time_constant),
            L::Interval => match Interval::parse(value)? {
                Interval { months: 0, days: 0, micros } => Some(time_constant(micros)),
                _ => None,
            },
            L::Binary => {
                let mut hex = String::new();
                text::write_hex(&text::parse_hex(value)?, &mut hex);
                Some(format!("X'{}'", hex.trim_start_matches("\\x")))
            }
            L::Bits { .. } => {
                let bits = !value.is_empty() && value.bytes().all(|bit| matches!(bit, b'0' | b'1'));
                bits.then(|| format!("b'{value}'"))
            }
            L::Uuid => {
                let mut uuid = String::new();
                text::write_uuid(&text::parse_uuid(value)?, &mut uuid);
                Some(text_constant(&uuid))
            }
            L::Text { .. } | L::Opaque => Some(text_constant(value)),
        }
    }
}

/// A text as a constant, whatever the server's settings make of quotes and backslashes.
pub(crate) fn text_constant(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.:,/+%@$*?=!()[]{}<>|~^&;#".contains(&byte);
    if value.bytes().all(plain) {
        return format!("'{value}'");
    }
    let mut hex = String::new();
    text::write_hex(value.as_bytes(), &mut hex);
    format!("_utf8mb4 X'{}'", hex.trim_start_matches("\\x"))
}

fn timestamp_constant(micros: i64) -> String {
    let mut out = String::new();
    civil::write_timestamp(micros, false, &mut out);
    format!("TIMESTAMP '{out}'")
}

/// `TIME '-01:00:00.5'`
fn time_constant(micros: i64) -> String {
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let sign = if micros < 0 { "-" } else { "" };
    format!("TIME '{sign}{:02}:{:02}:{:02}.{fraction:06}'", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn is_decimal(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `` `database`.`table` ``
pub(crate) fn qualified(name: &StreamName, default_database: &str) -> String {
    let database = name.namespace.as_deref().unwrap_or(default_database);
    format!("{}.{}", Mysql.quote(database), Mysql.quote(&name.table))
}

/// The condition for rows in a range of the key; `None` when a bound is no value of its column.
///
/// The servers find no index for `(a, b) > (1, 2)`, so that it is written out, and `a` has a
/// condition of its own by which they find where to begin and to end.
pub(crate) fn key_range(schema: &TableSchema, key: &[String], range: &KeyRange) -> Option<String> {
    let mut parts = vec![];
    for (bound, strict, last) in [(&range.after, ">", ">"), (&range.upto, "<", "<=")] {
        let Some(values) = bound else { continue };
        let columns = columns(schema, key, values)?;
        if let [(first, constant), _, ..] = columns.as_slice() {
            parts.push(format!("{first} {strict}= {constant}"));
        }
        parts.push(beyond(&columns, strict, last)?);
    }
    Some(if parts.is_empty() { "true".to_owned() } else { parts.join(" AND ") })
}

/// Each column of the key, and what it is compared with.
fn columns(schema: &TableSchema, key: &[String], values: &[String]) -> Option<Vec<(String, String)>> {
    if key.len() != values.len() {
        return None;
    }
    let pairs = key.iter().zip(values);
    pairs
        .map(|(name, value)| {
            let column = schema.column(name)?;
            Some((Mysql.quote(name), Mysql.constant(column, value)?))
        })
        .collect()
}

/// `a > 1 OR a = 1 AND (b > 2)`
fn beyond(columns: &[(String, String)], strict: &str, last: &str) -> Option<String> {
    let ((column, constant), rest) = columns.split_first()?;
    if rest.is_empty() {
        return Some(format!("{column} {last} {constant}"));
    }
    let rest = beyond(rest, strict, last)?;
    Some(format!("({column} {strict} {constant} OR {column} = {constant} AND {rest})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> TableSchema {
        let columns = vec![
            Column::new("a", LogicalType::UInt64),
            Column::new("b`c", LogicalType::TEXT),
            Column::new("t", LogicalType::TIMESTAMPTZ),
        ];
        TableSchema::new(NAME, columns)
    }

    fn bound(values: &[&str]) -> Option<Vec<String>> {
        Some(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn ranges_of_one_and_several_columns() {
        let condition = |key: &[&str], after, upto| {
            let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
            key_range(&schema(), &key, &KeyRange { after, upto })
        };
        assert_eq!(condition(&["a"], None, None).unwrap(), "true");
        assert_eq!(condition(&["a"], bound(&["1"]), bound(&["5"])).unwrap(), "`a` > 1 AND `a` <= 5");
        assert_eq!(
            condition(&["a", "b`c", "t"], bound(&["1", "it's", "2024-01-01 00:00:00+00:00"]), None).unwrap(),
            "`a` >= 1 AND (`a` > 1 OR `a` = 1 AND (`b``c` > _utf8mb4 X'69742773' OR `b``c` = _utf8mb4 X'69742773' \
             AND `t` > TIMESTAMP '2024-01-01 00:00:00'))"
        );
        assert_eq!(
            condition(&["a", "b`c"], None, bound(&["5", "x"])).unwrap(),
            "`a` <= 5 AND (`a` < 5 OR `a` = 5 AND `b``c` <= 'x')"
        );
        // A text that is no number never becomes SQL.
        assert_eq!(condition(&["a"], bound(&["1 OR 1=1"]), None), None);
        assert_eq!(condition(&["a", "t"], bound(&["1"]), None), None);
    }

    #[test]
    fn constants_are_what_they_say() {
        use LogicalType as L;
        let constant = |logical, value: &str| Mysql.constant(&Column::new("c", logical), value);
        let decimal = L::Decimal { precision: 10, scale: 2 };
        for (logical, value, expected) in [
            (L::Bool, "true", Some("1")),
            (L::Bool, "1", None),
            (L::UInt64, "18446744073709551615", Some("18446744073709551615")),
            (decimal, "-1.50", Some("-1.50")),
            (decimal, "1e5", None),
            (decimal, ".5", None),
            (L::Date, "2024-02-30", None),
            (L::TIMESTAMP, "2024-01-01 10:00:00.5", Some("TIMESTAMP '2024-01-01 10:00:00.5'")),
            (L::TIMESTAMP, "2024-01-01 10:00:00+00:00", None),
            (L::Interval, "PT-838H-59M-59S", Some("TIME '-838:59:59.000000'")),
            (L::Interval, "P1D", None),
            (L::Binary, "\\x00ff", Some("X'00ff'")),
            (L::Binary, "x", None),
            (L::Bits { length: Some(3), varying: false }, "101", Some("b'101'")),
            (L::Float64, "1.5", None),
            (L::TEXT, "", Some("''")),
            (L::TEXT, "a\\'", Some("_utf8mb4 X'615c27'")),
        ] {
            assert_eq!(constant(logical, value).as_deref(), expected, "{logical} {value}");
        }
    }
}
