//! The functions of the language: one table, from which calls are resolved and the nearest name is
//! found. A function is deterministic and sees nothing but its arguments.

mod json;
mod math;
mod text;
mod time;

use syncline_types::{LogicalType, Result};

use super::{
    kind::Kind,
    node::{Call, Expr},
    operand::Computed,
};

pub(crate) use json::{element, element_text, field, field_text, path};
pub(crate) use text::lowered;
pub(crate) use time::{extract, extract_type, field_named, field_names};

/// A function's code.
pub(crate) type Run = fn(&Call<'_>) -> Result<Computed>;

/// A function and what it can be called with.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) overloads: &'static [Overload],
}

/// One list of arguments that a function or operator takes.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) params: &'static [Kind],
    /// The last parameter may be given again and again, and everything is turned into text for it.
    pub(crate) variadic: bool,
    pub(crate) returns: Returns,
    /// Whether NULL comes out just where NULL goes in.
    pub(crate) strict: bool,
    pub(crate) run: Run,
}

/// The type of a function's result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Returns {
    Type(LogicalType),
    /// As computed from the arguments, whose constants are known.
    By(fn(&[Expr]) -> LogicalType),
}

/// A function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    tables().find(|function| function.name == name)
}

/// Every name that can be called, those with a syntax of their own among them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    tables().map(|function| function.name).chain(SYNTAX.iter().copied())
}

/// Functions that the binder itself knows.
const SYNTAX: &[&str] =
    &["cast", "coalesce", "date_part", "extract", "greatest", "least", "nullif", "position", "trim"];

/// Why a function that PostgreSQL has is left out on purpose.
pub(crate) fn refused(name: &str) -> Option<&'static str> {
    const CLOCK: &str =
        "its result changes from one call to the next, and the same row must always give the same";
    const LOCALE: &str = "its result depends on settings that Syncline does not have";
    Some(match name {
        "now"
        | "current_timestamp"
        | "current_date"
        | "current_time"
        | "localtime"
        | "localtimestamp"
        | "clock_timestamp"
        | "statement_timestamp"
        | "transaction_timestamp"
        | "timeofday"
        | "age"
        | "random"
        | "gen_random_uuid"
        | "uuid_generate_v4"
        | "nextval"
        | "setseed" => CLOCK,
        "to_char" | "to_date" | "to_number" | "to_timestamp" => LOCALE,
        "count" | "sum" | "avg" | "min" | "max" | "array_agg" | "string_agg" => {
            "an expression sees one row and no others"
        }
        "current_user" | "session_user" | "user" | "current_catalog" | "current_schema" => {
            "there is no session"
        }
        _ => return None,
    })
}

fn tables() -> impl Iterator<Item = &'static Function> {
    text::FUNCTIONS.iter().chain(math::FUNCTIONS).chain(time::FUNCTIONS)
}

/// An overload that gives NULL just where it gets NULL.
const fn strict(params: &'static [Kind], returns: Returns, run: Run) -> Overload {
    Overload { params, variadic: false, returns, strict: true, run }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_listed_once_and_described() {
        let readme = include_str!("../../../README.md");
        let mut all: Vec<&str> = names().collect();
        for name in &all {
            assert!(readme.contains(&format!("`{name}(")), "README.md does not describe {name}");
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|name| refused(name).is_none()));
    }
}
