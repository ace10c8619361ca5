//! One database of a server, and PostgreSQL's own programs on it.

use std::{path::PathBuf, time::Duration};

use super::{USER, binaries::Binaries};
use crate::process::{Finished, Program, Running};

/// How long a statement may take: it may load a big table.
const STATEMENT_MAX: Duration = Duration::from_secs(300);

/// A database, reached as the superuser over the Unix socket, whatever the server asks for over TCP.
/// It borrows nothing of its server, which may be killed and started again meanwhile.
#[derive(Clone, Debug)]
pub struct Database {
    binaries: &'static Binaries,
    socket_dir: PathBuf,
    port: u16,
    url: String,
    name: String,
}

impl Database {
    pub(super) fn new(
        binaries: &'static Binaries,
        socket_dir: PathBuf,
        port: u16,
        url: String,
        name: &str,
    ) -> Self {
        Database { binaries, socket_dir, port, url, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection URL of the superuser, over TCP.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL, each statement by itself. Rows come one a line, columns parted by `|`.
    ///
    /// # Panics
    /// At the first statement that fails.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("psql in `{}` failed: {error}\nof: {sql}", self.name))
    }

    /// Runs SQL as [`Database::sql`] does.
    ///
    /// # Errors
    /// What the server said to the first statement that failed.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let Finished { code, stdout, stderr, .. } = self.psql().input(sql).run();
        if code == Some(0) { Ok(stdout.trim_end().to_owned()) } else { Err(stderr.trim_end().to_owned()) }
    }

    /// Begins to run SQL in a session of its own and goes on: to hold a lock, or to watch. Notices
    /// come on standard error. Dropped, the session is killed.
    pub fn start_sql(&self, sql: &str) -> Running {
        self.psql().input(sql).start()
    }

    /// All definitions in it, as `pg_dump` writes them.
    ///
    /// # Panics
    /// If `pg_dump` fails.
    pub fn definitions(&self) -> String {
        self.program("pg_dump").arg("--schema-only").run().expect_code(0).stdout
    }

    /// `pgbench` on it, to be given what it is to do.
    pub fn pgbench(&self) -> Program {
        self.server_program("pgbench").env("PGDATABASE", &self.name)
    }

    fn psql(&self) -> Program {
        self.program("psql").args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
    }

    fn program(&self, name: &str) -> Program {
        self.server_program(name).args(["-d", &self.name])
    }

    fn server_program(&self, name: &str) -> Program {
        Program::new(self.binaries.program(name))
            .args(["-U", USER])
            .args(["-h".as_ref(), self.socket_dir.as_os_str()])
            .args(["-p", &self.port.to_string()])
            .for_server(None)
            .env("PGCLIENTENCODING", "UTF8")
            .deadline(STATEMENT_MAX)
    }
}
