//! Tables of unusual shape: from PostgreSQL through a file of SQLite and back, and from a file of SQLite's
//! own.
//!
//! What is compared are whole rows as the server writes them. Between two PostgreSQL servers the same
//! shapes are proved in `tests/cli/copy`.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::{File, Kept},
    ran::{Rejected, Route, Verdict},
};

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// A table's way from one PostgreSQL database through a file into another.
struct Trip {
    desk: Desk,
    from: Database,
    file: File,
    to: Database,
}

impl Trip {
    /// Carries the tables that the statements make; `None` if the tester does without the server.
    fn of(sql: &str, glob: &str) -> Option<Self> {
        if left_out("postgres") {
            return None;
        }
        let desk = Desk::new();
        let file = File::new(desk.path(), "middle.db");
        let trip = Trip { from: database(), to: database(), file, desk };
        trip.from.sql(sql);
        for (from, to) in [(trip.from.url(), &*trip.file.url()), (&trip.file.url(), trip.to.url())] {
            let route = Route { desk: &trip.desk, from, to, glob };
            assert_eq!(route.copy(&["--chunk-rows", "40"]), Rejected::new(), "{from} to {to}");
            let verdicts = route.verify();
            assert!(
                !verdicts.is_empty() && verdicts.values().all(|found| *found == Verdict::EQUAL),
                "{verdicts:?}"
            );
        }
        Some(trip)
    }

    /// Fails unless both PostgreSQL databases have the same rows of a table, these many.
    fn same(&self, table: &str, rows: u64) {
        let digest = |database: &Database| {
            database.sql(&format!(
                "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t"
            ))
        };
        let expected = digest(&self.from);
        assert!(expected.starts_with(&format!("{rows}|")), "{expected}");
        assert_eq!(digest(&self.to), expected, "{table}");
    }

    fn text(&self, sql: &str) -> Vec<String> {
        let text = |kept| match kept {
            Kept::Text(text) => String::from_utf8(text).expect("SQLite was given UTF-8"),
            other => format!("{other:?}"),
        };
        self.file.row(sql).into_iter().map(text).collect()
    }
}

#[test]
fn columns_that_are_computed_or_numbered_arrive_as_plain_ones() {
    let trip = Trip::of(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, price numeric(10,2) DEFAULT 1.50,
           twice numeric(10,2) GENERATED ALWAYS AS (price * 2) STORED, note text NOT NULL DEFAULT 'it''s');
         INSERT INTO t (price) SELECT g / 3.0 FROM generate_series(1, 100) g",
        "t",
    );
    let Some(trip) = trip else { return };
    trip.same("t", 100);
    assert_eq!(
        trip.text("SELECT sql FROM sqlite_schema WHERE name = 't'"),
        ["CREATE TABLE \"t\" (\"id\" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, \"s\" INTEGER NOT NULL, \
         \"price\" DECIMAL_TEXT(10,2) DEFAULT '1.50', \"twice\" DECIMAL_TEXT(10,2), \"note\" TEXT NOT NULL DEFAULT 'it''s')"]
    );
    // What the source computes is a plain column here, and numbers go on behind the last.
    trip.file.sql("INSERT INTO t (s) VALUES (1)");
    assert_eq!(trip.file.row("SELECT max(id), note FROM t"), [Kept::Integer(101), Kept::Text("it's".into())]);
    trip.to.sql("INSERT INTO t (s) VALUES (1)");
    assert_eq!(trip.to.sql("SELECT id, price, note FROM t WHERE id > 100"), "101|1.50|it's");
}

#[test]
fn names_that_need_quotes_arrive_as_they_are() {
    let names = [
        "select",
        "Upper Case",
        "with\"quote",
        "it's",
        "a.b",
        "semi;colon--",
        "ünïcödé 漢字 🦀",
        "$1",
        "back\\slash",
        "new\nline",
        "[brackets]",
        "`ticks`",
        "rowid",
        "*",
    ];
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let columns: Vec<String> = quoted.iter().map(|name| format!("{name} text")).collect();
    let make = |table: &String| {
        format!(
            "CREATE TABLE {table} ({}, PRIMARY KEY ({}, {}));
             INSERT INTO {table} SELECT {} FROM generate_series(1, 50) g;",
            columns.join(", "),
            quoted[2],
            quoted[6],
            (0..names.len()).map(|at| format!("'v{at} ' || g")).collect::<Vec<_>>().join(", ")
        )
    };
    let tables: Vec<&String> = quoted.iter().filter(|name| !name.contains('*')).collect();
    let Some(trip) = Trip::of(&tables.iter().map(|table| make(table)).collect::<String>(), "*") else {
        return;
    };
    for table in tables {
        trip.same(table, 50);
    }
}

