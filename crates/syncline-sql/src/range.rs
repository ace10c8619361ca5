//! Key ranges and conditions as SQL.

use syncline_connect::{Read, SplitOrder};
use syncline_types::{KeyRange, Predicate, TableSchema};

use crate::Dialect;

/// The condition for rows in a range of the key; `None` when there is no bound. Composite keys
/// compare as row values, which an index on the key serves.
///
/// `None` inside: a bound is no value of its column.
pub fn key_range_condition<D: Dialect>(
    dialect: &D,
    schema: &TableSchema,
    key: &[String],
    range: &KeyRange,
) -> Option<String> {
    let mut parts = vec![];
    for (bound, op) in [(&range.after, ">"), (&range.upto, "<=")] {
        if let Some(bound) = bound {
            parts.push(format!(
                "{} {op} {}",
                key_tuple(dialect, key),
                constants(dialect, schema, key, bound)?
            ));
        }
    }
    Some(if parts.is_empty() { "true".to_owned() } else { parts.join(" AND ") })
}

/// The condition by which rows are counted where a stream is cut: those that the filter leaves out by
/// the key alone are passed over, as all those that an incremental run has read by its key. `None`
/// when the filter names what the table does not have.
pub fn cut_condition<D: Dialect>(dialect: &D, read: &Read, range: String) -> Option<String> {
    let SplitOrder::Key(key) = &read.stream.order else { return Some(range) };
    match read.filter.as_ref().and_then(|filter| filter.within(key)) {
        Some(filter) => {
            let filter = predicate_condition(dialect, &read.stream.schema, &filter)?;
            Some(format!("{range} AND ({filter})"))
        }
        None => Some(range),
    }
}

/// `"a"`, or `("a", "b")` for a composite key.
pub fn key_tuple<D: Dialect>(dialect: &D, key: &[String]) -> String {
    let list = dialect.list(key);
    if key.len() == 1 { list } else { format!("({list})") }
}

/// `"a", "b"`: the key's own order.
pub fn order_by<D: Dialect>(dialect: &D, key: &[String]) -> String {
    dialect.list(key)
}

fn constants<D: Dialect>(
    dialect: &D,
    schema: &TableSchema,
    key: &[String],
    values: &[String],
) -> Option<String> {
    if key.len() != values.len() {
        return None;
    }
    let constants = key
        .iter()
        .zip(values)
        .map(|(name, value)| dialect.constant(schema.column(name)?, value))
        .collect::<Option<Vec<_>>>()?
        .join(", ");
    Some(if key.len() == 1 { constants } else { format!("({constants})") })
}

/// A condition as SQL; `None` when it names what the table does not have.
pub fn predicate_condition<D: Dialect>(
    dialect: &D,
    schema: &TableSchema,
    predicate: &Predicate,
) -> Option<String> {
    let joined = |parts: &[Predicate], word: &str| {
        let parts = parts
            .iter()
            .map(|part| predicate_condition(dialect, schema, part).map(|text| format!("({text})")))
            .collect::<Option<Vec<_>>>()?;
        (!parts.is_empty()).then(|| parts.join(word))
    };
    match predicate {
        Predicate::Compare { column, op, constant } => {
            let column = schema.column(column)?;
            let constant = dialect.constant(column, constant)?;
            Some(format!("{} {} {constant}", dialect.quote(&column.name), op.sql()))
        }
        Predicate::IsNull { column, negated } => {
            let word = if *negated { "IS NOT NULL" } else { "IS NULL" };
            Some(format!("{} {word}", dialect.quote(&schema.column(column)?.name)))
        }
        Predicate::And(parts) => joined(parts, " AND "),
        Predicate::Or(parts) => joined(parts, " OR "),
    }
}

#[cfg(test)]
mod tests {
    use syncline_types::{Column, Comparison, LogicalType};

    use super::*;
    use crate::{quote_double, quote_text};

    struct Standard;

    impl Dialect for Standard {
        fn name(&self) -> &'static str {
            "standard"
        }
        fn quote(&self, name: &str) -> String {
            quote_double(name)
        }
        fn constant(&self, column: &Column, text: &str) -> Option<String> {
            match column.logical {
                LogicalType::Int64 => text.parse::<i64>().ok().map(|number| number.to_string()),
                _ => Some(quote_text(text)),
            }
        }
    }

    fn schema() -> TableSchema {
        TableSchema::new(
            "standard",
            vec![Column::new("a", LogicalType::Int64), Column::new("b\"c", LogicalType::TEXT)],
        )
    }

    fn bound(values: &[&str]) -> Option<Vec<String>> {
        Some(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn ranges_of_one_and_several_columns() {
        let one = ["a".to_owned()];
        let two = ["a".to_owned(), "b\"c".to_owned()];
        let condition = |key: &[String], after, upto| {
            key_range_condition(&Standard, &schema(), key, &KeyRange { after, upto })
        };
        assert_eq!(condition(&one, None, None).unwrap(), "true");
        assert_eq!(condition(&one, bound(&["1"]), bound(&["5"])).unwrap(), "\"a\" > 1 AND \"a\" <= 5");
        assert_eq!(
            condition(&two, bound(&["1", "it's"]), None).unwrap(),
            "(\"a\", \"b\"\"c\") > (1, 'it''s')"
        );
        // A text that is no number never becomes SQL.
        assert_eq!(condition(&one, bound(&["1; DROP TABLE x"]), None), None);
        assert_eq!(condition(&two, bound(&["1"]), None), None);
    }

    #[test]
    fn conditions_nest() {
        let compare = |constant: &str| Predicate::Compare {
            column: "a".into(),
            op: Comparison::GreaterOrEqual,
            constant: constant.into(),
        };
        let null = Predicate::IsNull { column: "b\"c".into(), negated: true };
        let predicate = Predicate::Or(vec![Predicate::And(vec![compare("1"), null]), compare("7")]);
        assert_eq!(
            predicate_condition(&Standard, &schema(), &predicate).unwrap(),
            "((\"a\" >= 1) AND (\"b\"\"c\" IS NOT NULL)) OR (\"a\" >= 7)"
        );
        assert_eq!(predicate_condition(&Standard, &schema(), &compare("x")), None);
    }
}
