//! Changes that wait in MariaDB's log, and the same start for everybody who is to apply them: a place in
//! the log, a copy of the target's tables, and of the state.

use std::{collections::BTreeMap, fs, path::PathBuf};

use syncline_testkit::{process::Program, servers::mysql::Mysql};

use super::{
    DELETES, INSERTS, TABLES, TOGETHER, UPDATED_ROWS, UPDATES,
    workload::{BLACKHOLE, copy_folder},
};
use crate::servers::{DATABASE, End, Servers};

/// Changes of one database of the source.
pub(super) struct Binlog<'a> {
    pub(super) servers: &'a Servers,
    /// The database, at the source and at the targets.
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) transactions: u64,
    /// What has to be at the target in the end.
    digest: Vec<String>,
    /// Where the changes begin and end: a file, and a place in it.
    begin: (String, u64),
    end: (String, u64),
}

/// Where changes are applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Nothing,
    Mysql,
    Postgres,
}

impl<'a> Binlog<'a> {
    /// Tables that are copied, and so many transactions that change them then, or one as large as all of them.
    pub(super) fn prepare(servers: &'a Servers, name: &'static str, transactions: u64, is_one: bool) -> Self {
        let (source, target) = (servers.mysql(End::Logged), servers.mysql(End::Target));
        source.sql("mysql", &format!("CREATE DATABASE {name}"));
        for database in [name.to_owned(), kept(name)] {
            target.sql("mysql", &format!("CREATE DATABASE {database}"));
        }
        servers.postgres(End::Target).psql(DATABASE, &format!("CREATE DATABASE {name}"));
        let rows = UPDATED_ROWS + transactions * DELETES * 2 / TABLES;
        (0..TABLES).for_each(|table| drop(source.sql(name, &table_of(table, rows))));
        let title = format!(
            "{} changes in {}",
            transactions * TOGETHER,
            if is_one { "one transaction".to_owned() } else { format!("{transactions} transactions") }
        );
        let (digest, nowhere) = (vec![], (String::new(), 0));
        let (begin, end) = (nowhere.clone(), nowhere);
        let workload = Binlog { servers, name, title, transactions, digest, begin, end };
        for to in [To::Nothing, To::Mysql, To::Postgres] {
            workload.follow(to).run().expect_code(0);
            let state = workload.state(to);
            copy_folder(&state, &state.with_extension("kept"));
        }
        let tables = target.sql(name, "SHOW TABLES");
        target.sql("mysql", &copied(tables.lines(), name, &kept(name)));
        let postgres = servers.postgres(End::Target);
        postgres.psql(DATABASE, &format!("CREATE DATABASE {} TEMPLATE {name}", kept(name)));
        source.sql(name, CHANGE);
        let begin = place(source);
        // How fast it writes is not measured.
        source.sql(name, "SET GLOBAL innodb_flush_log_at_trx_commit = 0");
        source.sql(name, &format!("CALL change_rows({transactions}, {is_one})"));
        source.sql(name, "SET GLOBAL innodb_flush_log_at_trx_commit = 1");
        let digest = of_mysql(source, name);
        Binlog { begin, end: place(source), digest, ..workload }
    }

    pub(super) fn changes(&self) -> u64 {
        self.transactions * TOGETHER
    }

    /// Of the source's log, all that was written meanwhile.
    pub(super) fn bytes(&self) -> u64 {
        assert_eq!(self.begin.0, self.end.0, "the changes are in one file of the log");
        self.end.1 - self.begin.1
    }

    pub(super) fn url(&self, to: To) -> String {
        match to {
            To::Nothing => BLACKHOLE.to_owned(),
            To::Mysql => self.servers.mysql(End::Target).url(self.name),
            To::Postgres => self.servers.postgres(End::Target).url(self.name),
        }
    }

    fn pipeline(&self, to: To) -> String {
        format!("{}_{}", self.name, format!("{to:?}").to_lowercase())
    }

