//! The connector against what it claims, on real servers of both families.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use syncline_connect::{Connector, Context, Memory, Sink, Source};
use syncline_mysql::{Mysql, MysqlConfig};
use syncline_testkit::{
    conformance::{Fixture, Row, prove},
    servers::{
        left_out,
        mysql::{Product, shared},
    },
};

struct Server {
    product: Product,
    database: String,
    tables: AtomicU32,
}

impl Server {
    fn new(product: Product) -> Self {
        let database = shared(product).create_database();
        Server { product, database, tables: AtomicU32::new(0) }
    }

    fn config(&self) -> MysqlConfig {
        let json = format!(
            r#"{{"user": "root", "host": "127.0.0.1", "port": {}, "path": "{}"}}"#,
            shared(self.product).port(),
            self.database
        );
        serde_json::from_str(&json).expect("the configuration is right")
    }

    fn sql(&self, sql: &str) -> String {
        shared(self.product).sql(&self.database, sql)
    }
}

fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

#[async_trait]
impl Fixture for Server {
    async fn create(&self, keyed: bool) -> String {
        let table = format!("t{}", self.tables.fetch_add(1, Ordering::Relaxed));
        let key = if keyed { "PRIMARY KEY" } else { "NOT NULL" };
        self.sql(&format!("CREATE TABLE {table} (id bigint {key}, value bigint)"));
        table
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let rows: Vec<String> = rows
            .iter()
            .map(|(id, value)| format!("({id}, {})", value.map_or("NULL".into(), |value| value.to_string())))
            .collect();
        self.sql(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }

    async fn rows(&self, table: &str) -> Option<Vec<Row>> {
        let there = format!(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '{table}'"
        );
        if self.sql(&there).trim() != "1" {
            return None;
        }
        // NULL is the least of all to these servers.
        let text = self.sql(&format!("SELECT id, value FROM {table} ORDER BY id, value"));
        let row = |line: &str| {
            let (id, value) = line.split_once('\t')?;
            Some((id.parse().ok()?, value.parse().ok()))
        };
        Some(text.lines().filter_map(row).collect())
    }

    async fn leftovers(&self) -> Vec<String> {
        let tables = self.sql("SHOW TABLES LIKE '\\_syncline\\_stage%'");
        let rows = self.sql("SELECT pipeline, stream, split FROM _syncline_checkpoint");
        tables.lines().chain(rows.lines()).map(str::to_owned).collect()
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        Some(Mysql::source(self.config(), context()).await.expect("the server can be read"))
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        Some(Mysql::sink(self.config(), context()).await.expect("the server can be written"))
    }
}

async fn every_claim_holds_on(product: Product) {
    if left_out(product.name()) {
        return;
    }
    prove(&Server::new(product), Mysql::CAPABILITIES).await;
}

#[tokio::test]
async fn every_claim_holds_on_mysql() {
    every_claim_holds_on(Product::Mysql).await;
}

#[tokio::test]
async fn every_claim_holds_on_mariadb() {
    every_claim_holds_on(Product::Mariadb).await;
}
