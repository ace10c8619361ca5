//! A source of made-up rows: the same seed gives the same rows, whichever split they are read in.
//!
//! It is the benchmark's source, the demo's and the tutorial's.

mod config;
mod schema;
mod snapshot;
mod value;

use async_trait::async_trait;
use syncline_connect::{Capabilities, Connector, Context, Report, Sink, SnapshotCapability, Source};
use syncline_types::{Error, Result, codes};

pub use config::GenerateConfig;

/// The connector.
#[derive(Debug)]
pub struct Generate;

#[async_trait]
impl Connector for Generate {
    type Config = GenerateConfig;
    const NAME: &'static str = "generate";
    const SCHEMES: &'static [&'static str] = &["generate"];
    const DOCS: &'static str = include_str!("../README.md");
    const CAPABILITIES: Capabilities = Capabilities {
        snapshot: Some(SnapshotCapability { chunks: true, resume: true, exact: true, digest: false }),
        sink: None,
        log: false,
    };

    async fn check(config: GenerateConfig, _: Context) -> Result<Report> {
        let connection = format!("seed {}", config.seed);
        Ok(Report { system: "generate".into(), connection, findings: vec![] })
    }

    async fn source(config: GenerateConfig, cx: Context) -> Result<Box<dyn Source>> {
        Ok(Box::new(snapshot::GenerateSource::new(&config, cx)?))
    }

    async fn sink(_: GenerateConfig, _: Context) -> Result<Box<dyn Sink>> {
        Err(Error::new(&codes::UNSUPPORTED, "write to", "`generate:`").because("it only makes rows up"))
    }
}
