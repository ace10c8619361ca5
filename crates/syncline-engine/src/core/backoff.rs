//! How long to wait before trying again: exponential, with jitter, bounded.

/// How often and how patiently to try again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first pause.
    pub first_millis: u64,
    /// The longest pause.
    pub pause_millis_max: u64,
    /// Attempts without any progress between them.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    /// About two and a half minutes in all: long enough for a server to restart.
    fn default() -> Self {
        RetryPolicy { first_millis: 500, pause_millis_max: 30_000, attempts_max: 10 }
    }
}

impl RetryPolicy {
    /// The longest pause before attempt `failures + 1`.
    pub fn step_millis(&self, failures: u32) -> u64 {
        let step = self.first_millis.saturating_mul(1 << failures.saturating_sub(1).min(20));
        step.min(self.pause_millis_max).max(1)
    }

    /// The pause before attempt `failures + 1`: between half and all of the doubled step, so that
    /// lanes that failed together do not come back together.
    pub(super) fn pause_millis(&self, failures: u32, jitter: &mut Jitter) -> u64 {
        let step = self.step_millis(failures);
        step / 2 + jitter.below(step / 2 + 1)
    }
}

/// A small generator (splitmix64), seeded by the shell.
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_are_never_nothing() {
        let policy = RetryPolicy { first_millis: 100, pause_millis_max: 1_000, attempts_max: 9 };
        let mut jitter = Jitter(7);
        for (failures, most) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (60, 1_000)] {
            let pause = policy.pause_millis(failures, &mut jitter);
            assert!((most / 2..=most).contains(&pause), "{failures}: {pause}");
        }
    }
}
