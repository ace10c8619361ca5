//! Files that change, grow, shrink or vanish after they were looked at.

use std::{fs, sync::Arc};

use syncline_connect::{Next, Read, Session, Source};
use syncline_types::{Result, Split, codes};

use crate::rig::{Rig, only_stream, open, splits};

const ROWS: usize = 200_000;

fn text(rows: usize) -> String {
    let rows: String = (0..rows).map(|id| format!("{id},value {id}\n")).collect();
    format!("id,name\n{rows}")
}

type Change = fn(&Rig);

const CHANGES: &[(&str, Change)] = &[
    ("it has grown", |rig| {
        use std::io::Write;
        let mut file = fs::File::options().append(true).open(rig.path("a.csv")).expect("the folder is ours");
        file.write_all(b"9,x\n").expect("the folder is ours");
    }),
    ("shorter", |rig| {
        let file = fs::File::options().write(true).open(rig.path("a.csv")).expect("the folder is ours");
        file.set_len(100).expect("the folder is ours");
    }),
    ("another file has taken its place", |rig| {
        rig.file("draft", text(ROWS));
        fs::rename(rig.path("draft"), rig.path("a.csv")).expect("the folder is ours");
    }),
    ("is no more", |rig| fs::remove_file(rig.path("a.csv")).expect("the folder is ours")),
];

struct Scene {
    rig: Rig,
    source: Box<dyn Source>,
    read: Arc<Read>,
}

impl Scene {
    async fn new() -> Self {
        let rig = Rig::new();
        rig.file("a.csv", text(ROWS));
        let source = open(rig.config("a.csv")).await.expect("the folder is ours");
        let read = only_stream(source.as_ref()).await.expect("the folder is ours");
        Scene { rig, source, read }
    }

    async fn begin(&self) -> Result<(Box<dyn Session>, Vec<Split>)> {
        let session = self.source.begin(std::slice::from_ref(&self.read), 1).await?;
        let splits = splits(session.as_ref(), &self.read).await?;
        Ok((session, splits))
    }
}

/// Reads on to the end.
async fn rest(reader: &mut dyn syncline_connect::Reader) -> Result<usize> {
    let mut rows = 0;
    loop {
        match reader.next().await? {
            Next::Batch(batch) => rows += batch.rows.num_rows(),
            Next::Idle(_) => {}
            Next::End => return Ok(rows),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_before_it_is_read_is_an_error() {
    for (word, change) in CHANGES {
        let scene = Scene::new().await;
        change(&scene.rig);
        let error = scene.begin().await.map(drop).expect_err(word);
        assert!(error.to_string().contains("a.csv"), "{word}: {error}");
        let scene = Scene::new().await;
        let (session, splits) = scene.begin().await.unwrap();
        change(&scene.rig);
        let opened = session.open(&scene.read, &splits[0], None).await;
        let error = match opened {
            Ok(mut reader) => rest(reader.as_mut()).await.expect_err(word),
            Err(error) => error,
        };
        assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_it_is_read_is_an_error() {
    for (word, change) in CHANGES {
        let scene = Scene::new().await;
        let (session, splits) = scene.begin().await.unwrap();
        let mut reader = session.open(&scene.read, &splits[0], None).await.unwrap();
        assert!(matches!(reader.next().await.unwrap(), Next::Batch(_)));
        change(&scene.rig);
        let error = rest(reader.as_mut()).await.expect_err(word);
        assert!(error.to_string().contains("a.csv"), "{word}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_session_goes_on_only_with_the_same_files() {
    let scene = Scene::new().await;
    let (session, splits) = scene.begin().await.unwrap();
    let mut reader = session.open(&scene.read, &splits[0], None).await.unwrap();
    let Next::Batch(first) = reader.next().await.unwrap() else { panic!("there are rows") };
    drop((reader, session));
    let source = open(scene.rig.config("a.csv")).await.unwrap();
    let session = source.begin(std::slice::from_ref(&scene.read), 1).await.unwrap();
    let mut reader = session.open(&scene.read, &splits[0], first.position.as_ref()).await.unwrap();
    assert_eq!(first.rows.num_rows() + rest(reader.as_mut()).await.unwrap(), ROWS);
    scene.rig.file("a.csv", text(ROWS));
    let source = open(scene.rig.config("a.csv")).await.unwrap();
    let session = source.begin(std::slice::from_ref(&scene.read), 1).await.unwrap();
    let error = session.open(&scene.read, &splits[0], None).await.map(drop).expect_err("it was written anew");
    assert_eq!(error.code(), &codes::SCHEMA_CHANGED, "{error}");
    assert!(error.advice().contains("--restart"), "{error}");
}
