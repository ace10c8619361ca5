//! Whatever sessions do at once, and wherever reading is broken off: every place is a moment of the database.

use std::{collections::BTreeMap, time::Duration};

use syncline_connect::Logged;
use syncline_testkit::{
    seed::{Rng, Seed},
    servers::mysql,
};

use crate::{
    TRIGGERS,
    rig::{Rig, Told, products},
};

const SESSIONS: u64 = 3;
const TRANSACTIONS: usize = 120;
const ACCOUNTS: u64 = 6;

/// Money moves, and rows come, go and change their keys. Some transactions take long, so that others with later
/// records are through before them.
fn script(rng: &mut Rng, session: u64) -> String {
    // Sessions that wait for each other's gaps would be ended.
    let mut sql = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;\n".to_owned();
    for _ in 0..TRANSACTIONS {
        let (a, b) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
        // In one order, so that nobody waits for each other for good.
        let (first, second, n) = (a.min(b), a.max(b), rng.below(50));
        let key = |rng: &mut Rng| session * 10 + rng.below(10);
        let (one, other) = (key(rng), key(rng));
        if session == 0 && rng.below(30) == 0 {
            sql.push_str("TRUNCATE t;\n");
        }
        sql.push_str("BEGIN;\n");
        // Recorded before anything is waited for.
        sql.push_str(&match rng.below(5) {
            0 => format!("DELETE FROM t WHERE id = {one};\n"),
            1 => format!("UPDATE IGNORE t SET id = {one} WHERE id = {other};\n"),
            2 => format!("REPLACE INTO t VALUES ({one}, '{n}');\n"),
            _ => format!("INSERT INTO t VALUES ({one}, '{n}') ON DUPLICATE KEY UPDATE v = VALUES(v);\n"),
        });
        if rng.below(3) == 0 {
            sql.push_str(&format!("DO SLEEP(0.{:03});\n", rng.below(120)));
        }
        sql.push_str(&format!("UPDATE accounts SET n = n - {n} WHERE id = {first};\n"));
        sql.push_str(&format!("UPDATE accounts SET n = n + {n} WHERE id = {second};\n"));
        sql.push_str(if rng.below(8) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" });
    }
    sql
}

type Model = BTreeMap<String, String>;

/// A change may be told again, so each is what the row is now.
pub(crate) fn apply(models: &mut BTreeMap<String, Model>, line: &str) {
    let mut words = line.splitn(3, ' ');
    let (table, verb, row) =
        (words.next().unwrap_or_default(), words.next(), words.next().unwrap_or_default());
    let model = models.entry(table.to_owned()).or_default();
    let key = row.split('|').next().unwrap_or_default().to_owned();
    match verb {
        Some("+" | "~") => drop(model.insert(key, row.to_owned())),
        Some("-") => drop(model.remove(&key)),
        Some("truncated") => model.clear(),
        _ => panic!("{line}"),
    }
}

fn total(models: &BTreeMap<String, Model>) -> i64 {
    let amount = |row: &String| row.split('|').nth(1).and_then(|n| n.parse::<i64>().ok()).expect("an amount");
    models["accounts"].values().map(amount).sum()
}

#[tokio::test]
async fn every_place_is_a_moment_of_the_database() {
    for product in products() {
        let seed = Seed::from_env();
        let mut rng = seed.rng();
        let sql = "CREATE TABLE accounts (id int PRIMARY KEY, n int); CREATE TABLE t (id int PRIMARY KEY, v varchar(20))";
        let rig = Rig::on(mysql::shared(product), sql, TRIGGERS).await;
        let mut following = rig.follow(&["accounts", "t"]).await;
        let accounts: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, 100)")).collect();
        rig.sql(&format!("INSERT INTO accounts VALUES {}", accounts.join(", ")));
        let sessions: Vec<_> =
            (0..SESSIONS).map(|session| rig.database.start_sql(&script(&mut rng, session))).collect();
        let (mut models, mut places, mut again, mut end) = (BTreeMap::new(), 0, 0, None);
        let mut durable = BTreeMap::new();
        loop {
            if end.is_none() && sessions.iter().all(|session| !session.is_running()) {
                end = Some(rig.head().await);
            }
            if let Some(end) = &end
                && rig.log.compare(&following.at, end).expect("they are of this log").is_ge()
            {
                break;
            }
            let patience = Duration::from_millis(rng.below(80));
            if let Ok(logged) = tokio::time::timeout(patience, following.reader.next()).await {
                match logged.expect("the changes can be read") {
                    Logged::Changes(batch) => {
                        let mut told = Told::default();
                        told.add(&batch, &following.reads, &mut following.at);
                        told.lines.iter().for_each(|line| apply(&mut models, line));
                        if batch.position.is_some() {
                            assert_eq!(total(&models), 600, "half a transaction is told");
                            durable = models.clone();
                            places += 1;
                        }
                    }
                    Logged::Idle(position) => following.at = position,
                    Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
                }
            }
            if rng.below(4) == 0 {
                let at = following.at.clone();
                following.reader.confirm(&at).await.expect("it can be confirmed");
            }
            if rng.below(10) == 0 {
                let (at, reads) = (following.at.clone(), following.reads.clone());
                drop(following);
                following = rig.open(reads, at).await;
                models.clone_from(&durable);
                again += 1;
            }
        }
        for session in sessions {
            session.wait().expect_code(0);
        }
        assert!(places > 5 && again > 0, "{places} places, {again} times again");
        for (table, value) in [("accounts", "n"), ("t", "v")] {
            let rows = rig.sql(&format!("SELECT CONCAT_WS('|', id, {value}) FROM {table} ORDER BY id"));
            let mut told: Vec<&String> = models[table].values().collect();
            told.sort_by_key(|row| row.split('|').next().and_then(|id| id.parse::<u64>().ok()));
            assert_eq!(told, rows.lines().collect::<Vec<_>>(), "{table} on {product:?}");
        }
    }
}
