//! A small shell that outlives us and clears up what we started.
//!
//! Statics are never dropped, tests panic, and a test process may be killed outright. The shell
//! reads from a pipe that only this process holds: when the pipe closes, whatever the reason, it
//! does its work and ends. It has a process group of its own, so that Ctrl-C in the terminal does
//! not reach it, and works from `/`, so that it is in nobody's way.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than any clearing up takes; past it the shell is left to finish on its own.
const CLEAR_UP_MAX: Duration = Duration::from_secs(30);

/// Put before every script: survive what stops the test process.
const SURVIVE: &str = "trap '' HUP INT QUIT TERM\n";

/// Dropping it lets the shell do its work, and waits for that.
pub(crate) struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts `script`, which reads standard input until it closes; `arguments` are its `$1`...
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", &format!("{SURVIVE}{script}"), "syncline-test-guard"])
            .args(arguments)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start /bin/sh to watch over the test: {error}"));
        let pipe = shell.stdin.take();
        Guard { shell, pipe }
    }

    /// Says one line to the script.
    pub(crate) fn tell(&mut self, line: &str) {
        if let Some(pipe) = &mut self.pipe {
            writeln!(pipe, "{line}").expect("the watching shell reads until the pipe closes");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe = None;
        let deadline = Instant::now() + CLEAR_UP_MAX;
        while matches!(self.shell.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
