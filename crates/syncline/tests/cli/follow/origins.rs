//! Pipelines that go both ways, in chains and round in circles: every change arrives wherever it should,
//! once, and none comes back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{process::Running, seed::Seed};

use super::kill::Over;
use crate::{
    desk::{Desk, Ran, number},
    end::End,
};

const WAIT_MAX: Duration = Duration::from_secs(60);
/// In which a change that came back would come back again.
const CALM: Duration = Duration::from_secs(2);

const KILLS: u32 = 8;

/// Kinds of databases that tell where changes have come from.
const TWO: &[[&str; 2]] = &[
    ["postgres", "postgres"],
    ["postgres", "mysql"],
    ["mariadb", "mysql"],
    ["sqlite", "postgres?capture=triggers"],
];
const THREE: &[[&str; 3]] = &[
    ["postgres", "postgres", "postgres"],
    ["mysql", "mariadb", "postgres"],
    ["postgres?capture=triggers", "sqlite", "sqlite"],
];

/// Changes that a site makes to its own rows: new ones, changed ones, deleted ones.
const EACH: u64 = 20;

/// Databases that pipelines go between, with the same rows in one table.
struct Sites {
    ends: Vec<End>,
    options: Vec<&'static str>,
    desk: Desk,
}

/// A pipeline that runs.
struct Flow {
    run: Running,
    what: String,
}

impl Sites {
    /// A kind may have options behind a `?`.
    fn new(kinds: &[&'static str]) -> Option<Self> {
        let desk = Desk::new();
        let (mut ends, mut options) = (vec![], vec![]);
        for (site, kind) in kinds.iter().enumerate() {
            let (kind, option) = kind.split_once('?').unwrap_or((kind, ""));
            let end = End::fresh(kind, &desk, &format!("site{site}"))?;
            let number = if kind == "sqlite" { "integer" } else { "bigint" };
            end.sql(&format!("CREATE TABLE t (id {number} PRIMARY KEY, v text)"));
            let rows = (0..kinds.len()).flat_map(|site| (0..EACH * 2).map(move |row| id(site, row)));
            let rows: Vec<String> = rows.map(|id| format!("({id}, 'first')")).collect();
            end.sql(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
            ends.push(end);
            options.push(option);
        }
        Some(Sites { ends, options, desk })
    }

    fn arguments(&self, from: usize, to: usize, more: &[&str]) -> Vec<String> {
        let source = self.ends[from].url();
        let source = match self.options[from] {
            "" => source,
            option => format!("{source}{}{option}", if source.contains('?') { '&' } else { '?' }),
        };
        let name = format!("p{from}{to}");
        let own = ["--sync", "follow", "--write", "merge", "--stream", "t", "--name", &name];
        let own = own.iter().chain(more).map(|argument| (*argument).to_owned());
        ["copy".to_owned(), source, self.ends[to].url()].into_iter().chain(own).collect()
    }

    fn start(&self, from: usize, to: usize, more: &[&str]) -> Flow {
        let arguments = self.arguments(from, to, more);
        let run = self.desk.syncline(&arguments).args(["--output", "json"]).start();
        run.wait_for_output(|line| line.contains("\"following\""));
        Flow { run, what: format!("{from} -> {to}") }
    }

    fn rows(&self, site: usize) -> String {
        self.ends[site].sql("SELECT id, v FROM t ORDER BY id")
    }

    /// Every site changes rows that no other does, each in a transaction of its own.
    fn write(&self) {
        for (site, end) in self.ends.iter().enumerate() {
            let changes = (0..EACH).map(|row| {
                let (new, changed, gone) = (id(site, row + EACH * 2), id(site, row), id(site, row + EACH));
                format!(
                    "INSERT INTO t VALUES ({new}, 'new at {site}'); UPDATE t SET v = 'changed at {site}' WHERE id = {changed};
                     DELETE FROM t WHERE id = {gone};\n"
                )
            });
            end.sql(&changes.collect::<String>());
        }
    }

    /// Waits until all sites have the same rows, and then for whatever comes after.
    fn settle(&self, flows: &[Flow]) -> String {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let all: Vec<String> = (0..self.ends.len()).map(|site| self.rows(site)).collect();
            if all.windows(2).all(|pair| pair[0] == pair[1]) {
                break;
            }
            for Flow { run, what } in flows {
                let is_well = Instant::now() < until && run.is_running();
                assert!(is_well, "{what}: sites differ: {all:#?}\n{}{}", run.stdout(), run.stderr());
            }
            thread::sleep(Duration::from_millis(50));
        }
        thread::sleep(CALM);
        let all: Vec<String> = (0..self.ends.len()).map(|site| self.rows(site)).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "sites differ again: {all:#?}");
        all.into_iter().next().unwrap_or_default()
    }

