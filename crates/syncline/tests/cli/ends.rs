//! Two ends of any kind, for what has to come out the same whichever stand on either side.

use syncline_testkit::{
    process::Program,
    servers::{
        left_out,
        postgres::{Database, shared},
    },
};

use crate::{
    desk::{Desk, Ran},
    lite::Lite,
    tables,
};

/// A database of one kind or the other.
pub(crate) enum End {
    Postgres(Database),
    Sqlite(Lite),
}

impl End {
    /// A fresh one; SQLite's file is in the desk's folder.
    fn fresh(kind: &str, desk: &Desk, name: &str) -> Self {
        match kind {
            "postgres" => End::Postgres(shared().database(&shared().create_database())),
            _ => End::Sqlite(Lite::at(desk.path().join(name))),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            End::Postgres(database) => database.url().to_owned(),
            End::Sqlite(file) => file.url(),
        }
    }

    /// Runs SQL that both kinds understand. Rows come one a line, columns parted by `|`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        match self {
            End::Postgres(database) => database.sql(sql),
            End::Sqlite(file) => file.sql(sql),
        }
    }

    pub(crate) fn nothing_left(&self) {
        match self {
            End::Postgres(database) => tables::nothing_left(database),
            End::Sqlite(file) => file.nothing_left(),
        }
    }

    /// Whether there is such a table.
    pub(crate) fn has(&self, table: &str) -> bool {
        let catalog = match self {
            End::Postgres(_) => "pg_class WHERE relkind = 'r' AND relname",
            End::Sqlite(_) => "sqlite_schema WHERE name",
        };
        self.sql(&format!("SELECT count(*) FROM {catalog} = '{table}'")) == "1"
    }
}

/// A source, a target, and where the program is run between them.
pub(crate) struct Ends {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) desk: Desk,
    /// Such as `postgres -> sqlite`, for messages.
    pub(crate) what: String,
}

/// All pairs.
pub(crate) const ALL: [(&str, &str); 4] =
    [("postgres", "postgres"), ("postgres", "sqlite"), ("sqlite", "postgres"), ("sqlite", "sqlite")];

/// The pairs with SQLite at one end at least.
pub(crate) const WITH_SQLITE: [(&str, &str); 3] =
    [("postgres", "sqlite"), ("sqlite", "postgres"), ("sqlite", "sqlite")];

impl Ends {
    /// Fresh ones; `None` if the tester does without PostgreSQL and it is needed.
    pub(crate) fn new((from, to): (&str, &str)) -> Option<Self> {
        if [from, to].contains(&"postgres") && left_out("postgres") {
            return None;
        }
        let desk = Desk::new();
        let (source, target) = (End::fresh(from, &desk, "source.db"), End::fresh(to, &desk, "target.db"));
        Some(Ends { from: source, to: target, desk, what: format!("{from} -> {to}") })
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
