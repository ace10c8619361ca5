//! Where `syncline` is run: a folder of its own, and what it says read line by line.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use syncline_testkit::process::{Finished, Program, Running};
use tempfile::TempDir;

/// Until the first chunks of a run are done, on a machine with much else to do.
const WAIT_MAX: Duration = Duration::from_secs(40);

/// A folder in which the program is run, with its state in it.
pub(crate) struct Desk {
    folder: TempDir,
    state: PathBuf,
    /// All that was printed, for [`Desk::never_said`].
    printed: RefCell<Vec<String>>,
}

/// A run that has ended, its standard output read as JSON.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    /// Every line of standard output.
    pub(crate) events: Vec<Value>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("there is a temporary folder");
        let state = folder.path().join("state");
        Desk { folder, state, printed: RefCell::default() }
    }

    /// Keeps the state elsewhere than in the folder.
    pub(crate) fn with_state(state: &Path) -> Self {
        Desk { state: state.to_owned(), ..Desk::new() }
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path.to_str().expect("its name is UTF-8").to_owned()
    }

    /// The program with what every run here has: this state, and none of the tester's own settings.
    pub(crate) fn syncline<A: AsRef<str>>(&self, arguments: &[A]) -> Program {
        Program::new(env!("CARGO_BIN_EXE_syncline"))
            .args(arguments.iter().map(AsRef::as_ref))
            .arg("--state")
            .arg(&self.state)
            .dir(self.folder.path())
            .without_env("SYNCLINE_MASK_KEY")
            .without_env("RUST_LOG")
            .env("USER", "postgres")
    }

    /// Runs it with `--output json`.
    pub(crate) fn run<A: AsRef<str>>(&self, arguments: &[A]) -> Ran {
        self.read(self.syncline(arguments).args(["--output", "json"]).run())
    }

    /// Runs it for people, who read texts.
    pub(crate) fn text<A: AsRef<str>>(&self, arguments: &[A]) -> Finished {
        self.hear(self.syncline(arguments).run())
    }

    /// Takes note of what was said.
    ///
    /// # Panics
    /// If the program did.
    pub(crate) fn hear(&self, finished: Finished) -> Finished {
        assert!(!finished.stderr.contains("panicked at") && finished.code != Some(101), "{finished}");
        self.printed.borrow_mut().extend([finished.stdout.clone(), finished.stderr.clone()]);
        finished
    }

    /// Reads what a run with `--output json` said: every line has to be an object with an `event`.
    pub(crate) fn read(&self, finished: Finished) -> Ran {
        let finished = self.hear(finished);
        let events = finished
            .stdout
            .lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(value) if value["event"].is_string() => value,
                _ => panic!("`{line}` is no event\n{finished}"),
            })
            .collect();
        Ran { finished, events }
    }

    /// Fails if a text was printed by any run here, or stands in a file of the state other than the
    /// store, which may hold dead letters.
    pub(crate) fn never_said(&self, text: &str) {
        for printed in self.printed.borrow().iter() {
            assert!(!printed.contains(text), "`{text}` was printed:\n{printed}");
        }
        for file in fs::read_dir(&self.state).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let bytes = fs::read(file.path()).unwrap_or_default();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(name.starts_with("state.db") || !found, "`{text}` is in {name}");
        }
    }

    /// Waits until the only pipeline, which is being run, has so many chunks behind it.
    pub(crate) fn wait_for_chunks(&self, run: &Running, count: u64) {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let told = self.run(&["status"]).expect_code(0).events;
            if told.first().is_some_and(|status| sum(status, "chunks_done") >= count) {
                return;
            }
            let (out, err) = (run.stdout(), run.stderr());
            assert!(run.is_running() && Instant::now() < until, "{count} chunks are not done\n{out}{err}");
        }
    }

    /// What `status` says of the only pipeline.
    pub(crate) fn status(&self) -> Value {
        let ran = self.run(&["status"]);
        let mut told = ran.expect_code(0).events;
        assert_eq!(told.len(), 1, "one pipeline: {told:?}");
        told.remove(0)
    }
}

impl Ran {
    pub(crate) fn expect_code(self, code: i32) -> Self {
        Ran { finished: self.finished.expect_code(code), events: self.events }
    }

    pub(crate) fn last(&self) -> &Value {
        self.events.last().unwrap_or_else(|| panic!("nothing was said\n{}", self.finished))
    }

    /// The summary of a run that went well.
    ///
    /// # Panics
    /// If it did not.
    pub(crate) fn done(self) -> Value {
        let ran = self.expect_code(0);
        let last = ran.last();
        assert_eq!(last["event"], "summary", "{}", ran.finished);
        last.clone()
    }

    /// How a run failed: with this exit code, and this error as its last word.
    ///
    /// # Panics
    /// If it did not, or without a hint.
    pub(crate) fn failed(self, exit: i32, code: &str) -> Failed {
        let ran = self.expect_code(exit);
        let last = ran.last();
        assert_eq!(
            (last["event"].as_str(), last["code"].as_str()),
            (Some("error"), Some(code)),
            "{}",
            ran.finished
        );
        let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        let failed = Failed { message: text("message"), hint: text("hint") };
        assert!(!failed.message.is_empty() && ran.finished.stderr.is_empty(), "{}", ran.finished);
        failed
    }

    /// The events of one kind.
    pub(crate) fn of(&self, event: &str) -> Vec<&Value> {
        self.events.iter().filter(|told| told["event"] == event).collect()
    }
}

/// The last word of a run that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Failed {
    /// Fails unless message and hint name all of these.
    pub(crate) fn names(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.message.contains(word) || self.hint.contains(word),
                "`{word}` is neither in the message nor in the hint: {self:?}"
            );
        }
        self
    }

    /// Fails without a hint.
    pub(crate) fn hinted(self) -> Self {
        assert!(!self.hint.is_empty(), "no hint: {self:?}");
        self
    }

    /// Fails unless the hint holds this.
    pub(crate) fn hints(self, words: &str) -> Self {
        assert!(self.hint.contains(words), "no `{words}` in the hint: {self:?}");
        self
    }
}

/// A number of an event.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The sum of a number over the streams of a summary or status.
pub(crate) fn sum(told: &Value, field: &str) -> u64 {
    let streams = told["streams"].as_array().unwrap_or_else(|| panic!("no streams in {told}"));
    streams.iter().map(|stream| number(&stream[field])).sum()
}
