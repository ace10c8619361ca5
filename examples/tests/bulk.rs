//! The examples do what they say.

use std::{path::Path, process::Command};

#[test]
fn bulk_runs_from_end_to_end() {
    let example = Path::new(env!("CARGO_BIN_EXE_example-bulk"));
    assert!(
        example.with_file_name("syncline").exists(),
        "the program is not built: run `cargo build` first, or `cargo x test`"
    );
    let output = Command::new(example).output().expect("the example can be started");
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("That was all"), "{text}");
}
