//! From MySQL or MariaDB to the same, and to PostgreSQL, against the command line clients in a pipe.

use super::postgres::into_target;
use crate::{
    measure::{Candidate, compare},
    servers::{End, SHOP, Servers, pipe},
};

/// A column as the source's catalogue has it.
struct Column {
    name: String,
    nullable: bool,
    binary: bool,
}

fn columns(servers: &Servers, table: &str) -> Vec<Column> {
    let sql = format!(
        "SELECT column_name, is_nullable, data_type FROM information_schema.columns
         WHERE table_schema = '{SHOP}' AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let rows = servers.mysql(End::Source).sql("mysql", &sql);
    rows.lines()
        .map(|line| {
            let mut cells = line.split('\t');
            let mut cell = || cells.next().unwrap_or_default().to_owned();
            let (name, nullable, kind) = (cell(), cell(), cell());
            Column {
                name,
                nullable: nullable == "YES",
                binary: kind.contains("binary") || kind.contains("blob"),
            }
        })
        .collect()
}

pub(super) fn bytes(servers: &Servers, table: &str) -> u64 {
    let sql = format!(
        "SELECT data_length FROM information_schema.tables WHERE table_schema = '{SHOP}' AND table_name = '{table}'"
    );
    servers.mysql(End::Source).sql("mysql", &sql).trim().parse().expect("a size is a number")
}

/// The command line client that runs one statement.
fn client(servers: &Servers, end: End, options: &str, sql: &str) -> String {
    let socket = servers.mysql(end).socket();
    let socket = socket.display();
    format!(
        "mariadb --no-defaults -S {socket} -uroot --default-character-set=utf8mb4 {options} -e \"{sql}\" {SHOP}"
    )
}

/// `mariadb --quick -B`, writing bytes as hexadecimal digits after `prefix`.
pub(super) fn reader(servers: &Servers, table: &str, prefix: &str, condition: &str) -> String {
    let list: Vec<String> = columns(servers, table)
        .into_iter()
        .map(|Column { name, binary, .. }| match binary {
            true if prefix.is_empty() => format!("hex({name})"),
            true => format!("concat({prefix}, hex({name}))"),
            false => name,
        })
        .collect();
    let sql = format!("select {} from {table} {condition}", list.join(", "));
    client(servers, End::Source, "--quick -B -N", &sql)
}

/// The reader's prefix for PostgreSQL's bytea.
pub(super) const BYTEA: &str = "char(92), 'x'";

/// `LOAD DATA LOCAL` from standard input; the reader has written NULL as the word.
fn loader(servers: &Servers, table: &str) -> String {
    let columns = columns(servers, table);
    let (mut list, mut set) = (vec![], vec![]);
    for Column { name, nullable, binary } in &columns {
        if !nullable && !binary {
            list.push(name.clone());
            continue;
        }
        list.push(format!("@{name}"));
        let value = if *nullable { format!("nullif(@{name}, 'NULL')") } else { format!("@{name}") };
        set.push(if *binary { format!("{name} = unhex({value})") } else { format!("{name} = {value}") });
    }
    let set = if set.is_empty() { String::new() } else { format!(" set {}", set.join(", ")) };
    let sql = format!(
        "load data local infile '/dev/stdin' into table {table} character set utf8mb4 ({}){set}",
        list.join(", ")
    );
    client(servers, End::Target, "--local-infile=1", &sql)
}

fn drop(servers: &Servers, table: &str) {
    servers.mysql(End::Target).sql(SHOP, &format!("DROP TABLE IF EXISTS {table}"));
}

/// An empty table like the source's, with its key.
fn empty_like(servers: &Servers, table: &str) {
    drop(servers, table);
    let created = servers.mysql(End::Source).sql(
        "mysql",
        &format!(
            "SELECT GROUP_CONCAT(CONCAT('`', column_name, '` ', column_type, IF(is_nullable = 'NO', ' NOT NULL', ''))
             ORDER BY ordinal_position) FROM information_schema.columns
             WHERE table_schema = '{SHOP}' AND table_name = '{table}'"
        ),
    );
    let create =
        format!("CREATE TABLE {table} ({}, PRIMARY KEY (id)) DEFAULT CHARSET utf8mb4", created.trim());
    servers.mysql(End::Target).sql(SHOP, &create);
}

