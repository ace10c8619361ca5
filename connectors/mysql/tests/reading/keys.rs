//! Keys of every kind cut a table into chunks that hold every row once.

use std::collections::BTreeSet;

use syncline_connect::{Next, SplitOrder};
use syncline_testkit::servers::mysql::shared;
use syncline_types::Extent;

use crate::table::{config, discover, open, products, read, rows_of, splits};

const ROWS: u64 = 700;
const CHUNK: u64 = 90;

/// A key's columns, and the values of its `n`th row.
const KEYS: &[(&str, &str, &str)] = &[
    ("a bigint unsigned", "a", "18446744073709551615 - n * n"),
    ("a int", "a", "if(n < 650, n, n * 1000000)"),
    ("a smallint, b int unsigned", "a, b", "n div 300, n"),
    (
        "a varchar(20) character set utf8mb4, b tinyint(1), c int",
        "a, b, c",
        "concat(char(65 + n mod 3), ''''), n mod 2, n",
    ),
    (
        "a varchar(20) character set utf8mb4",
        "a",
        "concat(char(97 + n mod 26), char(0xC3A4 using utf8mb4), n, '\\\\')",
    ),
    ("a varbinary(20)", "a", "unhex(concat(lpad(hex(n), 4, '0'), '00'))"),
    ("a char(20) character set latin1", "a", "concat('x', n)"),
    ("a decimal(20,5)", "a", "n / 7 - 50"),
    (
        "a date, b datetime(6)",
        "a, b",
        "date'2024-01-01' + interval n mod 3 day, timestamp'2024-01-01 00:00:00' + interval n microsecond",
    ),
    ("a timestamp(3)", "a", "timestamp'2024-01-01 00:00:00' + interval n * 1000 microsecond"),
];

#[tokio::test]
async fn every_row_is_in_one_chunk() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        for (at, (columns, key, values)) in KEYS.iter().enumerate() {
            let table = format!("k{at}");
            server.sql(
                &database,
                &format!(
                    "CREATE TABLE {table} ({columns}, n int, PRIMARY KEY ({key}));
                     INSERT INTO {table}
                     WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS})
                     SELECT {values}, n FROM s"
                ),
            );
            let source = open(config(server.port(), &database, "")).await;
            let read = read(discover(source.as_ref(), &table).await, CHUNK);
            assert!(matches!(read.stream.order, SplitOrder::Key(_)), "{columns} on {product:?}");
            let session = source.begin(std::slice::from_ref(&read), 2).await.expect("a session begins");
            let splits = splits(session.as_ref(), &read).await.expect("it is cut");
            let chunks = usize::try_from(ROWS.div_ceil(CHUNK)).expect("a few");
            assert!((chunks..=chunks + 1).contains(&splits.len()), "{columns}: {} chunks", splits.len());
            let mut seen = BTreeSet::new();
            for split in &splits {
                let part = rows_of(session.as_ref(), &read, split).await.expect("it is read");
                for row in part.rows {
                    let number = row.last().cloned().flatten().expect("n is never NULL");
                    assert!(seen.insert(number.clone()), "{columns}: row {number} twice on {product:?}");
                }
            }
            assert_eq!(seen.len() as u64, ROWS, "{columns} on {product:?}");
        }
    }
}

#[tokio::test]
async fn what_has_no_order_of_its_own_is_read_whole() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        server.sql(
            &database,
            "CREATE TABLE e (a enum('z', 'a') primary key, n int);
             CREATE TABLE part (a varchar(50) NOT NULL, n int, UNIQUE (a(5)));
             CREATE TABLE maybe (a int, n int, UNIQUE (a));
             CREATE TABLE second (a float primary key, b int NOT NULL, UNIQUE (b))",
        );
        let source = open(config(server.port(), &database, "")).await;
        for (table, expected) in [
            ("e", SplitOrder::Whole),
            ("part", SplitOrder::Whole),
            ("maybe", SplitOrder::Whole),
            ("second", SplitOrder::Key(vec!["b".into()])),
        ] {
            assert_eq!(discover(source.as_ref(), table).await.order, expected, "{table} on {product:?}");
        }
    }
}

#[tokio::test]
async fn reading_goes_on_behind_any_batch() {
    for product in products() {
        let server = shared(product);
        let database = server.create_database();
        server.sql(
            &database,
            "CREATE TABLE p (a varchar(20) character set utf8mb4, b int, v varchar(6000), PRIMARY KEY (a, b));
             INSERT INTO p WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 800)
             SELECT concat('k', n mod 7), n, repeat('x', 5000) FROM s",
        );
        let source = open(config(server.port(), &database, "")).await;
        let read = read(discover(source.as_ref(), "p").await, 1_000_000);
        let session = source.begin(std::slice::from_ref(&read), 2).await.expect("a session begins");
        let split = splits(session.as_ref(), &read).await.expect("it is cut").remove(0);
        let Extent::Keys(_) = &split.extent else { panic!("it has a key") };
        let mut reader = session.open(&read, &split, None).await.expect("it opens");
        let (mut sizes, mut positions) = (vec![], vec![]);
        while let Next::Batch(batch) = reader.next().await.expect("it is read") {
            sizes.push(batch.rows.num_rows());
            positions.push(batch.position.expect("a key's split can be gone on with anywhere"));
        }
        assert!(sizes.len() > 2, "several batches: {sizes:?}");
        for (at, position) in positions.iter().enumerate() {
            let mut reader = session.open(&read, &split, Some(position)).await.expect("it opens");
            let mut rest = 0;
            while let Next::Batch(batch) = reader.next().await.expect("it is read") {
                rest += batch.rows.num_rows();
            }
            assert_eq!(rest, sizes[at + 1..].iter().sum::<usize>(), "behind batch {at} on {product:?}");
        }
    }
}
