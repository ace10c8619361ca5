//! What a process costs, as `/proc` tells.

use std::fs;

/// Ticks of `/proc/PID/stat` in a second: what Linux shows to programs on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// The latest figures of one process.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) peak_rss_bytes: u64,
    pub(super) cpu_seconds: f64,
}

impl Usage {
    pub(super) fn of(pid: u32) -> Self {
        let mut usage = Usage::default();
        usage.look(pid);
        usage
    }

    /// Looks again. A process that has ended keeps its times until it is waited for, but no memory.
    pub(super) fn look(&mut self, pid: u32) {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        if let Some(seconds) = read("stat").as_deref().and_then(cpu_seconds) {
            self.cpu_seconds = seconds;
        }
        if let Some(bytes) = read("status").as_deref().and_then(peak_rss_bytes) {
            self.peak_rss_bytes = bytes;
        }
    }
}

/// User and system time. The fields are counted from behind the name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn peak_rss_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_a_bracket() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 99 1 1";
        assert_eq!(cpu_seconds(stat), Some(1.75));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(peak_rss_bytes("VmPeak:\t 9 kB\nVmHWM:\t    1024 kB\n"), Some(1 << 20));
        assert_eq!(peak_rss_bytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
