//! A process that is cut off while another takes its place may change nothing afterwards.

use std::time::Duration;

use syncline_connect::{Connector, Context, Memory, Replace, RunRef, Sink, Target, Task, WriteMode};
use syncline_postgres::{Postgres, PostgresConfig};
use syncline_testkit::servers::{left_out, postgres};
use syncline_types::{Column, LogicalType, StreamName, TableSchema, codes};

async fn sink(database: &str) -> Box<dyn Sink> {
    let json = format!(
        r#"{{"user": "postgres", "host": "127.0.0.1", "port": {}, "path": "{database}"}}"#,
        postgres::shared().port()
    );
    let config: PostgresConfig = serde_json::from_str(&json).expect("the configuration is right");
    let cx = Context::new(Memory::new(32 << 20), Duration::from_secs(20));
    Postgres::sink(config, cx).await.expect("the server can be written")
}

fn target() -> std::sync::Arc<Target> {
    let schema =
        TableSchema::new("t", vec![Column::new("id", LogicalType::Int64).required()]).with_key(["id"]);
    std::sync::Arc::new(Target {
        stream: 0,
        source: StreamName::bare("t"),
        name: StreamName::bare("t"),
        key: schema.key.clone(),
        schema,
        write: WriteMode::Overwrite,
        staged: true,
        replace: Replace::Auto,
        overwrite_said: true,
        task: Task::Load,
        cursor: None,
    })
}

#[tokio::test]
async fn a_process_that_was_replaced_clears_nothing_away() {
    if left_out("postgres") {
        return;
    }
    let database = postgres::shared().create_database();
    let old = sink(&database).await;
    let epoch = old.lock("p", 0).await.expect("the pipeline is free");
    // Its connection breaks, and nobody notices; with it the lock is gone.
    postgres::shared().psql(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'"
        ),
    );
    // Another takes over, prepares its run, and dies in its turn.
    let new = sink(&database).await;
    let newer = new.lock("p", 0).await.expect("the pipeline is free again");
    assert!(newer > epoch);
    let (run, target) = (
        RunRef {
            pipeline: "p".into(),
            run: "r2".into(),
            epoch: newer,
            origin: syncline_connect::Origin::default(),
        },
        target(),
    );
    for action in &new.plan(std::slice::from_ref(&target)).await.expect("it can be planned")[0].before {
        new.apply(&run, &target, action).await.expect("it can be prepared");
    }
    drop(new);
    postgres::shared().psql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'syncline'"),
    );
    let error = old.close("p").await.expect_err("it was replaced");
    assert_eq!(error.code(), &codes::FENCED, "{error}");
    let progress = sink(&database).await.progress("p").await.expect("it can be read").expect("it is kept");
    assert_eq!((progress.run.as_deref(), progress.epoch), (Some("r2"), newer));
}
