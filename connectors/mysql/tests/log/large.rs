//! What is large is told in parts, within the memory that there is.

use std::{collections::BTreeSet, time::Duration};

use syncline_connect::{Context, Logged, Memory};

use syncline_testkit::servers::mysql::Product;

use crate::rig::{Following, Rig, Told, numbers, products, server, source};

const ROWS: usize = 300_000;

#[tokio::test]
async fn a_large_transaction_comes_in_parts() {
    for product in products() {
        in_parts(product, &[]).await;
    }
}

#[tokio::test]
async fn a_large_transaction_that_is_compressed_comes_in_parts() {
    for product in products() {
        let compressed: &[_] = match product {
            Product::Mysql => &[("binlog-transaction-compression", "ON")],
            Product::Mariadb => &[("log-bin-compress", "ON"), ("log-bin-compress-min-len", "10")],
        };
        in_parts(product, compressed).await;
    }
}

async fn in_parts(product: Product, settings: &[(&str, &str)]) {
    let server = server(product, settings);
    let rig = Rig::on(&server, "CREATE TABLE t (id int PRIMARY KEY, v longtext)", "").await;
    let memory = Memory::new(4 << 20);
    let cx = Context::new(memory.clone(), Duration::from_secs(20));
    let port = server.port();
    let narrow = source(port, rig.database.name(), "", cx).await.expect("the server can be read");
    let log = narrow.log("narrow").await.expect("it has a log");
    let reads = rig.reads(&["t"]).await;
    let at = log.keep(&reads, None).await.expect("the place can be kept");
    let reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
    let mut following = Following { reader, reads, at };
    rig.sql(&format!(
        "INSERT INTO t VALUES (-1, 'before');
             BEGIN; INSERT INTO t SELECT n, CONCAT('value ', n) FROM ({}) g; COMMIT;
             INSERT INTO t VALUES (-2, 'after')",
        numbers(product, ROWS)
    ));
    let mut told = Told::default();
    let (mut parts, mut committed, mut last) = (0, BTreeSet::new(), None);
    // Some batches are held, as a target that is slow holds them.
    let mut held = vec![];
    while told.lines.len() < ROWS + 2 {
        // A reader that is asked by turns with something else is cancelled all the time.
        let next = tokio::time::timeout(Duration::from_micros(300), following.reader.next()).await;
        let Ok(logged) = next else {
            held.clear();
            continue;
        };
        match logged.expect("the log can be read") {
            Logged::Changes(batch) => {
                let rows: usize = batch.changes.iter().map(|changes| changes.rows.num_rows()).sum();
                // An event of the log is taken whole.
                assert!(rows <= 8_192 + 2_048 + 1_024, "{rows} rows in a batch");
                if batch.position.is_none() {
                    parts += 1;
                    // Long before its end has come it is known when that was.
                    committed.insert(batch.committed_micros.expect("a time"));
                }
                last = batch.committed_micros.or(last);
                told.add(&batch, &following.reads, &mut following.at);
                held.push(batch);
            }
            Logged::Idle(_) => {}
            Logged::Schema(change) => panic!("nothing has changed: {change:?}"),
        }
    }
    assert_eq!(told.lines[0], "t + -1|before");
    for (at, line) in told.lines[1..=ROWS].iter().enumerate() {
        assert_eq!(*line, format!("t + {}|value {}", at + 1, at + 1));
    }
    assert_eq!(told.lines[ROWS + 1], "t + -2|after");
    assert_eq!(told.transactions, 3);
    assert_eq!(committed.len(), 1, "{committed:?}");
    assert!(committed.last() <= last.as_ref(), "{committed:?} {last:?}");
    assert!(parts >= ROWS / (8_192 + 2_048 + 1_024), "{parts} parts");
    drop(held);
    assert_eq!(memory.free_bytes(), 4 << 20);
}

#[tokio::test]
async fn a_row_larger_than_the_memory_passes_alone() {
    for product in products() {
        let server = server(product, &[("max-allowed-packet", "256M")]);
        let rig = Rig::on(&server, "CREATE TABLE t (id int PRIMARY KEY, v longtext)", "").await;
        let memory = Memory::new(4 << 20);
        let cx = Context::new(memory.clone(), Duration::from_secs(20));
        let port = server.port();
        let narrow = source(port, rig.database.name(), "", cx).await.expect("the server can be read");
        let log = narrow.log("narrow").await.expect("it has a log");
        let reads = rig.reads(&["t"]).await;
        let at = log.keep(&reads, None).await.expect("the place can be kept");
        let reader = log.open(&reads, &at, &[]).await.expect("the log can be opened");
        let mut following = Following { reader, reads, at };
        rig.sql(&format!(
            "INSERT INTO t SELECT n, REPEAT('x', CASE n % 3 WHEN 0 THEN 20000000 WHEN 1 THEN 300000 ELSE 5 END) FROM ({}) g",
            numbers(product, 9)
        ));
        let told = following.all(&rig).await;
        let lengths: Vec<usize> = told.lines.iter().map(|line| line.len() - "t + 1|".len()).collect();
        assert_eq!(lengths, [300_000, 5, 20_000_000].repeat(3));
        assert_eq!(told.transactions, 1);
        drop(told);
        assert_eq!(memory.free_bytes(), 4 << 20);
    }
}

#[tokio::test]
async fn small_transactions_are_bundled() {
    for product in products() {
        let rig = Rig::new(product, "CREATE TABLE t (id int PRIMARY KEY, v longtext)").await;
        let reads = rig.reads(&["t"]).await;
        let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
        let many: String = (0..5_000).map(|id| format!("INSERT INTO t VALUES ({id}, 'x');\n")).collect();
        rig.sql(&many);
        let told = rig.open(reads, at).await.all(&rig).await;
        assert_eq!((told.lines.len(), told.transactions), (5_000, 5_000));
        assert!(told.batches < 1_000, "{} batches", told.batches);
        assert_eq!(told.positions.len(), told.batches);
    }
}
