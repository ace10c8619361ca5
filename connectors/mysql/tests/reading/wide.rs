//! Rows as wide as the servers take them, within a memory that holds few of them.

use std::time::Duration;

use syncline_connect::{Connector, Next};
use syncline_mysql::Mysql;

use crate::table::{config, context, discover, odd_server, products, read, splits};

#[tokio::test]
async fn wide_rows_pass_one_by_one() {
    for product in products() {
        let server = odd_server(product);
        let database = server.create_database();
        // The last is a packet's length to the byte, the one before one less.
        server.sql(
            &database,
            "CREATE TABLE w (id int primary key, v longblob);
             INSERT INTO w VALUES (1, repeat('a', 300000)), (2, repeat('b', 16777216)), (3, 'c'),
               (4, repeat('d', 67108864)), (5, repeat('e', 16777198)), (6, repeat('f', 16777199)),
               (7, repeat('g', 16777200)), (8, repeat('h', 33554400)), (9, repeat('i', 33554414))",
        );
        let cx = context(96 << 20, Duration::from_secs(60));
        let source = Mysql::source(config(server.port(), &database, ""), cx.clone()).await.expect("it opens");
        let read = read(discover(source.as_ref(), "w").await, 1_000);
        let session = source.begin(std::slice::from_ref(&read), 2).await.expect("a session begins");
        let mut sizes = vec![];
        for split in splits(session.as_ref(), &read).await.expect("it is cut") {
            let mut reader = session.open(&read, &split, None).await.expect("it opens");
            while let Next::Batch(batch) = reader.next().await.expect("it is read") {
                let values = batch.rows.column(1);
                let values = arrow_array::cast::AsArray::as_binary::<i32>(values.as_ref());
                for value in values.iter().flatten() {
                    assert!(value.iter().all(|byte| *byte == value[0]), "it is not garbled");
                    sizes.push((value[0], value.len()));
                }
            }
        }
        let expected: [(u8, usize); 9] = [
            (b'a', 300_000),
            (b'b', 16_777_216),
            (b'c', 1),
            (b'd', 67_108_864),
            (b'e', 16_777_198),
            (b'f', 16_777_199),
            (b'g', 16_777_200),
            (b'h', 33_554_400),
            (b'i', 33_554_414),
        ];
        assert_eq!(sizes, expected, "{product:?}");
        assert_eq!(cx.memory().free_bytes(), 96 << 20, "all memory is given back");
    }
}
