//! The private servers that cases copy between, each started when it is first asked for.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use syncline_testkit::{
    process::Program,
    servers::{
        mysql::{self, Mysql, Product},
        postgres::{self, Postgres},
    },
};

use crate::measure::setting;

/// Two servers of each kind, one more that is followed, and a folder for files.
pub(crate) struct Servers {
    postgres: [OnceLock<Postgres>; 3],
    mysql: [OnceLock<Mysql>; 3],
    folder: PathBuf,
}

/// The database of PostgreSQL, and of MySQL.
pub(crate) const DATABASE: &str = "postgres";
pub(crate) const SHOP: &str = "shop";

/// Which of the servers of a kind.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Source = 0,
    Target = 1,
    /// A source that can be followed.
    Logged = 2,
}

impl Servers {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("syncline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for files can be made");
        Servers { postgres: Default::default(), mysql: Default::default(), folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn postgres(&self, end: End) -> &Postgres {
        self.postgres[end as usize].get_or_init(|| {
            let options = postgres::Options::new()
                .durable()
                .setting("shared_buffers", "256MB")
                .setting("max_wal_size", "8GB")
                .setting("checkpoint_timeout", "1h")
                .setting("autovacuum", "off");
            Postgres::start(match end {
                // When a transaction was committed there is when its lag begins.
                End::Logged => options.logical().setting("track_commit_timestamp", "on"),
                End::Source | End::Target => options,
            })
        })
    }

    /// MariaDB, or MySQL if `SYNCLINE_BENCH_MYSQL=mysql` says so.
    pub(crate) fn mysql(&self, end: End) -> &Mysql {
        self.mysql[end as usize].get_or_init(|| {
            let product = match std::env::var("SYNCLINE_BENCH_MYSQL").as_deref() {
                Ok("mysql") => Product::Mysql,
                _ => Product::Mariadb,
            };
            let mut options = match end {
                End::Logged => mysql::Options::new().binlog(),
                End::Source | End::Target => mysql::Options::new(),
            };
            options = options
                .durable()
                .setting("innodb-buffer-pool-size", "512M")
                .setting("max-allowed-packet", "256M");
            // The log must not fill up in the middle of a round: that would measure the disk.
            options = match product {
                Product::Mysql => options.setting("innodb-redo-log-capacity", "4G"),
                Product::Mariadb => options.setting("innodb-log-file-size", "2G"),
            };
            let server = Mysql::start(product, options);
            server.sql("mysql", &format!("CREATE DATABASE {SHOP}"));
            server
        })
    }

    /// Makes a table of made-up rows at PostgreSQL's source, once; returns how many it has.
    pub(crate) fn in_postgres(&self, table: &str) -> u64 {
        let rows = rows_of(table);
        let source = self.postgres(End::Source);
        let exists = source.psql(DATABASE, &format!("SELECT to_regclass('{table}') IS NOT NULL"));
        if exists.trim() != "t" {
            self.fill(table, rows, &source.url(DATABASE));
            source.psql(DATABASE, &format!("VACUUM ANALYZE {table}"));
        }
        rows
    }

    /// Makes a table of made-up rows at MySQL's source, once; returns how many it has.
    pub(crate) fn in_mysql(&self, table: &str) -> u64 {
        let rows = rows_of(table);
        let source = self.mysql(End::Source);
        if source.sql(SHOP, &format!("SHOW TABLES LIKE '{table}'")).trim().is_empty() {
            self.fill(table, rows, &source.url(SHOP));
            source.sql(SHOP, &format!("ANALYZE TABLE {table}"));
        }
        rows
    }

    fn fill(&self, table: &str, rows: u64, to: &str) {
        self.syncline(&["copy", &format!("generate:{table}?rows={rows}"), to]).run().expect_code(0);
    }

    /// The released binary, with a state directory that is new each time.
    pub(crate) fn syncline(&self, arguments: &[&str]) -> Program {
        let state = self.folder.join("state");
        let _ = std::fs::remove_dir_all(&state);
        self.syncline_in("state", arguments)
    }

    /// The released binary, with a state directory that stays.
    pub(crate) fn syncline_in(&self, state: &str, arguments: &[&str]) -> Program {
        let state = self.folder.join(state);
        Program::new(binary()).args(arguments).arg("--state").arg(state).dir(&self.folder)
    }

    pub(crate) fn copy(&self, from: &str, to: &str, table: &str, parallel: &str) -> Program {
        self.syncline(&["copy", from, to, "--stream", table, "--parallel", parallel])
    }

    /// An empty table like that of a source in PostgreSQL, with its key, under the same name.
    pub(crate) fn empty_like(&self, table: &str) {
        self.drop(table);
        let columns = self.postgres(End::Source).psql(
            DATABASE,
            &format!(
                "SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY attnum)
                 FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
            ),
        );
        let create = format!("CREATE TABLE {table} ({}, PRIMARY KEY (id))", columns.trim());
        self.postgres(End::Target).psql(DATABASE, &create);
    }

    /// The rows that a table has at PostgreSQL's target.
    pub(crate) fn arrived(&self, table: &str) -> u64 {
        let text = self.postgres(End::Target).psql(DATABASE, &format!("SELECT count(*) FROM {table}"));
        text.trim().parse().expect("a count is a number")
    }

    pub(crate) fn drop(&self, table: &str) {
        let target = self.postgres(End::Target);
        target.psql(DATABASE, &format!("DROP TABLE IF EXISTS {table}"));
        target.psql(DATABASE, "CHECKPOINT");
    }

    /// A command of `psql` for a pipe.
    pub(crate) fn psql(&self, end: End, sql: &str) -> String {
        format!("psql -X -q '{}' -c \"{sql}\"", self.postgres(end).url(DATABASE))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn rows_of(table: &str) -> u64 {
    let rows = setting("SYNCLINE_BENCH_ROWS", 1_000_000);
    if table == "narrow" { rows * 5 } else { rows }
}

/// A pipe of commands; what its processes took is printed last.
pub(crate) fn pipe(commands: &str) -> Program {
    Program::new("bash").args(["-c", &format!("set -o pipefail; {commands} && times")])
}

/// The binary that `cargo x bench` has built.
fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("release/syncline")
}
