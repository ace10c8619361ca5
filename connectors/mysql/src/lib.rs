//! MySQL and MariaDB as source and sink.

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

pub use config::{Capture, MysqlConfig, Tinyint1, ZeroDates};

/// The connector.
#[derive(Debug)]
pub struct Mysql;

#[async_trait]
impl Connector for Mysql {
    type Config = MysqlConfig;
    const NAME: &'static str = "mysql";
    const SCHEMES: &'static [&'static str] = &["mysql", "mariadb"];
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

    async fn check(config: MysqlConfig, cx: Context) -> Result<Report> {
        client::check(config, cx).await
    }

    async fn source(config: MysqlConfig, cx: Context) -> Result<Box<dyn Source>> {
        Ok(Box::new(snapshot::MysqlSource::open(config, cx).await?))
    }

    async fn sink(config: MysqlConfig, cx: Context) -> Result<Box<dyn Sink>> {
        Ok(Box::new(sink::MysqlSink::open(config, cx).await?))
    }
}
