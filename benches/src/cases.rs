//! What is measured.

use std::path::{Path, PathBuf};

use syncline_testkit::{
    process::Program,
    servers::postgres::{Options, Postgres},
};

use crate::measure::{Candidate, compare, setting};

/// A case by its name.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Servers),
}

pub(crate) static CASES: &[Case] = &[
    Case { name: "orders", run: orders },
    Case { name: "narrow", run: narrow },
    Case { name: "sqlite", run: from_sqlite },
    Case { name: "generate", run: from_generate },
    Case { name: "blackhole", run: into_blackhole },
    Case { name: "wide", run: wide },
];

/// Two private servers, and a folder for files.
pub(crate) struct Servers {
    source: Postgres,
    target: Postgres,
    folder: PathBuf,
}

const DATABASE: &str = "postgres";

impl Servers {
    pub(crate) fn start() -> Self {
        let start = || {
            Postgres::start(
                Options::new()
                    .durable()
                    .setting("shared_buffers", "256MB")
                    .setting("max_wal_size", "8GB")
                    .setting("checkpoint_timeout", "1h")
                    .setting("autovacuum", "off"),
            )
        };
        let folder = std::env::temp_dir().join(format!("syncline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for files can be made");
        Servers { source: start(), target: start(), folder }
    }

    fn orders(&self) -> u64 {
        let rows = setting("SYNCLINE_BENCH_ROWS", 1_000_000);
        self.make("orders", rows);
        rows
    }

    fn narrow_rows(&self) -> u64 {
        let rows = setting("SYNCLINE_BENCH_ROWS", 1_000_000) * 5;
        self.make("narrow", rows);
        rows
    }

    /// Makes a table of made-up rows at the source, once.
    fn make(&self, table: &str, rows: u64) {
        let exists = self.source.psql(DATABASE, &format!("SELECT to_regclass('{table}') IS NOT NULL"));
        if exists.trim() != "t" {
            self.syncline(&["copy", &format!("generate:{table}?rows={rows}"), &self.source.url(DATABASE)])
                .run()
                .expect_code(0);
            self.source.psql(DATABASE, &format!("VACUUM ANALYZE {table}"));
        }
    }

    fn bytes(&self, table: &str) -> u64 {
        let text = self.source.psql(DATABASE, &format!("SELECT pg_table_size('{table}')"));
        text.trim().parse().expect("a size is a number")
    }

    /// The released binary, with a state directory that is new each time.
    fn syncline(&self, arguments: &[&str]) -> Program {
        let state = self.folder.join("state");
        let _ = std::fs::remove_dir_all(&state);
        Program::new(binary()).args(arguments).arg("--state").arg(state).dir(&self.folder)
    }

    /// An empty table like the source's, with its key, under the same name.
    fn empty_like(&self, table: &str) {
        self.drop(table);
        let columns = self.source.psql(
            DATABASE,
            &format!(
                "SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY attnum)
                 FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
            ),
        );
        self.target.psql(DATABASE, &format!("CREATE TABLE {table} ({}, PRIMARY KEY (id))", columns.trim()));
    }

    /// The rows that a table has at the target.
    fn arrived(&self, table: &str) -> u64 {
        let text = self.target.psql(DATABASE, &format!("SELECT count(*) FROM {table}"));
        text.trim().parse().expect("a count is a number")
    }

    fn drop(&self, table: &str) {
        self.target.psql(DATABASE, &format!("DROP TABLE IF EXISTS {table}"));
        self.target.psql(DATABASE, "CHECKPOINT");
    }

    fn psql(&self, server: &Postgres, sql: &str) -> String {
        format!("psql -X -q '{}' -c \"{sql}\"", server.url(DATABASE))
    }

    /// `COPY binary | COPY binary`, the databases' own road.
    fn pipe(&self, table: &str) -> Program {
        let out = self.psql(&self.source, &format!("copy {table} to stdout (format binary)"));
        let into = self.psql(&self.target, &format!("copy {table} from stdin (format binary)"));
        Program::new("bash").args(["-c", &format!("set -o pipefail; {out} | {into} && times")])
    }

    fn copy(&self, from: &str, to: &str, table: &str, parallel: &str) -> Program {
        self.syncline(&["copy", from, to, "--stream", table, "--parallel", parallel])
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The binary that `cargo x bench` has built.
fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("release/syncline")
}

fn between_servers(servers: &Servers, table: &str, rows: u64) {
    let (source, target) = (servers.source.url(DATABASE), servers.target.url(DATABASE));
    let candidate = |name, parallel: &'static str| Candidate {
        name,
        is_pipe: false,
        prepare: Box::new(move || servers.drop(table)),
        command: {
            let (source, target) = (source.clone(), target.clone());
            Box::new(move || servers.copy(&source, &target, table, parallel))
        },
    };
    compare(
        &format!("PG -> PG {table}"),
        rows,
        servers.bytes(table),
        &[
            Candidate {
                name: "COPY binary pipe",
                is_pipe: true,
                prepare: Box::new(|| servers.empty_like(table)),
                command: Box::new(|| servers.pipe(table)),
            },
            candidate("syncline, one connection a side", "1"),
            candidate("syncline, two", "2"),
            candidate("syncline, four (default)", "4"),
        ],
        &|| servers.arrived(table),
    );
}

fn orders(servers: &Servers) {
    between_servers(servers, "orders", servers.orders());
}

fn narrow(servers: &Servers) {
    between_servers(servers, "narrow", servers.narrow_rows());
}

/// The pipe between the servers is the baseline here too: it is what the target can take.
fn pipe_of_orders<'a>(servers: &'a Servers) -> Candidate<'a> {
    Candidate {
        name: "COPY binary pipe from PostgreSQL",
        is_pipe: true,
        prepare: Box::new(|| servers.empty_like("orders")),
        command: Box::new(|| servers.pipe("orders")),
    }
}

