//! The whole matrix, over every route.

use std::collections::BTreeMap;

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::{File, Kept},
    matrix::{Case, Class, Copied, End, Fate, REFUSED, UNREADABLE, cases, natives},
    own::{self, NULL_ID},
    ran::{Planned, Rejected, Route, Verdict},
};

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// Everything that is not as it should be, to be told at once.
#[derive(Default)]
pub(crate) struct Wrong(Vec<String>);

impl Wrong {
    pub(crate) fn unless(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.0.push(what());
        }
    }

    /// What goes wrong in `run` is told with where it was.
    pub(crate) fn within<T>(&mut self, place: &str, run: impl FnOnce(&mut Wrong) -> T) -> T {
        let mut inside = Wrong::default();
        let result = run(&mut inside);
        self.0.extend(inside.0.into_iter().map(|told| format!("{place}: {told}")));
        result
    }

    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "{} mistakes:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Both ends have the same tables with the same column types and the same values, by the server's own
/// text, but for rows that cannot be read.
fn same_in_postgres(cases: &[Case], from: &Database, to: &Database, wrong: &mut Wrong) {
    let (source, mut target) = (own::columns(from), own::columns(to));
    for case in cases {
        let (source_type, mut expected) = source[case.name].clone();
        for (value, id) in case.values.iter().zip(1..) {
            if matches!(value.fate, Fate::Unreadable) {
                expected.remove(&id);
            }
        }
        let Some((target_type, found)) = target.remove(case.name) else {
            wrong.0.push(format!("{} is not there", case.name));
            continue;
        };
        wrong.unless(source_type == target_type, || format!("{}: {source_type} is {target_type}", case.name));
        wrong.unless(expected == found, || format!("{}: {expected:?}\n   is {found:?}", case.name));
    }
}

/// What is rejected, and what verification says of it, is what the fates say.
fn rejected_in_postgres(
    cases: &[Case],
    rejected: &Rejected,
    verdicts: &BTreeMap<String, Verdict>,
    wrong: &mut Wrong,
) {
    for case in cases {
        let unreadable = case.count(|fate| matches!(fate, Fate::Unreadable));
        rows_rejected(case.name, &[(UNREADABLE, unreadable)], rejected, wrong);
        let expected = Verdict { unreadable, ..Verdict::EQUAL };
        verdict(case.name, &expected, verdicts, wrong);
    }
}

fn rows_rejected(table: &str, expected: &[(&str, u64)], rejected: &Rejected, wrong: &mut Wrong) {
    let expected: BTreeMap<String, u64> = expected
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(code, count)| ((*code).to_owned(), *count))
        .collect();
    let found = rejected.get(table).cloned().unwrap_or_default();
    wrong.unless(found == expected, || format!("{table}: rejected are {found:?}, not {expected:?}"));
}

fn verdict(table: &str, expected: &Verdict, verdicts: &BTreeMap<String, Verdict>, wrong: &mut Wrong) {
    let found = verdicts.get(table);
    wrong.unless(found == Some(expected), || format!("{table}: verified as {found:?}, not {expected:?}"));
}

fn planned(
    table: &str,
    declared: &str,
    warned: Option<&str>,
    plan: &BTreeMap<String, Planned>,
    wrong: &mut Wrong,
) {
    let Some(planned) = plan.get(table) else { return wrong.0.push(format!("{table} is not planned")) };
    let target_type = &planned.target_type;
    wrong.unless(target_type == declared, || format!("{table}: planned as {target_type}, not {declared}"));
    let told = match warned {
        Some(words) => {
            planned.warnings.iter().any(|warning| warning.contains(words) && warning.contains("`v`"))
        }
        None => planned.warnings.is_empty(),
    };
    wrong.unless(told, || format!("{table}: planned with {:?}, not {warned:?}", planned.warnings));
}

/// Settings that make a server read and write values in other forms.
fn odd(database: &Database, settings: &[(&str, &str)]) {
    for (setting, value) in settings {
        database.sql(&format!("ALTER DATABASE {} SET {setting} = {value}", database.name()));
    }
}

