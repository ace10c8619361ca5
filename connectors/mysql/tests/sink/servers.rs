//! Servers that die, stop answering or lose a connection while they are written to.

use syncline_connect::{Connector, WriteMode};
use syncline_mysql::Mysql;
use syncline_testkit::servers::{
    left_out,
    mysql::{Mysql as Server, Options},
};
use syncline_types::{ErrorKind, LogicalType as L, SplitId, codes};

use crate::rig::{Rig, Run, batch, context, done, products, rigs, row, run_ref, schema, target};

fn numbers() -> syncline_types::TableSchema {
    schema(&[("id", L::Int64, false)], &["id"])
}

#[tokio::test]
async fn a_process_that_was_replaced_changes_nothing_any_more() {
    for rig in rigs() {
        let old = rig.sink().await;
        let epoch = old.lock("p", 0).await.unwrap();
        // Its connections break, and nobody notices; with them the lock is gone.
        let ids = format!(
            "SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
            rig.database.name()
        );
        rig.query(&ids).iter().for_each(|id| rig.run(&format!("KILL {id}")));
        let new = rig.sink().await;
        let newer = new.lock("p", 0).await.unwrap();
        assert!(newer > epoch);
        let target = std::sync::Arc::new(target("t", numbers(), WriteMode::Overwrite));
        let run = run_ref("r2", newer);
        for action in &new.plan(std::slice::from_ref(&target)).await.unwrap()[0].before {
            new.apply(&run, &target, action).await.unwrap();
        }
        let error = old.plan(std::slice::from_ref(&target)).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), &codes::FENCED, "{error}");
        let plans = new.plan(std::slice::from_ref(&target)).await.unwrap();
        let error = old.apply(&run_ref("r1", epoch), &target, &plans[0].before[0]).await.unwrap_err();
        assert_eq!(error.code(), &codes::FENCED, "{error}");
        drop(new);
        let error = old.close("p").await.unwrap_err();
        assert_eq!(error.code(), &codes::FENCED, "{error}");
        let progress = rig.sink().await.progress("p").await.unwrap().unwrap();
        assert_eq!((progress.run.as_deref(), progress.epoch), (Some("r2"), newer));
    }
}

#[tokio::test]
async fn a_lost_connection_takes_the_lock_again() {
    for rig in rigs() {
        let sink = rig.sink().await;
        sink.lock("p", 0).await.unwrap();
        let ids = format!(
            "SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> CONNECTION_ID()",
            rig.database.name()
        );
        rig.query(&ids).iter().for_each(|id| rig.run(&format!("KILL {id}")));
        sink.progress("p").await.unwrap();
        let error = rig.sink().await.lock("p", 0).await.unwrap_err();
        assert_eq!(error.code(), &codes::ALREADY_RUNNING, "{error}");
    }
}

#[tokio::test]
async fn a_server_killed_in_a_load_keeps_only_what_was_committed() {
    for product in products() {
        let mut server = Server::start(product, Options::new());
        let rig = Rig::on(&server);
        rig.run("CREATE TABLE t (id bigint PRIMARY KEY)");
        let mut appended = target("t", numbers(), WriteMode::Append);
        appended.staged = false;
        let run = Run::begin(&rig, "r1", appended).await;
        let mut writer = run.writer().await;
        let all: Vec<_> = (0..20_000).map(|id| row(&[&id.to_string()])).collect();
        writer.write(&run.target, SplitId(0), &batch(&numbers(), &all[..10_000])).await.unwrap();
        writer.commit(&[done(0, 10_000)]).await.unwrap();
        writer.write(&run.target, SplitId(1), &batch(&numbers(), &all[10_000..])).await.unwrap();
        server.kill9();
        let error = writer.commit(&[done(1, 10_000)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        server.start_again();
        assert_eq!(rig.one("SELECT COUNT(*) FROM t"), "10000");
        let progress = rig.sink().await.progress("p").await.unwrap().unwrap();
        assert_eq!(progress.splits.len(), 1);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_run_goes_on_afterwards() {
    if left_out("small-disk") {
        return;
    }
    for product in products() {
        let server = Server::start(product, Options::new().disk_bytes(256 << 20));
        let rig = Rig::on(&server);
        let schema = schema(&[("id", L::Int64, false), ("t", L::TEXT, true)], &["id"]);
        let run = Run::begin(&rig, "r1", target("t", schema.clone(), WriteMode::Overwrite)).await;
        let text = "x".repeat(1 << 20);
        let all: Vec<_> = (0..400).map(|id| row(&[&id.to_string(), &text])).collect();
        let mut writer = run.writer().await;
        let mut failed = None;
        for rows in all.chunks(20) {
            let written = writer.write(&run.target, SplitId(0), &batch(&schema, rows)).await.map(|_| ());
            if let Err(error) = match written {
                Ok(()) => writer.flush().await,
                failed => failed,
            } {
                failed = Some(error);
                break;
            }
        }
        let error = failed.expect("so much does not fit");
        // The server may end itself when there is no room to take things back either.
        let told = [&codes::DISK_FULL, &codes::UNREACHABLE];
        assert!(told.contains(&error.code()), "{product:?}: {error}");
    }
}

#[tokio::test]
async fn a_password_is_checked_and_grants_are_missed_by_name() {
    for rig in rigs() {
        let name = rig.database.name();
        rig.run(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY);
             CREATE USER IF NOT EXISTS {name}@'%' IDENTIFIED BY 'right'; GRANT SELECT ON {name}.* TO {name}@'%'"
        ));
        let mut config = rig.config();
        config.user = Some(name.to_owned());
        config.password = Some("right".to_owned().into());
        let sink = Mysql::sink(config, context()).await.unwrap();
        let error = sink.lock("p", 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
        assert!(error.to_string().contains("_syncline_checkpoint"), "{error}");
    }
}

#[tokio::test]
async fn who_may_make_no_temporary_tables_is_told_before_anything_is_copied() {
    for rig in rigs() {
        let name = rig.database.name();
        let user = format!("{}_w", &name[..name.len().min(28)]);
        rig.run(&format!(
            "CREATE USER {user}@'%' IDENTIFIED BY 'right';
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON {name}.* TO {user}@'%'"
        ));
        let mut config = rig.config();
        config.user = Some(user.clone());
        config.password = Some("right".to_owned().into());
        let sink = Mysql::sink(config, context()).await.unwrap();
        let findings = sink.inspect_applier().await.unwrap();
        let error = findings.first().and_then(|finding| finding.error.clone()).expect("it is told");
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
        let grant = format!("GRANT CREATE TEMPORARY TABLES ON `{name}`.* TO '{user}'@'%'");
        assert!(error.to_string().contains(&grant), "{error}");
        rig.run(&grant);
        assert!(sink.inspect_applier().await.unwrap().is_empty());
        rig.run(&format!("DROP USER {user}@'%'"));
    }
}