fn into_target<'a>(
    servers: &'a Servers,
    name: &'a str,
    from: String,
    parallel: &'static str,
) -> Candidate<'a> {
    Candidate {
        name,
        is_pipe: false,
        prepare: Box::new(|| servers.drop("orders")),
        command: Box::new(move || servers.copy(&from, &servers.target.url(DATABASE), "orders", parallel)),
    }
}

fn from_sqlite(servers: &Servers) {
    let rows = servers.orders();
    let file = format!("sqlite:{}", servers.folder.join("orders.db").display());
    servers.syncline(&["copy", &format!("generate:orders?rows={rows}"), &file]).run().expect_code(0);
    let candidates = [
        pipe_of_orders(servers),
        into_target(servers, "syncline, one connection a side", file.clone(), "1"),
        into_target(servers, "syncline, four (default)", file, "4"),
    ];
    compare("SQLite -> PG orders", rows, servers.bytes("orders"), &candidates, &|| servers.arrived("orders"));
}

fn from_generate(servers: &Servers) {
    let rows = servers.orders();
    let from = format!("generate:orders?rows={rows}");
    let candidates = [
        pipe_of_orders(servers),
        into_target(servers, "syncline, one connection a side", from.clone(), "1"),
        into_target(servers, "syncline, four (default)", from, "4"),
    ];
    compare("generate -> PG orders", rows, servers.bytes("orders"), &candidates, &|| {
        servers.arrived("orders")
    });
}

fn into_blackhole(servers: &Servers) {
    let rows = servers.orders();
    let source = servers.source.url(DATABASE);
    let read = |name, parallel: &'static str| Candidate {
        name,
        is_pipe: false,
        prepare: Box::new(|| {}),
        command: {
            let source = source.clone();
            Box::new(move || servers.copy(&source, "blackhole:", "orders", parallel))
        },
    };
    let candidates = [
        Candidate {
            name: "COPY binary to /dev/null",
            is_pipe: true,
            prepare: Box::new(|| {}),
            command: Box::new(|| {
                let out = servers.psql(&servers.source, "copy orders to stdout (format binary)");
                Program::new("bash").args(["-c", &format!("{out} >/dev/null && times")])
            }),
        },
        read("syncline, one connection", "1"),
        read("syncline, four (default)", "4"),
    ];
    compare("PG -> blackhole orders", rows, servers.bytes("orders"), &candidates, &|| rows);
}

/// Memory, not speed: rows of 16 MiB in parallel, and of 64 MiB.
fn wide(servers: &Servers) {
    for (table, mebibytes, rows, parallel) in [("wide16", 16, 24, "4"), ("wide64", 64, 4, "1")] {
        servers.source.psql(
            DATABASE,
            &format!(
                "CREATE TABLE IF NOT EXISTS {table} AS SELECT g AS id, repeat(md5(g::text), {mebibytes} * 32768) AS text,
                 decode(repeat(md5((-g)::text), {mebibytes} * 16384), 'hex') AS bytes FROM generate_series(1, {rows}) g;
                 ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_pkey;
                 ALTER TABLE {table} ADD PRIMARY KEY (id)"
            ),
        );
        let (source, target) = (servers.source.url(DATABASE), servers.target.url(DATABASE));
        let candidates = [Candidate {
            name: if parallel == "1" { "syncline, one connection a side" } else { "syncline, four" },
            is_pipe: false,
            prepare: Box::new(|| servers.drop(table)),
            command: Box::new(move || {
                servers.syncline(&[
                    "copy",
                    &source,
                    &target,
                    "--stream",
                    table,
                    "--parallel",
                    parallel,
                    "--chunk-rows",
                    "3",
                ])
            }),
        }];
        let bytes = rows * mebibytes * 3 / 2 * (1 << 20);
        compare(
            &format!("PG -> PG rows of {mebibytes} MiB and half as much bytea"),
            rows,
            bytes,
            &candidates,
            &|| servers.arrived(table),
        );
    }
}