fn arrived(servers: &Servers, table: &str) -> u64 {
    let text = servers.mysql(End::Target).sql(SHOP, &format!("SELECT count(*) FROM {table}"));
    text.trim().parse().expect("a count is a number")
}

/// The servers' name in a case: `MariaDB` or `MySQL`.
pub(super) fn title(servers: &Servers) -> &'static str {
    servers.mysql(End::Source).product().title()
}

fn between_servers(servers: &Servers, table: &str) {
    let rows = servers.in_mysql(table);
    let candidate = |name, parallel: &'static str| Candidate {
        name,
        is_pipe: false,
        prepare: Box::new(|| drop(servers, table)),
        command: Box::new(move || {
            let (from, to) = (servers.mysql(End::Source).url(SHOP), servers.mysql(End::Target).url(SHOP));
            servers.copy(&from, &to, table, parallel)
        }),
    };
    compare(
        &format!("{0} -> {0} {table}", title(servers)),
        rows,
        bytes(servers, table),
        &[
            Candidate {
                name: "mariadb --quick -B, LOAD DATA LOCAL",
                is_pipe: true,
                prepare: Box::new(|| empty_like(servers, table)),
                command: Box::new(|| {
                    let (out, into) = (reader(servers, table, "", ""), loader(servers, table));
                    pipe(&format!("{out} | {into}"))
                }),
            },
            candidate("syncline, one connection a side", "1"),
            candidate("syncline, two", "2"),
            candidate("syncline, four (default)", "4"),
        ],
        &|| arrived(servers, table),
    );
}

pub(super) fn orders(servers: &Servers) {
    between_servers(servers, "orders");
}

pub(super) fn narrow(servers: &Servers) {
    between_servers(servers, "narrow");
}

fn into_postgres(servers: &Servers, table: &str) {
    let rows = servers.in_mysql(table);
    // The pipe's target table is like the one that PostgreSQL's own cases have.
    servers.in_postgres(table);
    let source = servers.mysql(End::Source).url(SHOP);
    compare(
        &format!("{} -> PG {table}", title(servers)),
        rows,
        bytes(servers, table),
        &[
            Candidate {
                name: "mariadb --quick -B, COPY",
                is_pipe: true,
                prepare: Box::new(|| servers.empty_like(table)),
                command: Box::new(|| {
                    let out = reader(servers, table, BYTEA, "");
                    let into = servers.psql(End::Target, &format!("copy {table} from stdin (null 'NULL')"));
                    pipe(&format!("{out} | {into}"))
                }),
            },
            into_target(servers, "syncline, one connection a side", &source, table, "1"),
            into_target(servers, "syncline, two", &source, table, "2"),
            into_target(servers, "syncline, four (default)", &source, table, "4"),
        ],
        &|| servers.arrived(table),
    );
}

pub(super) fn orders_into_postgres(servers: &Servers) {
    into_postgres(servers, "orders");
}

pub(super) fn narrow_into_postgres(servers: &Servers) {
    into_postgres(servers, "narrow");
}

/// Memory, not speed: rows of 16 MiB in parallel, and of 64 MiB.
pub(super) fn wide(servers: &Servers) {
    for (table, mebibytes, rows, parallel) in [("wide16", 16, 24, "4"), ("wide64", 64, 4, "1")] {
        let source = servers.mysql(End::Source);
        source.sql(
            SHOP,
            &format!(
                "CREATE TABLE IF NOT EXISTS {table} (id INT PRIMARY KEY, text LONGTEXT NOT NULL, bytes LONGBLOB NOT NULL)
                 DEFAULT CHARSET utf8mb4"
            ),
        );
        for id in 1..=rows {
            source.sql(
                SHOP,
                &format!(
                    "REPLACE INTO {table} VALUES ({id}, REPEAT(MD5({id}), {mebibytes} * 32768),
                     UNHEX(REPEAT(MD5(-{id}), {mebibytes} * 16384)))"
                ),
            );
        }
        let (from, to) = (source.url(SHOP), servers.mysql(End::Target).url(SHOP));
        let candidates = [super::wide_rows(servers, from, to, table, parallel, move || drop(servers, table))];
        let bytes = rows * mebibytes * 3 / 2 * (1 << 20);
        compare(
            &format!("{0} -> {0} rows of {mebibytes} MiB and half as much blob", title(servers)),
            rows,
            bytes,
            &candidates,
            &|| arrived(servers, table),
        );
    }
}