/// Between servers that write values in other forms, overwritten, and then merged into what is there.
#[test]
fn postgres_to_postgres() {
    if left_out("postgres") {
        return;
    }
    let (desk, cases, from, to) = (Desk::new(), cases(), database(), database());
    own::fill(&from, &cases);
    to.sql(&own::types(&cases));
    odd(
        &from,
        &[("TimeZone", "'Pacific/Chatham'"), ("DateStyle", "'German'"), ("IntervalStyle", "sql_standard")],
    );
    odd(&from, &[("extra_float_digits", "-15"), ("bytea_output", "escape"), ("xmloption", "document")]);
    odd(
        &to,
        &[("TimeZone", "'America/St_Johns'"), ("DateStyle", "'SQL, DMY'"), ("IntervalStyle", "iso_8601")],
    );
    odd(&to, &[("standard_conforming_strings", "off"), ("client_encoding", "LATIN1"), ("search_path", "''")]);
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t_*" };
    let mut wrong = Wrong::default();
    let plan = route.plan();
    let source_types = own::columns(&from);
    for case in &cases {
        planned(case.name, &source_types[case.name].0, None, &plan, &mut wrong);
    }
    for write in ["overwrite", "merge"] {
        let rejected = route.copy(&["--write", write]);
        same_in_postgres(&cases, &from, &to, &mut wrong);
        rejected_in_postgres(&cases, &rejected, &route.verify(), &mut wrong);
        // A second time every value is written as text, as all are beside one that has no binary form.
        let columns = cases
            .iter()
            .map(|case| format!("ALTER TABLE {} ADD IF NOT EXISTS also point DEFAULT '(1,2)';", case.name));
        from.sql(&columns.collect::<String>());
    }
    wrong.end();
}

#[test]
fn postgres_to_sqlite_and_back() {
    if left_out("postgres") {
        return;
    }
    let (desk, cases, from, to) = (Desk::new(), cases(), database(), database());
    let file = File::new(desk.path(), "middle.db");
    own::fill(&from, &cases);
    let mut wrong = Wrong::default();
    let there = Route { desk: &desk, from: from.url(), to: &file.url(), glob: "t_*" };
    let plan = there.plan();
    let rejected = there.copy(&[]);
    let verdicts = there.verify();
    let mut kept = file.columns();
    for case in &cases {
        let End { declared, class, warned, .. } = &case.sqlite;
        planned(case.name, declared, *warned, &plan, &mut wrong);
        let unreadable = case.count(|fate| matches!(fate, Fate::Unreadable));
        let refused = case.count(|fate| matches!(fate, Fate::Refused));
        rows_rejected(case.name, &[(REFUSED, refused), (UNREADABLE, unreadable)], &rejected, &mut wrong);
        verdict(case.name, &Verdict { missing: refused, unreadable, wrong: 0 }, &verdicts, &mut wrong);
        let Some((found_type, found)) = kept.remove(case.name) else {
            wrong.0.push(format!("{} is not there", case.name));
            continue;
        };
        wrong.unless(found_type == *declared, || format!("{}: declared as {found_type}", case.name));
        let expected = kept_of(case, *class);
        wrong.unless(found == expected, || format!("{}: {expected:?}\n   is {found:?}", case.name));
    }
    let back = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "t_*" };
    let rejected = back.copy(&[]);
    wrong.unless(rejected.is_empty(), || format!("on the way back are rejected {rejected:?}"));
    let verdicts = back.verify();
    let (source, mut target) = (own::columns(&from), own::columns(&to));
    for case in &cases {
        verdict(case.name, &Verdict::EQUAL, &verdicts, &mut wrong);
        let (_, mut expected) = source[case.name].clone();
        for (value, id) in case.values.iter().zip(1..) {
            match value.fate {
                Fate::Kept(_) => {}
                Fate::Altered { back, .. } => _ = expected.insert(id, Some(back.to_owned())),
                Fate::Refused | Fate::Unreadable => _ = expected.remove(&id),
            }
        }
        let (found_type, found) = target.remove(case.name).unwrap_or_default();
        wrong.unless(found_type == case.sqlite.back, || format!("{}: comes back as {found_type}", case.name));
        wrong
            .unless(expected == found, || format!("{}: {expected:?}\n   comes back as {found:?}", case.name));
    }
    wrong.end();
}

