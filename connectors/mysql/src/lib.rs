//! MySQL and MariaDB as source and sink.

#![expect(dead_code, reason = "the sink comes after the source and uses the rest of the client")]

mod client;
mod config;
mod dialect;
mod error;
mod types;

use async_trait::async_trait;
use syncline_connect::{Capabilities, Connector, Context, Report, Sink, Source};
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
    const CAPABILITIES: Capabilities = Capabilities { snapshot: None, sink: None };

    async fn check(config: MysqlConfig, cx: Context) -> Result<Report> {
        client::check(config, cx).await
    }

    async fn source(config: MysqlConfig, _: Context) -> Result<Box<dyn Source>> {
        Err(Error::new(&codes::UNSUPPORTED, "read from", config.place()))
    }

    async fn sink(config: MysqlConfig, _: Context) -> Result<Box<dyn Sink>> {
        Err(Error::new(&codes::UNSUPPORTED, "write to", config.place()))
    }
}
