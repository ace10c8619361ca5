//! PostgreSQL's log against a real server: every change once, in order, and from everywhere.

mod broken;
mod changes;
mod keep;
mod large;
mod login;
mod place;
mod random;
mod resume;
mod rig;
mod schema;
mod values;

use syncline_testkit::servers::left_out;

/// Runs a test that needs a server.
async fn with_server(test: impl Future<Output = ()>) {
    if !left_out("postgres") {
        test.await;
    }
}