#[test]
fn two_hundred_columns_arrive() {
    let types = [
        "int",
        "text",
        "numeric(9,3)",
        "timestamptz",
        "boolean",
        "uuid",
        "float8",
        "jsonb",
        "date",
        "bytea",
        "interval",
        "bit(3)",
    ];
    let values = [
        "g",
        "'t' || g",
        "g / 7.0",
        "'2024-01-01'::timestamptz + g * '1 h'::interval",
        "g % 2 = 0",
        "md5(g::text)::uuid",
        "g / 3.0",
        "to_jsonb(g)",
        "'2024-01-01'::date + g",
        "decode(md5(g::text), 'hex')",
        "g * '1 day 1 second'::interval",
        "(g % 8)::bit(3)",
    ];
    let columns: Vec<String> = (0..200).map(|at| format!("c{at} {}", types[at % types.len()])).collect();
    let row: Vec<String> = (0..200)
        .map(|at| format!("CASE WHEN g % 3 = {} THEN NULL ELSE {} END", at % 5, values[at % values.len()]))
        .collect();
    let trip = Trip::of(
        &format!(
            "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide SELECT g, {} FROM generate_series(1, 100) g",
            columns.join(", "),
            row.join(", ")
        ),
        "wide",
    );
    let Some(trip) = trip else { return };
    trip.same("wide", 100);
}

#[test]
fn tables_arrive_whatever_their_key() {
    let trip = Trip::of(
        "CREATE TABLE k_none (a int, b text); INSERT INTO k_none SELECT g % 5, 'x' FROM generate_series(1, 150) g;
         CREATE TABLE k_empty (id uuid PRIMARY KEY, v numeric NOT NULL);
         CREATE TABLE k_composite (b text, a date, n int, v text, PRIMARY KEY (n, b, a));
         INSERT INTO k_composite SELECT 'b' || g % 7, '2024-01-01'::date + g % 3, g, 'v' || g FROM generate_series(1, 150) g;
         CREATE TABLE k_unique (n int NOT NULL UNIQUE, v text); INSERT INTO k_unique SELECT g * g, 'v' FROM generate_series(1, 150) g;
         CREATE TABLE k_text (k text COLLATE \"C\" PRIMARY KEY, v int); INSERT INTO k_text SELECT chr(64 + g), g FROM generate_series(1, 150) g;
         CREATE TABLE k_uuid (k uuid PRIMARY KEY, v int); INSERT INTO k_uuid SELECT md5(g::text)::uuid, g FROM generate_series(1, 150) g;
         CREATE TABLE k_bytes (k bytea PRIMARY KEY); INSERT INTO k_bytes SELECT decode(lpad(to_hex(g), 2, '0'), 'hex') FROM generate_series(0, 255) g;
         CREATE TABLE k_numeric (k numeric PRIMARY KEY); INSERT INTO k_numeric SELECT g / 8.0 FROM generate_series(-75, 75) g;
         CREATE TABLE k_stamp (k timestamptz PRIMARY KEY); INSERT INTO k_stamp SELECT '1969-12-31 12:00+00'::timestamptz + g * '501 s 7 us'::interval FROM generate_series(1, 150) g;
         CREATE TABLE k_float (k float8 PRIMARY KEY); INSERT INTO k_float SELECT (g - 75) / 3.0 FROM generate_series(1, 150) g;
         CREATE TABLE k_parts (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE k_parts_old PARTITION OF k_parts FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
         CREATE TABLE k_parts_new PARTITION OF k_parts DEFAULT;
         INSERT INTO k_parts SELECT g, '2023-11-01'::date + g, 'v' || g FROM generate_series(1, 150) g",
        "k_*",
    );
    let Some(trip) = trip else { return };
    for table in ["k_none", "k_composite", "k_unique", "k_text", "k_uuid", "k_stamp", "k_float", "k_parts"] {
        trip.same(table, 150);
    }
    trip.same("k_empty", 0);
    trip.same("k_bytes", 256);
    trip.same("k_numeric", 151);
    assert_eq!(
        trip.file.row("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'k_parts_%'"),
        [Kept::Integer(0)]
    );
    // Keys and NOT NULL came along.
    trip.to.sql("INSERT INTO k_empty VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1)");
    trip.to
        .try_sql("INSERT INTO k_empty VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1)")
        .expect_err("it is there");
    trip.to.try_sql("INSERT INTO k_empty VALUES (gen_random_uuid(), NULL)").expect_err("NULL is refused");
}

/// From a file of SQLite into PostgreSQL.
#[test]
fn tables_of_sqlite_arrive_whatever_they_are_like() {
    if left_out("postgres") {
        return;
    }
    let desk = Desk::new();
    let (file, to) = (File::new(desk.path(), "from.db"), database());
    file.sql(
        "CREATE TABLE s_generated (id INTEGER PRIMARY KEY AUTOINCREMENT, a REAL, twice REAL AS (a * 2) VIRTUAL, kept TEXT AS ('a ' || a) STORED NOT NULL);
         INSERT INTO s_generated (id, a) VALUES (1, 1.5), (70, -2);
         CREATE TABLE s_keyless (a, b TEXT); INSERT INTO s_keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
         CREATE TABLE s_no_rowid (b TEXT, a INT, v BLOB, PRIMARY KEY (a DESC, b)) WITHOUT ROWID;
         INSERT INTO s_no_rowid VALUES ('é', 1, x'00'), ('E', 1, NULL), ('', -1, x'');
         CREATE TABLE s_null_key (k TEXT PRIMARY KEY, v INT); INSERT INTO s_null_key VALUES (NULL, 1), (NULL, 2), ('a', 3);
         CREATE TABLE s_nocase (k TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, v INT); INSERT INTO s_nocase VALUES ('B', 1), ('a', 2), ('C', 3);
         CREATE TABLE s_empty (v DECIMAL(3,1));
         CREATE TABLE \"s_odd \"\" name's\" (\"select\" INT PRIMARY KEY, \"a b\" INT, [c] INT); INSERT INTO \"s_odd \"\" name's\" VALUES (1, 2, 3)",
    );
    let route = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "s_*" };
    for options in [&["--chunk-rows", "2"][..], &["--write", "overwrite", "--chunk-rows", "2"]] {
        assert_eq!(route.copy(options), Rejected::new());
        let verdicts = route.verify();
        assert!(
            verdicts.len() == 7 && verdicts.values().all(|found| *found == Verdict::EQUAL),
            "{verdicts:?}"
        );
    }
    for (query, expected) in [
        ("TABLE s_generated ORDER BY id", "1|1.5|3|a 1.5\n70|-2|-4|a -2.0"),
        ("SELECT count(*), count(a), pg_typeof(min(a)) FROM s_keyless", "3|2|bigint"),
        ("TABLE s_no_rowid ORDER BY a, b COLLATE \"C\"", "|-1|\\x\nE|1|\né|1|\\x00"),
        ("SELECT count(*), count(k) FROM s_null_key", "3|1"),
        ("TABLE s_nocase ORDER BY v", "B|1\na|2\nC|3"),
        ("SELECT count(*) FROM s_empty", "0"),
        ("TABLE \"s_odd \"\" name's\"", "1|2|3"),
        ("INSERT INTO s_generated (kept) VALUES ('') RETURNING id", "71"),
    ] {
        assert_eq!(to.sql(query), expected, "{query}");
    }
}

/// Dates as programs keep them: with `dates=text` all of them arrive, as the text they are.
#[test]
fn dates_that_are_none_arrive_as_text_where_that_is_asked_for() {
    if left_out("postgres") {
        return;
    }
    let desk = Desk::new();
    let (file, to) = (File::new(desk.path(), "from.db"), database());
    file.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME);
         INSERT INTO t VALUES (1, 1709164800), (2, '2024-02-29T10:00Z'), (3, 'soon'), (4, 2460369.5), (5, NULL), (6, '')",
    );
    let from = format!("{}?dates=text", file.url());
    let route = Route { desk: &desk, from: &from, to: to.url(), glob: "t" };
    assert_eq!((route.copy(&[]), route.verify().remove("t")), (Rejected::new(), Some(Verdict::EQUAL)));
    assert_eq!(
        to.sql("SELECT string_agg(v, '|' ORDER BY id), pg_typeof(min(v)) FROM t"),
        "1709164800|2024-02-29T10:00Z|soon|2460369.5||text"
    );
}

