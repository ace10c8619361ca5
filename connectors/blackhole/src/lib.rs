//! A sink that counts and forgets: what a source can give, and a tutorial of the interface.

mod config;
mod sink;

use async_trait::async_trait;
use syncline_connect::{Capabilities, Connector, Context, Delivery, Report, Sink, SinkCapability, Source};
use syncline_types::{Error, Result, codes};

pub use config::BlackholeConfig;

/// The connector.
#[derive(Debug)]
pub struct Blackhole;

#[async_trait]
impl Connector for Blackhole {
    type Config = BlackholeConfig;
    const NAME: &'static str = "blackhole";
    const SCHEMES: &'static [&'static str] = &["blackhole"];
    const DOCS: &'static str = include_str!("../README.md");
    const CAPABILITIES: Capabilities = Capabilities {
        snapshot: None,
        sink: Some(SinkCapability {
            delivery: Delivery::AtLeastOnce,
            overwrite: true,
            append: true,
            merge: true,
            keyed: false,
            changes: true,
            whole_rows: true,
            shared: false,
            readable: false,
        }),
        log: false,
    };

    async fn check(_: BlackholeConfig, _: Context) -> Result<Report> {
        Ok(Report { system: "blackhole".into(), connection: "in this process".into(), findings: vec![] })
    }

    async fn source(_: BlackholeConfig, _: Context) -> Result<Box<dyn Source>> {
        Err(Error::new(&codes::UNSUPPORTED, "read from", "`blackhole:`").because("nothing comes out of it"))
    }

    async fn sink(_: BlackholeConfig, _: Context) -> Result<Box<dyn Sink>> {
        Ok(Box::new(sink::BlackholeSink))
    }
}
