//! Local files as source and sink: CSV, JSON Lines and Parquet, plain, gzip or zstd.

mod applier;
mod client;
mod config;
mod decode;
mod encode;
mod error;
mod manifest;
mod plan;
mod publish;
mod schema;
mod sink;
mod snapshot;
mod types;
mod writer;

use async_trait::async_trait;
use syncline_connect::{
    Capabilities, Connector, Context, Delivery, Finding, Report, Sink, SinkCapability, SnapshotCapability,
    Source,
};
use syncline_types::Result;

pub use config::{BinaryName, CompressionName, EncodingName, FileConfig, FormatName, Types};

use client::look;
use error::shown;
use schema::{Found, Place};
use sink::{FileSink, SinkShared};
use snapshot::FileSource;
use types::Layout;

/// The connector.
#[derive(Debug)]
pub struct Files;

#[async_trait]
impl Connector for Files {
    type Config = FileConfig;
    const NAME: &'static str = "file";
    const SCHEMES: &'static [&'static str] = &["file"];
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
            whole_rows: false,
            shared: false,
            readable: true,
        }),
        log: false,
    };

    async fn check(config: FileConfig, cx: Context) -> Result<Report> {
        let place = Place::new(config)?;
        cx.blocking("look at files", move || {
            let path = shown(&place.path);
            let mut findings = vec![];
            let found = match look(&place.path)? {
                None => None,
                // Whoever has to have something there is told so when it is opened.
                Some(_) => place.find().ok(),
            };
            let connection = match found {
                None => path,
                Some(Found::Written(streams)) => {
                    let is_root = streams.iter().all(|(_, folder)| *folder != place.path);
                    let loose = if is_root { place.loose()? } else { vec![] };
                    findings.extend(loose.first().map(|first| {
                        Finding::warning(format!(
                            "{path} holds {} beside the folders of Syncline's streams, such as `{first}`: they are part of \
                             none",
                            count(loose.len(), "file")
                        ))
                    }));
                    format!("{path}, written by Syncline: {}", count(streams.len(), "stream"))
                }
                Some(Found::Files(listing)) => {
                    format!("{path}, {}, {}", count(listing.files.len(), "file"), listing.layout.describe())
                }
            };
            Ok(Report { system: "local files".into(), connection, findings })
        })
        .await
    }

    async fn source(config: FileConfig, cx: Context) -> Result<Box<dyn Source>> {
        let source = FileSource::open(Place::new(config)?, cx).await?;
        Ok(Box::new(source))
    }

    async fn sink(config: FileConfig, cx: Context) -> Result<Box<dyn Sink>> {
        let layout = Layout::to_write(&config)?;
        let place = Place::new(config.clone())?;
        let shared = SinkShared::new(cx, place.sink_root()?, layout, &config);
        Ok(Box::new(FileSink::new(shared)))
    }
}

/// `1 file`, `2 files`.
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
