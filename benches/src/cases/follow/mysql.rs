//! From MySQL's log, against what only reads it, and against what the targets take at all.

use super::{
    binlog::{Binlog, To},
    bulk::Bulk,
    transactions,
};
use crate::{
    measure::{Candidate, compare},
    servers::Servers,
};

/// MariaDB's own tool into a file, and Syncline into nothing.
fn into_nothing(workload: &Binlog<'_>) {
    let own = Candidate {
        name: "mariadb-binlog into a file",
        is_pipe: false,
        prepare: Box::new(|| {}),
        command: Box::new(|| workload.receive()),
    };
    against(workload, To::Nothing, "blackhole", own);
}

/// The same rows by the target's own client, and Syncline.
fn into(workload: &Binlog<'_>, bulk: &Bulk, to: To, target: &str) {
    let own = Candidate {
        name: "the same rows in bulk, by its own client",
        is_pipe: true,
        prepare: Box::new(move || workload.reset(to)),
        command: Box::new(move || bulk.send(workload, to)),
    };
    against(workload, to, target, own);
}

fn against(workload: &Binlog<'_>, to: To, target: &str, own: Candidate<'_>) {
    let syncline = Candidate {
        name: "syncline",
        is_pipe: false,
        prepare: Box::new(|| workload.reset(to)),
        command: Box::new(|| workload.follow(to)),
    };
    let case = format!("MariaDB -> {target} {}", workload.title);
    compare(&case, workload.changes(), workload.bytes(), &[own, syncline], &|| workload.arrived(to));
}

fn drain(servers: &Servers, name: &'static str, is_one: bool) {
    let workload = Binlog::prepare(servers, name, transactions(), is_one);
    let bulk = Bulk::prepare(&workload);
    into_nothing(&workload);
    into(&workload, &bulk, To::Mysql, "MariaDB");
    into(&workload, &bulk, To::Postgres, "PG");
    workload.drop();
}

/// Many small transactions.
pub(in crate::cases) fn small(servers: &Servers) {
    drain(servers, "mysmall", false);
}

/// The same in one transaction.
pub(in crate::cases) fn big(servers: &Servers) {
    drain(servers, "mybig", true);
}
