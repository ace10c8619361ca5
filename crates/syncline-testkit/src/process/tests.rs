//! Programs of every kind of end, with `sh` as the program.

use std::{panic::catch_unwind, thread, time::Duration};

use super::*;

fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

fn panic_text(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(work).expect_err("it panics");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn output_code_environment_and_folder() {
    let finished = sh("cat; echo $NAME; pwd; echo oops >&2; exit 3")
        .input("in\n")
        .env("NAME", "value")
        .dir("/")
        .run()
        .expect_code(3);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("in\nvalue\n/\n", "oops\n"));
    assert!(!finished.was_killed());
}

#[test]
fn a_wrong_code_shows_the_output() {
    let text = panic_text(|| drop(sh("echo said; echo why >&2; exit 1").run().expect_code(0)));
    assert!(text.contains("exit code 1") && text.contains("said") && text.contains("why"), "{text}");
}

#[test]
fn a_program_that_takes_too_long_is_killed_and_shows_the_output() {
    let text =
        panic_text(|| drop(sh("echo began; exec sleep 60").deadline(Duration::from_millis(200)).run()));
    assert!(text.contains("took too long") && text.contains("began"), "{text}");
}

#[test]
fn a_missing_program_is_named() {
    let text = panic_text(|| drop(Program::new("/no/such/program").run()));
    assert!(text.contains("/no/such/program"), "{text}");
}

#[test]
fn killed_after_a_while() {
    let finished = sh("exec sleep 60").start().kill9_after(Duration::from_millis(50));
    assert!(finished.was_killed() && finished.seconds < 10.0, "{finished}");
}

#[test]
fn what_ends_before_it_is_killed_ended_by_itself() {
    let finished = sh("exit 0").start().kill9_after(Duration::from_secs(20));
    assert!(finished.code == Some(0) && finished.seconds < 10.0, "{finished}");
}

#[test]
fn killed_at_a_line() {
    let script = "for i in 1 2 3 4 5; do echo line $i >&2; sleep 0.02; done; sleep 60";
    let finished = sh(script).start().kill9_when(|line| line == "line 3");
    assert!(finished.was_killed() && !finished.stderr.contains("line 5"), "{finished}");
}

#[test]
fn a_line_is_waited_for_and_its_absence_is_told() {
    let running = sh("echo ready >&2; exec sleep 60").start();
    assert_eq!(running.wait_for_line(|line| line.starts_with("read")), "ready");
    assert!(running.is_running() && running.stderr() == "ready\n");
    let text = panic_text(|| drop(sh("exit 0").start().wait_for_line(|_| true)));
    assert!(text.contains("before it wrote"), "{text}");
}

#[test]
fn interrupted() {
    // Whoever runs the tests in the background has them ignore the signal, and a shell cannot undo that.
    let script = "trap 'echo bye; exit 130' INT; echo on >&2; while :; do sleep 0.01; done";
    let running = Program::new("env").args(["--default-signal=INT", "sh", "-c", script]).start();
    running.wait_for_line(|line| line == "on");
    running.interrupt();
    assert_eq!(running.wait().expect_code(130).stdout, "bye\n");
}

#[test]
fn memory_and_processor_time_are_measured() {
    // The shell holds 32 MiB in a variable and counts for a while.
    let script = "x=$(head -c 33554432 /dev/zero | tr '\\0' x); i=0; \
                  while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 0.05";
    let finished = sh(script).run().expect_code(0);
    assert!(finished.peak_rss_bytes > 32 << 20, "{} bytes", finished.peak_rss_bytes);
    assert!(finished.cpu_seconds >= 0.05 && finished.cpu_seconds <= finished.seconds, "{finished:?}");
}

#[test]
fn a_dropped_program_is_killed() {
    let running = sh("exec sleep 60").start();
    let path = format!("/proc/{}/stat", running.pid());
    drop(running);
    for _ in 0..500 {
        if !std::path::Path::new(&path).exists() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{path} is still there");
}
