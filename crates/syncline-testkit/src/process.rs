//! A program run as a user runs it: its output, its end, what it cost, and what is done to it meanwhile.
//!
//! ```no_run
//! # use syncline_testkit::process::Program;
//! let finished = Program::new("syncline").args(["connectors"]).run().expect_code(0);
//! assert!(finished.stdout.contains("postgres"));
//! ```
//!
//! The program is killed when its [`Running`] is dropped, and also when the test process dies.

mod usage;

use std::{
    ffi::OsStr,
    fmt,
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{account::Account, guard::Guard, signal};
use usage::Usage;

/// How long a program may take unless the test says otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// Output past this is read and forgotten, so that a program gone wild does not take the memory.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// How long output may still come after the end, from children that hold the pipe.
const LATE_OUTPUT_MAX: Duration = Duration::from_secs(2);

/// Kills the program (its number is the last line read) when the test process is gone.
const KILL_ORPHAN: &str = r#"
pid=
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -s KILL "$pid"
"#;

/// A program to be run. Its environment is the test's own, and its standard input is empty.
pub struct Program {
    command: Command,
    input: Vec<u8>,
    deadline: Duration,
}

impl Program {
    /// By path, or by name to be looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Program { command: Command::new(program), input: vec![], deadline: DEADLINE }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Where it runs.
    #[must_use]
    pub fn dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take in all before it is killed and the test fails. A minute by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs it as a server's account, with that server's clean environment.
    pub(crate) fn for_server(mut self, account: Option<Account>) -> Self {
        server_environment(&mut self.command, account);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or takes too long; the message has its output.
    pub fn run(self) -> Finished {
        self.start().wait()
    }

    /// Starts it and goes on.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut self) -> Running {
        let name = self.command.get_program().to_string_lossy().into_owned();
        let mut guard = Guard::start(KILL_ORPHAN, &[]);
        let started = Instant::now();
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start `{name}`: {error}"));
        guard.tell(&child.id().to_string());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let state = State {
            usage: Usage::of(child.id()),
            child,
            status: None,
            ended: None,
            stdout: vec![],
            stderr: vec![],
            pipes_open: 2,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        feed(stdin, self.input);
        collect(stdout, Arc::clone(&shared), |state| &mut state.stdout);
        collect(stderr, Arc::clone(&shared), |state| &mut state.stderr);
        watch(guard, Arc::clone(&shared), started);
        Running { shared, name, started, deadline: started + self.deadline }
    }
}

/// A program that was started. Dropped, it is killed.
pub struct Running {
    shared: Arc<Shared>,
    name: String,
    started: Instant,
    deadline: Instant,
}

impl Running {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.shared.lock().child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().stdout).into_owned()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().stderr).into_owned()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.shared.lock().status.is_none()
    }

    /// Waits for a whole line of standard error, and returns it.
    ///
    /// # Panics
    /// If the program ends or its deadline comes first.
    pub fn wait_for_line(&self, wanted: impl FnMut(&str) -> bool) -> String {
        self.line_of(|state| &state.stderr, wanted)
    }

    /// Waits for a whole line of standard output, and returns it.
    ///
    /// # Panics
    /// As [`Running::wait_for_line`].
    pub fn wait_for_output(&self, wanted: impl FnMut(&str) -> bool) -> String {
        self.line_of(|state| &state.stdout, wanted)
    }

    fn line_of(&self, stream: fn(&State) -> &Vec<u8>, wanted: impl FnMut(&str) -> bool) -> String {
        match self.line_or_end(stream, wanted) {
            Some(line) => line,
            None => panic!("`{}` ended before it wrote the awaited line\n{}", self.name, self.finished()),
        }
    }

    /// Interrupts it, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Asks it to end, as `kill` and service managers do.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let state = self.shared.lock();
        if state.status.is_none() {
            signal::send(name, &[state.child.id()]);
        }
    }

    /// Kills it with SIGKILL, without waiting for the end.
    pub fn kill9(&self) {
        // An error means that it has ended, which is as good.
        let _ = self.shared.lock().child.kill();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If its deadline comes first; it is killed then, and the message has its output.
    pub fn wait(self) -> Finished {
        self.wait_until(self.deadline, |state| state.ended.is_some());
        self.finished()
    }

    /// Kills it with SIGKILL after so long. If it was faster, it ended by itself: look at
    /// [`Finished::was_killed`].
    pub fn kill9_after(self, delay: Duration) -> Finished {
        let running = |state: &mut State| state.status.is_none();
        drop(self.shared.changed.wait_timeout_while(self.shared.lock(), delay, running));
        self.kill9();
        self.wait()
    }

    /// Kills it with SIGKILL as soon as a whole line of standard error is as wanted. If none was, it
    /// ended by itself: look at [`Finished::was_killed`].
    ///
    /// # Panics
    /// If its deadline comes first.
    pub fn kill9_when(self, wanted: impl FnMut(&str) -> bool) -> Finished {
        if self.line_or_end(|state| &state.stderr, wanted).is_some() {
            self.kill9();
        }
        self.wait()
    }

    /// The first line that is as wanted; `None` if the program ended without one.
    fn line_or_end(
        &self,
        stream: fn(&State) -> &Vec<u8>,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Option<String> {
        let mut seen = 0;
        let mut found = None;
        self.wait_until(self.deadline, |state| {
            while let Some(line) = next_line(stream(state), &mut seen) {
                if wanted(&line) {
                    found = Some(line);
                    return true;
                }
            }
            state.ended.is_some()
        });
        found
    }

    /// Waits until `done`; past the deadline it kills the program and panics.
    fn wait_until(&self, deadline: Instant, mut done: impl FnMut(&State) -> bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        let state = self.shared.lock();
        let (mut state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(state, left, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let _ = state.child.kill();
            drop(state);
            panic!("`{}` took too long and was killed\n{}", self.name, self.finished());
        }
    }

    fn finished(&self) -> Finished {
        let state = self.shared.lock();
        Finished {
            program: self.name.clone(),
            code: state.status.and_then(|status| status.code()),
            signal: state.status.and_then(|status| status.signal()),
            stdout: String::from_utf8_lossy(&state.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&state.stderr).into_owned(),
            peak_rss_bytes: state.usage.peak_rss_bytes,
            cpu_seconds: state.usage.cpu_seconds,
            seconds: state.ended.unwrap_or_else(Instant::now).duration_since(self.started).as_secs_f64(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// A program that has ended, with all it wrote.
#[derive(Clone, Debug)]
pub struct Finished {
    program: String,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The most memory it had in use, as seen by a look every few milliseconds.
    pub peak_rss_bytes: u64,
    /// Processor time of its own and of the kernel for it, to a hundredth of a second.
    pub cpu_seconds: f64,
    /// Wall time.
    pub seconds: f64,
}

impl Finished {
    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// If it did not; the message has its output.
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Whether SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        const SIGKILL: i32 = 9;
        self.signal == Some(SIGKILL)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "`{}` ended with exit code {code}", self.program)?,
            (_, Some(signal)) => write!(f, "`{}` was ended by signal {signal}", self.program)?,
            _ => write!(f, "`{}` has not ended", self.program)?,
        }
        writeln!(f, " after {:.2} s", self.seconds)?;
        for (name, text) in [("standard output", &self.stdout), ("standard error", &self.stderr)] {
            match text.trim_end() {
                "" => writeln!(f, "--- {name} is empty")?,
                text => writeln!(f, "--- {name}\n{text}")?,
            }
        }
        Ok(())
    }
}

/// As its own account, in English, and untouched by the tester's variables (`PGHOST` and the like).
pub(crate) fn server_environment(command: &mut Command, account: Option<Account>) {
    command.current_dir("/").env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    child: Child,
    status: Option<ExitStatus>,
    /// When it ended and all its output was read.
    ended: Option<Instant>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    pipes_open: u8,
    usage: Usage,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn feed(pipe: Option<impl Write + Send + 'static>, input: Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    thread::spawn(move || {
        // A program that ends without reading all of it breaks the pipe, as it may.
        let _ = pipe.write_all(&input);
    });
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    shared: Arc<Shared>,
    output: fn(&mut State) -> &mut Vec<u8>,
) {
    let Some(mut pipe) = pipe else { return };
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            let mut state = shared.lock();
            let text = output(&mut state);
            let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
            text.extend_from_slice(&piece[..read.min(room)]);
            drop(state);
            shared.changed.notify_all();
        }
        shared.lock().pipes_open -= 1;
        shared.changed.notify_all();
    });
}

/// Measures the program until its end, often at first so that short programs are not waited for.
fn watch(mut guard: Guard, shared: Arc<Shared>, started: Instant) {
    thread::spawn(move || {
        loop {
            let mut state = shared.lock();
            let pid = state.child.id();
            state.usage.look(pid);
            if let Ok(Some(status)) = state.child.try_wait() {
                guard.tell(""); // the number may be somebody else's from now on
                state.status = Some(status);
                break;
            }
            drop(state);
            let pause = started.elapsed() / 10;
            thread::sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(20)));
        }
        shared.changed.notify_all();
        let ended = Instant::now();
        let waiting = |state: &mut State| state.pipes_open > 0;
        let wait = shared.changed.wait_timeout_while(shared.lock(), LATE_OUTPUT_MAX, waiting);
        wait.unwrap_or_else(PoisonError::into_inner).0.ended = Some(ended);
        shared.changed.notify_all();
    });
}

/// The next whole line after `seen`, which moves behind it.
fn next_line(text: &[u8], seen: &mut usize) -> Option<String> {
    let rest = text.get(*seen..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    *seen += end + 1;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests;
