//! A table that something hangs on stays where it is, and what hangs on it goes on working.

use crate::tables::Pair;

struct Attached {
    /// What the plan calls it.
    what: &'static str,
    /// Run at the target when the table is there.
    sql: &'static str,
    /// A question about it, and its answer after an overwrite.
    question: &'static str,
    answer: &'static str,
}

const ATTACHED: &[Attached] = &[
    Attached {
        what: "view public.v",
        sql: "CREATE VIEW v AS SELECT id FROM t WHERE n > 900",
        question: "SELECT count(*) FROM v",
        answer: "100",
    },
    Attached {
        what: "view public.mv",
        sql: "CREATE MATERIALIZED VIEW mv AS SELECT count(*) AS c FROM t",
        question: "REFRESH MATERIALIZED VIEW mv; SELECT c FROM mv",
        answer: "1000",
    },
    Attached {
        what: "index t_n_idx",
        sql: "CREATE INDEX ON t (n)",
        question: "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass",
        answer: "2",
    },
    Attached {
        what: "index by_v",
        sql: "CREATE UNIQUE INDEX by_v ON t (lower(v))",
        question: "SELECT pg_get_indexdef('by_v'::regclass)",
        answer: "CREATE UNIQUE INDEX by_v ON public.t USING btree (lower(v))",
    },
    Attached {
        what: "foreign key other_t_id_fkey",
        sql: "CREATE TABLE other (t_id int REFERENCES t); INSERT INTO other VALUES (5)",
        question: "SELECT count(*) FROM other JOIN t ON t.id = t_id",
        answer: "1",
    },
    Attached {
        what: "constraint t_n_fkey",
        sql: "CREATE TABLE other (n int PRIMARY KEY); INSERT INTO other SELECT generate_series(1, 2000); ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES other",
        question: "SELECT convalidated FROM pg_constraint WHERE conname = 't_n_fkey'",
        answer: "t",
    },
    Attached {
        what: "constraint positive",
        sql: "ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0)",
        question: "SELECT convalidated FROM pg_constraint WHERE conname = 'positive'",
        answer: "t",
    },
    Attached {
        what: "grants on the table",
        sql: "GRANT SELECT ON t TO pg_monitor",
        question: "SELECT has_table_privilege('pg_monitor', 't', 'SELECT')",
        answer: "t",
    },
    Attached {
        what: "grants on column v",
        sql: "GRANT SELECT (v) ON t TO pg_monitor",
        question: "SELECT has_column_privilege('pg_monitor', 't', 'v', 'SELECT')",
        answer: "t",
    },
    Attached {
        what: "trigger count_rows",
        sql: "CREATE TABLE counted (op text); CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.counted VALUES (TG_OP); RETURN NULL; END $$; CREATE TRIGGER count_rows AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION count_rows()",
        question: "SELECT op, count(*) FROM counted GROUP BY op ORDER BY op",
        answer: "DELETE|600\nINSERT|1000",
    },
    Attached {
        what: "publication p",
        sql: "CREATE PUBLICATION p FOR TABLE t",
        question: "SELECT tablename FROM pg_publication_tables WHERE pubname = 'p'",
        answer: "t",
    },
    Attached {
        what: "comment on the table",
        sql: "COMMENT ON TABLE t IS 'mine'",
        question: "SELECT obj_description('t'::regclass)",
        answer: "mine",
    },
    Attached {
        what: "comment on column v",
        sql: "COMMENT ON COLUMN t.v IS 'mine'",
        question: "SELECT col_description('t'::regclass, 3)",
        answer: "mine",
    },
    Attached {
        what: "policy mine",
        sql: "CREATE POLICY mine ON t USING (n > 0)",
        question: "SELECT polname FROM pg_policy WHERE polrelid = 't'::regclass",
        answer: "mine",
    },
    Attached {
        what: "row security is on",
        sql: "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        question: "SELECT relrowsecurity FROM pg_class WHERE oid = 't'::regclass",
        answer: "t",
    },
    Attached {
        what: "statistics object",
        sql: "CREATE STATISTICS st ON n, v FROM t",
        question: "SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = 't'::regclass",
        answer: "1",
    },
    Attached {
        what: "storage parameters",
        sql: "ALTER TABLE t SET (fillfactor = 70)",
        question: "SELECT reloptions FROM pg_class WHERE oid = 't'::regclass",
        answer: "{fillfactor=70}",
    },
    Attached {
        what: "replica identity",
        sql: "ALTER TABLE t REPLICA IDENTITY FULL",
        question: "SELECT relreplident FROM pg_class WHERE oid = 't'::regclass",
        answer: "f",
    },
    Attached {
        what: "owner pg_monitor",
        sql: "ALTER TABLE t OWNER TO pg_monitor",
        question: "SELECT relowner::regrole FROM pg_class WHERE oid = 't'::regclass",
        answer: "pg_monitor",
    },
    Attached {
        what: "rule r",
        sql: "CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING",
        question: "SELECT count(*) FROM pg_rules WHERE tablename = 't'",
        answer: "1",
    },
    Attached {
        what: "child or parent table",
        sql: "CREATE TABLE child () INHERITS (t)",
        question: "SELECT count(*) FROM child",
        answer: "0",
    },
    Attached {
        what: "unlogged or temporary",
        sql: "ALTER TABLE t SET UNLOGGED",
        question: "SELECT relpersistence FROM pg_class WHERE oid = 't'::regclass",
        answer: "u",
    },
    Attached {
        what: "function",
        sql: "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM t; END",
        question: "SELECT f()",
        answer: "1000",
    },
];

