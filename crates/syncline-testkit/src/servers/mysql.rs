//! A private MySQL or MariaDB: own data, own port on 127.0.0.1, own socket, gone when the test is.
//!
//! `root` needs no password, neither over the socket nor over TCP; every other user needs the one it
//! was given, which MySQL checks by `caching_sha2_password`. Unless [`Options::durable`] says
//! otherwise it does not sync its files.
//!
//! The data folder is a copy of one that was made once, kept in the target folder; MariaDB answers in
//! about 0.3 s then, MySQL in 1.3. What stops, kills or pauses takes `&mut self`, so that a [`shared`]
//! server is safe from its many tests.

mod binaries;
mod database;
mod install;
mod options;
mod template;

use std::{
    fs::{self, File},
    io::Read,
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
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

/// The account that it runs as when we are root, which it refuses to be. Any other does, and this
/// one is on every machine.
const ACCOUNT: &str = "nobody";

/// Recovery after a kill in the middle of a big load takes the longest.
const READY_MAX: Duration = Duration::from_secs(90);

/// How long a server that accepted a connection may take to greet.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// Another process may take a free port before the server does.
const PORTS_TRIED_MAX: u32 = 5;

/// Less does not hold a fresh data folder.
const DISK_BYTES_MIN: u64 = 192 << 20;

/// The protocol's version in the first packet of a server that lets clients in.
const GREETING: u8 = 10;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// Genuine MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
}

impl Product {
    /// Both, for tests that hold for either.
    pub const ALL: [Product; 2] = [Product::Mysql, Product::Mariadb];

    /// Its name in `SYNCLINE_TEST_WITHOUT`.
    pub fn name(self) -> &'static str {
        match self {
            Product::Mysql => "mysql",
            Product::Mariadb => "mariadb",
        }
    }

    /// As people call it.
    pub fn title(self) -> &'static str {
        match self {
            Product::Mysql => "MySQL",
            Product::Mariadb => "MariaDB",
        }
    }
}

/// A running (or stopped) server. Dropped, it is gone with all its data.
pub struct Mysql {
    home: Home,
    binaries: &'static Binaries,
    account: Option<Account>,
    arguments: Vec<std::ffi::OsString>,
    port: u16,
    server: Option<Child>,
    has_small_disk: bool,
}

/// One server of each product for all tests of a process, with a binary log. Each test makes a
/// database of its own.
///
/// # Panics
/// As [`Mysql::start`].
pub fn shared(product: Product) -> &'static Mysql {
    static MYSQL: OnceLock<Mysql> = OnceLock::new();
    static MARIADB: OnceLock<Mysql> = OnceLock::new();
    let server = match product {
        Product::Mysql => &MYSQL,
        Product::Mariadb => &MARIADB,
    };
    server.get_or_init(|| Mysql::start(product, Options::new().binlog().setting("max-connections", "300")))
}

impl Mysql {
    /// Starts a fresh server.
    ///
    /// # Panics
    /// If the product cannot be had, does not come up, or the small disk cannot be had.
    pub fn start(product: Product, options: Options) -> Self {
        let binaries = binaries::find(product);
        let account = account::of_server(ACCOUNT);
        let home = Home::new(product.name());
        if let Some(bytes) = options.disk_bytes {
            assert!(bytes >= DISK_BYTES_MIN, "{product:?} needs a disk of {DISK_BYTES_MIN} bytes at least");
            home.limit_disk(bytes);
        }
        account::give(&home.disk(), account);
        template::copy_to(&home.disk().join("data"), binaries, account);
        let arguments = options.arguments(product, home.path());
        let has_small_disk = options.disk_bytes.is_some();
        let mut server = Mysql { home, binaries, account, arguments, port: 0, server: None, has_small_disk };
        server.prepare(&options);
        server.start_on_free_port();
        server
    }

    /// Which of the two it is.
    pub fn product(&self) -> Product {
        self.binaries.product
    }

    /// What it says of its version.
    pub fn version(&self) -> &str {
        &self.binaries.version
    }

