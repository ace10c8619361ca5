//! What transactions say of where their changes come from is noted with them.

use syncline_connect::{Logged, Origin, identity};

use crate::rig::Rig;

#[tokio::test]
async fn what_came_from_elsewhere_is_told_apart_and_what_came_from_the_target_is_not() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let reads = rig.reads(&["t"]).await;
    let at = rig.log.keep(&reads, None).await.unwrap();
    let [a, target] = ["a", "target"].map(|name| identity("test", name));
    let write = |origin: &str, sql: &str| {
        rig.run(&format!(
            "BEGIN; INSERT INTO _syncline_origin VALUES (1, '{origin}'); {sql}; DELETE FROM _syncline_origin; COMMIT"
        ));
    };
    rig.run("INSERT INTO t VALUES (1, 'own')");
    write(&target, "INSERT INTO t VALUES (2, 'x'); DELETE FROM t WHERE id = 1");
    write(&a, "INSERT INTO t VALUES (3, 'a')");
    write("it''s nothing", "INSERT INTO t VALUES (4, 'own')");
    let head = rig.log.head().await.unwrap();
    let mut reader = rig.log.open(&reads, &at, &[target]).await.unwrap();
    let mut told = vec![];
    let mut at = at;
    while at != head {
        match reader.next().await.unwrap() {
            Logged::Changes(batch) => {
                let rows: Vec<(usize, usize)> =
                    batch.changes.iter().map(|changes| (changes.written.len(), changes.went.len())).collect();
                told.push((batch.origin, rows, batch.position.is_some()));
                at = batch.position.unwrap_or(at);
            }
            Logged::Idle(position) => at = position,
            Logged::Schema(change) => panic!("{change:?}"),
        }
    }
    let origin = Origin::default().through(&[a]).unwrap();
    let here = Origin::default;
    // The first row was made here, and is gone.
    assert_eq!(
        told,
        [(here(), vec![(0, 1)], false), (origin, vec![(1, 0)], false), (here(), vec![(1, 0)], true)]
    );
}