/// Names and widths that a file of SQLite may have and PostgreSQL may not: the plan says so.
#[test]
fn shapes_that_postgres_does_not_have_are_refused() {
    if left_out("postgres") {
        return;
    }
    let desk = Desk::new();
    let (file, to) = (File::new(desk.path(), "from.db"), database());
    let many: Vec<String> = (0..1601).map(|at| format!("c{at} INT")).collect();
    file.sql(&format!(
        "CREATE TABLE s_system (id INTEGER PRIMARY KEY, xmin INT); CREATE TABLE s_ctid (ctid TEXT); CREATE TABLE s_empty (\"\" INT);
         CREATE TABLE s_good (rowid TEXT, oid TEXT, _rowid_ TEXT); INSERT INTO s_good VALUES ('a', 'b', 'c'), ('a', 'b', 'c');
         CREATE TABLE s_most ({}); INSERT INTO s_most DEFAULT VALUES; CREATE TABLE s_wide ({})",
        many[1..].join(", "),
        many.join(", ")
    ));
    let from = file.url();
    let route = |glob| Route { desk: &desk, from: &from, to: to.url(), glob };
    for (table, code) in
        [("s_system", "SYN-3006"), ("s_ctid", "SYN-3006"), ("s_empty", "SYN-3006"), ("s_wide", "SYN-6002")]
    {
        assert_eq!(route(table).blocked(code).into_iter().collect::<Vec<_>>(), [table]);
    }
    assert_eq!(route("s_{good,most}").copy(&[]), Rejected::new());
    assert!(route("s_{good,most}").verify().values().all(|found| *found == Verdict::EQUAL));
    assert_eq!(to.sql("SELECT count(*), max(rowid), max(oid), max(_rowid_) FROM s_good"), "2|a|b|c");
}
