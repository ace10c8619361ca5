//! Runs commands in turn and prints what they took.

use std::{fs, time::Duration};

use syncline_testkit::process::{Finished, Program};

/// One way of doing the same thing.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    /// Whether it is several processes.
    pub(crate) is_pipe: bool,
    /// Done before each round, not measured.
    pub(crate) prepare: Box<dyn Fn() + 'a>,
    /// What is measured.
    pub(crate) command: Box<dyn Fn() -> Program + 'a>,
}

/// What one round took.
#[derive(Clone, Copy)]
struct Round {
    seconds: f64,
    cpu_seconds: f64,
    rss_bytes: u64,
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Longest time of one command.
const DEADLINE: Duration = Duration::from_secs(600);

/// Runs all candidates in turn; the first is the baseline. `bytes` is what the rows are at the source;
/// `arrived` counts what has come of a run.
pub(crate) fn compare(
    case: &str,
    rows: u64,
    bytes: u64,
    candidates: &[Candidate<'_>],
    arrived: &dyn Fn() -> u64,
) {
    let rounds = setting("SYNCLINE_BENCH_ROUNDS", 3);
    let mut all: Vec<Vec<Round>> = candidates.iter().map(|_| vec![]).collect();
    // One round is not counted: caches fill, files grow.
    for round in 0..=rounds {
        for (candidate, measured) in candidates.iter().zip(&mut all) {
            (candidate.prepare)();
            let finished = (candidate.command)().deadline(DEADLINE).run().expect_code(0);
            assert_eq!(arrived(), rows, "{case}, {}: rows are missing", candidate.name);
            if round > 0 {
                measured.push(Round {
                    seconds: finished.seconds,
                    cpu_seconds: finished.cpu_seconds + children_cpu(&finished),
                    rss_bytes: finished.peak_rss_bytes,
                });
            }
        }
    }
    let baseline = median(&all[0], |round| round.seconds);
    for (candidate, measured) in candidates.iter().zip(&all) {
        let seconds = median(measured, |round| round.seconds);
        let cpu = median(measured, |round| round.cpu_seconds);
        let rss = median(measured, |round| round.rss_bytes as f64);
        println!(
            "| {case} | {} | {seconds:.2} | {:.0} | {:.0} | {cpu:.2} | {} | {} | {:.2} |",
            candidate.name,
            rows as f64 / seconds,
            bytes as f64 / seconds / 1e6,
            // A few wide rows say nothing of a million.
            if rows < 100_000 { String::new() } else { format!("{:.2}", cpu / rows as f64 * 1e6) },
            // That of a pipe is spread over its processes.
            if candidate.is_pipe { String::new() } else { format!("{:.0}", rss / 1e6) },
            seconds / baseline,
        );
    }
}

fn median(rounds: &[Round], what: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A pipe of commands under `bash` prints with `times` what its children took: the last line, user
/// and system, as `0m0.123s 0m0.045s`.
fn children_cpu(finished: &Finished) -> f64 {
    let Some(line) = finished.stdout.lines().last().filter(|line| line.contains("m0") || line.contains('m'))
    else {
        return 0.0;
    };
    line.split_whitespace()
        .filter_map(|part| {
            let (minutes, seconds) = part.strip_suffix('s')?.split_once('m')?;
            Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
        })
        .sum()
}

/// The machine, in one line.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let field =
        |name: &str| cpus.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
    let model = field("model name").map_or("unknown processor", |(_, model)| model);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let memory: u64 =
        memory.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or_default();
    let system = read("/etc/os-release");
    let system =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown system");
    format!("{cores} x {model}, {:.0} GiB, {}", memory as f64 / 1024.0 / 1024.0, system.trim_matches('"'))
}
