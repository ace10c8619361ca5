//! MySQL and MariaDB as source and sink.

#![expect(dead_code, reason = "the sink comes after the source and uses the rest of the client")]

mod client;
mod config;
mod decode;
mod dialect;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod schema;
mod snapshot;
mod types;

use async_trait::async_trait;
use syncline_connect::{Capabilities, Connector, Context, Report, Sink, SnapshotCapability, Source};
use syncline_types::{Error, Result, codes};

pub use config::{MysqlConfig, Tinyint1, Tls, ZeroDates};

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
        sink: None,
    };

    async fn check(config: MysqlConfig, cx: Context) -> Result<Report> {
        client::check(config, cx).await
    }

    async fn source(config: MysqlConfig, cx: Context) -> Result<Box<dyn Source>> {
        Ok(Box::new(snapshot::MysqlSource::open(config, cx).await?))
    }

    async fn sink(config: MysqlConfig, _: Context) -> Result<Box<dyn Sink>> {
        Err(Error::new(&codes::UNSUPPORTED, "write to", config.place()))
    }
}
