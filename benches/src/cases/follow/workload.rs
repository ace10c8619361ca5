//! Changes that wait in PostgreSQL's log, and the same start for everybody who is to apply them: a copy of
//! the slot that has kept them, of the target's database, and of the state.

use std::{fs, path::PathBuf, process::Command};

use syncline_testkit::process::Program;

use super::{DELETES, INSERTS, TABLES, TOGETHER, UPDATED_ROWS, UPDATES};
use crate::servers::{DATABASE, End, Servers, pipe};

/// Where nothing arrives.
pub(super) const BLACKHOLE: &str = "blackhole:";

/// Changes of one database of the source.
pub(super) struct Workload<'a> {
    pub(super) servers: &'a Servers,
    /// The database, at the source and at the target.
    name: &'static str,
    pub(super) title: String,
    /// What has to be at the target in the end.
    digest: String,
    changes: u64,
    /// Where the changes begin.
    begin: String,
}

/// What is changed.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Small ones, each of inserts, updates and deletes; or all of them in one.
    Transactions { count: u64, is_one: bool },
    /// So many rows are added at once.
    Rows(u64),
}

impl<'a> Workload<'a> {
    /// Tables that are copied, and what changes them then.
    pub(super) fn prepare(servers: &'a Servers, name: &'static str, title: &str, work: Work) -> Self {
        let (changes, deleted) = match work {
            Work::Transactions { count, .. } => (count * TOGETHER, count * DELETES * 2 / TABLES),
            Work::Rows(rows) => (rows, 0),
        };
        let source = servers.postgres(End::Logged);
        for end in [End::Logged, End::Target] {
            servers.postgres(end).psql(DATABASE, &format!("CREATE DATABASE {name}"));
        }
        for table in 0..TABLES {
            source.psql(name, &table_of(table, UPDATED_ROWS + deleted));
        }
        let tables: Vec<String> = (0..TABLES).map(|table| format!("t{table}")).collect();
        source.psql(name, &format!("CREATE PUBLICATION everything FOR TABLE {}", tables.join(", ")));
        source.psql(name, "SELECT pg_create_logical_replication_slot('kept', 'pgoutput')");
        let begin = source.psql(name, "SELECT pg_current_wal_lsn()");
        let workload =
            Workload { servers, name, title: title.to_owned(), digest: String::new(), changes, begin };
        for to in [BLACKHOLE.to_owned(), workload.target_url()] {
            workload.follow(&to).run().expect_code(0);
            let state = workload.state(&to);
            copy_folder(&state, &state.with_extension("kept"));
            let slot = workload.slot(&to);
            source.psql(name, &format!("SELECT pg_copy_logical_replication_slot('{slot}', 'kept_{slot}')"));
        }
        servers.postgres(End::Target).psql(DATABASE, &format!("CREATE DATABASE kept_{name} TEMPLATE {name}"));
        source.psql(name, CHANGE);
        match work {
            Work::Transactions { count, is_one } => {
                source.psql(name, &format!("CALL change({count}, {is_one})"));
            }
            Work::Rows(rows) => {
                let rows = format!(
                    "SELECT 100000000 + g, g, 1.5, md5(g::text), now() FROM generate_series(1, {rows}) g"
                );
                source.psql(name, &format!("INSERT INTO t0 {rows}"));
            }
        }
        source.psql(name, LAST);
        source.psql(DATABASE, "CHECKPOINT");
        Workload { digest: source.psql(name, &digest()), ..workload }
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Of the source's log, all that was written meanwhile.
    pub(super) fn bytes(&self) -> u64 {
        let sql = format!("SELECT (pg_current_wal_lsn() - '{}'::pg_lsn)::bigint", self.begin.trim());
        self.servers.postgres(End::Logged).psql(self.name, &sql).trim().parse().expect("a number")
    }

    pub(super) fn target_url(&self) -> String {
        self.servers.postgres(End::Target).url(self.name)
    }

    fn pipeline(&self, to: &str) -> String {
        format!("{}_{}", self.name, if to == BLACKHOLE { "read" } else { "applied" })
    }

    fn state(&self, to: &str) -> PathBuf {
        self.servers.folder().join(self.pipeline(to))
    }

    /// Copies at first, and applies what has come since then.
    pub(super) fn follow(&self, to: &str) -> Program {
        let (from, name) = (self.servers.postgres(End::Logged).url(self.name), self.pipeline(to));
        let arguments = ["copy", &from, to, "--sync", "follow", "--until-caught-up", "--name", &name];
        let tables = (0..TABLES).flat_map(|table| ["--stream".to_owned(), format!("t{table}")]);
        self.servers.syncline_in(&name, &arguments).args(tables)
    }

    /// The slot that a pipeline has made.
    fn slot(&self, to: &str) -> String {
        let sql = format!(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'syncline_{}_%'",
            self.pipeline(to)
        );
        self.servers.postgres(End::Logged).psql(self.name, &sql).trim().to_owned()
    }

    /// As it was before the changes.
    pub(super) fn reset(&self, to: &str) {
        let slot = self.slot(to);
        self.copy_slot(&format!("kept_{slot}"), &slot);
        let state = self.state(to);
        let _ = fs::remove_dir_all(&state);
        copy_folder(&state.with_extension("kept"), &state);
        if to != BLACKHOLE {
            self.reset_target();
        }
    }

    /// The same for a slot that is none of ours.
    pub(super) fn reset_slot(&self, slot: &str) {
        self.copy_slot("kept", slot);
    }

    fn copy_slot(&self, from: &str, to: &str) {
        self.drop_slots(&format!("slot_name = '{to}'"));
        let sql = format!("SELECT pg_copy_logical_replication_slot('{from}', '{to}')");
        self.servers.postgres(End::Logged).psql(self.name, &sql);
    }

    /// A server notices a while later that who has read from a slot is gone.
    fn drop_slots(&self, which: &str) {
        self.servers.postgres(End::Logged).psql(
            self.name,
            &format!(
                "DO $$ BEGIN
                   WHILE EXISTS (SELECT FROM pg_replication_slots WHERE active AND {which}) LOOP PERFORM pg_sleep(0.02); END LOOP;
                   PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE {which};
                 END $$"
            ),
        );
    }

    fn reset_target(&self) {
        let (target, name) = (self.servers.postgres(End::Target), self.name);
        target.psql(
            DATABASE,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE); CREATE DATABASE {name} TEMPLATE kept_{name}; CHECKPOINT"),
        );
    }

