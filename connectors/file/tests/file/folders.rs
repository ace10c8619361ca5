//! Folders that Syncline wrote, and what others do to them.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use syncline_connect::WriteMode;
use syncline_file::{FileConfig, FormatName};
use syncline_types::codes;

use crate::rig::{Rig, batch, begin, done, read, target, write};

/// A folder with the stream `t` of one part.
async fn written() -> (Rig, String) {
    let rig = Rig::new();
    let target = target("t", WriteMode::Overwrite, &["id", "text"]);
    write(rig.sink("").await.as_ref(), "r1", &target, &[&["1,a", "2,~", "3,"]])
        .await
        .expect("the folder is ours");
    let part = rig.parts("t").remove(0);
    (rig, part)
}

#[tokio::test]
async fn what_was_written_comes_back_and_nothing_is_left() {
    let (rig, part) = written().await;
    assert_eq!(rig.rows("").await, ["1|a", "2|~", "3|"]);
    assert!(part.starts_with("part-r1-"), "{part}");
    assert_eq!(fs::read_to_string(rig.path("t").join(&part)).unwrap(), "id,text\n1,a\n2,\n3,\"\"\n");
    let schema = fs::read_to_string(rig.path("t/_schema.json")).unwrap();
    assert!(schema.contains("\"text\""), "{schema}");
    let entries: Vec<_> =
        fs::read_dir(rig.path("")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(entries, ["t"]);
    // Parts without their manifest are anyone's, and the schema beside them tells their types.
    fs::remove_file(rig.path("t/_manifest.json")).unwrap();
    assert_eq!(rig.rows("t").await, ["1|a", "2|~", "3|"]);
}

#[tokio::test]
async fn what_the_manifest_does_not_list_is_not_there() {
    let (rig, _) = written().await;
    rig.file("t/part-other-1-0-0.csv", "id,text\n9,x\n");
    rig.file("t/notes.csv", "id,text\n9,x\n");
    assert_eq!(rig.rows("").await, ["1|a", "2|~", "3|"]);
    assert_eq!(rig.rows("t").await, ["1|a", "2|~", "3|"]);
    assert_eq!(rig.rows("t/part-*.csv").await.len(), 3);
}

#[tokio::test]
async fn a_part_that_is_not_as_it_was_written_is_an_error() {
    for (change, word) in [
        ("missing", "it is not there"),
        ("cut", "by its manifest it should have"),
        ("longer", "by its manifest it should have"),
        ("flipped", "its bytes are not those"),
    ] {
        let (rig, part) = written().await;
        let path = rig.path("t").join(&part);
        let mut bytes = fs::read(&path).unwrap();
        match change {
            "missing" => fs::remove_file(&path).unwrap(),
            "cut" => fs::write(&path, &bytes[..bytes.len() - 1]).unwrap(),
            "longer" => fs::write(&path, [bytes.as_slice(), b"4,x\n"].concat()).unwrap(),
            _ => {
                bytes[9] ^= 1;
                fs::write(&path, &bytes).unwrap();
            }
        }
        let error = rig.read("").await.expect_err(change);
        assert_eq!(error.code(), &codes::BAD_BYTES, "{error}");
        assert!(error.to_string().contains(&part) && error.to_string().contains(word), "{change}: {error}");
    }
}

#[tokio::test]
async fn options_that_say_something_else_are_refused() {
    let (rig, _) = written().await;
    let other = FileConfig { delimiter: Some(";".into()), ..rig.config("") };
    let error = read(other).await.expect_err("it was written with commas");
    assert_eq!(error.code(), &codes::BAD_VALUE, "{error}");
    let same = FileConfig { delimiter: Some(",".into()), format: Some(FormatName::Csv), ..rig.config("") };
    assert_eq!(read(same).await.unwrap().rows.len(), 3);
}

#[tokio::test]
async fn folders_of_others_are_left_alone() {
    let rig = Rig::new();
    rig.file("t/theirs.csv", "id\n1\n");
    rig.file("m/_manifest.json", "{\"of\": \"somebody else\"}");
    let sink = rig.sink("").await;
    for write_mode in [WriteMode::Overwrite, WriteMode::Append, WriteMode::Merge] {
        let mut target = target("t", write_mode, &["id"]);
        target.overwrite_said = false;
        let error = write(sink.as_ref(), "r1", &target, &[&["2"]]).await.expect_err("it is not ours");
        assert_eq!(error.code(), &codes::NEEDS_DECISION, "{error}");
        assert!(error.to_string().contains("theirs.csv"), "{error}");
    }
    let error = write(sink.as_ref(), "r1", &target("m", WriteMode::Overwrite, &["id"]), &[&["2"]])
        .await
        .expect_err("the manifest is not ours");
    assert_eq!(error.code(), &codes::NEEDS_DECISION, "{error}");
    // It was said: the new rows come beside what is there, which stays.
    write(sink.as_ref(), "r2", &target("t", WriteMode::Overwrite, &["id"]), &[&["2"]]).await.unwrap();
    assert_eq!(rig.rows("t").await, ["2"]);
    assert_eq!(fs::read_to_string(rig.path("t/theirs.csv")).unwrap(), "id\n1\n");
    assert_eq!(fs::read_to_string(rig.path("m/_manifest.json")).unwrap(), "{\"of\": \"somebody else\"}");
}

#[tokio::test]
async fn two_streams_do_not_share_a_folder() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let first = Arc::new(target("Orders", WriteMode::Overwrite, &["id"]));
    let second = Arc::new(target("orders", WriteMode::Overwrite, &["id"]));
    let plans = sink.plan(&[first, second]).await.unwrap();
    let error = plans[1].findings.iter().find_map(|finding| finding.error.clone()).expect("it is a blocker");
    assert_eq!(error.code(), &codes::NAME_TAKEN, "{error}");
}