/// What SQLite keeps of a case.
fn kept_of(case: &Case, class: Class) -> BTreeMap<i64, Kept> {
    let one = |text: &str| match class {
        Class::Integer => Kept::Integer(text.parse().expect("the matrix says it is a whole number")),
        Class::Real => Kept::Real(text.parse().expect("the matrix says it is a float")),
        Class::Text => Kept::Text(text.as_bytes().to_vec()),
        Class::Blob => Kept::Blob(bytes(text)),
    };
    let values = case.values.iter().zip(1..).filter_map(|(value, id)| match &value.fate {
        Fate::Kept(kept) | Fate::Altered { kept, .. } => Some((id, one(kept))),
        Fate::Refused | Fate::Unreadable => None,
    });
    values.chain([(NULL_ID, Kept::Null)]).collect()
}

/// The bytes of `\x` and hex.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("\\x").expect("bytes are written as \\x and hex");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("the digits are hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn sqlite_to_postgres() {
    if left_out("postgres") {
        return;
    }
    let (desk, natives, to) = (Desk::new(), natives(), database());
    let file = File::new(desk.path(), "from.db");
    file.fill(&natives);
    let mut wrong = Wrong::default();
    let route = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "n_*" };
    let (plan, rejected, verdicts) = (route.plan(), route.copy(&[]), route.verify());
    let mut found = own::columns(&to);
    for native in &natives {
        planned(native.name, native.postgres, native.warned, &plan, &mut wrong);
        let count =
            |code: &str| native.values.iter().filter(|value| value.postgres == Err(code)).count() as u64;
        let (refused, unreadable) = (count(REFUSED), count(UNREADABLE));
        rows_rejected(native.name, &[(REFUSED, refused), (UNREADABLE, unreadable)], &rejected, &mut wrong);
        verdict(native.name, &Verdict { missing: refused, unreadable, wrong: 0 }, &verdicts, &mut wrong);
        let texts = native.values.iter().zip(1..);
        let texts = texts.filter_map(|(value, id)| Some((id, Some(value.postgres.ok()?.to_owned()))));
        let expected: BTreeMap<i64, Option<String>> = texts.chain([(NULL_ID, None)]).collect();
        let (found_type, found) = found.remove(native.name).unwrap_or_default();
        wrong.unless(found_type == native.postgres, || format!("{}: has become {found_type}", native.name));
        wrong.unless(expected == found, || format!("{}: {expected:?}\n   is {found:?}", native.name));
    }
    wrong.end();
}

#[test]
fn sqlite_to_sqlite() {
    let (desk, natives) = (Desk::new(), natives());
    let (from, to) = (File::new(desk.path(), "from.db"), File::new(desk.path(), "to.db"));
    from.fill(&natives);
    let mut wrong = Wrong::default();
    let route = Route { desk: &desk, from: &from.url(), to: &to.url(), glob: "n_*" };
    let plan = route.plan();
    let mut source = from.columns();
    for options in [&["--write", "overwrite"], &["--write", "merge"]] {
        let (rejected, verdicts) = (route.copy(options), route.verify());
        let mut found = to.columns();
        for native in &natives {
            let (source_type, mut expected) = source.remove(native.name).expect("it was made");
            source.insert(native.name.to_owned(), (source_type.clone(), expected.clone()));
            let declared = native.copied.unwrap_or(&source_type);
            planned(native.name, declared, native.warned, &plan, &mut wrong);
            let mut unreadable = 0;
            for (value, id) in native.values.iter().zip(1..) {
                match value.sqlite {
                    Copied::Same => {}
                    Copied::As(expression) => _ = expected.insert(id, from.value(expression)),
                    Copied::Rejected(code) => {
                        assert_eq!(code, UNREADABLE, "SQLite takes what SQLite hands out");
                        unreadable += 1;
                        expected.remove(&id);
                    }
                }
            }
            rows_rejected(native.name, &[(UNREADABLE, unreadable)], &rejected, &mut wrong);
            verdict(native.name, &Verdict { unreadable, ..Verdict::EQUAL }, &verdicts, &mut wrong);
            let (found_type, found) = found.remove(native.name).unwrap_or_default();
            wrong.unless(found_type == declared, || format!("{}: has become {found_type}", native.name));
            wrong.unless(expected == found, || format!("{}: {expected:?}\n   is {found:?}", native.name));
        }
    }
    wrong.end();
}
