//! Following: changes that wait in the log are drained, and how late they arrive when they do not wait.

mod binlog;
mod bulk;
mod lag;
pub(super) mod mysql;
mod workload;

use std::cell::Cell;

use self::workload::{BLACKHOLE, Work, Workload};
use crate::{
    measure::{Candidate, compare, setting},
    servers::{DATABASE, End, Servers},
};

/// Changes in a small transaction.
const TOGETHER: u64 = 100;
const TABLES: u64 = 10;
/// Rows that a table has before, of which an update meets any and a deletion those behind.
const UPDATED_ROWS: u64 = 15_000;
/// In each of the two tables of a small transaction.
const INSERTS: u64 = 30;
const UPDATES: u64 = 15;
const DELETES: u64 = 5;

fn transactions() -> u64 {
    setting("SYNCLINE_BENCH_CHANGES", 500_000) / TOGETHER
}

/// PostgreSQL's own subscription and Syncline, into PostgreSQL.
fn into_postgres(workload: &Workload<'_>, at_target: &Cell<bool>) {
    let servers = workload.servers;
    let own = Candidate {
        name: "PostgreSQL's own subscription",
        is_pipe: true,
        prepare: Box::new(|| {
            at_target.set(true);
            workload.subscribe();
        }),
        command: Box::new(|| workload.await_subscription()),
    };
    let syncline = Candidate {
        name: "syncline",
        is_pipe: false,
        prepare: Box::new(|| {
            at_target.set(true);
            workload.unsubscribe();
            workload.reset(&workload.target_url());
        }),
        command: Box::new(|| workload.follow(&workload.target_url())),
    };
    let case = format!("PG -> PG {}", workload.title);
    compare(&case, workload.changes(), workload.bytes(), &[own, syncline], &|| {
        workload.arrived(at_target.get())
    });
    workload.unsubscribe();
    servers.postgres(End::Target).psql(DATABASE, "CHECKPOINT");
}

/// What only reads the log: PostgreSQL's own tool into a file, and Syncline into nothing.
fn into_nothing(workload: &Workload<'_>, at_target: &Cell<bool>) {
    let own = Candidate {
        name: "pg_recvlogical into a file",
        is_pipe: false,
        prepare: Box::new(|| {
            at_target.set(false);
            workload.reset_slot("received");
        }),
        command: Box::new(|| workload.receive()),
    };
    let syncline = Candidate {
        name: "syncline",
        is_pipe: false,
        prepare: Box::new(|| {
            at_target.set(false);
            workload.reset(BLACKHOLE);
        }),
        command: Box::new(|| workload.follow(BLACKHOLE)),
    };
    let case = format!("PG -> blackhole {}", workload.title);
    compare(&case, workload.changes(), workload.bytes(), &[own, syncline], &|| {
        workload.arrived(at_target.get())
    });
}

fn drain(servers: &Servers, database: &'static str, title: &str, work: Work) {
    let workload = Workload::prepare(servers, database, title, work);
    let at_target = Cell::new(false);
    into_nothing(&workload, &at_target);
    into_postgres(&workload, &at_target);
    workload.drop();
}

/// Many small transactions.
pub(super) fn small(servers: &Servers) {
    let count = transactions();
    let title = format!("{} changes in {count} transactions", count * TOGETHER);
    drain(servers, "small", &title, Work::Transactions { count, is_one: false });
}

/// The same in one transaction.
pub(super) fn big(servers: &Servers) {
    let count = transactions();
    let title = format!("{} changes in one transaction", count * TOGETHER);
    drain(servers, "big", &title, Work::Transactions { count, is_one: true });
}

/// Memory, not speed: one transaction of millions of rows.
pub(super) fn memory(servers: &Servers) {
    let rows = setting("SYNCLINE_BENCH_ROWS", 1_000_000) * 5;
    drain(servers, "memory", &format!("{rows} rows in one transaction"), Work::Rows(rows));
}

pub(super) use lag::{lag, mysql_lag};
