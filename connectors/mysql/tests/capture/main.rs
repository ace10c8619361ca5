//! Following real servers of both families by triggers: every change, whatever order transactions end in.

mod inspect;
mod keep;
mod keys;
mod random;
#[expect(dead_code, reason = "it is shared with the tests of the log, which need more of it")]
#[path = "../log/rig.rs"]
mod rig;
mod schema;
mod told;

/// The option by which triggers record the changes.
const TRIGGERS: &str = r#", "capture": "triggers""#;
