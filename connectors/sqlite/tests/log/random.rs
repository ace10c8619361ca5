//! Whatever an application does, and wherever reading is broken off: every place that is given out is a
//! moment of the file, and nothing is missing behind it.

use std::time::Duration;

use syncline_connect::Logged;
use syncline_testkit::seed::{Rng, Seed};

use crate::rig::{Model, Rig, open};

const TABLES: &str = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INT NOT NULL);
    CREATE TABLE people (name TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, mail TEXT UNIQUE, boss TEXT
        REFERENCES people ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE UNIQUE INDEX people_mail ON people (lower(mail), length(name)) WHERE boss IS NOT NULL;
    CREATE TABLE spots (x, y INT NOT NULL, v TEXT, PRIMARY KEY (x, y)) WITHOUT ROWID;
    INSERT INTO accounts VALUES (1, 100), (2, 100), (3, 100), (4, 100), (5, 100);";

const TRANSACTIONS: usize = 400;

fn statement(rng: &mut Rng) -> String {
    let name = |rng: &mut Rng| ["ann", "ANN", "bob", "Bob", "cy", "dee"][rng.below(6) as usize];
    let mail = |rng: &mut Rng| ["'a@x'", "'A@X'", "'b@x'", "'c@x'", "NULL"][rng.below(5) as usize];
    let spot = |rng: &mut Rng| ["1", "1.0", "'1'", "x'31'", "'a'", "'A'"][rng.below(6) as usize];
    let (a, b, n) = (1 + rng.below(5), 1 + rng.below(5), rng.below(50));
    match rng.below(14) {
        0..3 => format!(
            "UPDATE accounts SET balance = balance - {n} WHERE id = {a}; UPDATE accounts SET balance = balance + {n} WHERE id = {b};"
        ),
        3..5 => format!("INSERT OR REPLACE INTO people VALUES ('{}', {}, NULL);", name(rng), mail(rng)),
        5 => {
            format!("INSERT OR IGNORE INTO people VALUES ('{}', {}, '{}');", name(rng), mail(rng), name(rng))
        }
        6 => format!(
            "UPDATE OR REPLACE people SET mail = {}, boss = '{}' WHERE name = '{}';",
            mail(rng),
            name(rng),
            name(rng)
        ),
        7 => format!("UPDATE OR IGNORE people SET name = '{}' WHERE name = '{}';", name(rng), name(rng)),
        8 => format!("DELETE FROM people WHERE name = '{}';", name(rng)),
        9 => format!(
            "INSERT INTO people VALUES ('{}', {}, NULL) ON CONFLICT (name) DO UPDATE SET name = excluded.name, mail = NULL;",
            name(rng),
            mail(rng)
        ),
        10..12 => format!("REPLACE INTO spots VALUES ({}, {a}, 'v{n}');", spot(rng)),
        12 => format!(
            "UPDATE OR REPLACE spots SET x = {}, y = {a} WHERE y = {b} AND x = {};",
            spot(rng),
            spot(rng)
        ),
        _ => format!("DELETE FROM spots WHERE y = {a};"),
    }
}

fn script(rng: &mut Rng) -> String {
    let mut sql = "BEGIN IMMEDIATE;".to_owned();
    for _ in 0..=rng.below(5) {
        let undone = rng.below(6) == 0;
        let part = statement(rng);
        sql.push_str(&if undone { format!("SAVEPOINT s; {part} ROLLBACK TO s;") } else { part });
    }
    sql.push_str(if rng.below(9) == 0 { "ROLLBACK;" } else { "COMMIT;" });
    sql
}

fn total(model: &Model) -> i64 {
    model.values().map(|row| row.split('|').nth(1).unwrap().parse::<i64>().unwrap()).sum()
}

#[tokio::test]
async fn every_place_is_a_moment_of_the_file() {
    let seed = Seed::from_env();
    let mut rng = seed.rng();
    let rig = Rig::new(TABLES).await;
    let mut following = rig.follow(&["accounts", "people", "spots"]).await;
    let reads = following.reads.clone();
    following.models[0] = rig.copy(&reads[0]).await;
    let scripts: Vec<String> = (0..TRANSACTIONS).map(|_| script(&mut rng)).collect();
    let path = rig.path.clone();
    let writer = std::thread::spawn(move || {
        let app = open(&path);
        app.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        for sql in scripts {
            if app.execute_batch(&sql).is_err() {
                app.execute_batch("ROLLBACK").unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    // As it is at the last place that was given out.
    let mut durable = following.models.clone();
    let mut again = 0;
    loop {
        let ended = writer.is_finished();
        let head = rig.log.head().await.unwrap();
        if ended && rig.log.compare(&following.at, &head).unwrap().is_ge() {
            break;
        }
        let before = following.at.clone();
        let patience = Duration::from_micros(rng.below(20_000));
        if let Ok(stepped) = tokio::time::timeout(patience, following.step()).await {
            stepped.unwrap();
        }
        if following.at != before {
            assert_eq!(total(&following.models[0]), 500, "half a transaction is told");
            durable = following.models.clone();
        }
        if rng.below(4) == 0 {
            following.reader.confirm(&following.at).await.unwrap();
        }
        if rng.below(10) == 0 {
            let at = following.at.clone();
            assert_eq!(rig.log.keep(&reads, Some(&at)).await.unwrap(), at);
            let models = durable.clone();
            following = rig.open(reads.clone(), at).await;
            following.models = models;
            again += 1;
        }
    }
    writer.join().unwrap();
    for (read, model) in reads.iter().zip(&following.models) {
        assert_eq!(model, &rig.copy(read).await, "{}", read.stream.name);
    }
    assert!(again > 3, "{again}");
    let nothing = tokio::time::timeout(Duration::from_millis(100), following.reader.next()).await;
    assert!(!matches!(nothing, Ok(Ok(Logged::Changes(_)))), "nothing has happened since");
}
