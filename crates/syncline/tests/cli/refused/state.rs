//! A state directory that cannot be used.

use std::{fs, path::Path};

use crate::{desk::Desk, lite::Lite};

#[test]
fn a_state_that_cannot_be_written_stops_a_run_before_anything_is_made() {
    let desk = Desk::new();
    Lite::at(desk.path().join("a.db"))
        .sql("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    fs::write(desk.path().join("file"), "").expect("written");
    fs::create_dir(desk.path().join("damaged")).expect("made");
    fs::write(desk.path().join("damaged/state.db"), "this is no database at all, by no means\n".repeat(40))
        .expect("written");
    let file = desk.path().join("file");
    let states =
        [file.clone(), file.join("state"), Path::new("/proc/state").to_owned(), desk.path().join("damaged")];
    for state in states {
        let elsewhere = Desk::with_state(&state);
        let target = desk.path().join("b.db");
        let ends = [
            format!("sqlite:{}", desk.path().join("a.db").display()),
            format!("sqlite:{}", target.display()),
        ];
        let ran = elsewhere.run(&["copy", &ends[0], &ends[1]]);
        let named = state.to_str().expect("UTF-8").to_owned();
        let way_out = if named.ends_with("damaged") { "move it away" } else { "--state DIR" };
        ran.failed(1, "SYN-5006").hints(way_out).names(&[&named]);
        // What makes no use of a state needs none.
        elsewhere.run(&["plan", &ends[0], &ends[1]]).expect_code(0);
        assert!(!target.exists(), "{named}: the target is made");
    }
}

#[test]
fn what_the_state_does_not_know_is_told() {
    let desk = Desk::new();
    assert!(desk.run(&["status"]).expect_code(0).events.is_empty());
    for action in ["list", "show", "drop"] {
        desk.run(&["dlq", action, "nope"]).failed(1, "SYN-5009").hinted();
    }
    assert!(!desk.state().exists(), "looking makes nothing");
}
