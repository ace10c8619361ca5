//! Between PostgreSQL servers, and into PostgreSQL from SQLite and from nothing.

use crate::{
    measure::{Candidate, compare},
    servers::{DATABASE, End, Servers, pipe},
};

fn bytes(servers: &Servers, table: &str) -> u64 {
    let text = servers.postgres(End::Source).psql(DATABASE, &format!("SELECT pg_table_size('{table}')"));
    text.trim().parse().expect("a size is a number")
}

/// `COPY binary | COPY binary`, the databases' own road.
fn copy_pipe<'a>(servers: &'a Servers, name: &'a str, table: &'a str) -> Candidate<'a> {
    Candidate {
        name,
        is_pipe: true,
        prepare: Box::new(move || servers.empty_like(table)),
        command: Box::new(move || {
            let out = servers.psql(End::Source, &format!("copy {table} to stdout (format binary)"));
            let into = servers.psql(End::Target, &format!("copy {table} from stdin (format binary)"));
            pipe(&format!("{out} | {into}"))
        }),
    }
}

/// Syncline, into PostgreSQL's target.
pub(super) fn into_target<'a>(
    servers: &'a Servers,
    name: &'a str,
    from: &str,
    table: &'a str,
    parallel: &'static str,
) -> Candidate<'a> {
    let from = from.to_owned();
    Candidate {
        name,
        is_pipe: false,
        prepare: Box::new(move || servers.drop(table)),
        command: Box::new(move || {
            servers.copy(&from, &servers.postgres(End::Target).url(DATABASE), table, parallel)
        }),
    }
}

fn between_servers(servers: &Servers, table: &str) {
    let rows = servers.in_postgres(table);
    let source = servers.postgres(End::Source).url(DATABASE);
    compare(
        &format!("PG -> PG {table}"),
        rows,
        bytes(servers, table),
        &[
            copy_pipe(servers, "COPY binary pipe", table),
            into_target(servers, "syncline, one connection a side", &source, table, "1"),
            into_target(servers, "syncline, two", &source, table, "2"),
            into_target(servers, "syncline, four (default)", &source, table, "4"),
        ],
        &|| servers.arrived(table),
    );
}

pub(super) fn orders(servers: &Servers) {
    between_servers(servers, "orders");
}

pub(super) fn narrow(servers: &Servers) {
    between_servers(servers, "narrow");
}

/// Orders from elsewhere. The pipe between the servers is the baseline here too: it is what the
/// target can take.
fn orders_from(servers: &Servers, case: &str, from: &str) {
    let rows = servers.in_postgres("orders");
    let candidates = [
        copy_pipe(servers, "COPY binary pipe from PostgreSQL", "orders"),
        into_target(servers, "syncline, one connection a side", from, "orders", "1"),
        into_target(servers, "syncline, four (default)", from, "orders", "4"),
    ];
    compare(case, rows, bytes(servers, "orders"), &candidates, &|| servers.arrived("orders"));
}

pub(super) fn from_sqlite(servers: &Servers) {
    let rows = servers.in_postgres("orders");
    let file = format!("sqlite:{}", servers.folder().join("orders.db").display());
    servers.syncline(&["copy", &format!("generate:orders?rows={rows}"), &file]).run().expect_code(0);
    orders_from(servers, "SQLite -> PG orders", &file);
}

pub(super) fn from_generate(servers: &Servers) {
    let rows = servers.in_postgres("orders");
    orders_from(servers, "generate -> PG orders", &format!("generate:orders?rows={rows}"));
}

pub(super) fn into_blackhole(servers: &Servers) {
    let rows = servers.in_postgres("orders");
    let source = servers.postgres(End::Source).url(DATABASE);
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
                let out = servers.psql(End::Source, "copy orders to stdout (format binary)");
                pipe(&format!("{out} >/dev/null"))
            }),
        },
        read("syncline, one connection", "1"),
        read("syncline, four (default)", "4"),
    ];
    compare("PG -> blackhole orders", rows, bytes(servers, "orders"), &candidates, &|| rows);
}

/// Memory, not speed: rows of 16 MiB in parallel, and of 64 MiB.
pub(super) fn wide(servers: &Servers) {
    for (table, mebibytes, rows, parallel) in [("wide16", 16, 24, "4"), ("wide64", 64, 4, "1")] {
        servers.postgres(End::Source).psql(
            DATABASE,
            &format!(
                "CREATE TABLE IF NOT EXISTS {table} AS SELECT g AS id, repeat(md5(g::text), {mebibytes} * 32768) AS text,
                 decode(repeat(md5((-g)::text), {mebibytes} * 16384), 'hex') AS bytes FROM generate_series(1, {rows}) g;
                 ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_pkey;
                 ALTER TABLE {table} ADD PRIMARY KEY (id)"
            ),
        );
        let source = servers.postgres(End::Source).url(DATABASE);
        let target = servers.postgres(End::Target).url(DATABASE);
        let candidates = [super::wide_rows(servers, source, target, table, parallel, move || {
            servers.drop(table);
        })];
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
