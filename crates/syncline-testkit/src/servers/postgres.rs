//! A private PostgreSQL: own data, own port on 127.0.0.1, own socket, gone when the test is.
//!
//! The superuser is `postgres` and needs no password, neither over the socket nor over TCP. Every
//! other role needs the password it was given, so wrong passwords are refused as in real life.
//! Unless [`Options::durable`] says otherwise it does not sync its files.
//!
//! It answers in about 0.2 s: the data folder is a copy of one that `initdb` made once, kept in the
//! target folder. What stops, kills or pauses takes `&mut self`, so that the [`shared`] server is
//! safe from its many tests.

mod binaries;
mod database;
mod options;
mod template;

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    account::{self, Account},
    disk,
    home::Home,
    port,
    process::server_environment,
    signal,
};
use binaries::Binaries;
pub use database::Database;
pub use options::Options;

/// The account that it runs as when we are root, and the superuser's name.
const USER: &str = "postgres";

/// Recovery after a kill in the middle of a big load takes the longest.
const READY_MAX: Duration = Duration::from_secs(60);

/// Another process may take a free port before the server does.
const PORTS_TRIED_MAX: u32 = 5;

/// Less does not hold a fresh cluster.
const DISK_BYTES_MIN: u64 = 64 << 20;

/// How [`Postgres::stop`] ends the server, in PostgreSQL's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for its clients to leave.
    Smart,
    /// Ends its clients, saves everything.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

/// A running (or stopped) server. Dropped, it is gone with all its data.
pub struct Postgres {
    home: Home,
    binaries: &'static Binaries,
    account: Option<Account>,
    port: u16,
    postmaster: Option<Child>,
    has_small_disk: bool,
}

/// One server for all tests of a process, with logical decoding. Each test makes a database of its own.
///
/// # Panics
/// As [`Postgres::start`].
pub fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| Postgres::start(Options::new().logical().setting("max_connections", "300")))
}

impl Postgres {
    /// Starts a fresh server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, does not come up, or the small disk cannot be had.
    pub fn start(options: Options) -> Self {
        let binaries = binaries::find();
        let account = account::of_server(USER);
        let home = Home::new("postgres");
        if let Some(bytes) = options.disk_bytes {
            assert!(bytes >= DISK_BYTES_MIN, "PostgreSQL needs a disk of {DISK_BYTES_MIN} bytes at least");
            home.limit_disk(bytes);
        }
        account::give(&home.disk(), account);
        template::copy_to(&home.disk().join("data"), binaries, account);
        let mut server = Postgres {
            home,
            binaries,
            account,
            port: 0,
            postmaster: None,
            has_small_disk: options.disk_bytes.is_some(),
        };
        server.configure(&options);
        server.start_on_free_port();
        server
    }

    /// A connection URL of the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection URL of another role, by its password.
    pub fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its TCP port on 127.0.0.1, the same after every restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its Unix socket.
    pub fn socket_dir(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// One of PostgreSQL's own programs, of the server's version.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.program(name)
    }