    fn state(&self, to: To) -> PathBuf {
        self.servers.folder().join(self.pipeline(to))
    }

    /// Copies at first, and applies what has come since then.
    pub(super) fn follow(&self, to: To) -> Program {
        let (from, name) = (self.servers.mysql(End::Logged).url(self.name), self.pipeline(to));
        let to = self.url(to);
        let arguments = ["copy", &from, &to, "--sync", "follow", "--until-caught-up", "--name", &name];
        let tables = (0..TABLES).flat_map(|table| ["--stream".to_owned(), format!("t{table}")]);
        self.servers.syncline_in(&name, &arguments).args(tables)
    }

    /// As it was before the changes.
    pub(super) fn reset(&self, to: To) {
        let state = self.state(to);
        let _ = fs::remove_dir_all(&state);
        copy_folder(&state.with_extension("kept"), &state);
        let name = self.name;
        match to {
            To::Nothing => {}
            To::Mysql => {
                let target = self.servers.mysql(End::Target);
                target.sql("mysql", &format!("DROP DATABASE {name}; CREATE DATABASE {name}"));
                let tables = target.sql(&kept(name), "SHOW TABLES");
                target.sql("mysql", &copied(tables.lines(), &kept(name), name));
            }
            To::Postgres => {
                let target = self.servers.postgres(End::Target);
                target.psql(
                    DATABASE,
                    &format!(
                        "DROP DATABASE IF EXISTS {name} WITH (FORCE); CREATE DATABASE {name} TEMPLATE {}; CHECKPOINT",
                        kept(name)
                    ),
                );
            }
        }
    }

    /// Writes what the log tells into a file, as MariaDB's own tool decodes it.
    pub(super) fn receive(&self) -> Program {
        let socket = self.servers.mysql(End::Logged).socket();
        Program::new("mariadb-binlog")
            .args(["--no-defaults", "--read-from-remote-server", "-uroot", "-S"])
            .arg(socket)
            .args(["--base64-output=DECODE-ROWS", "--verbose", "--result-file"])
            .arg(self.servers.folder().join("received"))
            .arg(format!("--start-position={}", self.begin.1))
            .arg(format!("--stop-position={}", self.end.1))
            .arg(&self.begin.0)
    }

    /// All changes, if they are where they are to be.
    pub(super) fn arrived(&self, to: To) -> u64 {
        let there = match to {
            To::Nothing => return self.changes(),
            To::Mysql => of_mysql(self.servers.mysql(End::Target), self.name),
            To::Postgres => {
                let sql = digest(
                    "('x' || substr(md5(concat_ws('|', id, a, amount, name, to_char(at, 'YYYY-MM-DD HH24:MI:SS.US'))), 1, 8))::bit(32)::bigint",
                );
                let target = self.servers.postgres(End::Target);
                target.psql(self.name, &sql).lines().map(|line| line.replace('|', "\t")).collect()
            }
        };
        if there == self.digest { self.changes() } else { 0 }
    }

    /// The rows of a table as they are in the end, by their ids, as lines of texts.
    pub(super) fn rows(&self, table: u64) -> BTreeMap<u64, String> {
        let text = self.servers.mysql(End::Logged).sql(self.name, &format!("SELECT * FROM t{table}"));
        let row = |line: &str| Some((line.split('\t').next()?.parse().ok()?, line.to_owned()));
        text.lines().filter_map(row).collect()
    }

