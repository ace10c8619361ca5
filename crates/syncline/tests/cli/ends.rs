//! Two ends of any kind, for what has to come out the same whichever stand on either side.

use syncline_testkit::process::Program;

use crate::desk::{Desk, Ran};
pub(crate) use crate::end::End;

/// A source, a target, and where the program is run between them.
pub(crate) struct Ends {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) desk: Desk,
    /// Such as `postgres -> sqlite`, for messages.
    pub(crate) what: String,
}

/// All pairs of PostgreSQL and SQLite.
pub(crate) const ALL: [(&str, &str); 4] =
    [("postgres", "postgres"), ("postgres", "sqlite"), ("sqlite", "postgres"), ("sqlite", "sqlite")];

/// The pairs with SQLite at one end at least.
pub(crate) const WITH_SQLITE: [(&str, &str); 3] =
    [("postgres", "sqlite"), ("sqlite", "postgres"), ("sqlite", "sqlite")];

/// Those, and pairs in which MySQL and MariaDB each are a source and a target.
pub(crate) const WITH_MYSQL: [(&str, &str); 9] = [
    ("postgres", "postgres"),
    ("postgres", "sqlite"),
    ("sqlite", "postgres"),
    ("sqlite", "sqlite"),
    ("mysql", "postgres"),
    ("postgres", "mysql"),
    ("sqlite", "mysql"),
    ("mysql", "mariadb"),
    ("mariadb", "mysql"),
];

/// Pairs in which each kind of database is a target once, for what the source has no part in.
pub(crate) const EACH_TARGET: [(&str, &str); 4] =
    [("sqlite", "postgres"), ("postgres", "sqlite"), ("postgres", "mysql"), ("mysql", "mariadb")];

/// Those pairs in which a text can be in a key: MySQL's have a length, and SQLite's have none.
pub(crate) fn with_text_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    WITH_MYSQL.into_iter().filter(|kinds| *kinds != ("sqlite", "mysql"))
}

/// Pairs with files of each format at one end, and each kind of database at the other.
pub(crate) const WITH_FILES: [(&str, &str); 6] = [
    ("sqlite", "csv"),
    ("mysql", "parquet"),
    ("postgres", "jsonl"),
    ("csv", "mariadb"),
    ("parquet", "postgres"),
    ("jsonl", "csv"),
];

impl Ends {
    /// Fresh ones; `None` if the tester does without a server that is needed.
    pub(crate) fn new((from, to): (&str, &str)) -> Option<Self> {
        let desk = Desk::new();
        let (source, target) = (End::fresh(from, &desk, "source")?, End::fresh(to, &desk, "target")?);
        Some(Ends { from: source, to: target, desk, what: format!("{from} -> {to}") })
    }

    /// Adds options to the target's URL, which is one of files.
    pub(crate) fn write_with(&mut self, options: &str) {
        match &mut self.to {
            End::Files(files) => files.query += options,
            _ => panic!("{} has no options here", self.what),
        }
    }

    /// The type of a text in a key at both ends.
    pub(crate) fn key_text(&self) -> &'static str {
        if self.from.is_mysql() || self.to.is_mysql() { "varchar(20)" } else { "text" }
    }

    /// The arguments of a command that takes FROM TO.
    pub(crate) fn command(&self, command: &str, options: &[&str]) -> Vec<String> {
        let ends = [command.to_owned(), self.from.url(), self.to.url()];
        ends.into_iter().chain(options.iter().map(|option| (*option).to_owned())).collect()
    }

    /// Copies, to be looked at.
    pub(crate) fn run(&self, options: &[&str]) -> Ran {
        self.desk.run(&self.command("copy", options))
    }

    /// A copy that is yet to be started.
    pub(crate) fn copy(&self, options: &[&str]) -> Program {
        self.desk.syncline(&self.command("copy", options)).args(["--output", "json"])
    }

    /// Fails unless a query gives the same rows at both ends, and nothing of ours is left over.
    pub(crate) fn same(&self, query: &str) {
        let (source, target) = (self.from.sql(query), self.to.sql(query));
        if source != target {
            let differ = source.lines().zip(target.lines()).find(|(a, b)| a != b);
            panic!(
                "{}: `{query}` gives {} rows here and {} there; the first that differ: {differ:?}",
                self.what,
                source.lines().count(),
                target.lines().count()
            );
        }
        self.to.nothing_left();
    }
}
