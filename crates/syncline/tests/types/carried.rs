//! What a route is to make of a table of all types, and whether it did.

use std::collections::BTreeMap;

use crate::{
    matrix::{REFUSED, UNREADABLE},
    ran::{Route, Verdict},
    routes::Wrong,
    wide::{Held, Place, TABLE},
};

/// What is to be at the target, and what is to be said on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) held: Held,
    /// Rows that are rejected, by code.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Columns that the plan warns of, and in which words.
    pub(crate) warned: Vec<(String, String)>,
}

impl Expected {
    /// Adds a column; each of its rows arrives as a text or is rejected with a code.
    pub(crate) fn column(
        &mut self,
        name: &str,
        declared: &str,
        rows: impl Iterator<Item = (i64, Result<String, &'static str>)>,
    ) {
        let mut values = BTreeMap::new();
        for (id, row) in rows {
            match row {
                Ok(text) => {
                    values.insert(id, text);
                    self.held.rows += 1;
                }
                Err(code) => *self.rejected.entry(code.to_owned()).or_default() += 1,
            }
        }
        self.held.columns.insert(name.to_owned(), (declared.to_owned(), values));
    }

    /// Counts the row that is NULL in all columns, which arrives always.
    pub(crate) fn with_nulls(mut self) -> Self {
        self.held.rows += 1;
        self
    }

    fn rejected(&self, code: &str) -> u64 {
        self.rejected.get(code).copied().unwrap_or_default()
    }
}

/// Copies the table and holds all that comes of it against what is expected.
pub(crate) fn carry(route: &Route<'_>, options: &[&str], to: &Place, expected: &Expected, wrong: &mut Wrong) {
    let (types, warnings) = route.plan_of_columns(TABLE);
    for (name, (declared, _)) in &expected.held.columns {
        let planned = types.get(name).map(String::as_str);
        // The plan tells no character sets.
        let told = planned.is_some_and(|planned| {
            declared.strip_prefix(planned).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        wrong.unless(told, || format!("{name}: planned as {planned:?}, not {declared}"));
    }
    let column = |name: &str| format!("`{name}`");
    for (name, words) in &expected.warned {
        let told = warnings.iter().any(|told| told.contains(&column(name)) && told.contains(words));
        wrong.unless(told, || format!("{name}: nothing warns that it {words}"));
    }
    wrong.unless(warnings.len() == expected.warned.len(), || {
        format!("{} warnings are expected, not {warnings:#?}", expected.warned.len())
    });
    let rejected = route.copy(options).remove(TABLE).unwrap_or_default();
    same(&to.held(TABLE), &expected.held, wrong);
    wrong.unless(rejected == expected.rejected, || {
        format!("rejected are {rejected:?}, not {:?}", expected.rejected)
    });
    let verdict = route.verify().remove(TABLE);
    let (missing, unreadable) = (expected.rejected(REFUSED), expected.rejected(UNREADABLE));
    let equal = Verdict { missing, unreadable, ..Verdict::EQUAL };
    wrong.unless(verdict.as_ref() == Some(&equal), || format!("verified as {verdict:?}, not {equal:?}"));
}

/// Both hold the same columns and values.
pub(crate) fn same(found: &Held, expected: &Held, wrong: &mut Wrong) {
    for (name, (declared, values)) in &expected.columns {
        let Some((found_type, found)) = found.columns.get(name) else {
            wrong.unless(false, || format!("{name} is not there"));
            continue;
        };
        wrong.unless(found_type == declared, || format!("{name}: has become {found_type}, not {declared}"));
        for id in values.keys().chain(found.keys().filter(|id| !values.contains_key(id))) {
            let (value, found) = (values.get(id), found.get(id));
            wrong.unless(value == found, || format!("{name} {id}: {value:?}\n   is {found:?}"));
        }
    }
    for name in found.columns.keys().filter(|name| !expected.columns.contains_key(*name)) {
        wrong.unless(false, || format!("{name} comes from nowhere"));
    }
    wrong.unless(found.rows == expected.rows, || format!("{} rows, not {}", found.rows, expected.rows));
}