    /// A subscription that does nothing yet.
    pub(super) fn subscribe(&self) {
        self.unsubscribe();
        self.reset_target();
        self.copy_slot("kept", "subscribed");
        let source = self.servers.postgres(End::Logged);
        self.servers.postgres(End::Target).psql(
            self.name,
            &format!(
                "CREATE SUBSCRIPTION own CONNECTION 'host=127.0.0.1 port={} user=postgres dbname={}' PUBLICATION everything
                 WITH (copy_data = false, create_slot = false, slot_name = 'subscribed', enabled = false, binary = true)",
                source.port(),
                self.name
            ),
        );
    }

    /// Lets it begin, and waits for the last change. The server looks for it itself: to ask over and over
    /// would take time away from it.
    pub(super) fn await_subscription(&self) -> Program {
        let wait = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM t0 WHERE id = -1) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$";
        let url = self.servers.postgres(End::Target).url(self.name);
        pipe(&format!("psql -X -q '{url}' -c 'ALTER SUBSCRIPTION own ENABLE' -c '{wait}'"))
    }

    pub(super) fn unsubscribe(&self) {
        self.servers.postgres(End::Target).psql(
            self.name,
            "DO $$ DECLARE own name; BEGIN
               SELECT subname INTO own FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database();
               IF own IS NOT NULL THEN
                 EXECUTE 'ALTER SUBSCRIPTION own DISABLE'; EXECUTE 'ALTER SUBSCRIPTION own SET (slot_name = NONE)';
                 EXECUTE 'DROP SUBSCRIPTION own';
               END IF;
             END $$",
        );
        self.drop_slots("slot_name = 'subscribed'");
    }

    /// Writes what the log tells into a file.
    pub(super) fn receive(&self) -> Program {
        let source = self.servers.postgres(End::Logged);
        let end = source.psql(self.name, "SELECT pg_current_wal_lsn()");
        let file = self.servers.folder().join("received");
        let _ = fs::remove_file(&file);
        Program::new(source.program("pg_recvlogical"))
            .args(["-d", &source.url(self.name), "--slot", "received", "--start", "--endpos", end.trim()])
            .args(["-o", "proto_version=1", "-o", "publication_names=everything", "-o", "binary=true", "-f"])
            .arg(file)
    }

    /// All changes, if they are where they are to be.
    pub(super) fn arrived(&self, at_target: bool) -> u64 {
        let there = || self.servers.postgres(End::Target).psql(self.name, &digest());
        if !at_target || there() == self.digest { self.changes() } else { 0 }
    }

    pub(super) fn drop(&self) {
        self.drop_slots("database = current_database()");
        let (source, target) = (self.servers.postgres(End::Logged), self.servers.postgres(End::Target));
        source.psql(DATABASE, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        for name in [self.name.to_owned(), format!("kept_{}", self.name)] {
            target.psql(DATABASE, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// Said after all the others.
const LAST: &str = "INSERT INTO t0 VALUES (-1, 0, 0, 'last', now())";

/// Changes two tables in each transaction.
const CHANGE: &str = "CREATE PROCEDURE change(transactions int, is_one bool) LANGUAGE plpgsql AS $$
    DECLARE t int; k int; low int; BEGIN
      FOR i IN 0 .. transactions - 1 LOOP
        FOR half IN 0 .. 1 LOOP
          t := (i + half * 5) % 10; k := i / 10 * 2 + half; low := 1 + i * 37 % 14900;
          EXECUTE format('INSERT INTO t%s SELECT g, g, 12.25, md5(g::text), now() FROM generate_series(%s, %s) g',
            t, 1000000 + k * 30, 1000000 + k * 30 + 29);
          EXECUTE format('UPDATE t%s SET a = a + 1, amount = amount + 1 WHERE id BETWEEN %s AND %s', t, low, low + 14);
          EXECUTE format('DELETE FROM t%s WHERE id BETWEEN %s AND %s', t, 15001 + k * 5, 15001 + k * 5 + 4);
        END LOOP;
        IF NOT is_one THEN COMMIT; END IF;
      END LOOP;
    END $$";

fn table_of(number: u64, rows: u64) -> String {
    format!(
        "CREATE TABLE t{number} (id bigint PRIMARY KEY, a int NOT NULL, amount numeric(12,2), name text, at timestamptz);
         INSERT INTO t{number} SELECT g, g, g * 1.01, md5(g::text), now() FROM generate_series(1, {rows}) g"
    )
}

fn digest() -> String {
    let tables: Vec<String> = (0..TABLES)
        .map(|table| format!("SELECT {table}, count(*), sum(hashtextextended(t::text, 0)) FROM t{table} t"))
        .collect();
    tables.join(" UNION ALL ") + " ORDER BY 1"
}

pub(super) fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.is_ok_and(|status| status.success()), "{} cannot be copied", from.display());
}

const _: () = assert!(2 * (INSERTS + UPDATES + DELETES) == TOGETHER, "the procedure makes as many");