    /// Ends pipelines. Each has applied so many changes, if that is to be looked at.
    fn end(&self, flows: Vec<Flow>, expected: &[u64]) {
        for (number, Flow { run, what }) in flows.into_iter().enumerate() {
            run.interrupt();
            let ran = self.desk.read(run.wait());
            assert_eq!(ran.finished.code, Some(0), "{what}: {}", ran.finished);
            if let Some(expected) = expected.get(number) {
                let changes = number_of(&ran);
                // What was committed when something failed right after it is not counted.
                let fits = changes == *expected || changes < *expected && !ran.of("retry").is_empty();
                assert!(fits, "{what}: {changes} changes were applied, not {expected}: {}", ran.finished);
            }
        }
    }
}

/// How many changes a run has applied.
fn number_of(ran: &Ran) -> u64 {
    number(&ran.of("stopped")[0]["changes"])
}

/// The number of a site's own row.
fn id(site: usize, row: u64) -> u64 {
    site as u64 * 1_000 + row
}

/// What all sites have written, when everybody has everything.
fn expected(sites: usize) -> String {
    let own = |site: usize| {
        let changed = (0..EACH).map(move |row| format!("{}|changed at {site}", id(site, row)));
        changed.chain((EACH * 2..EACH * 3).map(move |row| format!("{}|new at {site}", id(site, row))))
    };
    (0..sites).flat_map(own).collect::<Vec<_>>().join("\n")
}

