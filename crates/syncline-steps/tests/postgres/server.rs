//! A private PostgreSQL for one test: own data directory, reached over a socket in it, gone after.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A running server. Stops and removes its data when dropped.
pub(crate) struct Server {
    binaries: PathBuf,
    directory: PathBuf,
}

impl Server {
    /// Creates a cluster whose text is ordered by code points and starts it.
    pub(crate) fn start() -> Server {
        let binaries = newest_binaries();
        let made = as_owner(Path::new("mktemp")).args(["-d", "/tmp/syncline-steps-XXXXXX"]).output();
        let directory = PathBuf::from(text(succeeded(made)).trim());
        let server = Server { binaries, directory };
        let data = server.data();
        succeeded(
            server
                .command("initdb")
                .args([
                    "--auth=trust",
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "-U",
                    "postgres",
                    "-D",
                ])
                .arg(&data)
                .output(),
        );
        // No network at all: the socket's directory is the owner's own.
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off -c timezone=UTC",
            server.directory.display()
        );
        let mut start = server.command("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-o", &options, "-D"]).arg(&data);
        // The server inherits these: a pipe would stay open as long as it runs.
        let status = start
            .arg("-l")
            .arg(server.directory.join("log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.is_ok_and(|status| status.success()), "{}", server.log());
        server
    }

    /// Runs a script and gives back what it printed, without headers and alignment.
    pub(crate) fn run(&self, script: &str) -> String {
        let file = self.directory.join("script.sql");
        fs::write(&file, script).expect("the script is written");
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-h",
        ]);
        text(succeeded(psql.arg(&self.directory).arg("-f").arg(&file).output()))
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn command(&self, name: &str) -> Command {
        as_owner(&self.binaries.join(name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        let _ = stop.args(["stop", "-m", "immediate", "-D"]).arg(self.data()).output();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The binaries of the newest version that Debian has installed.
fn newest_binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(version)
        .expect("PostgreSQL's server is installed")
        .join("bin")
}

/// PostgreSQL does not run as root: then it runs as its own user.
fn as_owner(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn succeeded(output: io::Result<Output>) -> Output {
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("PostgreSQL prints UTF-8")
}
