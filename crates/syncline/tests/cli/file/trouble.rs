//! Full disks, two runs at once, and URLs that make no sense.

use std::fs;

use syncline_testkit::disk::SmallDisk;

use super::Folder;
use crate::{desk::Desk, desk::sum, lite::Lite};

#[test]
fn a_full_disk_publishes_nothing_and_the_run_goes_on_when_there_is_room() {
    let disk = SmallDisk::new(6 << 20);
    let desk = Desk::new();
    for format in ["csv", "parquet"] {
        let folder = Folder::at(disk.path().join(format));
        let to = folder.url(&format!("?format={format}&compression=none"));
        let small = desk.run(&["copy", "generate:orders?rows=100", &to, "--name", format]).done();
        assert_eq!(sum(&small, "rows"), 100);
        let before = folder.manifest("orders");
        let arguments =
            ["copy", "generate:orders?rows=300000", &to, "--name", format, "--chunk-rows", "5000"];
        desk.run(&arguments).failed(1, "SYN-2008").names(&["No space left"]).hinted();
        assert_eq!(folder.manifest("orders"), before, "the old rows are still there");
        fs::remove_dir_all(folder.path()).expect("the folder is ours");
    }
}

#[test]
fn two_runs_of_a_pipeline_at_once_are_refused_by_the_folder() {
    let (first, second) = (Desk::new(), Desk::new());
    let folder = Folder::at(first.path().join("to"));
    let to = folder.url("?format=csv");
    let arguments = [
        "copy",
        "generate:orders?rows=200000",
        &to,
        "--name",
        "p",
        "--chunk-rows",
        "2000",
        "--limit-rows",
        "40000/s",
    ];
    let running = first.syncline(&arguments).args(["--output", "json"]).start();
    first.wait_for_chunks(&running, 2);
    // Another state directory knows nothing of the first.
    second.run(&arguments).failed(1, "SYN-5001").names(&["another process"]);
    running.kill9();
    first.hear(running.wait());
    first.run(&["copy", "generate:orders?rows=200000", &to, "--name", "p", "--chunk-rows", "2000"]).done();
    let manifest = folder.manifest("orders").expect("it is published");
    assert_eq!(manifest["rows"], 200_000);
    folder.nothing_left();
}

#[test]
fn what_makes_no_sense_is_said_before_anything_is_done() {
    let desk = Desk::new();
    let from = Lite::at(desk.path().join("from.db"));
    from.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE \"T2\" (id INT)",
    );
    desk.file("file.csv", "id\n1\n");
    let folder = desk.path().join("to");
    let at = |query: &str| format!("file:{}{query}", folder.display());
    for (to, exit, code, words) in [
        (at(""), 2, "SYN-1007", vec!["format"]),
        (at("?format=xml"), 2, "SYN-1004", vec!["csv"]),
        (at("?format=csv&delimiter=ab"), 2, "SYN-1004", vec!["delimiter"]),
        (at("?format=parquet&null=x"), 2, "SYN-1004", vec!["null", "Parquet"]),
        (at("?format=csv&types=text"), 2, "SYN-1004", vec!["types"]),
        (at("?formt=csv"), 2, "SYN-1003", vec!["format"]),
        (format!("file:{}?format=csv", desk.path().join("file.csv").display()), 2, "SYN-1007", vec!["file"]),
    ] {
        desk.run(&["copy", &from.url(), &to, "--stream", "t"]).failed(exit, code).names(&words).hinted();
    }
    assert!(!folder.exists(), "nothing was made");
    desk.run(&["copy", &format!("file:{}/gone", desk.path().display()), &from.url()])
        .failed(1, "SYN-2010")
        .names(&["gone"]);
}
