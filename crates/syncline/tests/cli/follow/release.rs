//! What a server keeps for a pipeline is given up on command.

use crate::tables::{Pair, same_rows};

#[test]
fn what_a_server_keeps_is_given_up_on_command() {
    let Some(pair) = Pair::new() else { return };
    pair.from.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let file = |sync: &str| {
        format!(
            "connections:\n  a: {{ url: \"{}\" }}\n  b: {{ url: \"{}\" }}\npipelines:\n  f:\n    from: a\n    to: b\n    \
             sync: {sync}\n    streams:\n      - name: public.t\n  other:\n    from: a\n    to: b\n    \
             streams:\n      - name: public.t\n        to: u\n",
            pair.from.url(),
            pair.to.url()
        )
    };
    let (follow, full) = (pair.desk.file("f.yaml", &file("follow")), pair.desk.file("n.yaml", &file("full")));
    let kept = || {
        pair.from.sql(
            "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())
                  + (SELECT count(*) FROM pg_publication)",
        )
    };
    let run = |more: &[&str]| pair.desk.run(&[&["run", &follow, "f", "--until-caught-up"], more].concat());
    run(&[]).expect_code(0);
    assert_eq!(kept(), "2");
    pair.desk.run(&["release", &follow, "other"]).failed(2, "SYN-1001").names(&["other"]);
    pair.desk.run(&["release", &full]).failed(2, "SYN-1001").hinted();
    assert_eq!(kept(), "2");
    let released = pair.desk.run(&["release", &follow]).expect_code(0);
    assert_eq!(released.events.len(), 1, "{}", released.finished);
    assert_eq!(kept(), "0");
    pair.from.sql("INSERT INTO t VALUES (2)");
    run(&[]).failed(1, "SYN-5012").names(&["--restart"]);
    run(&["--restart"]).expect_code(0);
    same_rows((&pair.from, "TABLE t"), (&pair.to, "TABLE t"));
}
