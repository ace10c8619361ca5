//! Tables without a key: as many of each row arrive as there are, also while they are copied.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::seed::{Rng, Seed};

use super::kill::{Over, over_and_over};
use crate::{
    desk::number,
    ends::{End, Ends},
};

const PAIRS: [(&str, &str); 5] = [
    ("postgres", "postgres"),
    ("mysql", "postgres"),
    ("mariadb", "mysql"),
    ("postgres", "sqlite"),
    ("sqlite", "postgres"),
];

const WAIT_MAX: Duration = Duration::from_secs(60);
const KILLS: u32 = 4;

/// Rows before the copy: enough that writers come between its parts.
const ROWS: u32 = 3_000;

/// What a row can be: of few kinds, so that many are equal, and some nearly.
const TEXTS: [&str; 6] = ["NULL", "''", "'a'", "'A'", "'a '", "'é'"];

fn kind(random: &mut Rng) -> String {
    let number = if random.one_in(4) { "NULL".to_owned() } else { random.below(4).to_string() };
    format!("{number}, {}", TEXTS[random.below(TEXTS.len() as u64) as usize])
}

/// The condition for the rows that are equal to one.
fn equal(end: &End, row: &str) -> String {
    let (a, b) = row.split_once(", ").expect("a row has two values");
    match end {
        End::Postgres(_) => format!("a IS NOT DISTINCT FROM {a} AND b IS NOT DISTINCT FROM {b}::text"),
        End::Mysql(_) => format!("a <=> {a} AND CAST(b AS BINARY) <=> CAST({b} AS BINARY)"),
        _ => format!("a IS {a} AND b IS {b}"),
    }
}

/// Something that happens to one row.
fn change(end: &End, random: &mut Rng) -> String {
    let (row, other) = (kind(random), kind(random));
    let equal = equal(end, &row);
    let (set_a, set_b) = other.split_once(", ").expect("a row has two values");
    let (one, limit) = match end {
        End::Postgres(_) => (format!("ctid = (SELECT ctid FROM bag WHERE {equal} LIMIT 1)"), ""),
        End::Mysql(_) => (equal, " LIMIT 1"),
        _ => (format!("rowid = (SELECT rowid FROM bag WHERE {equal} LIMIT 1)"), ""),
    };
    match random.below(10) {
        0..=3 => format!("INSERT INTO bag VALUES ({row});"),
        4..=6 => format!("DELETE FROM bag WHERE {one}{limit};"),
        _ => format!("UPDATE bag SET a = {set_a}, b = {set_b} WHERE {one}{limit};"),
    }
}

/// Several of them as one transaction.
fn changes(end: &End, random: &mut Rng) -> String {
    let all: String = (0..1 + random.below(6)).map(|_| change(end, random)).collect();
    format!("BEGIN; {all} UPDATE ticks SET n = n + 1; COMMIT;")
}

fn prepare(end: &End, random: &mut Rng) {
    end.sql("CREATE TABLE bag (a int, b varchar(20)); CREATE TABLE ticks (id int PRIMARY KEY, n int); INSERT INTO ticks VALUES (1, 0);");
    match end {
        End::Postgres(_) => _ = end.sql("ALTER TABLE bag REPLICA IDENTITY FULL"),
        End::Sqlite(_) => _ = end.sql("PRAGMA journal_mode = WAL"),
        _ => {}
    }
    let rows: Vec<String> = (0..ROWS).map(|_| format!("({})", kind(random))).collect();
    end.sql(&format!("INSERT INTO bag VALUES {}", rows.join(", ")));
}

