//! The columns of a table, with their defaults.

use syncline_types::{Column, DefaultValue, Error, LogicalType, Result, StreamName, civil, codes};

use super::{Key, MysqlColumn};
use crate::{
    client::{Client, Family},
    config::ZeroDates,
    dialect::text_constant,
    types::{Meaning, base, canonical, labels, logical},
};

pub(super) async fn columns(
    client: &mut Client,
    name: &StreamName,
    keys: &[Key],
    meaning: Meaning,
) -> Result<Vec<MysqlColumn>> {
    let place = format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        text_constant(name.namespace.as_deref().unwrap_or_default()),
        text_constant(&name.table)
    );
    let sql = format!(
        "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'YES', EXTRA, CHARACTER_SET_NAME, COLLATION_NAME,
                COLUMN_DEFAULT
         FROM information_schema.COLUMNS WHERE {place} ORDER BY ORDINAL_POSITION"
    );
    let rows = client.texts(&sql, "look up the columns of", &name.to_string()).await?;
    let json = json_columns(client, name, meaning.family).await?;
    let columns: Option<Vec<MysqlColumn>> = rows
        .into_iter()
        .map(|row| {
            let mut row = row.into_iter();
            let mut next = || row.next().flatten();
            let (column_name, column_type, nullable, extra) = (next()?, next()?, next()?, next()?);
            let (charset, collation, default) = (next(), next(), next());
            let native =
                if json.contains(&column_name) { "json".to_owned() } else { canonical(&column_type) };
            let mut column = Column::new(column_name, logical(&native, meaning));
            column.nullable = nullable == "1" || may_become_null(&column, &native, keys, meaning);
            column.generated = extra.contains("STORED GENERATED") || extra.contains("VIRTUAL GENERATED");
            column.identity = extra.contains("auto_increment");
            column.labels = labels(&native);
            column.collation = collation.filter(|_| native != "json");
            let computed = extra.contains("DEFAULT_GENERATED");
            column.default = match &default {
                Some(_) if computed || column.generated => None,
                Some(text) => constant(text, &column, meaning.family),
                None => None,
            };
            let no_default = default.as_deref().is_none_or(|text| text == "NULL");
            let computed_default = computed || (column.default.is_none() && !no_default && !column.generated);
            column.native = Some(native);
            Some(MysqlColumn { column, charset, computed_default })
        })
        .collect();
    columns.filter(|columns| !columns.is_empty()).ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "look up the columns of", format!("`{name}`"))
            .because("the server tells of none")
            .hint("Grant the user SELECT on the table")
    })
}

/// Whether what is no day becomes NULL in this column. In a key it is refused all the same.
fn may_become_null(column: &Column, native: &str, keys: &[Key], meaning: Meaning) -> bool {
    let dated = matches!(base(native), "date" | "datetime" | "timestamp");
    let in_key = keys.iter().any(|key| key.columns.contains(&column.name));
    meaning.zero_dates == ZeroDates::Null && dated && !in_key
}

/// MariaDB's JSON is a text with a condition of this name.
async fn json_columns(client: &mut Client, name: &StreamName, family: Family) -> Result<Vec<String>> {
    if family == Family::Mysql {
        return Ok(vec![]);
    }
    let sql = format!(
        "SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
         WHERE CONSTRAINT_SCHEMA = {} AND TABLE_NAME = {} AND LEVEL = 'Column'
           AND CHECK_CLAUSE = CONCAT('json_valid(`', REPLACE(CONSTRAINT_NAME, '`', '``'), '`)')",
        text_constant(name.namespace.as_deref().unwrap_or_default()),
        text_constant(&name.table)
    );
    let rows = client.texts(&sql, "look up the conditions of", &name.to_string()).await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// A default that is a constant other systems have too.
fn constant(text: &str, column: &Column, family: Family) -> Option<DefaultValue> {
    use LogicalType as L;
    // MySQL tells the text itself, MariaDB how it would be written.
    let quoted = family == Family::Mariadb && text.starts_with('\'');
    if family == Family::Mariadb && !quoted && !is_number(text) && !text.starts_with("b'") {
        return None;
    }
    let value = if quoted { unquote(text)? } else { text.to_owned() };
    match column.logical {
        L::Bool => match value.as_str() {
            "0" | "b'0'" => Some(DefaultValue::Bool(false)),
            "1" | "b'1'" => Some(DefaultValue::Bool(true)),
            _ => None,
        },
        L::Decimal { .. } | L::Float32 | L::Float64 => {
            is_number(&value).then_some(DefaultValue::Number(value))
        }
        logical if logical.is_integer() => is_number(&value).then_some(DefaultValue::Number(value)),
        L::Text { .. } => Some(DefaultValue::Text(value)),
        L::Date => civil::parse_date(&value).map(|_| DefaultValue::Text(value)),
        L::Timestamp { .. } => civil::parse_timestamp(&value).map(|_| DefaultValue::Text(value)),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') && text.parse::<f64>().is_ok()
}

/// The text of a constant in quotes; `None` when it ends before its end.
fn unquote(text: &str) -> Option<String> {
    let mut chars = text.strip_prefix('\'')?.strip_suffix('\'')?.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\'' => (chars.next()? == '\'').then(|| out.push('\''))?,
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'Z' => '\u{1a}',
                'b' => '\u{8}',
                other => other,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constants_are_defaults() {
        use LogicalType as L;
        let text = |text: &str| Some(DefaultValue::Text(text.into()));
        let number = |text: &str| Some(DefaultValue::Number(text.into()));
        for (told, family, logical, expected) in [
            ("it's", Family::Mysql, L::TEXT, text("it's")),
            ("'it''s'", Family::Mariadb, L::TEXT, text("it's")),
            ("'a\\nb'", Family::Mariadb, L::TEXT, text("a\nb")),
            ("''", Family::Mariadb, L::TEXT, text("")),
            ("", Family::Mysql, L::TEXT, text("")),
            ("NULL", Family::Mariadb, L::TEXT, None),
            ("uuid()", Family::Mariadb, L::TEXT, None),
            ("concat('a','b')", Family::Mariadb, L::TEXT, None),
            ("'a' || 'b'", Family::Mariadb, L::TEXT, None),
            ("-5", Family::Mysql, L::Int32, number("-5")),
            ("1.50", Family::Mariadb, L::Decimal { precision: 5, scale: 2 }, number("1.50")),
            ("1", Family::Mysql, L::Bool, Some(DefaultValue::Bool(true))),
            ("b'0'", Family::Mariadb, L::Bool, Some(DefaultValue::Bool(false))),
            ("2", Family::Mysql, L::Bool, None),
            ("current_timestamp()", Family::Mariadb, L::TIMESTAMP, None),
            ("'2024-01-01 00:00:00'", Family::Mariadb, L::TIMESTAMP, text("2024-01-01 00:00:00")),
            ("0000-00-00", Family::Mysql, L::Date, None),
        ] {
            assert_eq!(constant(told, &Column::new("c", logical), family), expected, "{told}");
        }
    }
}
