//! The connector against what it claims, on a real server.

use std::time::Duration;

use async_trait::async_trait;
use syncline_connect::{Connector, Context, Memory, Sink, Source};
use syncline_postgres::{Postgres, PostgresConfig};
use syncline_testkit::{
    conformance::{Fixture, Row, prove},
    servers::{left_out, postgres},
};

struct Server {
    database: String,
}

impl Server {
    fn config(&self) -> PostgresConfig {
        let json = format!(
            r#"{{"user": "postgres", "host": "127.0.0.1", "port": {}, "path": "{}"}}"#,
            postgres::shared().port(),
            self.database
        );
        serde_json::from_str(&json).expect("the configuration is right")
    }

    fn sql(&self, sql: &str) -> String {
        postgres::shared().psql(&self.database, sql)
    }
}

fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

#[async_trait]
impl Fixture for Server {
    async fn create(&self, keyed: bool) -> String {
        let key = if keyed { "PRIMARY KEY" } else { "NOT NULL" };
        self.sql(&format!(
            "CREATE SEQUENCE IF NOT EXISTS tables;
             DO $$ BEGIN EXECUTE 'CREATE TABLE t' || nextval('tables') || ' (id bigint {key}, value bigint)'; END $$;
             SELECT 't' || currval('tables')"
        ))
        .trim()
        .to_owned()
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let rows: Vec<String> = rows
            .iter()
            .map(|(id, value)| format!("({id}, {})", value.map_or("NULL".into(), |value| value.to_string())))
            .collect();
        self.sql(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
    }

    async fn rows(&self, table: &str) -> Option<Vec<Row>> {
        if self.sql(&format!("SELECT to_regclass('{table}') IS NOT NULL")).trim() != "t" {
            return None;
        }
        let text = self.sql(&format!("SELECT id, value FROM {table} ORDER BY id, value NULLS FIRST"));
        let row = |line: &str| {
            let (id, value) = line.split_once('|')?;
            Some((id.parse().ok()?, value.parse().ok()))
        };
        Some(text.lines().filter_map(row).collect())
    }

    async fn leftovers(&self) -> Vec<String> {
        let tables = self
            .sql("SELECT relname FROM pg_class WHERE relname LIKE '\\_syncline\\_stage%' AND relkind = 'r'");
        let rows = self.sql("SELECT pipeline || ' ' || stream || ' ' || split FROM _syncline_checkpoint");
        tables.lines().chain(rows.lines()).map(str::to_owned).collect()
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        Some(Postgres::source(self.config(), context()).await.expect("the server can be read"))
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        Some(Postgres::sink(self.config(), context()).await.expect("the server can be written"))
    }
}

#[tokio::test]
async fn every_claim_holds() {
    if left_out("postgres") {
        return;
    }
    let server = Server { database: postgres::shared().create_database() };
    prove(&server, Postgres::CAPABILITIES).await;
}