fn rows(end: &End) -> Vec<String> {
    let bytes = match end {
        End::Postgres(_) => "upper(encode(convert_to(b, 'UTF8'), 'hex'))",
        End::Mysql(_) => "HEX(CONVERT(b USING utf8mb4))",
        _ => "hex(b)",
    };
    let query = format!("SELECT a, CASE WHEN b IS NULL THEN 'none' ELSE 'x' || {bytes} END FROM bag");
    let mut rows: Vec<String> = end.sql(&query).lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

fn same(ends: &Ends) {
    let (source, target) = (rows(&ends.from), rows(&ends.to));
    let counted = |rows: &[String]| {
        let mut counted: BTreeMap<String, i64> = BTreeMap::new();
        rows.iter().for_each(|row| *counted.entry(row.clone()).or_default() += 1);
        counted
    };
    let (source, mut differ) = (counted(&source), counted(&target));
    source.iter().for_each(|(row, copies)| *differ.entry(row.clone()).or_default() -= copies);
    differ.retain(|_, copies| *copies != 0);
    assert!(differ.is_empty(), "{}: so many more of these there: {differ:?}", ends.what);
    ends.same("SELECT n FROM ticks");
}

fn command(ends: &Ends, options: &[&str]) -> Vec<String> {
    ends.command("copy", &[&["--sync", "follow", "--name", "f", "--chunk-rows", "100"], options].concat())
}

/// Runs something while rows come and go at the source.
fn while_changing<T>(ends: &Ends, seed: &Seed, act: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut random = seed.rng();
        let (from, stop) = (&ends.from, &over);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                from.sql(&(0..10).map(|_| changes(from, &mut random)).collect::<String>());
            }
        });
        let _over = Over(&over);
        act()
    })
}

#[test]
fn as_many_rows_arrive_as_there_are() {
    for kinds in PAIRS {
        let Some(ends) = Ends::new(kinds) else { continue };
        let seed = Seed::from_env();
        let mut random = seed.rng();
        prepare(&ends.from, &mut random);
        let run = || ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        let first = while_changing(&ends, &seed, run);
        assert_eq!(first.of("summary").len(), 1, "{}", first.finished);
        for _ in 0..3 {
            ends.from.sql(&(0..20).map(|_| changes(&ends.from, &mut random)).collect::<String>());
            let more = run();
            assert!(number(&more.of("stopped")[0]["changes"]) > 20, "{}", more.finished);
            assert!(more.of("summary").is_empty(), "nothing is copied again: {}", more.finished);
            same(&ends);
        }
        // Many at once, of which most are equal to others.
        ends.from.sql("DELETE FROM bag WHERE a = 1; UPDATE bag SET a = 9 WHERE a = 2; INSERT INTO bag SELECT a, b FROM bag;");
        run();
        same(&ends);
        // A transaction of several parts.
        let doubled = "INSERT INTO bag SELECT a, b FROM bag;".repeat(2);
        ends.from
            .sql(&format!("BEGIN; {doubled} UPDATE bag SET a = a + 1; DELETE FROM bag WHERE a = 4; COMMIT;"));
        run();
        same(&ends);
        let truncate =
            if matches!(ends.from, End::Sqlite(_)) { "DELETE FROM bag" } else { "TRUNCATE TABLE bag" };
        ends.from.sql(&format!("{truncate}; INSERT INTO bag VALUES (1, 'x'), (1, 'x');"));
        run();
        same(&ends);
        assert_eq!(rows(&ends.to).len(), 2, "{}", ends.what);
    }
}

#[test]
fn nothing_is_counted_twice_when_the_program_is_killed() {
    for kinds in PAIRS {
        let Some(ends) = Ends::new(kinds) else { continue };
        let seed = Seed::from_env();
        prepare(&ends.from, &mut seed.rng());
        while_changing(&ends, &seed, || {
            let start = || ends.desk.syncline(&command(&ends, &[])).args(["--output", "json"]).start();
            let followed = "SELECT count(*) FROM _syncline_mark WHERE stream = '+log'";
            over_and_over(KILLS, &seed, start, || {
                ends.to.has("_syncline_mark") && ends.to.sql(followed) == "1"
            });
        });
        ends.desk.run(&command(&ends, &["--until-caught-up"])).expect_code(0);
        same(&ends);
    }
}

