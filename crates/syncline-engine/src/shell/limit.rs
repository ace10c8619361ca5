//! Rows and bytes per second: a bucket that every lane of a run takes from.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How fast rows may go on. Without limits it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    rows: Option<Arc<Pace>>,
    bytes: Option<Arc<Pace>>,
}

/// One limit. Units are taken before they are earned, and whoever took them waits until they are.
#[derive(Debug)]
struct Pace {
    per_second: u64,
    /// When everything taken so far will have been earned.
    earned_at: Mutex<Option<Instant>>,
}

impl Limits {
    /// Most rows and bytes a second, over all lanes together.
    pub fn new(rows_per_second: Option<u64>, bytes_per_second: Option<u64>) -> Self {
        let pace = |per_second| Arc::new(Pace { per_second, earned_at: Mutex::default() });
        Limits { rows: rows_per_second.map(pace), bytes: bytes_per_second.map(pace) }
    }

    /// Waits until so much may go on.
    pub(crate) async fn pass(&self, rows: u64, bytes: u64) {
        for (pace, units) in [(&self.rows, rows), (&self.bytes, bytes)] {
            if let Some(pace) = pace {
                tokio::time::sleep_until(pace.take(units, Instant::now())).await;
            }
        }
    }
}

impl Pace {
    /// When whoever takes these units may go on. Time in which nothing was taken earns nothing.
    fn take(&self, units: u64, now: Instant) -> Instant {
        let mut earned_at = self.earned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = Duration::from_secs_f64(units as f64 / self.per_second.max(1) as f64);
        let at = earned_at.map_or(now, |at| at.max(now)) + cost;
        *earned_at = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_share_one_pace_and_rest_earns_nothing() {
        let pace = Pace { per_second: 100, earned_at: Mutex::default() };
        let start = Instant::now();
        assert_eq!(pace.take(50, start), start + Duration::from_millis(500));
        assert_eq!(pace.take(100, start), start + Duration::from_millis(1_500));
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.take(100, later), later + Duration::from_secs(1));
    }
}