    pub(super) fn drop(&self) {
        let (source, target) = (self.servers.mysql(End::Logged), self.servers.mysql(End::Target));
        source.sql("mysql", &format!("DROP DATABASE {}", self.name));
        for name in [self.name.to_owned(), kept(self.name)] {
            target.sql("mysql", &format!("DROP DATABASE {name}"));
            let postgres = self.servers.postgres(End::Target);
            postgres.psql(DATABASE, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn kept(name: &str) -> String {
    format!("kept_{name}")
}

/// Where the log ends.
fn place(server: &Mysql) -> (String, u64) {
    let text = server.sql("mysql", "SHOW MASTER STATUS");
    let mut cells = text.split('\t');
    let mut cell = || cells.next().unwrap_or_default().to_owned();
    (cell(), cell().trim().parse().expect("a place is a number"))
}

/// Copies tables from one database to another.
fn copied<'a>(tables: impl Iterator<Item = &'a str>, from: &str, to: &str) -> String {
    let copy = |table: &str| {
        format!(
            "CREATE TABLE {to}.{table} LIKE {from}.{table}; INSERT INTO {to}.{table} SELECT * FROM {from}.{table};"
        )
    };
    tables.map(copy).collect()
}

fn table_of(number: u64, rows: u64) -> String {
    format!(
        "CREATE TABLE t{number} (id bigint PRIMARY KEY, a int NOT NULL, amount decimal(12,2), name varchar(100), at datetime(6));
         INSERT INTO t{number} SELECT seq, seq, seq * 1.01, MD5(seq), NOW(6) FROM seq_1_to_{rows}"
    )
}

/// Changes two tables in each transaction. Its client ends statements at semicolons, so it is one statement.
const CHANGE: &str = "DELIMITER //
    CREATE PROCEDURE change_rows(transactions INT, is_one BOOL)
    BEGIN
      DECLARE i INT DEFAULT 0;
      DECLARE half, t, k, low INT;
      IF is_one THEN START TRANSACTION; END IF;
      WHILE i < transactions DO
        IF NOT is_one THEN START TRANSACTION; END IF;
        SET half = 0;
        WHILE half < 2 DO
          SET t = (i + half * 5) % 10, k = i DIV 10 * 2 + half, low = 1 + i * 37 % 14900;
          EXECUTE IMMEDIATE CONCAT('INSERT INTO t', t, ' SELECT ', 1000000 + k * 30, ' + seq, seq, 12.25, MD5(seq), NOW(6) FROM seq_0_to_29');
          EXECUTE IMMEDIATE CONCAT('UPDATE t', t, ' SET a = a + 1, amount = amount + 1 WHERE id BETWEEN ', low, ' AND ', low + 14);
          EXECUTE IMMEDIATE CONCAT('DELETE FROM t', t, ' WHERE id BETWEEN ', 15001 + k * 5, ' AND ', 15005 + k * 5);
          SET half = half + 1;
        END WHILE;
        IF NOT is_one THEN COMMIT; END IF;
        SET i = i + 1;
      END WHILE;
      IF is_one THEN COMMIT; END IF;
    END //
";

/// A number for each table's rows; `of_row` is that of one.
fn digest(of_row: &str) -> String {
    let tables: Vec<String> =
        (0..TABLES).map(|table| format!("SELECT {table} t, COUNT(*), SUM({of_row}) FROM t{table}")).collect();
    tables.join(" UNION ALL ") + " ORDER BY t"
}

fn of_mysql(server: &Mysql, name: &str) -> Vec<String> {
    let sql = digest(
        "CAST(CONV(SUBSTR(MD5(CONCAT_WS('|', id, a, amount, name, DATE_FORMAT(at, '%Y-%m-%d %H:%i:%s.%f'))), 1, 8), 16, 10) AS UNSIGNED)",
    );
    server.sql(name, &sql).lines().map(str::to_owned).collect()
}

/// What a transaction has changed of one of its two tables: which one, and the ids of rows that it has added,
/// updated and deleted.
pub(super) fn changed(transaction: u64, half: u64) -> (u64, [std::ops::Range<u64>; 3]) {
    let (table, number) = ((transaction + half * 5) % TABLES, transaction / TABLES * 2 + half);
    let range = |from: u64, count: u64| from..from + count;
    let low = 1 + transaction * 37 % 14_900;
    let new = range(1_000_000 + number * INSERTS, INSERTS);
    (table, [new, range(low, UPDATES), range(15_001 + number * DELETES, DELETES)])
}
