//! A statement that waits for a lock when its process is killed: the server goes on with it.

use std::time::{Duration, Instant};

use crate::ends::{End, Ends};

/// Until the next run is under way, and no longer than a renaming waits.
const HELD: &str = "DO SLEEP(1.6)";
const WAIT_MAX: Duration = Duration::from_secs(30);

#[test]
fn a_renaming_whose_process_was_killed_does_not_come_after_the_next_one() {
    for target in ["mysql", "mariadb"] {
        for more in [&[][..], &["--restart"]] {
            let Some(ends) = Ends::new(("sqlite", target)) else { return };
            let End::Mysql(database) = &ends.to else { unreachable!("asked for") };
            ends.from.sql(
                "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
            );
            ends.run(&["--stream", "t"]).done();
            ends.from.sql("UPDATE t SET v = 'new'");
            let at_work = |which: &str| {
                database.sql(&format!(
                    "SELECT count(*) FROM information_schema.processlist WHERE {which} AND db = DATABASE()"
                )) != "0"
            };
            let until = Instant::now() + WAIT_MAX;
            let _holder = database.start_sql(&format!("START TRANSACTION; SELECT * FROM t; {HELD}"));
            while !at_work(&format!("info = '{HELD}'")) {
                assert!(Instant::now() < until, "{}: nobody holds the table", ends.what);
            }
            let life = ends.copy(&["--stream", "t"]).start();
            while !at_work("info LIKE 'RENAME TABLE%' AND state LIKE 'Waiting for table%'") {
                assert!(life.is_running() && Instant::now() < until, "{}: it does not wait", ends.what);
            }
            assert!(ends.desk.hear(life.kill9_after(Duration::ZERO)).was_killed(), "{}", ends.what);
            ends.run(&[&["--stream", "t"], more].concat()).done();
            ends.same("SELECT id, v FROM t ORDER BY id");
            ends.run(&["--stream", "t"]).done();
            ends.same("SELECT id, v FROM t ORDER BY id");
        }
    }
}