    /// Runs SQL as the superuser, each statement by itself. Rows come one a line, columns parted by `|`.
    ///
    /// # Panics
    /// At the first statement that fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.database(database).sql(sql)
    }

    /// Runs SQL as [`Postgres::psql`] does.
    ///
    /// # Errors
    /// What the server said to the first statement that failed.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.database(database).try_sql(sql)
    }

    /// One of its databases, to be used while the server is stopped, killed or paused by whoever has it.
    pub fn database(&self, name: &str) -> Database {
        Database::new(self.binaries, self.socket_dir(), self.port, self.url(name), name)
    }

    /// Makes an empty database and returns its name.
    pub fn create_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Drops a database, and ends who is connected to it.
    pub fn drop_database(&self, name: &str) {
        self.psql("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    }

    /// How many clients are connected, replication included, not counting the one that asks.
    pub fn backend_count(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid()";
        self.psql("postgres", sql).parse().expect("a count is a number")
    }

    /// All that it has logged. Each line names its database, as in ` test_1: `.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).expect("the log is there while the server is");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Fills the rest of its small disk. See [`Options::disk_bytes`].
    pub fn fill_disk(&self) {
        assert!(self.has_small_disk, "only a server with `disk_bytes` can have its disk filled");
        disk::fill(&self.home.disk());
    }

    /// Gives back what [`Postgres::fill_disk`] took.
    pub fn free_disk(&self) {
        disk::free(&self.home.disk());
    }

    /// Kills every process of it with SIGKILL, as the kernel does when memory runs out.
    pub fn kill9(&mut self) {
        let data = self.data();
        let deadline = Instant::now() + READY_MAX;
        loop {
            match signal::working_in(&data) {
                pids if pids.is_empty() => break,
                pids => signal::send("KILL", &pids),
            }
            assert!(Instant::now() < deadline, "PostgreSQL's processes do not die");
            thread::sleep(Duration::from_millis(1));
        }
        self.reap();
    }

    /// Stops it and waits for its end.
    ///
    /// # Panics
    /// If it does not end within a minute, which in [`StopMode::Smart`] its clients decide.
    pub fn stop(&mut self, mode: StopMode) {
        let signal = match mode {
            StopMode::Smart => "TERM",
            StopMode::Fast => "INT",
            StopMode::Immediate => "QUIT",
        };
        signal::send(signal, &[self.postmaster_pid()]);
        self.reap();
    }

    /// Starts it after it was stopped or killed, on the same port and data.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "PostgreSQL is running; stop or kill it first");
        if let Err(reason) = self.launch() {
            panic!("PostgreSQL did not come up again: {reason}\n{}", self.log());
        }
    }

    /// Stops it fast and starts it again.
    pub fn restart(&mut self) {
        self.stop(StopMode::Fast);
        self.start_again();
    }

    /// Freezes every process of it: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        // The postmaster first, so that it starts no more.
        signal::send("STOP", &[self.postmaster_pid()]);
        signal::send("STOP", &signal::working_in(&self.data()));
    }

    /// Lets it go on after [`Postgres::pause`].
    pub fn resume(&mut self) {
        signal::send("CONT", &signal::working_in(&self.data()));
    }

    fn data(&self) -> PathBuf {
        self.home.disk().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn postmaster_pid(&self) -> u32 {
        self.postmaster.as_ref().expect("PostgreSQL is running").id()
    }

    /// Writes the configuration files, and gives the server what it must own.
    fn configure(&self, options: &Options) {
        let socket = self.socket_dir();
        fs::create_dir(&socket).expect("the home is ours to write");
        account::give(&socket, self.account);
        if let Some(certificate) = &options.certificate {
            self.take_file(&certificate.certificate, "server.crt");
            self.take_file(&certificate.key, "server.key");
            self.take_file(&certificate.authority, "authority.crt");
        }
        let settings = options.configuration(&socket, self.home.path());
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .expect("initdb wrote the configuration");
        file.write_all(settings.as_bytes()).expect("the data folder is ours to write");
        fs::write(self.data().join("pg_hba.conf"), options.access())
            .expect("the data folder is ours to write");
    }

    fn take_file(&self, from: &Path, name: &str) {
        let to = self.home.path().join(name);
        fs::copy(from, &to).unwrap_or_else(|error| panic!("could not copy {}: {error}", from.display()));
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("the copy is ours");
        account::give(&to, self.account);
    }

    fn start_on_free_port(&mut self) {
        for attempt in 1.. {
            self.port = port::free();
            let Err(reason) = self.launch() else { return };
            let taken = self.log().contains("Address already in use");
            if !taken || attempt == PORTS_TRIED_MAX {
                panic!("PostgreSQL did not come up: {reason}\n{}", self.log());
            }
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.map_err(|error| format!("its log cannot be written: {error}"))?;
        let errors = log.try_clone().map_err(|error| format!("its log cannot be written: {error}"))?;
        let mut command = Command::new(self.binaries.program("postgres"));
        server_environment(&mut command, self.account);
        let postmaster = command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .current_dir(self.data())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| error.to_string())?;
        self.postmaster = Some(postmaster);
        self.await_ready()
    }

    fn await_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_MAX;
        let pid = self.postmaster_pid();
        let pid_file = self.data().join("postmaster.pid");
        while !fs::read_to_string(&pid_file).is_ok_and(|text| says_ready(&text, pid)) {
            let postmaster = self.postmaster.as_mut().expect("it was just started");
            if let Ok(Some(status)) = postmaster.try_wait() {
                self.postmaster = None;
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("it was not ready within {} s", READY_MAX.as_secs()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Waits for the end of the postmaster, and forgets it.
    fn reap(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        let deadline = Instant::now() + READY_MAX;
        while let Ok(None) = postmaster.try_wait() {
            assert!(Instant::now() < deadline, "PostgreSQL does not end\n{}", self.log());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The pid file: the postmaster's number is on line 1, its state on line 8.
fn says_ready(pid_file: &str, pid: u32) -> bool {
    let mut lines = pid_file.lines();
    lines.next() == Some(pid.to_string().as_str())
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_a_former_server_is_not_ready() {
        let text = "17\n/d\n1\n5432\n/s\n127.0.0.1\n 1 4\nready   \n";
        assert!(says_ready(text, 17));
        assert!(!says_ready(text, 18));
        assert!(!says_ready(&text.replace("ready", "starting"), 17));
        assert!(!says_ready("17\n/d\n", 17));
    }
}
