//! One database of a server, and the server's own command line client on it.

use std::{path::PathBuf, time::Duration};

use super::binaries::Binaries;
use crate::process::{Finished, Program, Running};

/// How long a statement may take: it may load a big table.
const STATEMENT_MAX: Duration = Duration::from_secs(300);

/// A database, reached as `root` over the Unix socket, whatever the server asks for over TCP.
/// It borrows nothing of its server, which may be killed and started again meanwhile.
#[derive(Clone, Debug)]
pub struct Database {
    binaries: &'static Binaries,
    socket: PathBuf,
    url: String,
    name: String,
}

impl Database {
    pub(super) fn new(binaries: &'static Binaries, socket: PathBuf, url: String, name: &str) -> Self {
        Database { binaries, socket, url, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection URL of `root`, over TCP.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL, each statement by itself. Rows come one a line as they are, columns parted by tabs,
    /// NULL as `NULL`.
    ///
    /// # Panics
    /// At the first statement that fails.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql)
            .unwrap_or_else(|error| panic!("the client in `{}` failed: {error}\nof: {sql}", self.name))
    }

    /// Runs SQL as [`Database::sql`] does.
    ///
    /// # Errors
    /// What the server said to the first statement that failed.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let Finished { code, stdout, stderr, .. } = self.client().input(sql).run();
        if code == Some(0) { Ok(stdout.trim_end().to_owned()) } else { Err(stderr.trim_end().to_owned()) }
    }

    /// Begins to run SQL in a session of its own and goes on: to hold a lock, or to watch. What it
    /// selects comes at once. Dropped, the session is killed.
    pub fn start_sql(&self, sql: &str) -> Running {
        self.client().arg("--unbuffered").input(sql).start()
    }

    fn client(&self) -> Program {
        self.binaries
            .client()
            // Without `--binary-mode` it would alter line ends and stop at a zero byte.
            .args(["--batch", "--raw", "--skip-column-names", "--binary-mode", "--user=root"])
            .args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"])
            .arg(format!("--socket={}", self.socket.display()))
            .arg(format!("--database={}", self.name))
            .for_server(None)
            .deadline(STATEMENT_MAX)
    }
}
