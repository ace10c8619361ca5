//! SQLite as source and sink.

mod applier;
mod attached;
mod client;
mod config;
mod decode;
mod dialect;
mod encode;
mod error;
mod log;
mod origin;
mod plan;
mod publish;
mod schema;
mod sink;
mod snapshot;
mod types;
mod writer;

use async_trait::async_trait;
use syncline_connect::{
    Capabilities, Connector, Context, Delivery, Report, Sink, SinkCapability, SnapshotCapability, Source,
};
use syncline_types::Result;

pub use config::{Dates, SqliteConfig};

use client::{Database, journal_mode};

/// The connector.
#[derive(Debug)]
pub struct Sqlite;

#[async_trait]
impl Connector for Sqlite {
    type Config = SqliteConfig;
    const NAME: &'static str = "sqlite";
    const SCHEMES: &'static [&'static str] = &["sqlite"];
    const DOCS: &'static str = include_str!("../README.md");
    const CAPABILITIES: Capabilities = Capabilities {
        snapshot: Some(SnapshotCapability { chunks: true, resume: true, exact: true, digest: false }),
        sink: Some(SinkCapability {
            delivery: Delivery::ExactlyOnce,
            overwrite: true,
            append: true,
            merge: true,
            keyed: true,
            changes: true,
            whole_rows: true,
            shared: true,
            readable: true,
        }),
        log: true,
    };

    async fn check(config: SqliteConfig, cx: Context) -> Result<Report> {
        let database = Database::new(&config)?;
        cx.blocking("open the database", move || {
            let system = format!("SQLite {}", rusqlite::version());
            if !database.exists()? {
                let connection = format!("{}, which is not there yet", database.place());
                return Ok(Report { system, connection, findings: vec![] });
            }
            let connection = database.look()?;
            let mode = journal_mode(&connection, &database)?;
            let connection = format!("{}, journal mode `{mode}`", database.place());
            Ok(Report { system, connection, findings: vec![] })
        })
        .await
    }

    async fn source(config: SqliteConfig, cx: Context) -> Result<Box<dyn Source>> {
        let source = snapshot::SqliteSource::open(Database::new(&config)?, cx).await?;
        Ok(Box::new(source))
    }

    async fn sink(config: SqliteConfig, cx: Context) -> Result<Box<dyn Sink>> {
        let sink = sink::SqliteSink::open(Database::new(&config)?, cx).await?;
        Ok(Box::new(sink))
    }
}