#[test]
fn it_is_copied_again_beside_its_changes_and_compared_while_they_are_applied() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    let seed = Seed::from_env();
    prepare(&ends.from, &mut seed.rng());
    let file = ends.desk.file(
        "f.yaml",
        &format!(
            "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    sync: follow\n",
            ends.from.url(),
            ends.to.url()
        ),
    );
    let run = ends.desk.syncline(&["run", &file]).args(["--output", "json"]).start();
    run.wait_for_output(|line| line.contains("\"following\""));
    ends.desk.run(&["recopy", &file, "f", "bag", "--where", "a = 1"]).failed(1, "SYN-3004").names(&["bag"]);
    while_changing(&ends, &seed, || {
        // Nobody looks for it.
        ends.to.sql("INSERT INTO bag VALUES (77, 'x')");
        ends.desk.run(&["recopy", &file, "f", "bag"]).expect_code(0);
        let until = Instant::now() + WAIT_MAX;
        while ends.to.sql("SELECT count(*) FROM bag WHERE a = 77") != "0" {
            assert!(run.is_running() && Instant::now() < until, "{}{}", run.stdout(), run.stderr());
            thread::sleep(Duration::from_millis(20));
        }
    });
    let verify = || ends.desk.run(&["verify", &file, "f", "--settle", "20s"]);
    verify().expect_code(0);
    run.interrupt();
    ends.desk.read(run.wait()).expect_code(0);
    ends.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
    same(&ends);
    // One more of a row that is there is a difference, and whoever looks for it in vain says so.
    ends.to.sql("DELETE FROM bag; INSERT INTO bag VALUES (77, 'x')");
    let told = verify();
    assert_ne!(told.finished.code, Some(0));
    assert!(told.finished.stdout.contains(r#""a":77"#), "{}", told.finished);
    ends.from.sql("DELETE FROM bag WHERE a = 0");
    ends.desk.run(&["run", &file, "--until-caught-up"]).failed(1, "SYN-4006").names(&["bag", "recopy"]);
    ends.desk.run(&["recopy", &file, "f", "bag"]).expect_code(0);
    same(&ends);
}

#[test]
fn plan_says_how_it_is_followed_or_why_not() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    ends.from.sql("CREATE TABLE bag (a int, b text); CREATE TABLE keyed (id int PRIMARY KEY, v text)");
    let plan = |options: &[&str]| {
        let options = [&["--sync", "follow", "--name", "f", "--stream", "bag"], options].concat();
        ends.desk.run(&ends.command("plan", &options))
    };
    let told = plan(&[]).expect_code(1);
    assert!(told.finished.stdout.contains("REPLICA IDENTITY FULL"), "{}", told.finished);
    ends.from.sql("ALTER TABLE bag REPLICA IDENTITY FULL");
    let told = plan(&[]).expect_code(0);
    assert!(told.finished.stdout.contains("by all their values"), "{}", told.finished);
    for options in [["--deletes", "soft"], ["--write", "merge"]] {
        let told = plan(&options).expect_code(1);
        assert!(told.finished.stdout.contains("SYN-3004"), "{options:?}: {}", told.finished);
    }
    // A key that stays behind says nothing of its row at the target.
    let options =
        ["--sync", "follow", "--name", "f", "--stream", "keyed", "--columns", "v", "--write", "overwrite"];
    let told = ends.desk.run(&ends.command("plan", &options)).expect_code(1);
    assert!(told.finished.stdout.contains("SYN-3004"), "{}", told.finished);
    let folder = ends.desk.path().join("folder");
    let to = format!("file:{}?format=csv", folder.display());
    let options = [
        "plan",
        &ends.from.url(),
        &to,
        "--sync",
        "follow",
        "--name",
        "f",
        "--stream",
        "bag",
        "--write",
        "overwrite",
    ];
    let told = ends.desk.run(&options).expect_code(1);
    assert!(told.finished.stdout.contains("SYN-3004"), "{}", told.finished);
}

