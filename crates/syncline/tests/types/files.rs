//! Every type through files of every format: what a database gets by way of a file is what it gets
//! directly, and what is rejected on the way is what is rejected directly, but for what a format cannot
//! hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use syncline_testkit::servers::{left_out, mysql::Product, postgres};

use crate::{
    carried::same,
    desk::Desk,
    lite::File,
    matrix::{REFUSED, UNREADABLE, cases, mysql_types, natives},
    my, own,
    ran::{Rejected, Route, Verdict},
    routes::Wrong,
    wide::{self, Held, Place, TABLE, Wide},
};

/// A system with tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum System {
    Postgres,
    Sqlite,
    Mysql(Product),
}

pub(crate) const SYSTEMS: [System; 4] =
    [System::Postgres, System::Sqlite, System::Mysql(Product::Mysql), System::Mysql(Product::Mariadb)];

const FORMATS: [&str; 3] = ["csv", "jsonl", "parquet"];

/// What a format has no place for, so that it is rejected on the way there.
const LOST: &[(&str, &str, &[&str])] = &[
    // Its dates are numbers of days, without infinities.
    ("parquet", "t_date", &["infinity", "-infinity"]),
    ("parquet", "t_timestamp", &["infinity", "-infinity"]),
    ("parquet", "t_timestamptz", &["infinity", "-infinity"]),
    // Its decimals are digits.
    ("parquet", "t_numeric_12_2", &["NaN"]),
    ("parquet", "t_numeric_76_38", &["NaN"]),
    ("parquet", "t_domain_numeric", &["NaN"]),
    // A line holds the document itself, which this is none of.
    ("jsonl", "n_json", &["'{a: 1}'"]),
];

/// What JSON Lines writes in its own way, and verification tells: a document stands within its line,
/// without line ends in it and blanks around it.
const IN_A_LINE: &[(&str, &str, &str)] = &[
    ("t_json", "  [ 1.10,1E+5 ,null, -0.0 ]\n", "[ 1.10,1E+5 ,null, -0.0 ]"),
    ("t_json", "{\n  \"a\": 1\n}", "{   \"a\": 1 }"),
    ("m_json_text", "  [ 1.10 ,null ]", "[ 1.10 ,null ]"),
    ("m_json_text", "{\n  \"a\": 1\n}", "{   \"a\": 1 }"),
];

impl System {
    pub(crate) fn is_left_out(self) -> bool {
        match self {
            System::Postgres => left_out("postgres"),
            System::Sqlite => false,
            System::Mysql(product) => left_out(product.name()),
        }
    }

    /// A place without tables; in PostgreSQL the users' types are there.
    pub(crate) fn empty(self, desk: &Desk, name: &str) -> Place {
        match self {
            System::Postgres => {
                let database = postgres::shared().database(&postgres::shared().create_database());
                database.sql(&own::types(&cases()));
                Place::Postgres(database)
            }
            System::Sqlite => Place::Sqlite(File::new(desk.path(), name)),
            System::Mysql(product) => Place::Mysql(my::database(product)),
        }
    }

    /// A place with all its types.
    fn full(self, desk: &Desk) -> Place {
        let place = self.empty(desk, "from.db");
        place.fill(&self.columns());
        place
    }

    /// All its types.
    pub(crate) fn columns(self) -> Vec<Wide> {
        match self {
            System::Postgres => wide::of_postgres(&cases()),
            System::Sqlite => wide::of_sqlite(&natives()),
            System::Mysql(product) => wide::of_mysql(&mysql_types(product)),
        }
    }

    /// Each column's name and its values as they are written in the matrix, by row.
    fn literals(self) -> Vec<(&'static str, Vec<(i64, String)>)> {
        let numbered = |at: usize, values: Vec<String>| {
            values.into_iter().enumerate().map(|(value_at, value)| (wide::id(at, value_at), value)).collect()
        };
        let columns: Vec<(&'static str, Vec<String>)> = match self {
            System::Postgres => cases().iter().map(|case| (case.name, case.literals())).collect(),
            System::Sqlite => {
                let natives = natives();
                let natives = natives.iter().filter(|native| native.suffix.is_empty());
                natives.map(|native| (native.name, native.literals())).collect()
            }
            // All that MySQL has can be held everywhere.
            System::Mysql(_) => vec![],
        };
        columns.into_iter().enumerate().map(|(at, (name, values))| (name, numbered(at, values))).collect()
    }

    /// The rows that a format cannot hold.
    fn lost(self, format: &str) -> BTreeSet<i64> {
        let mut lost = BTreeSet::new();
        for (name, values) in self.literals() {
            let found = LOST.iter().find(|(of, column, _)| (*of, *column) == (format, name));
            let Some((_, _, literals)) = found else { continue };
            let rows = values.iter().filter(|(_, value)| literals.contains(&value.as_str()));
            lost.extend(rows.map(|(id, _)| *id));
        }
        lost
    }

    /// How many values JSON Lines writes in its own way.
    fn rewritten(self) -> u64 {
        let name = match self {
            System::Postgres => "t_json",
            System::Mysql(Product::Mariadb) => "m_json_text",
            _ => return 0,
        };
        IN_A_LINE.iter().filter(|(column, ..)| *column == name).count() as u64
    }
}

/// What the tables hold when they have been in JSON Lines.
fn in_lines(mut held: Held) -> Held {
    for (name, from, to) in IN_A_LINE {
        for (_, values) in held.columns.iter_mut().filter(|(column, _)| column == name).map(|(_, held)| held)
        {
            values.values_mut().for_each(|value| *value = value.replace(from, to));
        }
    }
    held
}

