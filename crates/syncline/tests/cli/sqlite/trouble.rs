//! Files that are locked, may not be written, are damaged or no databases, and disks that are full.

use std::{fs, os::unix::fs::PermissionsExt};

use syncline_testkit::{disk::SmallDisk, servers::left_out};

use crate::{
    desk::{Desk, sum},
    ends::{End, Ends},
    lite::Lite,
};

const SECRET: &str = "s3cr3t-r0w";

/// A desk with a source of so many rows.
fn with_source(rows: u32) -> (Desk, Lite, Lite) {
    let desk = Desk::new();
    let (source, target) = (Lite::at(desk.path().join("a.db")), Lite::at(desk.path().join("b.db")));
    let rows: Vec<String> = (1..=rows).map(|id| format!("({id}, '{SECRET} {id}')")).collect();
    source.sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    (desk, source, target)
}

#[test]
fn a_file_that_somebody_holds_is_waited_for() {
    let (desk, source, target) = with_source(500);
    target.sql("CREATE TABLE theirs (id INTEGER)");
    let holder = target.open();
    holder.execute_batch("BEGIN IMMEDIATE; INSERT INTO theirs VALUES (1)").expect("it is ours");
    let run = desk
        .syncline(&["copy", &source.url(), &format!("{}?busy_seconds=1", target.url())])
        .args(["--output", "json"])
        .start();
    while !run.stdout().contains("SYN-2007") {
        assert!(run.is_running(), "it does not wait\n{}", run.stdout());
    }
    holder.execute_batch("COMMIT").expect("it commits");
    let ended = desk.hear(run.wait());
    // Held at the very start it is an error with a hint; later it is tried again by itself.
    if ended.code == Some(1) {
        desk.read(ended).failed(1, "SYN-2007").hinted();
        desk.run(&["copy", &source.url(), &target.url()]).done();
    } else {
        desk.read(ended).done();
    }
    assert_eq!(target.typed("SELECT * FROM t"), source.typed("SELECT * FROM t"));
    assert_eq!(target.sql("SELECT count(*) FROM theirs"), "1");
    target.nothing_left();
}

#[test]
fn a_file_that_somebody_takes_in_the_middle_is_waited_for() {
    for kinds in [("sqlite", "sqlite"), ("postgres", "sqlite")] {
        let Some(ends) = Ends::new(kinds) else { return };
        let rows: Vec<String> = (1..=2_000).map(|id| format!("({id}, 'v')")).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        let End::Sqlite(target) = &ends.to else { unreachable!("asked for") };
        let mut command =
            ends.command("copy", &["--stream", "t", "--chunk-rows", "100", "--limit-rows", "1000/s"]);
        command[2].push_str("?busy_seconds=1");
        let run = ends.desk.syncline(&command).args(["--output", "json"]).start();
        while !target.path().exists()
            || target
                .try_sql("SELECT count(*) > 0 FROM _syncline_checkpoint WHERE position IS NOT NULL")
                .unwrap_or_default()
                != "1"
        {
            assert!(run.is_running(), "{}", run.stdout());
        }
        let holder = target.open();
        holder.execute_batch("BEGIN IMMEDIATE").expect("the turn comes");
        while !run.stdout().contains(r#""event":"retry""#) {
            assert!(run.is_running(), "{}: it does not try again\n{}", ends.what, run.stdout());
        }
        drop(holder);
        let summary = ends.desk.read(run.wait()).done();
        assert_eq!(sum(&summary, "rows"), 2_000, "{}: {summary}", ends.what);
        ends.same("SELECT id, v FROM t ORDER BY id");
    }
}

#[test]
fn a_file_that_is_no_database_or_damaged_is_told_and_left_alone() {
    let (desk, source, target) = with_source(100);
    fs::write(target.path(), "this is no database, by no means at all\n".repeat(100)).expect("written");
    let before = fs::read(target.path()).expect("it is there");
    for command in ["copy", "plan", "verify"] {
        desk.run(&[command, &source.url(), &target.url()]).failed(1, "SYN-6003").hinted().names(&["b.db"]);
        desk.run(&[command, &target.url(), &source.url()]).failed(1, "SYN-6003").hinted().names(&["b.db"]);
    }
    assert_eq!(fs::read(target.path()).expect("it is there"), before);
    // Damaged in the middle: what is read before shows nowhere.
    let (desk, source, target) = with_source(5_000);
    let mut bytes = fs::read(source.path()).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xff);
    fs::write(source.path(), &bytes).expect("written");
    let ran = desk.run(&["copy", &source.url(), &target.url(), "--chunk-rows", "500"]);
    ran.failed(1, "SYN-6003").hinted();
    assert_eq!(target.sql("SELECT count(*) FROM sqlite_schema WHERE name = 't'"), "0");
    desk.never_said(SECRET);
}

