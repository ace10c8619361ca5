//! What transactions say of where their changes come from is noted with them.

use syncline_connect::{Logged, Origin, identity};

use crate::{
    TRIGGERS,
    rig::{Following, Rig, Told},
    with_server,
};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)";

/// Everything up to the end, as what it has come through and its lines; only the last has a place.
async fn batches(rig: &Rig, following: &mut Following) -> Vec<(Origin, Vec<String>)> {
    let head = rig.log.head().await.expect("there is an end");
    let (mut all, mut places) = (vec![], 0);
    while rig.log.compare(&following.at, &head).expect("they are of one log").is_lt() {
        match following.next().await.expect("the changes can be read") {
            Logged::Changes(batch) => {
                let mut told = Told::default();
                told.add(&batch, &following.reads, &mut following.at);
                places += usize::from(batch.position.is_some());
                told.lines.sort();
                all.push((batch.origin, told.lines));
            }
            Logged::Idle(position) => following.at = position,
            Logged::Schema(change) => panic!("{change:?}"),
        }
    }
    assert!(places <= 1, "it is one look: {all:?}");
    all
}

#[tokio::test]
async fn what_came_from_elsewhere_is_told_apart_and_what_came_from_the_target_is_not() {
    with_server(async {
        let rig = Rig::with(TABLES, TRIGGERS).await;
        let reads = rig.reads(&["t", "u"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        // As an older version has made them.
        let changes =
            "SELECT relname FROM pg_class WHERE relname LIKE '\\_syncline\\_changes%' AND relkind = 'r'";
        for table in rig.sql(changes).lines() {
            rig.sql(&format!("ALTER TABLE {table} DROP COLUMN origin"));
        }
        rig.sql("INSERT INTO u VALUES (0)");
        rig.log.keep(&reads, Some(&at)).await.expect("it goes on");
        let [a, target] = ["a", "target"].map(|name| identity("test", name));
        let write = |origin: &str, sql: &str| {
            rig.sql(&format!("BEGIN; SET LOCAL syncline.origin = '{origin}'; {sql}; COMMIT"));
        };
        write(&target, "INSERT INTO t VALUES (1, 'x'), (2, 'x'); INSERT INTO u VALUES (1)");
        write(
            &a,
            "INSERT INTO t VALUES (3, 'a'); UPDATE t SET v = 'a' WHERE id = 2; INSERT INTO u VALUES (2)",
        );
        rig.sql("INSERT INTO t VALUES (4, 'own'), (5, 'own'), (6, 'own')");
        write(&format!("{a} {target}"), "UPDATE t SET v = 'target' WHERE id = 5; DELETE FROM t WHERE id = 1");
        write(&a, "DELETE FROM t WHERE id = 6");
        write("it''s, nothing", "INSERT INTO u VALUES (3)");
        let not_from = [target.clone()];
        let reader = rig.log.open(&reads, &at, &not_from).await.expect("the log can be opened");
        let mut following = Following { reader, reads, at };
        let told = batches(&rig, &mut following).await;
        let origin = Origin::default().through(&[a]).expect("it is one");
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let expected = [
            (Origin::default(), lines(&["t + 4|own", "t + 5|target", "u + 0", "u + 3"])),
            (origin, lines(&["t + 3|a", "t - 6", "t ~ 2|a", "u + 2"])),
        ];
        assert_eq!(told, expected);
        // What is passed over moves the place on.
        write(&target, "UPDATE t SET v = 'again'");
        assert_eq!(batches(&rig, &mut following).await, []);
    })
    .await;
}
