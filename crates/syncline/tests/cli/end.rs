//! One end of any kind: what a test does to its tables, and what it sees there.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use syncline_testkit::servers::{
    left_out,
    mysql::{self, Product},
    postgres::{self, shared},
};

use crate::{
    desk::Desk,
    file::Folder,
    lite::{Lite, ask},
    tables,
};

/// A database, or a folder of files.
pub(crate) enum End {
    Postgres(postgres::Database),
    Mysql(mysql::Database),
    Sqlite(Lite),
    Files(Files),
}

/// A folder that Syncline writes. To be changed and looked at it is a database on the side.
pub(crate) struct Files {
    folder: Folder,
    pub(crate) query: String,
    /// What the folder is written from, once SQL has changed it.
    written: Lite,
    /// How often the folder has been read.
    looks: AtomicU32,
    path: PathBuf,
}

/// Quotes and `||` as everybody else takes them, and times as they are stored.
const MYSQL_SESSION: &str =
    "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,PIPES_AS_CONCAT'), time_zone = '+00:00';\n";

impl End {
    /// A fresh one, with what is in files in the desk's folder; `None` if the tester does without its
    /// server.
    pub(crate) fn fresh(kind: &str, desk: &Desk, name: &str) -> Option<Self> {
        let product = Product::ALL.into_iter().find(|product| product.name() == kind);
        let path = desk.path().join(name);
        match (kind, product) {
            (_, Some(product)) => (!left_out(kind)).then(|| {
                let server = mysql::shared(product);
                End::Mysql(server.database(&server.create_database()))
            }),
            ("postgres", _) => {
                (!left_out(kind)).then(|| End::Postgres(shared().database(&shared().create_database())))
            }
            ("sqlite", _) => Some(End::Sqlite(Lite::at(path.with_extension("db")))),
            (format, _) => Some(End::Files(Files {
                folder: Folder::at(&path),
                query: format!("?format={format}"),
                written: Lite::at(path.with_extension("written.db")),
                looks: AtomicU32::new(0),
                path,
            })),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            End::Postgres(database) => database.url().to_owned(),
            End::Mysql(database) => database.url().to_owned(),
            End::Sqlite(file) => file.url(),
            End::Files(files) => files.folder.url(&files.query),
        }
    }

    pub(crate) fn is_mysql(&self) -> bool {
        matches!(self, End::Mysql(_))
    }

    /// Runs SQL that all kinds understand, but that times and texts of any size have other names in MySQL.
    /// Rows come one a line, columns parted by `|`, NULL as nothing.
    pub(crate) fn sql(&self, sql: &str) -> String {
        match self {
            End::Postgres(database) => database.sql(sql),
            End::Mysql(database) => {
                let sql = sql.replace(" timestamp", " datetime(6)").replace(" text", " longtext");
                let told = database.sql(&format!("{MYSQL_SESSION}{sql}"));
                told.lines().map(|line| line.split('\t').map(cell).collect::<Vec<_>>().join("|")).fold(
                    String::new(),
                    |all, line| if all.is_empty() { line } else { format!("{all}\n{line}") },
                )
            }
            End::Sqlite(file) => file.sql(sql),
            End::Files(files) => files.sql(sql),
        }
    }

    pub(crate) fn nothing_left(&self) {
        match self {
            End::Postgres(database) => tables::nothing_left(database),
            End::Mysql(database) => {
                let named = |pattern: &str| {
                    database.sql(&format!(
                        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()
                         AND table_name LIKE '{pattern}'"
                    ))
                };
                let staging = named("\\_syncline\\_stage%");
                assert!(staging.is_empty(), "staging is left: {staging}");
                if !named("\\_syncline\\_checkpoint").is_empty() {
                    let left = database.sql("SELECT count(*) FROM _syncline_checkpoint");
                    assert_eq!(left, "0", "progress is left");
                }
            }
            End::Sqlite(file) => file.nothing_left(),
            End::Files(files) => files.folder.nothing_left(),
        }
    }

    /// Whether there is such a table.
    pub(crate) fn has(&self, table: &str) -> bool {
        let catalog = match self {
            End::Postgres(_) => "pg_class WHERE relkind = 'r' AND relname",
            End::Mysql(_) => "information_schema.tables WHERE table_schema = DATABASE() AND table_name",
            End::Sqlite(_) => "sqlite_schema WHERE name",
            End::Files(files) => return files.folder.manifest(table).is_some(),
        };
        self.sql(&format!("SELECT count(*) FROM {catalog} = '{table}'")) == "1"
    }
}

/// A value as the other kinds show it: NULL as nothing, a time without zeros behind its point.
fn cell(text: &str) -> &str {
    let is_time = text.len() == "2024-01-01 00:00:00.000000".len() && text.as_bytes()[10] == b' ';
    match text {
        "NULL" => "",
        _ if is_time => text.trim_end_matches('0').trim_end_matches('.'),
        _ => text,
    }
}

impl Files {
    /// What is asked is asked of a copy of the folder; what is changed is exported anew.
    fn sql(&self, sql: &str) -> String {
        let aside = Desk::new();
        if sql.starts_with("SELECT") && !self.written.path().exists() {
            let look = self.looks.fetch_add(1, Ordering::Relaxed);
            let copy = Lite::at(self.path.with_extension(format!("look{look}.db")));
            aside.run(&["copy", &self.folder.url(""), &copy.url(), "--allow-empty"]).done();
            return copy.sql(sql);
        }
        let connection = self.written.open();
        let told = ask(&connection, sql).unwrap_or_else(|error| panic!("{error}\nof: {sql}"));
        if !sql.starts_with("SELECT") {
            let to = self.folder.url(&self.query);
            aside.run(&["copy", &self.written.url(), &to, "--write", "overwrite", "--allow-empty"]).done();
        }
        told
    }
}
