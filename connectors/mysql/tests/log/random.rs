//! Whatever sessions do at once, and wherever reading is broken off: what is told comes to what is there,
//! with nothing left out and nothing said twice.

use std::{collections::BTreeMap, time::Duration};

use syncline_connect::Logged;
use syncline_testkit::seed::{Rng, Seed};

use crate::rig::{Following, Rig, Told, products};

const SESSIONS: u64 = 3;
const TRANSACTIONS: usize = 200;
/// Keys of one session; those of others are others.
const KEYS: u64 = 12;

/// What a session does.
fn script(rng: &mut Rng, session: u64) -> String {
    // Sessions that wait for each other's gaps would be ended.
    let mut sql = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;\n".to_owned();
    for _ in 0..TRANSACTIONS {
        if session == 0 && rng.below(20) == 0 {
            sql.push_str("TRUNCATE t;\n");
            continue;
        }
        sql.push_str("BEGIN;\n");
        for _ in 0..=rng.below(6) {
            let undone = rng.below(5) == 0;
            if undone {
                sql.push_str("SAVEPOINT s;\n");
            }
            sql.push_str(&statement(rng, session));
            if undone {
                sql.push_str("ROLLBACK TO s;\n");
            }
        }
        sql.push_str(if rng.below(8) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" });
    }
    sql
}

fn statement(rng: &mut Rng, session: u64) -> String {
    let key = |rng: &mut Rng| session * KEYS + rng.below(KEYS);
    let (one, other, value) = (key(rng), key(rng), rng.below(1_000));
    match rng.below(12) {
        0..4 => format!("INSERT IGNORE INTO t VALUES ({one}, '{value}');\n"),
        4..6 => format!("INSERT INTO t VALUES ({one}, '{value}') ON DUPLICATE KEY UPDATE v = VALUES(v);\n"),
        6..8 => format!("UPDATE t SET v = '{value}' WHERE id = {one};\n"),
        8 => format!("UPDATE IGNORE t SET id = {one} WHERE id = {other};\n"),
        9..11 => format!("DELETE FROM t WHERE id = {one};\n"),
        _ => format!("INSERT INTO other VALUES ({value});\n"),
    }
}

/// The table, as the changes leave it. A change that does not fit is one too many or one too few.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<String, String>);

impl Model {
    fn apply(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (_, verb, row) = (words.next(), words.next(), words.next().unwrap_or_default());
        let (key, value) = row.split_once('|').unwrap_or((row, ""));
        match verb {
            Some("+" | "<") => assert_eq!(self.0.insert(key.into(), value.into()), None, "{line}"),
            Some("~") => assert!(self.0.insert(key.into(), value.into()).is_some(), "{line}"),
            Some("-" | ">") => assert!(self.0.remove(key).is_some(), "{line}"),
            Some("truncated") => self.0.clear(),
            _ => panic!("{line}"),
        }
    }
}

#[tokio::test]
async fn what_is_told_comes_to_what_is_there() {
    for product in products() {
        let seed = Seed::from_env();
        let mut rng = seed.rng();
        let rig = Rig::new(
            product,
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE other (id int)",
        )
        .await;
        let mut following = rig.follow(&["t"]).await;
        let sessions: Vec<_> =
            (0..SESSIONS).map(|session| rig.database.start_sql(&script(&mut rng, session))).collect();
        // As it is at the last position that was given out, and behind it.
        let (mut durable, mut model) = (Model::default(), Model::default());
        let mut again = 0;
        let mut end = None;
        loop {
            if end.is_none() && sessions.iter().all(|session| !session.is_running()) {
                end = Some(rig.head().await);
            }
            if let Some(end) = &end
                && rig.log.compare(&following.at, end).expect("they are of this log").is_ge()
            {
                break;
            }
            let patience = Duration::from_micros(rng.below(3_000));
            if let Ok(logged) = tokio::time::timeout(patience, following.reader.next()).await {
                match logged.expect("the log can be read") {
                    Logged::Changes(batch) => {
                        let mut told = Told::default();
                        told.add(&batch, &following.reads, &mut following.at);
                        // Of several removals of all rows a batch tells the last.
                        let removed = told.lines.iter().rposition(|line| line.ends_with("truncated"));
                        let lines = told.lines.iter().skip(removed.unwrap_or(0));
                        lines.for_each(|line| model.apply(line));
                        if batch.position.is_some() {
                            durable = model.clone();
                        }
                    }
                    Logged::Idle(position) => {
                        assert_eq!(model, durable, "a place is told inside of a transaction");
                        following.at = position;
                    }
                    Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
                }
            }
            if rng.below(4) == 0 {
                let confirmed = following.reader.confirm(&following.at).await;
                confirmed.expect("it can be confirmed");
            }
            if rng.below(15) == 0 {
                let Following { reader, reads, at } = following;
                drop(reader);
                model = durable.clone();
                following = rig.open(reads, at).await;
                again += 1;
            }
        }
        for session in sessions {
            session.wait().expect_code(0);
        }
        let there = rig.sql("SELECT CONCAT(id, '|', v) FROM t");
        let there = there.lines().filter_map(|line| line.split_once('|'));
        let there: BTreeMap<String, String> = there.map(|(key, value)| (key.into(), value.into())).collect();
        assert_eq!(model.0, there);
        assert!(again > 0, "reading was never broken off");
    }
}
