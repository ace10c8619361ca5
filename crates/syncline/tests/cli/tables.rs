//! Two databases, their tables, and whether one holds what the other does.

use syncline_testkit::{
    process::{Program, Running},
    servers::{
        left_out,
        postgres::{self, Database, Postgres},
    },
};

use crate::desk::{Desk, Ran};

/// A source, a target, and where the program is run between them.
pub(crate) struct Pair {
    pub(crate) from: Database,
    pub(crate) to: Database,
    pub(crate) desk: Desk,
}

impl Pair {
    /// Two fresh databases of the shared server; `None` if the tester does without it.
    pub(crate) fn new() -> Option<Self> {
        (!left_out("postgres")).then(|| Pair::on(postgres::shared(), postgres::shared()))
    }

    /// Fresh databases of these servers.
    pub(crate) fn on(source: &Postgres, target: &Postgres) -> Self {
        let fresh = |server: &Postgres| server.database(&server.create_database());
        Pair { from: fresh(source), to: fresh(target), desk: Desk::new() }
    }

    /// The arguments of a copy from one to the other.
    pub(crate) fn copy(&self, options: &[&str]) -> Vec<String> {
        self.command("copy", options)
    }

    /// The arguments of any command that takes FROM TO.
    pub(crate) fn command(&self, command: &str, options: &[&str]) -> Vec<String> {
        let ends = [command, self.from.url(), self.to.url()];
        ends.iter().chain(options).map(|argument| (*argument).to_owned()).collect()
    }

    /// Copies, to be looked at.
    pub(crate) fn run(&self, options: &[&str]) -> Ran {
        self.desk.run(&self.copy(options))
    }

    /// Fails unless both have the same rows of a table, and nothing of ours is left over.
    pub(crate) fn same(&self, table: &str) {
        self.same_as(&format!("SELECT * FROM {table}"), &format!("SELECT * FROM {table}"));
    }

    /// Fails unless two queries, one at either end, give the same rows, and nothing of ours is left over.
    pub(crate) fn same_as(&self, at_source: &str, at_target: &str) {
        same_rows((&self.from, at_source), (&self.to, at_target));
        nothing_left(&self.to);
    }
}

/// A session that holds what it has locked until it is dropped.
pub(crate) struct Holder {
    database: Database,
    session: Running,
}

impl Holder {
    pub(crate) fn start(database: &Database, sql: &str) -> Self {
        let session = database.start_sql(&format!(
            "BEGIN; {sql}; DO $$ BEGIN RAISE NOTICE 'held'; END $$; SELECT pg_sleep(300) AS holder"
        ));
        session.wait_for_line(|line| line.contains("held"));
        Holder { database: database.clone(), session }
    }

    /// Starts a program, and waits until a session of its own waits for a lock. Those of programs
    /// before it may still do: a server that waits does not notice that its client is gone.
    pub(crate) fn holds_up(&self, program: Program) -> Running {
        let since = self.database.sql("SELECT clock_timestamp()");
        let waiting = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE NOT granted AND datname = current_database() AND backend_start > '{since}'"
        );
        let run = program.start();
        while self.database.sql(&waiting) == "0" {
            assert!(run.is_running(), "it does not wait for the lock\n{}{}", run.stdout(), run.stderr());
        }
        run
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // A server that sleeps does not notice that its client is gone.
        let sleeping = "datname = current_database() AND query LIKE '%pg_sleep(300) AS holder%' AND pid <> pg_backend_pid()";
        if self.session.is_running() {
            let _ = self.database.try_sql(&format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {sleeping}"
            ));
        }
    }
}

/// Rows and checksum of a query, whatever their order.
pub(crate) fn digest(database: &Database, query: &str) -> String {
    database.sql(&format!(
        "SELECT count(*), md5(string_agg(x, E'\\n' ORDER BY x COLLATE \"C\")) FROM (SELECT t::text AS x FROM ({query}) t) s"
    ))
}

/// Fails unless two queries give the same rows; names some that differ.
pub(crate) fn same_rows(a: (&Database, &str), b: (&Database, &str)) {
    let (left, right) = (digest(a.0, a.1), digest(b.0, b.1));
    if left == right {
        return;
    }
    let rows = |(database, query): (&Database, &str)| -> Vec<String> {
        let sql = format!("SELECT left(t::text, 200) FROM ({query}) t ORDER BY t::text COLLATE \"C\"");
        database.sql(&sql).lines().map(str::to_owned).collect()
    };
    let (left_rows, right_rows) = (rows(a), rows(b));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|row| !those.contains(row)).take(5).cloned().collect()
    };
    panic!(
        "{left} of `{}` in {} is not {right} of `{}` in {}\nonly left: {:#?}\nonly right: {:#?}",
        a.1,
        a.0.name(),
        b.1,
        b.0.name(),
        only(&left_rows, &right_rows),
        only(&right_rows, &left_rows)
    );
}

/// Fails if staging or progress of a run that is over is still there.
pub(crate) fn nothing_left(database: &Database) {
    database.sql(
        "DO $$ DECLARE found text; left_over bigint; BEGIN
           SELECT string_agg(oid::regclass::text, ', ') INTO found FROM pg_class WHERE relname LIKE '\\_syncline\\_stage%';
           IF found IS NOT NULL THEN RAISE 'staging is left: %', found; END IF;
           FOR found IN SELECT oid::regclass::text FROM pg_class WHERE relname = '_syncline_checkpoint' LOOP
             EXECUTE 'SELECT count(*) FROM ' || found INTO left_over;
             IF left_over > 0 THEN RAISE '% rows are left in %', left_over, found; END IF;
           END LOOP;
         END $$",
    );
}

/// All that stands in a database, to see whether anything was changed.
pub(crate) fn content(database: &Database) -> String {
    let tables = database.sql(
        "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN
           ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace) ORDER BY 1",
    );
    let digests =
        tables.lines().map(|table| format!("{table}: {}", digest(database, &format!("TABLE {table}"))));
    // pg_dump puts a random word around what it writes.
    let definitions = database.definitions();
    let definitions = definitions.lines().filter(|line| !line.contains("restrict")).map(str::to_owned);
    definitions.chain(digests).collect::<Vec<_>>().join("\n")
}

/// A table of many types with rows numbered from 1.
pub(crate) fn orders(rows: u64) -> String {
    format!(
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2), note text,
           placed timestamptz NOT NULL, tags text[], attributes jsonb, paid boolean DEFAULT false);
         {}",
        more_orders(1, rows)
    )
}

/// More rows for [`orders`].
pub(crate) fn more_orders(first: u64, last: u64) -> String {
    format!(
        "INSERT INTO orders SELECT g, 'customer ' || g % 97, g * 1.01,
           CASE WHEN g % 5 > 0 THEN repeat(md5(g::text), 1 + g::int % 3) END,
           '2024-01-01 00:00:00+00'::timestamptz + g * interval '61 s',
           CASE WHEN g % 3 > 0 THEN ARRAY['a', NULL, g::text] END, jsonb_build_object('g', g, 'x', 'ä\"'), g % 2 = 0
         FROM generate_series({first}, {last}) g;"
    )
}
