//! Signals, and finding the processes of a server.
//!
//! The standard library sends SIGKILL only, so the shell's own `kill` does it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Sends a signal by name; a process that is gone already is fine.
pub(crate) fn send(signal: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$@""#, "kill", signal])
        .args(pids.iter().map(u32::to_string))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("could not start /bin/sh to send SIG{signal}: {error}"));
}

/// The processes whose working directory is `folder`. Every process of a server works in its data
/// folder, and that folder is ours alone.
pub(crate) fn working_in(folder: &Path) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
    processes
        .flatten()
        .filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}
