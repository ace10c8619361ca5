//! Conditions plain enough for a source to evaluate itself.

use serde::{Deserialize, Serialize};

/// Columns against constants, joined by AND and OR, with SQL's three-valued logic. Constants are in
/// the text form of [`crate::text`] for the column's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// `column <op> constant`.
    Compare {
        /// A column of the source's own table.
        column: String,
        /// The comparison.
        op: Comparison,
        /// The constant.
        constant: String,
    },
    /// `column IS NULL`, or `IS NOT NULL` when `negated`.
    IsNull {
        /// A column of the source's own table.
        column: String,
        /// Whether it asks for the opposite.
        negated: bool,
    },
    /// All of them.
    And(Vec<Predicate>),
    /// Any of them.
    Or(Vec<Predicate>),
}

/// A comparison of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As SQL writes it.
    pub fn sql(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl Predicate {
    /// Every column it names, in order of appearance.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Predicate::Compare { column, .. } | Predicate::IsNull { column, .. } => vec![column],
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().flat_map(Predicate::columns).collect()
            }
        }
    }

    /// What it says by these columns alone: where this is not true, neither is the whole.
    pub fn within(&self, columns: &[String]) -> Option<Predicate> {
        match self {
            Predicate::And(parts) => {
                let mut parts: Vec<Predicate> =
                    parts.iter().filter_map(|part| part.within(columns)).collect();
                if parts.len() > 1 { Some(Predicate::And(parts)) } else { parts.pop() }
            }
            other => {
                let all = other.columns().iter().all(|name| columns.iter().any(|column| column == name));
                all.then(|| other.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_by_some_columns_alone_is_found() {
        let one = |column: &str| Predicate::IsNull { column: column.to_owned(), negated: true };
        let key = ["a".to_owned(), "b".to_owned()];
        let either = Predicate::Or(vec![one("a"), one("x")]);
        let all = Predicate::And(vec![one("a"), Predicate::And(vec![one("x"), one("b")]), either.clone()]);
        assert_eq!(all.within(&key), Some(Predicate::And(vec![one("a"), one("b")])));
        assert_eq!(Predicate::And(vec![one("a"), one("x")]).within(&key), Some(one("a")));
        assert_eq!(either.within(&key), None);
    }
}
