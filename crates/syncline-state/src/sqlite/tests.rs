//! The embedded store against its file.

use syncline_types::{KeyRange, Position, Progress};

use super::*;

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    (folder, store)
}

fn new_run(run: &str) -> NewRun {
    let stream = |name: &str| NewStream {
        source: name.into(),
        target: name.into(),
        rows_estimate: Some(10),
        window: (name == "t").then(|| "w".into()),
    };
    NewRun {
        pipeline: "p".into(),
        run: run.into(),
        epoch: 1,
        fingerprint: "f".into(),
        from: "a:".into(),
        to: "b:".into(),
        streams: vec![stream("s"), stream("t")],
    }
}

fn split(id: u32) -> Split {
    let range = KeyRange { after: Some(vec!["5".into()]), upto: None };
    Split { id: SplitId(id), extent: Extent::Keys(range), rows_estimate: Some(5) }
}

fn delta(progress: Progress) -> ProgressDelta {
    let row = ProgressRow { progress, rows: 3, bytes: 30, rejected: 1 };
    ProgressDelta { stream: 1, split: SplitId(0), row }
}

#[tokio::test]
async fn a_run_comes_back_as_it_was_saved() {
    let (folder, store) = store();
    assert_eq!(store.load("p").await.unwrap(), None);
    store.create(&new_run("r")).await.unwrap();
    store.save_split("r", 1, &split(0)).await.unwrap();
    store.save_split("r", 1, &split(1)).await.unwrap();
    store.save_planned("r", 1).await.unwrap();
    let at = Progress::At(Position("x".into()));
    store.save_progress("r", &delta(at.clone())).await.unwrap();
    store.save_phase("r", 0, StreamPhase::Published).await.unwrap();
    store.resume("r", 7, &[delta(Progress::Done)], &[1]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    let run = store.load("p").await.unwrap().unwrap();
    assert_eq!((run.run.as_str(), run.epoch, run.finished), ("r", 7, false));
    assert!(run.streams.iter().all(|stream| stream.phase == StreamPhase::Published));
    assert!(run.streams[1].planned && !run.streams[0].planned);
    assert_eq!(run.streams[1].splits[0].row, Some(delta(Progress::Done).row));
    assert_eq!(run.streams[1].splits[1], SavedSplit { split: split(1), row: None });
    store.finish("r").await.unwrap();
    assert!(store.load("p").await.unwrap().unwrap().finished);
    let summaries = store.summaries().await.unwrap();
    assert_eq!(summaries[0].streams, new_run("r").streams);
}

#[tokio::test]
async fn a_new_run_replaces_the_old_one_and_keeps_its_letters() {
    let (_folder, store) = store();
    store.create(&new_run("r")).await.unwrap();
    store.save_split("r", 0, &split(0)).await.unwrap();
    let place = |at: Option<&str>| LetterPlace {
        pipeline: "p".into(),
        run: "r".into(),
        stream: 0,
        split: SplitId(0),
        at: at.map(|at| Position(at.into())),
    };
    let letter = NewLetter {
        source: "s".into(),
        row: None,
        code: "SYN-4001".into(),
        reason: "why".into(),
        payload: serde_json::json!({"id": 1}),
    };
    store.save_letters(&place(None), std::slice::from_ref(&letter)).await.unwrap();
    store.save_letters(&place(Some("x")), &[letter.clone(), letter]).await.unwrap();
    // An attempt that is made again forgets only its own letters.
    store.forget_letters(&place(Some("x"))).await.unwrap();
    store.create(&new_run("r2")).await.unwrap();
    let letters = store.letters("p", None).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(store.letters("p", Some(letters[0].id)).await.unwrap()[0].payload["id"], 1);
    assert!(store.load("p").await.unwrap().unwrap().streams[0].splits.is_empty());
    assert_eq!(store.drop_letters("p", None).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_found_is_kept_by_the_place_where_an_attempt_began() {
    let (_folder, store) = store();
    store.create(&new_run("r")).await.unwrap();
    let place = |split, at: Option<&str>| LetterPlace {
        pipeline: "p".into(),
        run: "r".into(),
        stream: 1,
        split: SplitId(split),
        at: at.map(|at| Position(at.into())),
    };
    for (place, found) in [
        (place(0, None), "first"),
        (place(0, Some("")), "second"),
        (place(0, None), "again"),
        (place(3, Some("x")), "third"),
    ] {
        store.save_found(&place, found).await.unwrap();
    }
    let kept = [(0, None, "again"), (0, Some(""), "second"), (3, Some("x"), "third")];
    let kept = kept
        .map(|(split, at, found)| (SplitId(split), at.map(|at| Position(at.to_owned())), found.to_owned()));
    assert_eq!(store.found("r", 1).await.unwrap(), kept);
    assert!(store.found("r", 0).await.unwrap().is_empty());
    store.reset_stream("r", 1).await.unwrap();
    assert!(store.found("r", 1).await.unwrap().is_empty());
    assert_eq!(store.load("p").await.unwrap().unwrap().streams[1].window.as_deref(), Some("w"));
}

#[tokio::test]
async fn marks_outlive_their_runs() {
    let (_folder, store) = store();
    store.save_mark("p", "s", Some("1")).await.unwrap();
    store.save_mark("p", "s", Some("2")).await.unwrap();
    store.save_mark("q", "s", Some("3")).await.unwrap();
    store.create(&new_run("r")).await.unwrap();
    store.create(&new_run("r2")).await.unwrap();
    let expected = BTreeMap::from([("s".to_owned(), "2".to_owned())]);
    assert_eq!(store.marks("p").await.unwrap(), expected);
    assert_eq!(store.summaries().await.unwrap()[0].marks, expected);
    store.save_mark("p", "s", None).await.unwrap();
    assert!(store.marks("p").await.unwrap().is_empty() && !store.marks("q").await.unwrap().is_empty());
}

/// The tables as the first version made them.
const FIRST: &str = "
    CREATE TABLE run (pipeline TEXT PRIMARY KEY, run TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,
        fingerprint TEXT NOT NULL, from_url TEXT NOT NULL, to_url TEXT NOT NULL,
        finished INTEGER NOT NULL DEFAULT 0, started TEXT NOT NULL DEFAULT (datetime('now')),
        updated TEXT NOT NULL DEFAULT (datetime('now'))) STRICT;
    CREATE TABLE stream (run TEXT NOT NULL REFERENCES run (run) ON DELETE CASCADE,
        stream INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, rows_estimate INTEGER,
        phase TEXT NOT NULL DEFAULT 'copying', planned INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, stream)) STRICT, WITHOUT ROWID;
    CREATE TABLE split (run TEXT NOT NULL, stream INTEGER NOT NULL, split INTEGER NOT NULL,
        extent TEXT NOT NULL, rows_estimate INTEGER, progress TEXT, PRIMARY KEY (run, stream, split),
        FOREIGN KEY (run, stream) REFERENCES stream (run, stream) ON DELETE CASCADE) STRICT, WITHOUT ROWID;
    CREATE TABLE dead_letter (id INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL,
        run TEXT NOT NULL, stream INTEGER NOT NULL, split INTEGER NOT NULL, began_at TEXT,
        source TEXT NOT NULL, row TEXT, code TEXT NOT NULL, reason TEXT NOT NULL, payload TEXT NOT NULL,
        at TEXT NOT NULL DEFAULT (datetime('now'))) STRICT;
    INSERT INTO run (pipeline, run, epoch, fingerprint, from_url, to_url) VALUES ('p', 'r', 3, 'f', 'a:', 'b:');
    INSERT INTO stream (run, stream, source, target) VALUES ('r', 0, 's', 's');
    PRAGMA user_version = 1";

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    Connection::open(&path).unwrap().execute_batch(FIRST).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let run = store.load("p").await.unwrap().unwrap();
    assert_eq!((run.epoch, run.streams.len(), run.streams[0].window.as_deref()), (3, 1, None));
    store.save_mark("p", "s", Some("1")).await.unwrap();
    let place = LetterPlace { pipeline: "p".into(), run: "r".into(), stream: 0, split: SplitId(0), at: None };
    store.save_found(&place, "x").await.unwrap();
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().marks("p").await.unwrap().len(), 1);
}

#[tokio::test]
async fn progress_of_a_split_that_was_not_saved_is_an_error() {
    let (_folder, store) = store();
    store.create(&new_run("r")).await.unwrap();
    let error = store.save_progress("r", &delta(Progress::Done)).await.unwrap_err();
    assert_eq!(error.code(), &codes::STATE_FAILED);
}

#[tokio::test]
async fn a_newer_file_and_garbage_are_refused() {
    let (folder, store) = store();
    drop(store);
    let path = folder.path().join("state.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(SqliteStore::open(&path).unwrap_err().to_string().contains("newer version"));
    std::fs::write(&path, "this is no database, it is a text").unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(error.to_string().contains("--restart"), "{error}");
}