    /// A connection URL of `root`.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection URL of another user, by its password.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its TCP port on 127.0.0.1, the same after every restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket/s")
    }

    /// Runs SQL as `root`. See [`Database::sql`].
    ///
    /// # Panics
    /// At the first statement that fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.database(database).sql(sql)
    }

    /// Runs SQL as [`Mysql::sql`] does.
    ///
    /// # Errors
    /// What the server said to the first statement that failed.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.database(database).try_sql(sql)
    }

    /// One of its databases, to be used while the server is stopped, killed or paused by whoever has it.
    pub fn database(&self, name: &str) -> Database {
        Database::new(self.binaries, self.socket(), self.url(name), name)
    }

    /// Makes an empty database and returns its name.
    pub fn create_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("mysql", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Drops a database.
    pub fn drop_database(&self, name: &str) {
        self.sql("mysql", &format!("DROP DATABASE IF EXISTS `{name}`"));
    }

    /// How many clients are connected, not counting the one that asks.
    pub fn connection_count(&self) -> usize {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() \
                   AND user NOT IN ('event_scheduler', 'system user')";
        self.sql("mysql", sql).parse().expect("a count is a number")
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).expect("the log is there while the server is");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Fills the rest of its small disk. See [`Options::disk_bytes`].
    pub fn fill_disk(&self) {
        assert!(self.has_small_disk, "only a server with `disk_bytes` can have its disk filled");
        disk::fill(&self.home.disk());
    }

    /// Gives back what [`Mysql::fill_disk`] took.
    pub fn free_disk(&self) {
        disk::free(&self.home.disk());
    }

    /// Kills it with SIGKILL, as the kernel does when memory runs out.
    pub fn kill9(&mut self) {
        let data = self.data();
        let deadline = Instant::now() + READY_MAX;
        loop {
            match signal::working_in(&data) {
                pids if pids.is_empty() => break,
                pids => signal::send("KILL", &pids),
            }
            assert!(Instant::now() < deadline, "{} does not die", self.title());
            thread::sleep(Duration::from_millis(1));
        }
        self.reap();
    }

    /// Ends its clients, saves everything and waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        signal::send("TERM", &[self.pid()]);
        self.reap();
    }

    /// Starts it after it was stopped or killed, on the same port and data.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "{} is running; stop or kill it first", self.title());
        if let Err(reason) = self.launch() {
            panic!("{} did not come up again: {reason}\n{}", self.title(), self.log());
        }
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        signal::send("STOP", &[self.pid()]);
    }

    /// Lets it go on after [`Mysql::pause`].
    pub fn resume(&mut self) {
        signal::send("CONT", &[self.pid()]);
    }

    fn title(&self) -> &'static str {
        self.product().title()
    }

    fn data(&self) -> PathBuf {
        self.home.disk().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server is running").id()
    }

    /// Makes the folders and files that it needs beside its data, and gives it what it must own.
    fn prepare(&self, options: &Options) {
        for folder in [self.home.path().join("socket"), self.home.disk().join("tmp")] {
            fs::create_dir(&folder).expect("the home is ours to write");
            account::give(&folder, self.account);
        }
        if let Some(certificate) = &options.certificate {
            self.take_file(&certificate.certificate, "server.crt");
            self.take_file(&certificate.key, "server.key");
            self.take_file(&certificate.authority, "authority.crt");
        }
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
                panic!("{} did not come up: {reason}\n{}", self.title(), self.log());
            }
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.map_err(|error| format!("its log cannot be written: {error}"))?;
        let errors = log.try_clone().map_err(|error| format!("its log cannot be written: {error}"))?;
        let (program, before) = self.binaries.server();
        let mut command = Command::new(program);
        server_environment(&mut command, self.account);
        let server = command
            .args(before)
            .args(&self.arguments)
            .arg(format!("--port={}", self.port))
            .current_dir(self.data())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| error.to_string())?;
        self.server = Some(server);
        self.await_ready()
    }

    /// Its socket is its own, where another process may have its port.
    fn await_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_MAX;
        while !greets(&self.socket()) {
            let server = self.server.as_mut().expect("it was just started");
            if let Ok(Some(status)) = server.try_wait() {
                self.server = None;
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("it was not ready within {} s", READY_MAX.as_secs()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end, and forgets it.
    fn reap(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let deadline = Instant::now() + READY_MAX;
        while let Ok(None) = server.try_wait() {
            assert!(Instant::now() < deadline, "{} does not end\n{}", self.title(), self.log());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Mysql {
    /// It would take its time to save what is thrown away.
    fn drop(&mut self) {
        signal::send("KILL", &signal::working_in(&self.data()));
        if let Some(server) = &mut self.server
            && let Err(error) = server.wait()
        {
            eprintln!("could not wait for the end of {}: {error}", self.binaries.product.title());
        }
    }
}

/// Whether a server behind the socket lets clients in. It counts no failed login of a socket's client.
fn greets(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let mut packet = [0; 5];
    stream.set_read_timeout(Some(GREETING_MAX)).is_ok()
        && stream.read_exact(&mut packet).is_ok()
        && packet[4] == GREETING
}
