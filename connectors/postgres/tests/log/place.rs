//! The place that a snapshot is: every transaction is either in it or told behind it.

use syncline_testkit::conformance::a_transaction_is_in_a_snapshot_or_behind_its_place;

use super::{rig::Rig, with_server};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_in_the_snapshot_or_behind_its_place() {
    with_server(every_row_is_there_once()).await;
}

async fn every_row_is_there_once() {
    let rig = Rig::new("CREATE TABLE t (n int); ALTER TABLE t REPLICA IDENTITY FULL").await;
    let reads = rig.reads(&["t"]).await;
    let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
    let insert = |sql: &str| drop(rig.sql(sql));
    a_transaction_is_in_a_snapshot_or_behind_its_place(rig.log.as_ref(), &reads[0], &at, 2, insert).await;
    // They end with their connections, which the server notices soon.
    let slots = || rig.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()");
    for _ in 0..100 {
        if slots() == "1" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the slots of the snapshots are there still: {}", slots());
}