#[test]
fn what_hangs_on_a_table_outlives_an_overwrite() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, v text); INSERT INTO t SELECT g, g, 'v' || g FROM generate_series(1, 1000) g");
    for Attached { what, sql, question, answer } in ATTACHED {
        let database = pair.to.name().to_owned();
        let server = syncline_testkit::servers::postgres::shared();
        server.drop_database(&database);
        server.psql("postgres", &format!("CREATE DATABASE {database}"));
        pair.run(&["--stream", "t"]).done();
        pair.to.sql("DELETE FROM t WHERE id > 600; UPDATE t SET v = 'changed' WHERE id = 7");
        pair.to.sql(sql);
        let before = pair.to.sql("SELECT 't'::regclass::oid");
        let planned = pair.desk.text(&pair.command("plan", &["--stream", "t"])).expect_code(0).stdout;
        assert!(
            planned.contains("in one transaction, because of") && planned.contains(what),
            "{what}:\n{planned}"
        );
        pair.run(&["--stream", "t", "--chunk-rows", "300"]).done();
        pair.same("t");
        assert_eq!(pair.to.sql("SELECT 't'::regclass::oid"), before, "{what}: the table stays");
        assert_eq!(pair.to.sql(question), *answer, "{what}");
    }
}

#[test]
fn triggers_are_warned_of_before_they_fire() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    pair.to.sql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
         CREATE TRIGGER fires BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    );
    for write in ["append", "merge", "overwrite"] {
        let planned =
            pair.desk.text(&pair.command("plan", &["--stream", "t", "--write", write])).expect_code(0);
        assert!(planned.stdout.contains("warning: the triggers of `t` will fire: fires"), "{planned}");
    }
    let ran = pair.desk.text(&pair.copy(&["--stream", "t"])).expect_code(0);
    assert!(ran.stderr.contains("warning: the triggers of `t` will fire: fires"), "{ran}");
}

#[test]
fn rows_that_others_refer_to_are_replaced_by_key() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, v text, j json); INSERT INTO t SELECT g, 'v' || g, '{\"a\": 1}' FROM generate_series(1, 300) g");
    pair.run(&["--stream", "t"]).done();
    for action in ["", " ON UPDATE CASCADE ON DELETE RESTRICT"] {
        pair.to.sql(&format!("DROP TABLE IF EXISTS other; CREATE TABLE other (t_id int REFERENCES t{action}); INSERT INTO other VALUES (5), (250)"));
        pair.from.sql("DELETE FROM t WHERE id IN (7, 8); UPDATE t SET v = v || '!' WHERE id > 200; INSERT INTO t VALUES ((SELECT max(id) + 1 FROM t), 'more', '{}')");
        pair.run(&["--stream", "t"]).done();
        pair.same("t");
        assert_eq!(pair.to.sql("SELECT count(*) FROM other"), "2");
    }
    // A row that somebody refers to cannot go: nothing changes, and it is said by its constraint.
    pair.from.sql("DELETE FROM t WHERE id = 5; UPDATE t SET v = 'hunter2'");
    let before = crate::tables::digest(&pair.to, "TABLE t");
    pair.run(&["--stream", "t"]).failed(1, "SYN-4001").names(&["other_t_id_fkey"]);
    assert_eq!(crate::tables::digest(&pair.to, "TABLE t"), before);
    pair.to.sql("DELETE FROM other WHERE t_id = 5");
    pair.run(&["--stream", "t"]).done();
    pair.same("t");
    pair.desk.never_said("hunter2");
}

#[test]
fn foreign_keys_that_would_take_other_rows_along_are_a_blocker() {
    for action in ["CASCADE", "SET NULL", "SET DEFAULT"] {
        let Some(pair) = Pair::new() else { return };
        pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 30)");
        pair.to.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 30);
             CREATE TABLE other (t_id int DEFAULT 1 REFERENCES t ON DELETE {action}); INSERT INTO other VALUES (5)"
        ));
        let options = ["--stream", "t", "--write", "overwrite"];
        let planned = pair.desk.run(&pair.command("plan", &options)).failed(1, "SYN-5010");
        planned.names(&["other_t_id_fkey"]);
        pair.run(&options).failed(1, "SYN-3005").names(&["other_t_id_fkey"]).hints("--write merge");
        assert_eq!(pair.to.sql("SELECT count(*) FROM other WHERE t_id = 5"), "1", "{action}");
        pair.run(&["--stream", "t", "--write", "merge"]).done();
        pair.same("t");
    }
}

#[test]
fn unique_values_that_rows_have_swapped_arrive() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY, rank int UNIQUE); INSERT INTO t SELECT g, g FROM generate_series(1, 20) g");
    pair.to.sql("CREATE TABLE t (id int PRIMARY KEY, rank int UNIQUE)");
    pair.run(&["--stream", "t"]).done();
    pair.from.sql("UPDATE t SET rank = -rank; UPDATE t SET rank = 21 + rank");
    // All rows are new ones when they are replaced as a whole.
    pair.run(&["--stream", "t", "--write", "overwrite"]).done();
    pair.same("t");
}
