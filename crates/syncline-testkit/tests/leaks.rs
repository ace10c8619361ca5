//! Nothing stays behind a test process that is killed: no server, no program, no mount, no folder.

use std::{
    env, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::{
    certificates::Authority,
    disk::SmallDisk,
    process::Program,
    servers::{
        left_out,
        postgres::{Options, Postgres},
    },
};

/// Set in the process that is to be killed.
const VICTIM: &str = "SYNCLINE_TESTKIT_VICTIM";

/// "Within seconds", on a machine that is busy building.
const GONE_MAX: Duration = Duration::from_secs(20);

/// Runs the test of this name once more in a process of its own, kills that when it has said what it
/// holds, and waits until nothing of that is left. `hold` runs in that process; it returns what it
/// started, and the folders and process numbers to watch.
fn nothing_is_left<T>(test: &str, hold: impl FnOnce() -> (T, Vec<String>)) {
    if env::var_os(VICTIM).is_some() {
        let (held, watched) = hold();
        eprintln!("holding {}", watched.join(" "));
        thread::sleep(Duration::from_secs(60));
        drop(held);
        return;
    }
    let mut line = String::new();
    let finished = Program::new(env::current_exe().expect("a test has a path"))
        .args([test, "--exact", "--nocapture"])
        .env(VICTIM, "1")
        .start()
        .kill9_when(|text| {
            line = text.to_owned();
            text.starts_with("holding ")
        });
    assert!(finished.was_killed(), "{finished}");
    let watched: Vec<&str> = line.split(' ').skip(1).collect();
    assert!(!watched.is_empty());
    let deadline = Instant::now() + GONE_MAX;
    while let Some(left) = watched.iter().find(|it| is_there(it)) {
        assert!(Instant::now() < deadline, "{left} is still there");
        thread::sleep(Duration::from_millis(20));
    }
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts are listed");
    assert!(!watched.iter().any(|it| mounts.contains(it)), "{watched:?} in {mounts}");
}

/// A folder, a process number, or a shared memory segment.
fn is_there(it: &str) -> bool {
    if let Some(segment) = it.strip_prefix("shm-") {
        let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        return segments.lines().any(|line| line.split_whitespace().nth(1) == Some(segment));
    }
    if it.starts_with('/') {
        return Path::new(it).exists();
    }
    // A process that has ended and that nobody has waited for is gone as well.
    fs::read_to_string(format!("/proc/{it}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// All processes of a server, its folder, and its segment of shared memory.
fn of_server(server: &Postgres) -> Vec<String> {
    let home = server.socket_dir().parent().expect("the socket is in the home").to_owned();
    let data = home.join("disk/data");
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).expect("the server runs");
    let memory = pid_file.lines().nth(6).expect("line 7 is the shared memory: key and number");
    let segment = memory.split_whitespace().last().expect("a number");
    let mut watched = vec![home.display().to_string(), format!("shm-{segment}")];
    for process in fs::read_dir("/proc").expect("processes are listed").flatten() {
        if fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data) {
            watched.push(process.file_name().display().to_string());
        }
    }
    assert!(watched.len() > 4, "a server has several processes: {watched:?}");
    watched
}

#[test]
fn a_server() {
    if left_out("postgres") {
        return;
    }
    nothing_is_left("a_server", || {
        let server = Postgres::start(Options::new());
        let watched = of_server(&server);
        (server, watched)
    });
}

#[test]
fn a_server_that_is_paused() {
    if left_out("postgres") {
        return;
    }
    nothing_is_left("a_server_that_is_paused", || {
        let mut server = Postgres::start(Options::new());
        let watched = of_server(&server);
        server.pause();
        (server, watched)
    });
}

#[test]
fn a_server_that_was_killed() {
    if left_out("postgres") {
        return;
    }
    nothing_is_left("a_server_that_was_killed", || {
        let mut server = Postgres::start(Options::new());
        let watched = of_server(&server);
        server.kill9();
        (server, watched)
    });
}

#[test]
fn a_server_on_a_full_disk_of_its_own() {
    if left_out("postgres") || left_out("small-disk") {
        return;
    }
    nothing_is_left("a_server_on_a_full_disk_of_its_own", || {
        let server = Postgres::start(Options::new().disk_bytes(96 << 20));
        server.fill_disk();
        let watched = of_server(&server);
        (server, watched)
    });
}

#[test]
fn a_disk_in_use() {
    if left_out("small-disk") {
        return;
    }
    nothing_is_left("a_disk_in_use", || {
        let disk = SmallDisk::new(1 << 20);
        let path = disk.path();
        let user = Program::new("sleep").arg("60").dir(&path).start();
        let watched = vec![path.display().to_string(), user.pid().to_string()];
        ((disk, user), watched)
    });
}

#[test]
fn a_program_and_certificates() {
    nothing_is_left("a_program_and_certificates", || {
        let (program, authority) = (Program::new("sleep").arg("60").start(), Authority::new());
        let folder = authority.path().parent().unwrap().display().to_string();
        let watched = vec![program.pid().to_string(), folder];
        ((program, authority), watched)
    });
}
