//! What a target takes: the same rows from files, by its own client, in parts of one transaction each. Of
//! each part only what it comes to is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
};

use syncline_testkit::process::Program;

use super::{
    TABLES,
    binlog::{Binlog, To, changed},
};
use crate::servers::{End, pipe};

/// Transactions of the source in a part.
const PART: u64 = 500;
/// Rows in a statement of many.
const STATEMENT_ROWS: usize = 1_000;

/// What a part comes to for one table.
#[derive(Default)]
struct Net {
    new: BTreeSet<u64>,
    updated: BTreeSet<u64>,
    gone: BTreeSet<u64>,
}

/// Scripts for the targets' clients.
pub(super) struct Bulk {
    mysql: PathBuf,
    postgres: PathBuf,
}

impl Bulk {
    pub(super) fn prepare(workload: &Binlog<'_>) -> Self {
        let folder = workload.servers.folder().join("bulk");
        fs::create_dir_all(&folder).expect("a folder for rows can be made");
        let rows: Vec<BTreeMap<u64, String>> = (0..TABLES).map(|table| workload.rows(table)).collect();
        let (mut mysql, mut postgres) = (String::new(), String::new());
        for table in 0..TABLES {
            let _ = writeln!(
                postgres,
                "CREATE TEMPORARY TABLE u{table} ON COMMIT DELETE ROWS AS SELECT * FROM t{table} LIMIT 0;"
            );
        }
        for part in 0..workload.transactions.div_ceil(PART) {
            mysql.push_str("START TRANSACTION;\n");
            postgres.push_str("BEGIN;\n");
            for (table, net) in nets(part * PART..((part + 1) * PART).min(workload.transactions)) {
                let rows = &rows[usize::try_from(table).expect("there are few tables")];
                let file = |what: &str, ids: &BTreeSet<u64>| {
                    let path = folder.join(format!("{part}-{table}-{what}"));
                    let lines: Vec<&str> =
                        ids.iter().filter_map(|id| rows.get(id)).map(String::as_str).collect();
                    fs::write(&path, lines.join("\n") + "\n").expect("the folder can be written");
                    path.display().to_string()
                };
                let (new, updated) = (file("new", &net.new), file("updated", &net.updated));
                let gone: Vec<String> = net.gone.iter().map(u64::to_string).collect();
                let delete = format!("DELETE FROM t{table} WHERE id IN ({});\n", gone.join(","));
                mysql.push_str(&delete);
                for ids in net.updated.iter().collect::<Vec<_>>().chunks(STATEMENT_ROWS) {
                    let values: Vec<String> = ids
                        .iter()
                        .filter_map(|id| rows.get(id))
                        .map(|row| format!("('{}')", row.replace('\t', "','")))
                        .collect();
                    let _ = writeln!(
                        mysql,
                        "INSERT INTO t{table} VALUES {} ON DUPLICATE KEY UPDATE a = VALUES(a), amount = VALUES(amount), name = VALUES(name), at = VALUES(at);",
                        values.join(",")
                    );
                }
                let _ = writeln!(mysql, "LOAD DATA LOCAL INFILE '{new}' INTO TABLE t{table};");
                postgres.push_str(&delete);
                let _ = writeln!(
                    postgres,
                    "\\copy u{table} from '{updated}'\nINSERT INTO t{table} SELECT * FROM u{table} ON CONFLICT (id) DO UPDATE \
                     SET a = excluded.a, amount = excluded.amount, name = excluded.name, at = excluded.at;\n\\copy t{table} from '{new}'"
                );
            }
            mysql.push_str("COMMIT;\n");
            postgres.push_str("COMMIT;\n");
        }
        let bulk = Bulk { mysql: folder.join("mysql.sql"), postgres: folder.join("postgres.sql") };
        fs::write(&bulk.mysql, mysql).expect("the folder can be written");
        fs::write(&bulk.postgres, postgres).expect("the folder can be written");
        bulk
    }

    /// Sends them to a target.
    pub(super) fn send(&self, workload: &Binlog<'_>, to: To) -> Program {
        if to == To::Postgres {
            let file = self.postgres.display();
            return pipe(&format!("psql -X -q -v ON_ERROR_STOP=1 '{}' -f {file}", workload.url(to)));
        }
        pipe(&format!(
            "mariadb --no-defaults -S {} -uroot --local-infile=1 {} < {}",
            workload.servers.mysql(End::Target).socket().display(),
            workload.name,
            self.mysql.display()
        ))
    }
}

/// What these transactions come to for each table.
fn nets(transactions: std::ops::Range<u64>) -> BTreeMap<u64, Net> {
    let mut nets: BTreeMap<u64, Net> = BTreeMap::new();
    for (transaction, half) in transactions.flat_map(|transaction| [(transaction, 0), (transaction, 1)]) {
        let (table, [new, updated, gone]) = changed(transaction, half);
        let net = nets.entry(table).or_default();
        net.new.extend(new);
        net.updated.extend(updated);
        net.gone.extend(gone);
    }
    nets
}
