//! `dlq replay`: rows of dead letters are tried once more, and only letters whose rows are written go.

use serde_json::Value;

use crate::{
    desk::{Ran, number, sum},
    ends::{Ends, WITH_MYSQL, with_text_keys},
};

fn outcomes(ran: &Ran) -> Vec<String> {
    ran.of("replayed").iter().map(|told| told["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

fn letters(ends: &Ends) -> Vec<Value> {
    ends.desk.run(&["dlq", "list", "p"]).expect_code(0).events
}

const OPTIONS: &[&str] = &["--stream", "t", "--name", "p", "--on-error", "dead_letter", "--write", "merge"];

#[test]
fn rows_that_the_target_refused_are_read_again_and_written() {
    for kinds in with_text_keys() {
        let Some(ends) = Ends::new(kinds) else { return };
        let text = ends.key_text();
        ends.from.sql(&format!(
            "CREATE TABLE t (grp {text}, id bigint, n bigint, PRIMARY KEY (grp, id));
             INSERT INTO t VALUES ('a', 1, 1), ('a', 2, -2), ('b', 2, -3), ('b', 3, -4), ('c', 1, -5)"
        ));
        ends.to.sql(&format!(
            "CREATE TABLE t (grp {text} NOT NULL, id bigint NOT NULL, n bigint CHECK (n > 0), PRIMARY KEY (grp, id))"
        ));
        assert_eq!(sum(&ends.run(OPTIONS).done(), "rejected"), 4, "{}", ends.what);
        let replay = |more: &[&str]| {
            let arguments = ["dlq".to_owned()].into_iter().chain(ends.command("replay", OPTIONS));
            ends.desk.run(&arguments.chain(more.iter().map(|more| (*more).to_owned())).collect::<Vec<_>>())
        };
        // One is mended, one is gone, two are as they were.
        ends.from
            .sql("UPDATE t SET n = 20 WHERE grp = 'a' AND id = 2; DELETE FROM t WHERE grp = 'b' AND id = 2");
        let ran = replay(&[]).expect_code(0);
        assert_eq!(
            outcomes(&ran),
            ["written", "gone", "refused", "refused"],
            "{}: {}",
            ends.what,
            ran.finished
        );
        assert_eq!((number(&ran.last()["written"]), number(&ran.last()["left"])), (1, 3), "{}", ends.what);
        assert_eq!(
            ends.to.sql("SELECT grp, id, n FROM t ORDER BY grp, id"),
            "a|1|1\na|2|20",
            "{}",
            ends.what
        );
        assert_eq!(letters(&ends).len(), 3, "{}", ends.what);
        // One by its id.
        ends.from.sql("UPDATE t SET n = 7 WHERE n < 0");
        let last = number(&letters(&ends)[2]["id"]).to_string();
        assert_eq!(outcomes(&replay(&["--id", &last]).expect_code(0)), ["written"], "{}", ends.what);
        assert_eq!(letters(&ends).len(), 2, "{}", ends.what);
        replay(&["--id", &last]).failed(1, "SYN-5009").hinted();
        replay(&[]).expect_code(0);
        assert_eq!(ends.to.sql("SELECT count(*) FROM t"), "4", "{}", ends.what);
        ends.to.nothing_left();
    }
}

#[test]
fn masked_renamed_and_filtered_rows_are_found_again() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql(
            "CREATE TABLE t (email varchar(40) PRIMARY KEY, n text, m bigint);
             INSERT INTO t VALUES ('one@x', '1', 1), ('two@x', 'no number', 1), ('three@x', '3', -3), ('four@x', 'none', 1)",
        );
        ends.to.sql("CREATE TABLE t (who varchar(64) PRIMARY KEY, n bigint, m bigint CHECK (m > -2))");
        let file = ends.desk.file(
            "f.yaml",
            &format!(
                "mask_key: k3y-secret\npipelines:\n  p:\n    from: \"{}\"\n    to: \"{}\"\n    write: merge\n    on_error: dead_letter\n    streams:\n      - name: t\n        steps:\n          - filter: m < 100\n          - mask: {{ email: hash }}\n          - cast: {{ n: bigint }}\n          - rename: {{ email: who }}\n",
                ends.from.url(),
                ends.to.url()
            ),
        );
        assert_eq!(sum(&ends.desk.run(&["run", &file]).done(), "rejected"), 3, "{}", ends.what);
        ends.from.sql(
            "UPDATE t SET n = '2' WHERE email = 'two@x'; UPDATE t SET m = 3 WHERE email = 'three@x'; UPDATE t SET m = 200 WHERE email = 'four@x'",
        );
        let ran = ends.desk.run(&["dlq", "replay", &file, "p"]).expect_code(0);
        let mut told = outcomes(&ran);
        told.sort_unstable();
        assert_eq!(told, ["gone", "written", "written"], "{}: {}", ends.what, ran.finished);
        assert_eq!(ends.to.sql("SELECT n, m FROM t ORDER BY n"), "1|1\n2|1\n3|3", "{}", ends.what);
        assert_eq!(letters(&ends).len(), 1, "{}", ends.what);
        ends.desk.never_said("two@x");
        ends.to.nothing_left();
    }
}

#[test]
fn what_cannot_be_replayed_alone_is_said() {
    for kinds in WITH_MYSQL {
        let Some(ends) = Ends::new(kinds) else { return };
        ends.from.sql("CREATE TABLE t (n bigint, v text); INSERT INTO t VALUES (1, 'a'), (-1, 'b')");
        ends.to.sql("CREATE TABLE t (n bigint CHECK (n > 0), v text)");
        let append = ["--stream", "t", "--name", "p", "--on-error", "dead_letter", "--write", "append"];
        ends.run(&append).done();
        let arguments: Vec<String> =
            ["dlq".to_owned()].into_iter().chain(ends.command("replay", &append)).collect();
        let ran = ends.desk.run(&arguments).expect_code(0);
        assert_eq!(outcomes(&ran), ["left"], "{}: {}", ends.what, ran.finished);
        assert!(ran.of("replayed")[0]["reason"].to_string().contains("run the pipeline again"));
        assert_eq!((letters(&ends).len(), ends.to.sql("SELECT count(*) FROM t").as_str()), (1, "1"));
    }
}