/// Two pipelines, one each way: what each applies is what was written at its source.
fn both_ways(kinds: &[&'static str; 2]) {
    let Some(sites) = Sites::new(kinds) else { return };
    let flows = vec![sites.start(0, 1, &[]), sites.start(1, 0, &[])];
    sites.write();
    assert_eq!(sites.settle(&flows), expected(2), "{kinds:?}");
    sites.end(flows, &[EACH * 3, EACH * 3]);
    // What was not yet read goes the same way after a pause.
    sites.ends[0].sql("UPDATE t SET v = 'later' WHERE id = 1000; INSERT INTO t VALUES (-1, 'later')");
    for (from, to, changes) in [(0, 1, 2), (1, 0, 0)] {
        let ran = sites.desk.run(&sites.arguments(from, to, &["--until-caught-up"])).expect_code(0);
        assert_eq!(number_of(&ran), changes, "{kinds:?}: {from} -> {to}");
    }
    assert_eq!(sites.rows(0), sites.rows(1));
}

#[test]
fn pipelines_go_both_ways_between_two_postgres() {
    both_ways(&["postgres", "postgres"]);
}

#[test]
fn pipelines_go_both_ways_between_postgres_and_mysql() {
    both_ways(&["postgres", "mysql"]);
}

#[test]
fn pipelines_go_both_ways_between_postgres_and_mariadb() {
    both_ways(&["mariadb", "postgres"]);
}

#[test]
fn pipelines_go_both_ways_between_mysql_and_mariadb() {
    both_ways(&["mysql", "mariadb"]);
}

#[test]
fn pipelines_go_both_ways_between_postgres_and_sqlite() {
    both_ways(&["postgres", "sqlite"]);
}

#[test]
fn pipelines_go_both_ways_between_two_sqlite() {
    both_ways(&["sqlite", "sqlite"]);
}

#[test]
fn pipelines_go_both_ways_by_triggers() {
    both_ways(&["postgres?capture=triggers", "postgres"]);
    both_ways(&["postgres?capture=triggers", "postgres?capture=triggers"]);
}

#[test]
fn pipelines_go_both_ways_where_triggers_of_mysql_and_mariadb_record_changes() {
    both_ways(&["mysql?capture=triggers", "mariadb?capture=triggers"]);
    both_ways(&["mariadb?capture=triggers", "postgres"]);
}

/// Each site has rows that the other lacks, and gets more while the pipelines begin.
#[test]
fn pipelines_that_begin_both_ways_lose_no_rows() {
    let Some(sites) = Sites::new(&["postgres", "postgres"]) else { return };
    for (site, end) in sites.ends.iter().enumerate() {
        let first = site * 100_000;
        end.sql(&format!(
            "DELETE FROM t; INSERT INTO t SELECT {first} + g, 'own' FROM generate_series(1, 2000) g"
        ));
    }
    let over = AtomicBool::new(false);
    let (flows, written) = thread::scope(|scope| {
        let over_at_the_end = Over(&over);
        let writers: Vec<_> = (sites.ends.iter().enumerate())
            .map(|(site, end)| {
                let (stop, mut next) = (&over, site * 100_000 + 3_000);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        end.sql(&format!("INSERT INTO t VALUES ({next}, 'new')"));
                        next += 1;
                    }
                    next - site * 100_000 - 1_000
                })
            })
            .collect();
        let told = ["--deletes", "told"];
        let flows = vec![sites.start(0, 1, &told), sites.start(1, 0, &told)];
        drop(over_at_the_end);
        let written: usize = writers.into_iter().map(|writer| writer.join().expect("it writes")).sum();
        (flows, written)
    });
    sites.settle(&flows);
    assert_eq!(sites.ends[0].sql("SELECT count(*) FROM t"), written.to_string());
    sites.ends[0].sql("DELETE FROM t WHERE id = 100001");
    wait_for(|| sites.ends[1].sql("SELECT count(*) FROM t WHERE id = 100001") == "0");
    sites.end(flows, &[]);
}

/// The same as above, but that nobody cares where changes have come from: so much the other tests see.
#[test]
fn without_marks_changes_go_round_for_ever() {
    let Some(sites) = Sites::new(&["postgres", "postgres"]) else { return };
    let echoes = ["--echoes", "apply"];
    let flows = vec![sites.start(0, 1, &echoes), sites.start(1, 0, &echoes)];
    sites.ends[0].sql("INSERT INTO t VALUES (-1, 'x')");
    thread::sleep(CALM);
    for Flow { run, .. } in flows {
        run.interrupt();
        let ran = sites.desk.read(run.wait()).expect_code(0);
        assert!(number_of(&ran) > 20, "one change was made: {}", ran.finished);
    }
}

/// What comes in from one side goes out at the other.
#[test]
fn a_chain_passes_everything_on() {
    for kinds in THREE {
        let Some(sites) = Sites::new(kinds) else { return };
        let flows = vec![sites.start(0, 1, &[]), sites.start(1, 2, &[])];
        sites.ends[0].sql("UPDATE t SET v = 'changed' WHERE id < 10; DELETE FROM t WHERE id = 30");
        sites.ends[1].sql("UPDATE t SET v = 'on the way' WHERE id = 1000");
        wait_for(|| sites.ends[2].sql("SELECT count(*) FROM t WHERE v <> 'first' OR id = 30") == "11");
        assert_eq!(sites.rows(1), sites.rows(2), "{kinds:?}");
        sites.end(flows, &[11, 12]);
    }
}