/// Whoever reads by the manifest meets whole generations, however often they are replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_all_old_rows_or_all_new_ones() {
    const GENERATIONS: u32 = 40;
    let rig = Arc::new(Rig::new());
    let sink = rig.sink("").await;
    let target = target("t", WriteMode::Overwrite, &["id", "generation"]);
    let generation = |number: u32| -> Vec<String> { (0..500).map(|id| format!("{id},{number}")).collect() };
    let first = generation(0);
    let split: Vec<&str> = first.iter().map(String::as_str).collect();
    write(sink.as_ref(), "r0", &target, &[&split[..250], &split[250..]]).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let polling = tokio::spawn({
        let (rig, over) = (Arc::clone(&rig), Arc::clone(&over));
        async move {
            let mut seen = BTreeSet::new();
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                looks += 1;
                let rows = match rig.read("t").await {
                    Ok(told) => told.rows,
                    // The manifest was read, and replaced before its parts were opened.
                    Err(error) if error.to_string().contains("run again") => continue,
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(rows.len(), 500);
                let generations: BTreeSet<&str> =
                    rows.iter().filter_map(|row| Some(row.split_once('|')?.1)).collect();
                assert_eq!(generations.len(), 1, "{generations:?}");
                seen.extend(generations.into_iter().map(str::to_owned));
            }
            (looks, seen.len())
        }
    });
    for number in 1..=GENERATIONS {
        let rows = generation(number);
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        write(sink.as_ref(), &format!("r{number}"), &target, &[&rows[..100], &rows[100..]]).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let (looks, seen) = polling.await.unwrap();
    assert!(looks > 3 && seen > 1, "{looks} looks saw {seen} generations");
    assert_eq!(rig.parts("t").len(), 2);
}

#[tokio::test]
async fn what_a_process_left_behind_is_cleared_by_the_next() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let target = Arc::new(target("t", WriteMode::Overwrite, &["id"]));
    let run = begin(sink.as_ref(), "r1", &target).await.unwrap();
    let mut writer = sink.writer(&run).await.unwrap();
    writer.write(&target, syncline_types::SplitId(0), &batch(&target, &["1"])).await.unwrap();
    writer.commit(&[done(0, 1)]).await.unwrap();
    // As if the process had died in the middle of writing: rows behind the commit, a part without one.
    let staged = rig.parts("t").remove(0);
    let path = rig.path("t").join(&staged);
    let whole = fs::read(&path).unwrap();
    std::mem::forget(writer);
    drop(sink);
    fs::write(&path, [whole.as_slice(), b"77,"].concat()).unwrap();
    rig.file("t/.part-r1-1-7-0.csv.tmp", "id\n78\n");
    rig.file("t/.part-foreign-1-7-0.csv.tmp", "id\n79\n");
    let sink = rig.sink("").await;
    let run = begin(sink.as_ref(), "r1", &target).await.unwrap();
    assert_eq!(rig.parts("t"), [".part-foreign-1-7-0.csv.tmp".to_owned(), staged]);
    sink.finish(&run, &target, syncline_connect::Marking::Keep).await.unwrap();
    sink.close("p").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1"]);
}

#[tokio::test]
async fn a_crash_between_manifest_and_schema_leaves_nothing_behind() {
    let rig = Rig::new();
    let sink = rig.sink("").await;
    let target = Arc::new(target("t", WriteMode::Overwrite, &["id"]));
    let run = begin(sink.as_ref(), "r1", &target).await.unwrap();
    let mut writer = sink.writer(&run).await.unwrap();
    writer.write(&target, syncline_types::SplitId(0), &batch(&target, &["1"])).await.unwrap();
    writer.commit(&[done(0, 1)]).await.unwrap();
    drop(writer);
    sink.finish(&run, &target, syncline_connect::Marking::Keep).await.unwrap();
    // As if the process had died right behind the manifest: the journal says nothing of it yet.
    let journal = rig.path(".syncline-p.journal");
    let text = fs::read_to_string(&journal).unwrap();
    let unpublished: Vec<&str> = text.lines().filter(|line| !line.contains("published")).collect();
    fs::write(&journal, unpublished.join("\n") + "\n").unwrap();
    fs::remove_file(rig.path("t/_schema.json")).unwrap();
    rig.file("t/._schema.json.tmp", "{");
    rig.file("t/._manifest.json.tmp", "{");
    drop(sink);
    let sink = rig.sink("").await;
    let run = begin(sink.as_ref(), "r1", &target).await.unwrap();
    sink.finish(&run, &target, syncline_connect::Marking::Keep).await.unwrap();
    sink.close("p").await.unwrap();
    assert_eq!(rig.rows("t").await, ["1"]);
    assert!(fs::read_to_string(rig.path("t/_schema.json")).unwrap().contains("\"id\""));
    assert_eq!(rig.parts("t").len(), 1, "{:?}", rig.parts("t"));
}
