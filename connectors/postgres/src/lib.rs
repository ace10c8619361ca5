//! PostgreSQL as source and sink.

mod applier;
mod attached;
mod capture;
mod client;
mod config;
mod decode;
mod dialect;
mod encode;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod log;
mod numeric;
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

pub use config::{Capture, PostgresConfig};

/// The connector.
#[derive(Debug)]
pub struct Postgres;

#[async_trait]
impl Connector for Postgres {
    type Config = PostgresConfig;
    const NAME: &'static str = "postgres";
    const SCHEMES: &'static [&'static str] = &["postgres", "postgresql"];
    const DOCS: &'static str = include_str!("../README.md");
    const CAPABILITIES: Capabilities = Capabilities {
        snapshot: Some(SnapshotCapability { chunks: true, resume: true, exact: true, digest: true }),
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

    async fn check(config: PostgresConfig, cx: Context) -> Result<Report> {
        client::check(config, cx).await
    }

    async fn source(config: PostgresConfig, cx: Context) -> Result<Box<dyn Source>> {
        Ok(Box::new(snapshot::PostgresSource::open(config, cx).await?))
    }

    async fn sink(config: PostgresConfig, cx: Context) -> Result<Box<dyn Sink>> {
        Ok(Box::new(sink::PostgresSink::open(config, cx).await?))
    }
}