/// With another one back at every step, so that each change has two ways round.
#[test]
fn rings_come_to_rest() {
    for kinds in THREE {
        for ways in [&[(0, 1), (1, 2), (2, 0)][..], &[(0, 1), (1, 0), (1, 2), (2, 1)]] {
            let Some(sites) = Sites::new(kinds) else { return };
            let flows: Vec<Flow> = ways.iter().map(|(from, to)| sites.start(*from, *to, &[])).collect();
            sites.write();
            assert_eq!(sites.settle(&flows), expected(3), "{kinds:?}");
            let two_sites = vec![EACH * 6; 3];
            let expected =
                if ways.len() == 3 { two_sites } else { vec![EACH * 3, EACH * 6, EACH * 6, EACH * 3] };
            sites.end(flows, &expected);
        }
    }
}

/// Rows that a run copies, appends or puts right are as those that a pipeline applies.
#[test]
fn what_a_copy_or_a_repair_writes_does_not_come_back() {
    for kinds in TWO {
        let Some(sites) = Sites::new(kinds) else { return };
        sites.desk.run(&sites.arguments(1, 0, &["--until-caught-up"])).expect_code(0);
        let run = |command: &str, options: &[&str]| {
            let ends = [command.to_owned(), sites.ends[0].url(), sites.ends[1].url()];
            let own = ["--stream", "t", "--name", "whole"].iter().chain(options);
            let all: Vec<String> =
                ends.into_iter().chain(own.map(|argument| (*argument).to_owned())).collect();
            sites.desk.run(&all)
        };
        let back = || {
            let ran = sites.desk.run(&sites.arguments(1, 0, &["--until-caught-up"])).expect_code(0);
            number_of(&ran)
        };
        sites.ends[0].sql("UPDATE t SET v = 'merged' WHERE id < 10; DELETE FROM t WHERE id = 12");
        run("copy", &["--write", "merge", "--deletes", "apply"]).expect_code(0);
        assert_eq!((back(), sites.rows(0) == sites.rows(1)), (0, true), "{kinds:?}: merged");
        sites.ends[0].sql("UPDATE t SET v = 'repaired' WHERE id < 10; DELETE FROM t WHERE id = 13");
        run("verify", &["--repair", "--write", "merge", "--deletes", "apply"]).expect_code(0);
        assert_eq!((back(), sites.rows(0) == sites.rows(1)), (0, true), "{kinds:?}: repaired");
        sites.ends[1].sql("DELETE FROM t");
        assert_ne!(back(), 0, "{kinds:?}: what is deleted there is deleted here");
        sites.ends[0].sql("INSERT INTO t VALUES (1, 'appended'), (2, 'appended')");
        assert_eq!(back(), 0, "{kinds:?}: it is no change of the source");
        run("copy", &["--write", "append"]).expect_code(0);
        assert_eq!((back(), sites.rows(0) == sites.rows(1)), (0, true), "{kinds:?}: appended");
        sites.ends[1].sql("UPDATE t SET v = 'own'");
        assert_eq!((back(), sites.rows(0) == sites.rows(1)), (2, true), "{kinds:?}: its own");
    }
}

/// Tables of one database are a chain like any other.
#[test]
fn within_a_database_everything_is_passed_on() {
    let Some(sites) = Sites::new(&["postgres"]) else { return };
    let url = sites.ends[0].url();
    let run = |from: &str, to: &str| {
        let stream = format!("{from}={to}");
        let arguments = ["copy", &url, &url, "--sync", "follow", "--write", "merge", "--stream", &stream];
        let ran =
            sites.desk.run(&[&arguments[..], &["--name", from, "--until-caught-up"]].concat()).expect_code(0);
        number_of(&ran)
    };
    assert_eq!((run("t", "u"), run("u", "w")), (0, 0));
    sites.ends[0].sql("UPDATE t SET v = 'on' WHERE id < 5");
    assert_eq!((run("t", "u"), run("u", "w")), (5, 5));
    assert_eq!(sites.ends[0].sql("SELECT count(*) FROM w WHERE v = 'on'"), "5");
}

