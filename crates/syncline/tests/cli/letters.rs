//! Dead letters: kept once each, shown, dropped, and masked.

use crate::{
    desk::{Desk, number, sum},
    ends::{ALL, End, Ends},
};

const ROWS: u64 = 2_000;
const OPTIONS: &[&str] =
    &["--stream", "t", "--name", "p", "--on-error", "dead_letter", "--chunk-rows", "200", "--parallel", "2"];

/// Every hundredth row does not fit the target.
fn prepare(ends: &Ends) {
    let rows: Vec<String> = (1..=ROWS)
        .map(|id| format!("({id}, {}, 'value {id}')", if id % 100 == 0 { -1 } else { 1 }))
        .collect();
    ends.from.sql(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, n bigint, v text); INSERT INTO t VALUES {}",
        rows.join(",")
    ));
    ends.to.sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint CHECK (n > 0), v text)");
}

fn list(desk: &Desk) -> Vec<serde_json::Value> {
    desk.run(&["dlq", "list", "p"]).expect_code(0).events
}

#[test]
fn dead_letters_are_listed_shown_and_dropped() {
    for kinds in ALL {
        let Some(ends) = Ends::new(kinds) else { return };
        prepare(&ends);
        let summary = ends.run(&[OPTIONS, &["--write", "overwrite"]].concat()).done();
        assert_eq!(
            (sum(&summary, "rows"), sum(&summary, "rejected")),
            (1_980, 20),
            "{}: {summary}",
            ends.what
        );
        ends.to.nothing_left();
        assert_eq!(ends.to.sql("SELECT count(*), sum(id) FROM t"), format!("1980|{}", 2_001_000 - 21_000));
        let letters = list(&ends.desk);
        assert_eq!(letters.len(), 20, "{}: {letters:?}", ends.what);
        assert_eq!(number(&ends.desk.status()["dead_letters"]), 20);
        let id = number(&letters[3]["id"]).to_string();
        let shown = ends.desk.run(&["dlq", "show", "p", &id]).expect_code(0).events;
        assert_eq!(shown.len(), 1);
        let payload = shown[0]["letter"].to_string();
        assert!(payload.contains("value ") && payload.contains("-1"), "{}: {payload}", ends.what);
        assert!(ends.desk.text(&["dlq", "show", "p"]).expect_code(0).stdout.contains("value 100"));
        let dropped = ends.desk.run(&["dlq", "drop", "p", &id]).expect_code(0);
        assert_eq!(dropped.last()["letters"], 1);
        ends.desk.run(&["dlq", "drop", "p", &id]).failed(1, "SYN-5009").hinted();
        ends.desk.run(&["dlq", "show", "p", &id]).failed(1, "SYN-5009").hinted();
        assert_eq!(list(&ends.desk).len(), 19);
        assert_eq!(ends.desk.run(&["dlq", "drop", "p"]).expect_code(0).last()["letters"], 19);
        assert!(list(&ends.desk).is_empty());
        ends.desk.run(&["dlq", "list", "q"]).failed(1, "SYN-5009").hinted();
    }
}

#[test]
fn runs_that_are_killed_and_go_on_keep_each_dead_letter_once() {
    let seed = syncline_testkit::seed::Seed::from_env();
    let mut rng = seed.rng();
    for kinds in ALL {
        for write in ["overwrite", "append", "merge"] {
            let Some(ends) = Ends::new(kinds) else { return };
            prepare(&ends);
            let options = [OPTIONS, &["--write", write]].concat();
            let mut kills = 0;
            for moment in [30, 120] {
                let limited = [&options[..], &["--limit-rows", "8000/s"]].concat();
                let moment = std::time::Duration::from_millis(moment + rng.below(60));
                let life = ends.copy(&limited).start().kill9_after(moment);
                if !life.was_killed() {
                    break;
                }
                kills += 1;
            }
            // If the last of them came to its end, an append would begin another.
            let told = ends.desk.run(&["status"]).expect_code(0).events;
            if told.first().is_none_or(|status| status["state"] != "finished") {
                let summary = ends.run(&options).done();
                assert_eq!(
                    sum(&summary, "rows") + sum(&summary, "rows_resumed"),
                    1_980,
                    "{}: {summary}",
                    ends.what
                );
            }
            let what = format!("{}, {write}, {kills} kills", ends.what);
            assert!(kills > 0, "{what}");
            ends.to.nothing_left();
            assert_eq!(ends.to.sql("SELECT count(*) FROM t"), "1980", "{what}");
            assert_eq!(list(&ends.desk).len(), 20, "{what}");
            assert_eq!(sum(&ends.desk.status(), "rejected"), 20, "{what}");
        }
    }
}

#[test]
fn a_dead_letter_holds_masked_values_only() {
    let Some(ends) = Ends::new(("postgres", "postgres")) else { return };
    let End::Postgres(source) = &ends.from else { unreachable!("asked for") };
    source.sql("CREATE TABLE t (id int PRIMARY KEY, n int, email text, phone text, note text); INSERT INTO t VALUES (1, 1, 'a@b', '1', 'x'), (2, -1, 'm4il@secret', 'ph0ne-secret', 'plain')");
    ends.to
        .sql("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0), email text, phone text, note text)");
    let file = ends.desk.file(
        "f.yaml",
        &format!(
            "mask_key: k3y-secret\npipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    on_error: dead_letter\n    streams:\n      - name: t\n        steps:\n          - mask: {{ email: hash, phone: redact }}\n",
            ends.from.url(),
            ends.to.url()
        ),
    );
    let summary = ends.desk.run(&["run", &file]).done();
    assert_eq!((sum(&summary, "rows"), sum(&summary, "rejected")), (1, 1), "{summary}");
    let shown = ends.desk.text(&["dlq", "show", "p"]).expect_code(0).stdout;
    assert!(shown.contains("plain") && shown.contains("***"), "{shown}");
    for secret in ["m4il@secret", "ph0ne-secret", "k3y-secret"] {
        ends.desk.never_said(secret);
        // Here the store, too, must not know them.
        for name in ["state.db", "state.db-wal"] {
            let bytes = std::fs::read(ends.desk.state().join(name)).unwrap_or_default();
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                "`{secret}` is in {name}"
            );
        }
    }
}
