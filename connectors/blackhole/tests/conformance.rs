//! The connector against what it claims.

use std::time::Duration;

use async_trait::async_trait;
use syncline_blackhole::{Blackhole, BlackholeConfig};
use syncline_connect::{Connector, Context, Memory, Sink, Source};
use syncline_testkit::conformance::{Fixture, Row, prove};

/// Nothing can be looked at.
struct Nothing;

#[async_trait]
impl Fixture for Nothing {
    async fn create(&self, _: bool) -> String {
        unreachable!("no table is made")
    }

    async fn insert(&self, _: &str, _: &[Row]) {
        unreachable!("no row is added")
    }

    async fn rows(&self, _: &str) -> Option<Vec<Row>> {
        None
    }

    async fn leftovers(&self) -> Vec<String> {
        vec![]
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        None
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        let cx = Context::new(Memory::new(32 << 20), Duration::from_secs(20));
        Some(Blackhole::sink(BlackholeConfig {}, cx).await.expect("there is nothing that could fail"))
    }
}

#[tokio::test]
async fn every_claim_holds() {
    prove(&Nothing, Blackhole::CAPABILITIES).await;
}