#[test]
fn steps_are_done_to_what_goes_and_what_the_target_refuses_becomes_dead_letters() {
    for target in ["postgres", "mysql", "sqlite"] {
        let Some(ends) = Ends::new(("postgres", target)) else { continue };
        ends.from.sql(
            "CREATE TABLE bag (a int, b varchar(20)); ALTER TABLE bag REPLICA IDENTITY FULL;
             INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, 'y'), (7, 'out'), (NULL, NULL)",
        );
        ends.to.sql("CREATE TABLE bag (a int, b varchar(20), n int CHECK (n < 1000))");
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    sync: follow\n    schema_changes: apply\n    \
                 on_error: dead_letter\n    streams:\n      - name: bag\n        steps:\n          - filter: \"a < 5 or a > 50\"\n          \
                 - set: {{ n: \"a * 10\" }}\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        let run = || ends.desk.run(&["run", &file, "--until-caught-up"]).expect_code(0);
        let there = || {
            let mut rows: Vec<String> =
                ends.to.sql("SELECT a, b, n FROM bag").lines().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        run();
        assert_eq!(there(), ["1|x|10", "1|x|10", "2|y|20"], "{target}");
        // One leaves by the filter, one comes in, one never was there; one is refused, and so not there when it goes.
        ends.from.sql(
            "UPDATE bag SET a = 9 WHERE ctid = (SELECT ctid FROM bag WHERE a = 1 LIMIT 1); UPDATE bag SET a = 3 WHERE a = 7;
             DELETE FROM bag WHERE a IS NULL; INSERT INTO bag VALUES (400, 'far'), (4, 'near')",
        );
        let ended = run();
        assert_eq!(number(&ended.last()["rejected"]), 1, "{target}: {}", ended.finished);
        assert_eq!(there(), ["1|x|10", "2|y|20", "3|out|30", "4|near|40"], "{target}");
        ends.from.sql(
            "DELETE FROM bag WHERE a = 400; UPDATE bag SET b = 'z' WHERE a = 9; DELETE FROM bag WHERE a = 2",
        );
        let ended = run();
        assert_eq!(number(&ended.last()["rejected"]), 1, "{target}: {}", ended.finished);
        assert_eq!(there(), ["1|x|10", "3|out|30", "4|near|40"], "{target}");
        assert_eq!(ends.desk.run(&["dlq", "list", "f"]).expect_code(0).events.len(), 2, "{target}");
        ends.from.sql("ALTER TABLE bag ADD COLUMN d int; UPDATE bag SET d = 5 WHERE a = 1");
        run();
        assert_eq!(ends.to.sql("SELECT a, d FROM bag WHERE d IS NOT NULL"), "1|5", "{target}");
    }
}

#[test]
fn rows_may_stay_that_the_source_deletes() {
    let Some(ends) = Ends::new(("mariadb", "postgres")) else { return };
    ends.from
        .sql("CREATE TABLE bag (a int, b varchar(20)); INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, NULL)");
    let run = || {
        ends.desk
            .run(&command(&ends, &["--until-caught-up", "--deletes", "ignore", "--stream", "bag"]))
            .expect_code(0)
    };
    run();
    ends.from.sql("DELETE FROM bag WHERE a = 1 LIMIT 1; UPDATE bag SET a = 3 WHERE a = 1; INSERT INTO bag VALUES (4, 'y'); TRUNCATE bag");
    run();
    assert_eq!(ends.to.sql("SELECT a FROM bag ORDER BY a"), "1\n2\n3\n4");
}

#[test]
fn columns_that_change_are_followed() {
    for kinds in [("postgres", "sqlite"), ("mysql", "postgres"), ("postgres", "mariadb")] {
        let Some(ends) = Ends::new(kinds) else { continue };
        ends.from.sql("CREATE TABLE bag (a int, b varchar(20), c int); INSERT INTO bag VALUES (1, 'x', 1), (1, 'x', 1), (2, NULL, 2), (3, 'z', NULL)");
        if matches!(ends.from, End::Postgres(_)) {
            ends.from.sql("ALTER TABLE bag REPLICA IDENTITY FULL");
        }
        let run = || {
            let options = ["--until-caught-up", "--schema-changes", "apply", "--stream", "bag"];
            ends.desk.run(&command(&ends, &options)).expect_code(0)
        };
        run();
        for (statement, columns) in [
            ("ALTER TABLE bag ADD COLUMN d varchar(9)", "a, b, c, d"),
            ("ALTER TABLE bag DROP COLUMN c", "a, b, d"),
            ("ALTER TABLE bag RENAME COLUMN b TO e", "a, e, d"),
            ("ALTER TABLE bag ADD COLUMN f int DEFAULT 7 NOT NULL", "a, e, d, f"),
        ] {
            ends.from.sql("INSERT INTO bag (a) VALUES (5), (5)");
            ends.from.sql(statement);
            ends.from.sql("DELETE FROM bag WHERE a = 2; UPDATE bag SET a = a + 1 WHERE a < 9");
            run();
            let query = format!("SELECT {columns} FROM bag ORDER BY {columns}");
            let sorted = |end: &End| {
                let told = end.sql(&format!("SELECT {columns}, 1 FROM bag"));
                let mut rows: Vec<String> = told.lines().map(str::to_owned).collect();
                rows.sort();
                rows
            };
            assert_eq!(sorted(&ends.from), sorted(&ends.to), "{}: {statement}: {query}", ends.what);
        }
    }
}
