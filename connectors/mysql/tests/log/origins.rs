//! What transactions say of where their changes come from is heard, however the server writes its log and
//! wherever the table is by whose rows they say it.

use syncline_connect::{Logged, Origin, identity};
use syncline_testkit::servers::mysql::Product;

use crate::rig::{Following, Rig, Told, products, server};

const TABLE: &str = "CREATE TABLE t (id int primary key, v varchar(300))";

/// A pipeline's mark in a database of its own, as the sink writes it.
struct Marks {
    table: String,
    count: u32,
}

impl Marks {
    fn new(rig: &Rig) -> Self {
        let database = format!("{}_elsewhere", rig.database.name());
        let table = format!("{database}._syncline_origin");
        rig.sql(&format!(
            "CREATE DATABASE {database}; CREATE TABLE {table} (pipeline varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
               stream int NOT NULL, split bigint NOT NULL, said varchar(2000) CHARACTER SET ascii NOT NULL,
               PRIMARY KEY (pipeline, stream, split)) ENGINE = InnoDB"
        ));
        Marks { table, count: 0 }
    }

    fn say(&mut self, names: &[&str]) -> String {
        self.count += 1;
        format!(
            "INSERT INTO {} VALUES ('p', -1, -1, '{}:{}') ON DUPLICATE KEY UPDATE said = VALUES(said);",
            self.table,
            self.count,
            origin(names).write()
        )
    }
}

fn origin(names: &[&str]) -> Origin {
    let all: Vec<String> = names.iter().map(|name| identity("test", name)).collect();
    Origin::default().through(&all).expect("there are few")
}

async fn open(rig: &Rig) -> Following {
    let reads = rig.reads(&["t"]).await;
    let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
    let not_from = [identity("test", "target")];
    let reader = rig.log.open(&reads, &at, &not_from).await.expect("the log can be opened");
    Following { reader, reads, at }
}

/// Every batch, as what it has come through and its lines.
async fn batches(rig: &Rig, following: &mut Following) -> Vec<(Origin, Vec<String>)> {
    let head = rig.head().await;
    let mut all = vec![];
    while rig.log.compare(&following.at, &head).expect("they are of one log").is_lt() {
        match following.next().await.expect("the log can be read") {
            Logged::Changes(batch) => {
                let mut told = Told::default();
                told.add(&batch, &following.reads, &mut following.at);
                if !told.lines.is_empty() {
                    all.push((batch.origin, told.lines));
                }
            }
            Logged::Idle(position) => following.at = position,
            Logged::Schema(change) => panic!("{change:?}"),
        }
    }
    all
}

/// Every batch is of one origin, also where a transaction is not, and none is of the target's own.
async fn is_heard(product: Product, settings: &[(&str, &str)]) {
    let server = server(product, settings);
    let rig = Rig::on(&server, TABLE, "").await;
    let mut marks = Marks::new(&rig);
    let mut following = open(&rig).await;
    let long = "REPEAT('x', 300)";
    let sql = [
        "INSERT INTO t VALUES (1, 'own');".to_owned(),
        format!("BEGIN; {} INSERT INTO t VALUES (2, {long}); COMMIT;", marks.say(&["target"])),
        format!("BEGIN; {} INSERT INTO t VALUES (3, 'own, too'); ROLLBACK;", marks.say(&["target"])),
        "INSERT INTO t VALUES (4, 'own');".into(),
        format!("BEGIN; {} INSERT INTO t VALUES (5, 'a'); COMMIT;", marks.say(&["a"])),
        format!("BEGIN; {} UPDATE t SET v = 'a' WHERE id = 4; COMMIT;", marks.say(&["a"])),
        format!("BEGIN; {} DELETE FROM t WHERE id = 4; COMMIT;", marks.say(&["b", "a"])),
        format!(
            "BEGIN; INSERT INTO t VALUES (6, 'own'); {} INSERT INTO t VALUES (7, {long}); {} INSERT INTO t VALUES (8, 'b'); COMMIT;",
            marks.say(&["a", "target"]),
            marks.say(&["b"])
        ),
        "DELETE FROM t WHERE id = 1;".into(),
    ];
    rig.sql(&sql.concat());
    let told = batches(&rig, &mut following).await;
    let mut joined: Vec<(Origin, Vec<String>)> = vec![];
    for (origin, lines) in told {
        match joined.last_mut() {
            Some((last, all)) if *last == origin => all.extend(lines),
            _ => joined.push((origin, lines)),
        }
    }
    let seen: Vec<(Origin, Vec<String>)> = joined
        .into_iter()
        .map(|(origin, lines)| (origin, lines.iter().map(|line| line[..5].to_owned()).collect()))
        .collect();
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let expected = vec![
        (origin(&[]), lines(&["t + 1", "t + 4"])),
        (origin(&["a"]), lines(&["t + 5", "t ~ 4"])),
        (origin(&["b", "a"]), lines(&["t - 4"])),
        (origin(&[]), lines(&["t + 6"])),
        (origin(&["b"]), lines(&["t + 8"])),
        (origin(&[]), lines(&["t - 1"])),
    ];
    assert_eq!(seen, expected, "{product:?} {settings:?}");
}

#[tokio::test]
async fn what_is_said_is_heard_in_every_form_of_the_log() {
    for product in products() {
        let names = if product == Product::Mysql { "MINIMAL" } else { "NO_LOG" };
        is_heard(product, &[("binlog-row-metadata", names), ("binlog-row-image", "MINIMAL")]).await;
        let compressed: &[_] = match product {
            Product::Mysql => &[("binlog-transaction-compression", "ON"), ("binlog-row-metadata", "FULL")],
            Product::Mariadb => &[("log-bin-compress", "ON"), ("log-bin-compress-min-len", "10")],
        };
        is_heard(product, compressed).await;
    }
}

#[tokio::test]
async fn a_table_that_is_emptied_is_told_apart_from_what_came_from_elsewhere() {
    for product in products() {
        let rig = Rig::new(product, TABLE).await;
        let mut marks = Marks::new(&rig);
        let mut following = open(&rig).await;
        rig.sql(&format!("BEGIN; {} INSERT INTO t VALUES (1, 'a'); COMMIT; TRUNCATE t", marks.say(&["a"])));
        let told = batches(&rig, &mut following).await;
        let expected =
            [(origin(&["a"]), vec!["t + 1|a".to_owned()]), (origin(&[]), vec!["t truncated".to_owned()])];
        assert_eq!(told, expected, "{product:?}");
    }
}

#[tokio::test]
async fn a_table_of_the_same_name_says_nothing() {
    for product in products() {
        let rig = Rig::new(product, TABLE).await;
        let mut following = open(&rig).await;
        rig.sql(
            "CREATE TABLE _syncline_origin (id int primary key, said text); INSERT INTO _syncline_origin VALUES (1, 'x');
             INSERT INTO t VALUES (1, 'own')",
        );
        let told = batches(&rig, &mut following).await;
        assert_eq!(told, [(origin(&[]), vec!["t + 1|own".to_owned()])], "{product:?}");
    }
}