/// Whatever has come to a place is no change of it, and what goes elsewhere may have come from there.
#[test]
fn plan_says_what_is_passed_over() {
    let Some(sites) = Sites::new(&["postgres", "postgres"]) else { return };
    let says = |to: usize, more: &[&str]| {
        let mut arguments = sites.arguments(0, to, more);
        arguments[0] = "plan".to_owned();
        sites
            .desk
            .text(&arguments)
            .expect_code(0)
            .stdout
            .contains("come through the target's database are passed over")
    };
    assert!(says(1, &[]));
    assert!(!says(1, &["--echoes", "apply"]));
}

/// Both are killed over and over while both sites write.
#[test]
fn nothing_comes_back_whatever_is_killed() {
    for kinds in TWO {
        let Some(sites) = Sites::new(kinds) else { return };
        let seed = Seed::from_env();
        let mut random = seed.rng();
        sites.end(vec![sites.start(0, 1, &[]), sites.start(1, 0, &[])], &[]);
        for round in 0..KILLS {
            let start = |from, to| {
                let arguments = sites.arguments(from, to, &[]);
                sites.desk.syncline(&arguments).args(["--output", "json"]).start()
            };
            let lives = [start(0, 1), start(1, 0)];
            for (site, end) in sites.ends.iter().enumerate() {
                for row in 0..4 {
                    end.sql(&format!(
                        "UPDATE t SET v = 'round {round} of {site}' WHERE id = {}",
                        id(site, row)
                    ));
                }
            }
            thread::sleep(Duration::from_millis(random.below(800)));
            for life in lives {
                life.kill9();
                let ended = life.wait();
                assert!(ended.was_killed(), "it ended by itself: {ended}");
            }
        }
        let flows = vec![sites.start(0, 1, &[]), sites.start(1, 0, &[])];
        sites.write();
        assert_eq!(sites.settle(&flows), expected(2), "{kinds:?}");
        sites.end(flows, &[]);
        for (from, to) in [(0, 1), (1, 0)] {
            let ran = sites.desk.run(&sites.arguments(from, to, &["--until-caught-up"])).expect_code(0);
            assert_eq!(number_of(&ran), 0, "{kinds:?}: {from} -> {to}");
        }
    }
}

/// Tables of ours are at both ends by then.
#[test]
fn nobody_follows_what_keeps_the_books() {
    for kinds in TWO {
        let Some(sites) = Sites::new(kinds) else { return };
        for (from, to) in [(0, 1), (1, 0)] {
            sites.desk.run(&sites.arguments(from, to, &["--until-caught-up"])).expect_code(0);
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let mut arguments = sites.arguments(from, to, &["--name", "all"]);
            arguments[0] = "plan".to_owned();
            arguments.retain(|argument| *argument != format!("p{from}{to}"));
            let first_name = arguments.iter().position(|argument| argument == "--name").expect("it has one");
            arguments.remove(first_name);
            let stream = arguments.iter().position(|argument| argument == "t").expect("it is named");
            arguments[stream] = "*".to_owned();
            let plan = sites.desk.run(&arguments).expect_code(0);
            let told = plan.events.iter().map(ToString::to_string).collect::<String>();
            assert!(told.contains("\"t\"") || told.contains(".t\""), "{kinds:?}: {told}");
            assert!(
                !told.contains("_syncline_mark") && !told.contains("_syncline_made"),
                "{kinds:?}: {told}"
            );
        }
    }
}

fn wait_for(is_so: impl Fn() -> bool) {
    let until = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(Instant::now() < until, "it does not come");
        thread::sleep(Duration::from_millis(30));
    }
}
