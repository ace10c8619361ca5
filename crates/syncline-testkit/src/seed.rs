//! Randomness that can be repeated: a test that draws takes a seed, and says it when it fails.
//!
//! ```no_run
//! # use syncline_testkit::seed::Seed;
//! let seed = Seed::from_env();
//! let mut rng = seed.rng();
//! assert!(rng.below(10) < 10); // a failure prints SYNCLINE_SEED=...
//! ```

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    thread,
};

/// The environment variable that repeats a run.
pub const VARIABLE: &str = "SYNCLINE_SEED";

/// A seed that is printed if the test panics while it lives.
#[derive(Debug)]
pub struct Seed(u64);

impl Seed {
    /// The one in `SYNCLINE_SEED`, else a random one.
    ///
    /// # Panics
    /// If the variable is no number.
    pub fn from_env() -> Self {
        let given = env::var(VARIABLE).ok();
        Seed(given.map_or_else(random, |text| {
            text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is `{text}`, which is no whole number"))
        }))
    }

    /// This very one.
    pub fn new(value: u64) -> Self {
        Seed(value)
    }

    /// Its number.
    pub fn value(&self) -> u64 {
        self.0
    }

    /// A generator that starts from it.
    pub fn rng(&self) -> Rng {
        Rng::new(self.0)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to repeat this failure: {VARIABLE}={}", self.0);
        }
    }
}

/// A number that differs from call to call and from process to process.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// SplitMix64: the same numbers from the same seed, on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Any seed is as good as another.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number under `limit`.
    ///
    /// # Panics
    /// If `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        assert!(limit > 0, "there is no number below 0");
        // The high half of a product is even enough: the bias is limit / 2^64.
        u64::try_from((u128::from(self.next_u64()) * u128::from(limit)) >> 64).expect("below the limit")
    }

    /// True once in `times` on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.below(items.len() as u64);
        &items[usize::try_from(at).expect("an index")]
    }

    /// Puts them into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1);
            items.swap(last, usize::try_from(other).expect("an index"));
        }
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next_u64().to_le_bytes()).flatten().take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_numbers_of_splitmix64() {
        let mut rng = Seed::new(1_234_567).rng();
        let first: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_all_of_it() {
        let mut rng = Rng::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..1000 {
            seen[usize::try_from(rng.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (50..200).contains(count)), "{seen:?}");
    }

    #[test]
    fn shuffling_loses_nothing() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(1).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_come_in_the_number_asked_for() {
        assert_eq!(Rng::new(1).bytes(13).len(), 13);
    }

    #[test]
    fn random_seeds_differ() {
        assert_ne!(random(), random());
    }
}
