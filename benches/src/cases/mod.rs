//! What is measured.

mod file;
mod follow;
mod incremental;
mod mysql;
mod postgres;

use crate::{measure::Candidate, servers::Servers};

/// A case by its name.
pub(crate) struct Case {
    name: &'static str,
    pub(crate) run: fn(&Servers),
}

/// The cases of these names. One that is no case's own is the first word of several.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Case>, String> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let mut all = vec![];
    for name in names {
        let mut found: Vec<_> = CASES.iter().filter(|case| case.name == name).collect();
        if found.is_empty() {
            found = CASES.iter().filter(|case| case.name.split('-').next() == Some(name)).collect();
        }
        if found.is_empty() {
            return Err(name.clone());
        }
        all.extend(found);
    }
    Ok(all)
}

/// What all cases are called.
pub(crate) fn names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.name).collect()
}

static CASES: &[Case] = &[
    Case { name: "orders", run: postgres::orders },
    Case { name: "narrow", run: postgres::narrow },
    Case { name: "sqlite", run: postgres::from_sqlite },
    Case { name: "generate", run: postgres::from_generate },
    Case { name: "blackhole", run: postgres::into_blackhole },
    Case { name: "wide", run: postgres::wide },
    Case { name: "mysql", run: mysql::orders },
    Case { name: "mysql-narrow", run: mysql::narrow },
    Case { name: "mysql-postgres", run: mysql::orders_into_postgres },
    Case { name: "mysql-postgres-narrow", run: mysql::narrow_into_postgres },
    Case { name: "mysql-wide", run: mysql::wide },
    Case { name: "mysql-file", run: file::from_mysql },
    Case { name: "csv-postgres", run: file::csv_into_postgres },
    Case { name: "incremental", run: incremental::into_postgres },
    Case { name: "follow-small", run: follow::small },
    Case { name: "follow-big", run: follow::big },
    Case { name: "follow-memory", run: follow::memory },
    Case { name: "follow-lag", run: follow::lag },
    Case { name: "follow-mysql-small", run: follow::mysql::small },
    Case { name: "follow-mysql-big", run: follow::mysql::big },
    Case { name: "follow-mysql-lag", run: follow::mysql_lag },
];

/// Rows of many megabytes, a few at a time.
fn wide_rows<'a>(
    servers: &'a Servers,
    source: String,
    target: String,
    table: &'a str,
    parallel: &'a str,
    prepare: impl Fn() + 'a,
) -> Candidate<'a> {
    Candidate {
        name: if parallel == "1" { "syncline, one connection a side" } else { "syncline, four" },
        is_pipe: false,
        prepare: Box::new(prepare),
        command: Box::new(move || {
            let stream = ["--stream", table, "--parallel", parallel, "--chunk-rows", "3"];
            servers.syncline(&[&["copy", source.as_str(), target.as_str()], &stream[..]].concat())
        }),
    }
}