/// Copies the table and verifies it. Returns how many rows were rejected. So many are `rewritten`.
fn carry(desk: &Desk, from: &str, to: &str, rewritten: u64, wrong: &mut Wrong) -> u64 {
    let route = Route { desk, from, to, glob: TABLE };
    let rejected: Rejected = route.copy(&[]);
    let rejected: BTreeMap<String, u64> = rejected.into_values().flatten().collect();
    let count = |code: &str| rejected.get(code).copied().unwrap_or_default();
    let expected = Verdict { missing: count(REFUSED), unreadable: count(UNREADABLE), wrong: rewritten };
    let verdict = route.verify().remove(TABLE);
    wrong.unless(verdict.as_ref() == Some(&expected), || {
        format!("verified as {verdict:?} where {rejected:?} are rejected")
    });
    rejected.values().sum()
}

/// Without some rows.
fn without(held: &Held, lost: &BTreeSet<i64>) -> Held {
    let mut rest = held.clone();
    for (_, values) in rest.columns.values_mut() {
        let before = values.len();
        values.retain(|id, _| !lost.contains(id));
        rest.rows -= (before - values.len()) as u64;
    }
    rest
}

fn through_files(source: System) {
    if source.is_left_out() {
        return;
    }
    let (desk, mut wrong) = (Desk::new(), Wrong::default());
    let from = source.full(&desk);
    let targets: Vec<System> = SYSTEMS.into_iter().filter(|system| !system.is_left_out()).collect();
    let directly = targets.iter().enumerate().map(|(at, target)| {
        let to = target.empty(&desk, &format!("direct{at}.db"));
        let rejected = wrong.within(&format!("{source:?} to {target:?}"), |wrong| {
            carry(&desk, &from.url(), &to.url(), 0, wrong)
        });
        (to.held(TABLE), rejected)
    });
    let directly: Vec<(Held, u64)> = directly.collect();
    for format in FORMATS {
        let lost = source.lost(format);
        let folder = format!("file:{}", desk.path().join(format).display());
        let rewritten = if format == "jsonl" { source.rewritten() } else { 0 };
        let there = wrong.within(&format!("{source:?} to {format}"), |wrong| {
            carry(&desk, &from.url(), &format!("{folder}?format={format}"), rewritten, wrong)
        });
        for (at, target) in targets.iter().enumerate() {
            let (direct, rejected) = &directly[at];
            let expected = without(direct, &lost);
            let expected = if format == "jsonl" { in_lines(expected) } else { expected };
            let to = target.empty(&desk, &format!("{format}{at}.db"));
            wrong.within(&format!("{source:?} by {format} to {target:?}"), |wrong| {
                let back = carry(&desk, &folder, &to.url(), 0, wrong);
                same(&to.held(TABLE), &expected, wrong);
                let in_all = rejected + (direct.rows - expected.rows);
                wrong.unless(there + back == in_all, || {
                    format!("{there} and {back} rows are rejected, and not {in_all}")
                });
            });
        }
    }
    wrong.end();
}

#[test]
fn types_of_postgres_through_files() {
    through_files(System::Postgres);
}

#[test]
fn types_of_sqlite_through_files() {
    through_files(System::Sqlite);
}

#[test]
fn types_of_mysql_through_files() {
    through_files(System::Mysql(Product::Mysql));
}

#[test]
fn types_of_mariadb_through_files() {
    through_files(System::Mysql(Product::Mariadb));
}

/// From file to file, compressed in each way, and with bytes as hex, before a database of the first kind
/// gets them.
#[test]
fn types_through_one_file_after_the_other() {
    let (desk, mut wrong) = (Desk::new(), Wrong::default());
    for (at, source) in SYSTEMS.into_iter().enumerate().filter(|(_, system)| !system.is_left_out()) {
        let from = source.full(&desk);
        let (direct, to) =
            (source.empty(&desk, &format!("direct{at}.db")), source.empty(&desk, &format!("to{at}.db")));
        let folder = |name: &str| format!("file:{}", desk.path().join(format!("{name}{at}")).display());
        let (csv, jsonl, parquet) = (folder("csv"), folder("jsonl"), folder("parquet"));
        wrong.within(&format!("{source:?} through files"), |wrong| {
            let rejected = carry(&desk, &from.url(), &direct.url(), 0, wrong);
            let mut on_the_way = 0;
            for (from, to, rewritten) in [
                (&from.url(), &format!("{csv}?format=csv&compression=gzip&binary=hex"), 0),
                (&csv, &format!("{jsonl}?format=jsonl&compression=zstd&binary=hex"), source.rewritten()),
                (&jsonl, &format!("{parquet}?format=parquet&compression=gzip"), 0),
                (&parquet, &to.url(), 0),
            ] {
                on_the_way += carry(&desk, from, to, rewritten, wrong);
            }
            let direct = direct.held(TABLE);
            let lost = FORMATS.iter().flat_map(|format| source.lost(format)).collect();
            let expected = in_lines(without(&direct, &lost));
            same(&to.held(TABLE), &expected, wrong);
            let in_all = rejected + (direct.rows - expected.rows);
            wrong
                .unless(on_the_way == in_all, || format!("{on_the_way} rows are rejected, and not {in_all}"));
        });
        for (name, ending) in [("csv", ".csv.gz"), ("jsonl", ".jsonl.zst"), ("parquet", ".parquet")] {
            let folder = desk.path().join(format!("{name}{at}")).join(TABLE);
            let mut names =
                fs::read_dir(&folder).expect("it was written").flatten().map(|file| file.file_name());
            wrong.unless(names.any(|name| name.to_string_lossy().ends_with(ending)), || {
                format!("{}: there is no part that ends with {ending}", folder.display())
            });
        }
    }
    wrong.end();
}
