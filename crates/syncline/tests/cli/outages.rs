//! Servers that are down, die and come back, and networks that fail in the middle.

use std::{
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{
    faults::{Flow, Proxy},
    process::Running,
    servers::{
        left_out,
        postgres::{Database, Options, Postgres, StopMode},
    },
};

use crate::{
    desk::{Failed, sum},
    tables::{Pair, more_orders, nothing_left, orders, same_rows},
};

const ROWS: u64 = 2_000;
const CHUNKS: &[&str] = &["--stream", "orders", "--chunk-rows", "200", "--parallel", "2"];
/// A second and a half or so, of which the fault takes the first half.
const SLOWLY: &[&str] = &["--limit-rows", "1500/s"];
const WAIT_MAX: Duration = Duration::from_secs(40);

/// Ways to write, and what the target has before.
const WAYS: &[(&str, &[&str])] = &[
    ("overwrite", &["--write", "overwrite"]),
    ("append", &["--write", "append"]),
    ("merge", &["--write", "merge"]),
];

/// Waits until something is so while a run goes on.
fn wait_until(run: &Running, what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT_MAX;
    while !is_so() {
        assert!(run.is_running(), "{what}: it has ended\n{}{}", run.stdout(), run.stderr());
        assert!(Instant::now() < until, "{what}: it took too long\n{}{}", run.stdout(), run.stderr());
        thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_retry(run: &Running) {
    wait_until(run, "a retry", || run.stdout().contains(r#""event":"retry""#));
}

/// A server of its own for one end, the shared kind of two databases for the rest.
fn two_servers() -> Option<(Postgres, Postgres)> {
    (!left_out("postgres")).then(|| {
        let start = || Postgres::start(Options::new());
        (start(), start())
    })
}

#[test]
fn a_server_that_is_down_at_the_start_is_named_with_what_to_do() {
    let Some((mut source, mut target)) = two_servers() else { return };
    let pair = Pair::on(&source, &target);
    pair.from.sql(&orders(100));
    target.stop(StopMode::Fast);
    let address = format!("127.0.0.1:{}", target.port());
    for command in ["copy", "plan", "verify"] {
        let failed = pair.desk.run(&pair.command(command, CHUNKS)).failed(1, "SYN-2001");
        says(&failed, &address);
    }
    target.start_again();
    source.stop(StopMode::Fast);
    let address = format!("127.0.0.1:{}", source.port());
    for command in ["copy", "plan", "verify"] {
        let failed = pair.desk.run(&pair.command(command, CHUNKS)).failed(1, "SYN-2001");
        says(&failed, &address);
    }
    assert_eq!(pair.to.sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%syncline%'"), "0");
    source.start_again();
    pair.run(CHUNKS).done();
    pair.same("orders");
}

fn says(failed: &Failed, address: &str) {
    assert!(failed.message.contains(address), "no `{address}` in {failed:?}");
    assert!(!failed.hint.is_empty(), "no hint: {failed:?}");
}

#[test]
fn a_source_that_dies_and_comes_back_is_read_to_its_end() {
    let Some((mut source, target)) = two_servers() else { return };
    for (way, options) in WAYS {
        let pair = Pair::on(&source, &target);
        pair.from.sql(&orders(ROWS));
        let run = pair.desk.syncline(&pair.copy(&[CHUNKS, options, SLOWLY].concat()));
        let run = run.args(["--output", "json"]).start();
        pair.desk.wait_for_chunks(&run, 2);
        source.kill9();
        wait_for_retry(&run);
        if *way != "append" {
            assert_eq!(pair.to.sql("SELECT to_regclass('orders') IS NULL"), "t", "{way}: not yet seen");
        }
        source.start_again();
        let summary = pair.desk.read(run.wait()).done();
        // What was committed is not read again.
        assert_eq!(sum(&summary, "rows"), ROWS, "{way}: {summary}");
        assert!(summary["snapshots"].as_u64() > Some(1), "{way}: {summary}");
        pair.same("orders");
    }
}

#[test]
fn a_target_that_dies_and_comes_back_holds_each_row_once() {
    let Some((source, mut target)) = two_servers() else { return };
    for (way, options) in WAYS {
        let pair = Pair::on(&source, &target);
        pair.from.sql(&orders(ROWS));
        let run = pair.desk.syncline(&pair.copy(&[CHUNKS, options, SLOWLY].concat()));
        let run = run.args(["--output", "json"]).start();
        pair.desk.wait_for_chunks(&run, 2);
        target.kill9();
        wait_for_retry(&run);
        target.start_again();
        let summary = pair.desk.read(run.wait()).done();
        assert_eq!(sum(&summary, "rows"), ROWS, "{way}: {summary}");
        pair.same("orders");
    }
}

#[test]
fn a_run_that_waits_for_a_server_can_be_stopped_and_goes_on_later() {
    let Some((source, mut target)) = two_servers() else { return };
    let pair = Pair::on(&source, &target);
    pair.from.sql(&orders(ROWS));
    let command = pair.copy(&[CHUNKS, SLOWLY].concat());
    let run = pair.desk.syncline(&command).args(["--output", "json"]).start();
    pair.desk.wait_for_chunks(&run, 2);
    target.kill9();
    wait_for_retry(&run);
    run.interrupt();
    let asked = Instant::now();
    pair.desk.read(run.wait()).failed(130, "SYN-5007").hints("same command");
    assert!(asked.elapsed() < Duration::from_secs(15), "it took {:?} to stop", asked.elapsed());
    assert_eq!(pair.desk.status()["state"], "unfinished");
    // Still down: the same command says so, and loses nothing.
    pair.run(CHUNKS).failed(1, "SYN-2001");
    target.start_again();
    let summary = pair.run(CHUNKS).done();
    let (rows, resumed) = (sum(&summary, "rows"), sum(&summary, "rows_resumed"));
    assert!(resumed > 0 && rows + resumed == ROWS, "{summary}");
    pair.same("orders");
}

/// A pair whose source or target is reached through a proxy.
struct Wired {
    pair: Pair,
    proxy: Proxy,
    from: String,
    to: String,
}

impl Wired {
    fn new(at_source: bool) -> Option<Self> {
        let pair = Pair::new()?;
        pair.from.sql(&orders(ROWS));
        let server = syncline_testkit::servers::postgres::shared();
        let proxy = Proxy::start(("127.0.0.1", server.port()));
        let through = |database: &Database| {
            database.url().replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.addr().port()))
        };
        let (from, to) = match at_source {
            true => (through(&pair.from), pair.to.url().to_owned()),
            false => (pair.from.url().to_owned(), through(&pair.to)),
        };
        Some(Wired { pair, proxy, from, to })
    }

    fn start(&self, options: &[&str]) -> Running {
        let options = [CHUNKS, options].concat();
        let ends = ["copy", &self.from, &self.to];
        let arguments: Vec<&str> = ends.into_iter().chain(options).collect();
        self.pair.desk.syncline(&arguments).args(["--output", "json"]).start()
    }

    fn ended_well(&self, run: Running) {
        let summary = self.pair.desk.read(run.wait()).done();
        assert_eq!(sum(&summary, "rows"), ROWS, "{summary}");
        self.pair.same("orders");
    }
}

#[test]
fn a_network_that_is_cut_and_comes_back_loses_and_doubles_nothing() {
    for at_source in [true, false] {
        for (_, write) in WAYS {
            let Some(wired) = Wired::new(at_source) else { return };
            let run = wired.start(&[*write, SLOWLY].concat());
            wired.pair.desk.wait_for_chunks(&run, 2);
            wired.proxy.cut();
            wait_for_retry(&run);
            wired.proxy.heal();
            wired.ended_well(run);
        }
    }
}

#[test]
fn a_network_that_is_cut_at_any_byte_loses_and_doubles_nothing() {
    let seed = syncline_testkit::seed::Seed::from_env();
    let mut rng = seed.rng();
    for at_source in [true, false] {
        let Some(wired) = Wired::new(at_source) else { return };
        // Wherever the bytes of rows go, and back to where answers come from.
        let flow = if at_source { Flow::Down } else { Flow::Up };
        for (way, write) in WAYS {
            if *way == "append" {
                wired.pair.to.sql("TRUNCATE orders");
            }
            let flow =
                if rng.one_in(4) { [Flow::Down, Flow::Up][usize::from(flow == Flow::Down)] } else { flow };
            let run = wired.start(write);
            wired.proxy.cut_after(flow, 20_000 + rng.below(300_000));
            let until = Instant::now() + WAIT_MAX;
            while run.is_running() && Instant::now() < until {
                if run.stdout().contains(r#""event":"retry""#) {
                    wired.proxy.heal();
                }
                thread::sleep(Duration::from_millis(5));
            }
            wired.proxy.heal();
            let ended = wired.pair.desk.hear(run.wait());
            // Cut before the run had begun, it fails, and the same command goes on.
            if ended.code == Some(1) {
                assert!(ended.stdout.contains("SYN-20"), "{way}: {ended}");
                wired.pair.desk.read(wired.start(write).wait()).done();
            } else {
                wired.pair.desk.read(ended).done();
            }
            same_rows((&wired.pair.from, "TABLE orders"), (&wired.pair.to, "TABLE orders"));
            nothing_left(&wired.pair.to);
        }
    }
}

#[test]
fn a_network_that_stalls_is_given_up_on_at_the_deadline_and_tried_again() {
    for at_source in [true, false] {
        let Some(wired) = Wired::new(at_source) else { return };
        let run = wired.start(&[SLOWLY, &["--idle-timeout", "2s"]].concat());
        wired.pair.desk.wait_for_chunks(&run, 2);
        wired.proxy.stall();
        wait_for_retry(&run);
        assert!(run.stdout().contains("SYN-2004") || run.stdout().contains("SYN-2001"), "{}", run.stdout());
        wired.proxy.heal();
        wired.ended_well(run);
    }
}

#[test]
fn a_slow_network_only_takes_longer() {
    let Some(wired) = Wired::new(true) else { return };
    wired.proxy.delay(Duration::from_millis(15));
    wired.proxy.bandwidth(1 << 20);
    wired.pair.from.sql(&more_orders(ROWS + 1, ROWS + 1));
    wired.pair.from.sql(&format!("DELETE FROM orders WHERE id = {}", ROWS + 1));
    let run = wired.start(&["--idle-timeout", "5s"]);
    wired.ended_well(run);
}
