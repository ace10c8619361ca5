//! Adding, merging, updating and deleting, and which parts are touched by it.

use std::{collections::BTreeSet, sync::Arc};

use syncline_connect::Connector;
use syncline_connect::{Task, WriteMode};
use syncline_file::{FileConfig, Files, FormatName};
use syncline_types::codes;

use crate::rig::{Rig, batch, begin, context, done, target, write};

#[tokio::test]
async fn a_merge_writes_only_those_parts_anew_that_have_to_change() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let all = target("t", WriteMode::Overwrite, &["id", "text"]);
    write(sink.as_ref(), "r1", &all, &[&["1,a", "2,b"], &["3,c", "4,d"], &["5,e"]]).await.unwrap();
    let before: BTreeSet<String> = rig.parts("t").into_iter().collect();
    let merge = target("t", WriteMode::Merge, &["id", "text"]);
    write(sink.as_ref(), "r2", &merge, &[&["3,C", "9,new"]]).await.unwrap();
    let after: BTreeSet<String> = rig.parts("t").into_iter().collect();
    assert_eq!(before.intersection(&after).count(), 2, "{before:?} {after:?}");
    assert_eq!(rig.rows("t").await, ["1|a", "2|b", "3|C", "4|d", "5|e", "9|new"]);
    // All rows of a part go: so does the part.
    write(sink.as_ref(), "r3", &merge, &[&["5,E"]]).await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "2|b", "3|C", "4|d", "5|E", "9|new"]);
}

#[tokio::test]
async fn columns_that_do_not_come_keep_their_values_and_new_ones_are_null_before() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let all = target("t", WriteMode::Overwrite, &["id", "text", "extra"]);
    write(sink.as_ref(), "r1", &all, &[&["1,a,10", "2,b,20"], &["3,c,30"]]).await.unwrap();
    let merge = target("t", WriteMode::Merge, &["id", "text", "tnew"]);
    write(sink.as_ref(), "r2", &merge, &[&["2,B,x", "4,d,y"]]).await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a|10|~", "2|B|20|x", "3|c|30|~", "4|d|~|y"]);
    let append = target("t", WriteMode::Append, &["id", "more"]);
    write(sink.as_ref(), "r3", &append, &[&["5,7"]]).await.unwrap();
    let expected = ["1|a|10|~|~", "2|B|20|x|~", "3|c|30|~|~", "4|d|~|y|~", "5|~|~|~|7"];
    assert_eq!(rig.rows("t").await, expected);
    let update =
        syncline_connect::Target { task: Task::Update, ..target("t", WriteMode::Merge, &["id", "tgone"]) };
    write(sink.as_ref(), "r4", &update, &[&["1,now", "77,never"]]).await.unwrap();
    let expected = ["1|a|10|~|~|now", "2|B|20|x|~|~", "3|c|30|~|~|~", "4|d|~|y|~|~", "5|~|~|~|7|~"];
    assert_eq!(rig.rows("t").await, expected);
}

#[tokio::test]
async fn two_rows_with_one_key_are_refused_and_change_nothing() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    write(sink.as_ref(), "r1", &target("t", WriteMode::Overwrite, &["id", "text"]), &[&["1,a"]])
        .await
        .unwrap();
    let merge = target("t", WriteMode::Merge, &["id", "text"]);
    let error =
        write(sink.as_ref(), "r2", &merge, &[&["1,b"], &["1,c"]]).await.expect_err("a key comes twice");
    assert_eq!(error.code(), &codes::DUPLICATE_KEY, "{error}");
    sink.close("p").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1|a"]);
    assert_eq!(rig.parts("t").len(), 1);
}

#[tokio::test]
async fn a_merge_has_a_limit_of_keys() {
    let rig = Rig::new();
    let config = FileConfig { format: Some(FormatName::Csv), merge_keys_max: 2, ..rig.config("") };
    let sink = Files::sink(config, context()).await.unwrap();
    write(sink.as_ref(), "r1", &target("t", WriteMode::Overwrite, &["id"]), &[&["1", "2", "3"]])
        .await
        .unwrap();
    let merge = target("t", WriteMode::Merge, &["id"]);
    let error = write(sink.as_ref(), "r2", &merge, &[&["1", "2", "3"]]).await.expect_err("it is too many");
    assert!(error.to_string().contains("merge_keys_max"), "{error}");
}

#[tokio::test]
async fn rows_are_only_added_to_files_of_the_same_kind() {
    let rig = Rig::new();
    write(rig.sink("").await.as_ref(), "r1", &target("t", WriteMode::Overwrite, &["id"]), &[&["1"]])
        .await
        .unwrap();
    let config = FileConfig { format: Some(FormatName::Parquet), ..rig.config("") };
    let sink = Files::sink(config, context()).await.unwrap();
    let error = write(sink.as_ref(), "r2", &target("t", WriteMode::Append, &["id"]), &[&["2"]])
        .await
        .expect_err("the parts are CSV");
    assert_eq!(error.code(), &codes::BAD_VALUE, "{error}");
    write(sink.as_ref(), "r3", &target("t", WriteMode::Overwrite, &["id"]), &[&["2"]]).await.unwrap();
    assert_eq!(rig.rows("t").await, ["2"]);
}

#[tokio::test]
async fn parts_are_closed_when_they_are_large_and_hold_several_commits_when_not() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let target = Arc::new(target("t", WriteMode::Overwrite, &["id", "text"]));
    let run = begin(sink.as_ref(), "r1", &target).await.unwrap();
    let mut writer = sink.writer(&run).await.unwrap();
    let long = "x".repeat(1_000);
    let mut id = 0;
    for split in 0..10 {
        for _ in 0..40 {
            id += 1;
            let row = format!("{id},{long}");
            writer.write(&target, syncline_types::SplitId(split), &batch(&target, &[&row])).await.unwrap();
            writer.flush().await.unwrap();
        }
        writer.commit(&[done(split, 40)]).await.unwrap();
    }
    drop(writer);
    sink.finish(&run, &target, syncline_connect::Marking::Keep).await.unwrap();
    sink.close("p").await.unwrap();
    let parts = rig.parts("t");
    // 400 kB in parts of 64 kB, the last of which may hold less; CSV is passed on in pieces of 128 kB.
    assert!((3..=7).contains(&parts.len()), "{parts:?}");
    assert_eq!(rig.rows("t").await.len(), 400);
}
