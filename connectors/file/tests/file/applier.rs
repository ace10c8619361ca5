//! Changes applied to folders: what is seen when, and what a crash leaves.

use std::{fs, sync::Arc};

use syncline_connect::{Applier, LOG_MARK, NetChanges, RunRef, Sink, Target, WriteMode};
use syncline_types::codes;

use crate::rig::{Rig, batch, target, write};

/// Where a pipeline keeps what it has committed.
const FOLLOWED: &str = ".syncline-p.follow";

fn changes(target: &Target, deletes: &[&str], rows: &[&str]) -> NetChanges {
    let columns = target.schema.columns.iter().map(|column| column.name.as_str());
    let of: Vec<&str> = columns.take(1).collect();
    let gone = crate::rig::target(&target.name.table, WriteMode::Merge, &of);
    let (deletes, rows) = (batch(&gone, deletes).rows, batch(target, rows).rows);
    NetChanges::new(deletes, rows)
}

async fn begin(sink: &dyn Sink) -> Box<dyn Applier> {
    let epoch = sink.lock("p", 0).await.expect("the folder is free");
    let run = RunRef {
        pipeline: "p".into(),
        run: LOG_MARK.into(),
        epoch,
        origin: syncline_connect::Origin::default(),
    };
    sink.applier(&run).await.expect("files take changes")
}

/// A folder with rows, and its target.
async fn filled(rig: &Rig, columns: &[&str], rows: &[&str]) -> Arc<Target> {
    let sink = rig.sink("").await;
    write(sink.as_ref(), "r1", &target("t", WriteMode::Overwrite, columns), &[rows])
        .await
        .expect("rows are written");
    Arc::new(target("t", WriteMode::Merge, columns))
}

async fn mark(sink: &dyn Sink) -> Option<String> {
    sink.marks("p").await.expect("marks are read").expect("files keep marks").remove(LOG_MARK)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_seen_before_the_commit_and_columns_of_others_stay() {
    let rig = Rig::new();
    filled(&rig, &["id", "text", "extra"], &["1,a,10", "2,b,20", "3,c,30"]).await;
    let sink = rig.sink("").await;
    let followed = Arc::new(target("t", WriteMode::Merge, &["id", "text"]));
    let mut applier = begin(sink.as_ref()).await;
    applier.apply(&followed, &changes(&followed, &["3"], &["2,B", "4,d"])).await.unwrap();
    // An update needs what is before it to be written, which nobody sees either.
    let update =
        NetChanges { updates: vec![batch(&followed, &["4,D", "9,no"]).rows], ..changes(&followed, &[], &[]) };
    assert_eq!(applier.apply(&followed, &update).await.unwrap(), 1);
    assert_eq!(rig.rows("t").await, ["1|a|10", "2|b|20", "3|c|30"]);
    assert!(applier.wants_commit(), "parts are written already");
    applier.commit("m").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a|10", "2|B|20", "4|D|~"]);
    assert_eq!(mark(sink.as_ref()).await.as_deref(), Some("m"));
    assert_eq!(fs::read_dir(rig.path("t")).unwrap().count() - 2, rig.parts("t").len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_gathered_until_a_commit_is_worth_it() {
    let rig = Rig::new();
    let target = filled(&rig, &["id", "text"], &["1,a"]).await;
    let sink = rig.sink_gathering("", 1_000).await;
    let mut applier = begin(sink.as_ref()).await;
    assert!(applier.wants_commit(), "nothing waits, so the mark may move");
    applier.apply(&target, &changes(&target, &[], &["2,b"])).await.unwrap();
    assert!(!applier.wants_commit());
    // More than may wait in memory.
    let wide = format!("3,{}", "x".repeat(65 << 20));
    applier.apply(&target, &changes(&target, &[], &[&wide])).await.unwrap();
    assert!(applier.wants_commit());
    applier.apply(&target, &changes(&target, &["3"], &[])).await.unwrap();
    applier.commit("m").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "2|b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_parts_become_one() {
    let rig = Rig::new();
    let target = filled(&rig, &["id", "text"], &["0,a"]).await;
    let sink = rig.sink("").await;
    let mut applier = begin(sink.as_ref()).await;
    for id in 1..=60 {
        let new = format!("{id},new");
        applier.apply(&target, &changes(&target, &[], &[&new])).await.unwrap();
        applier.commit(&id.to_string()).await.unwrap();
        assert!(rig.parts("t").len() <= 17, "{:?}", rig.parts("t"));
    }
    assert_eq!(rig.rows("t").await.len(), 61);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_and_not_published_is_published_by_whoever_comes_next() {
    let rig = Rig::new();
    let target = filled(&rig, &["id", "text"], &["1,a"]).await;
    let manifest = rig.path("t/_manifest.json");
    let before = fs::read_to_string(&manifest).unwrap();
    let sink = rig.sink("").await;
    let mut applier = begin(sink.as_ref()).await;
    applier.apply(&target, &changes(&target, &[], &["2,b"])).await.unwrap();
    applier.commit("m").await.unwrap();
    drop((applier, sink));
    let after = fs::read_to_string(&manifest).unwrap();
    // As a crash right behind the commit would have left it.
    let next =
        format!(r#"{{"mark": "m", "next": [{{"folder": "t", "before": {before}, "manifest": {after}}}]}}"#);
    fs::write(rig.path(FOLLOWED), &next).unwrap();
    fs::write(&manifest, &before).unwrap();
    let sink = rig.sink("").await;
    assert_eq!(mark(sink.as_ref()).await.as_deref(), Some("m"));
    sink.lock("p", 0).await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "2|b"]);
    drop(sink);
    // Published, but not noted: once more changes nothing.
    fs::write(rig.path(FOLLOWED), &next).unwrap();
    rig.sink("").await.lock("p", 0).await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "2|b"]);
    // What somebody else has published meanwhile is not undone.
    fs::write(rig.path(FOLLOWED), &next).unwrap();
    fs::write(&manifest, before.replace("r1", "other")).unwrap();
    let error = rig.sink("").await.lock("p", 0).await.unwrap_err();
    assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_were_written_for_nothing_go() {
    let rig = Rig::new();
    let target = filled(&rig, &["id", "text"], &["1,a"]).await;
    let sink = rig.sink("").await;
    let mut applier = begin(sink.as_ref()).await;
    let update =
        NetChanges { updates: vec![batch(&target, &["1,A"]).rows], ..changes(&target, &[], &["2,b"]) };
    applier.apply(&target, &update).await.unwrap();
    assert_eq!(rig.parts("t").len(), 2, "{:?}", rig.parts("t"));
    drop(applier);
    let plan = sink.plan(&[Arc::clone(&target)]).await.unwrap().remove(0);
    assert!(plan.findings.is_empty(), "they are not strange to it: {:?}", plan.findings);
    let mut applier = begin(sink.as_ref()).await;
    applier.apply(&target, &changes(&target, &[], &["3,c"])).await.unwrap();
    applier.commit("m").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "3|c"]);
    assert_eq!(rig.parts("t").len(), 2, "{:?}", rig.parts("t"));
}
