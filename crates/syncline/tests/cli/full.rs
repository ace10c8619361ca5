//! No space left, under the target or under the state: nothing is lost, and the same command goes on
//! once there is room.

use syncline_testkit::{
    disk::SmallDisk,
    servers::{
        left_out,
        postgres::{Options, Postgres, shared},
    },
};

use crate::{
    desk::{Desk, sum},
    tables::{Pair, nothing_left, orders, same_rows},
};

const OPTIONS: &[&str] =
    &["--stream", "orders", "--chunk-rows", "500", "--parallel", "2", "--write", "overwrite"];
const ROWS: u64 = 20_000;

fn left_out_here() -> bool {
    left_out("postgres") || left_out("small-disk")
}

#[test]
fn a_full_disk_under_the_target_stops_the_run_which_goes_on_once_there_is_room() {
    if left_out_here() {
        return;
    }
    let server = Postgres::start(
        Options::new().disk_bytes(220 << 20).setting("max_wal_size", "32MB").setting("min_wal_size", "32MB"),
    );
    let pair = Pair::on(shared(), &server);
    pair.from.sql(&orders(ROWS));
    pair.to.sql(&orders(50));
    let old = pair.to.sql("SELECT count(*), sum(id) FROM orders");
    let run = pair
        .desk
        .syncline(&pair.copy(&[OPTIONS, &["--limit-rows", "10000/s"]].concat()))
        .args(["--output", "json"])
        .start();
    pair.desk.wait_for_chunks(&run, 2);
    server.fill_disk();
    let ended = pair.desk.read(run.wait()).expect_code(1);
    let code = ended.last()["code"].as_str().unwrap_or_default().to_owned();
    // A server whose log cannot be written stops altogether.
    assert!(["SYN-2008", "SYN-2001", "SYN-2006"].contains(&code.as_str()), "{}", ended.finished);
    ended.failed(1, &code).hinted();
    server.free_disk();
    let mut seen = pair.to.try_sql("SELECT count(*), sum(id) FROM orders");
    for _ in 0..200 {
        if seen.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        seen = pair.to.try_sql("SELECT count(*), sum(id) FROM orders");
    }
    assert_eq!(seen.as_deref(), Ok(old.as_str()), "nothing is seen of it");
    let summary = pair.run(OPTIONS).done();
    let (rows, resumed) = (sum(&summary, "rows"), sum(&summary, "rows_resumed"));
    assert!(resumed > 0 && rows + resumed == ROWS, "{summary}");
    pair.same("orders");
}

#[test]
fn a_full_disk_under_the_state_stops_the_run_which_goes_on_once_there_is_room() {
    if left_out_here() {
        return;
    }
    let Some(pair) = Pair::new() else { return };
    pair.from.sql(&orders(ROWS));
    let disk = SmallDisk::new(4 << 20);
    let desk = Desk::with_state(&disk.path().join("state"));
    let command = pair.copy(&[OPTIONS, &["--limit-rows", "10000/s"]].concat());
    // Full from the start: nothing is begun.
    disk.fill();
    desk.run(&command).failed(1, "SYN-5006").hinted();
    assert_eq!(
        pair.to.sql("SELECT count(*) FROM pg_class WHERE relname LIKE '%syncline%' OR relname = 'orders'"),
        "0"
    );
    disk.free();
    // Full in the middle.
    let run = desk.syncline(&command).args(["--output", "json"]).start();
    desk.wait_for_chunks(&run, 2);
    disk.fill();
    desk.read(run.wait()).failed(1, "SYN-5006").hinted();
    assert_eq!(pair.to.sql("SELECT to_regclass('orders') IS NULL"), "t");
    desk.run(&command).failed(1, "SYN-5006").hinted();
    disk.free();
    let summary = desk.run(&pair.copy(OPTIONS)).done();
    let (rows, resumed) = (sum(&summary, "rows"), sum(&summary, "rows_resumed"));
    assert!(resumed > 0 && rows + resumed == ROWS, "{summary}");
    same_rows((&pair.from, "TABLE orders"), (&pair.to, "TABLE orders"));
    nothing_left(&pair.to);
}
