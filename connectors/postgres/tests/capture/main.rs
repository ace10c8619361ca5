//! Following by triggers against a real server: every change, whatever order transactions end in.

mod keep;
mod origins;
mod random;
#[expect(dead_code, reason = "it is shared with the tests of the log, which need more of it")]
#[path = "../log/rig.rs"]
mod rig;
mod told;

use syncline_testkit::servers::left_out;

/// Runs a test that needs a server.
async fn with_server(test: impl Future<Output = ()>) {
    if !left_out("postgres") {
        test.await;
    }
}

/// The option by which triggers record the changes.
const TRIGGERS: &str = r#", "capture": "triggers""#;