#[test]
fn a_file_that_may_not_be_written_is_told_before_anything_is_done() {
    let (desk, source, target) = with_source(100);
    target.sql("CREATE TABLE theirs (id INTEGER)");
    // Root may write everything, so the file is on a disk that nobody may write.
    let folder = desk.path().join("frozen");
    fs::create_dir(&folder).expect("made");
    let frozen = folder.join("b.db");
    fs::copy(target.path(), &frozen).expect("copied");
    fs::set_permissions(&frozen, fs::Permissions::from_mode(0o444)).expect("ours");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("ours");
    let is_root = fs::write(folder.join("probe"), "").is_ok();
    if is_root {
        // Permissions do not hold for root: a file of the kernel's that cannot be written stands for it.
        let ran = desk.run(&["copy", &source.url(), "sqlite:/proc/version"]);
        let code = ran.last()["code"].as_str().unwrap_or_default().to_owned();
        assert!(["SYN-2003", "SYN-6003", "SYN-2009"].contains(&code.as_str()), "{}", ran.finished);
        ran.failed(1, &code).hinted();
    } else {
        let ran = desk.run(&["copy", &source.url(), &format!("sqlite:{}", frozen.display())]);
        ran.failed(1, "SYN-2003").hinted();
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_source_that_may_not_be_written_is_read_all_the_same() {
    let (desk, source, target) = with_source(2_000);
    source.sql("PRAGMA journal_mode = DELETE");
    fs::set_permissions(source.path(), fs::Permissions::from_mode(0o444)).expect("ours");
    let before = fs::read(source.path()).expect("it is there");
    desk.run(&["copy", &source.url(), &target.url(), "--parallel", "4", "--chunk-rows", "300"]).done();
    assert_eq!(target.typed("SELECT * FROM t"), source.typed("SELECT * FROM t"));
    assert_eq!(fs::read(source.path()).expect("it is there"), before, "reading changes nothing");
}

#[test]
fn a_full_disk_under_the_file_stops_the_run_which_goes_on_once_there_is_room() {
    if left_out("small-disk") {
        return;
    }
    for kind in ["sqlite", "postgres"] {
        let Some(ends) = Ends::new((kind, "sqlite")) else { return };
        let rows: Vec<String> = (1..=6_000).map(|id| format!("({id}, '{}')", "x".repeat(1_000))).collect();
        ends.from.sql(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES {}",
            rows.join(",")
        ));
        let disk = SmallDisk::new(40 << 20);
        let target = Lite::at(disk.path().join("b.db"));
        target.sql("CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old')");
        let command = [
            "copy",
            &ends.from.url(),
            &target.url(),
            "--stream",
            "t",
            "--chunk-rows",
            "200",
            "--write",
            "overwrite",
            "--limit-rows",
            "4000/s",
        ];
        let run = ends.desk.syncline(&command).args(["--output", "json"]).start();
        while target
            .try_sql("SELECT count(*) > 0 FROM _syncline_checkpoint WHERE position IS NOT NULL")
            .unwrap_or_default()
            != "1"
        {
            assert!(run.is_running(), "{}", run.stdout());
        }
        disk.fill();
        let ran = ends.desk.read(run.wait());
        ran.failed(1, "SYN-2008").hinted();
        assert_eq!(target.sql("SELECT id, v FROM t"), "1|old", "nothing is seen of it");
        // Still full: the same again, and still nothing lost.
        ends.desk.run(&command).failed(1, "SYN-2008").hinted();
        disk.free();
        let summary = ends.desk.run(&command[..command.len() - 2]).done();
        assert_eq!(sum(&summary, "rows") + sum(&summary, "rows_resumed"), 6_000, "{summary}");
        assert_eq!(target.sql("SELECT count(*), sum(id), min(length(v)) FROM t"), "6000|18003000|1000");
        target.nothing_left();
    }
}

#[test]
fn a_second_file_of_the_same_name_elsewhere_is_another_pipeline() {
    let (desk, source, _) = with_source(50);
    fs::create_dir(desk.path().join("other")).expect("made");
    let other = Lite::at(desk.path().join("other/b.db"));
    desk.run(&["copy", &source.url(), "sqlite:b.db"]).done();
    desk.run(&["copy", &source.url(), &other.url()]).done();
    let known = desk.run(&["status"]).expect_code(0).events;
    assert_eq!(known.len(), 2, "{known:?}");
}
