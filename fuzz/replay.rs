//! Runs what is in a fuzz target's corpus, and mutations of it, through the target's function: so an
//! ordinary `cargo test` covers it without libFuzzer. Included by the tests of the crates that have
//! targets, since it is used nowhere else.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::{BuildHasher, Hasher},
    path::Path,
};

/// Mutations of each file.
const MUTATIONS: u64 = 300;
/// A replayed seed, or what the one that was printed is put into.
const SEED: &str = "SYNCLINE_SEED";

/// Calls `run` with every file of `fuzz/corpus/TARGET`, then with mutations of each. A panic comes with
/// the seed, which `SYNCLINE_SEED` replays.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let seed = match env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED}={seed} is no number")),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    println!("{SEED}={seed} replays this");
    let mut random = Random(seed | 1);
    let texts: Vec<Vec<u8>> =
        files.iter().map(|file| fs::read(file).expect("a file of the corpus can be read")).collect();
    run(&[]);
    for text in &texts {
        run(text);
        for _ in 0..MUTATIONS {
            let mut mutated = text.clone();
            for _ in 0..=random.below(3) {
                let other = &texts[random.below(texts.len())];
                mutate(&mut mutated, other, &mut random);
            }
            run(&mutated);
        }
    }
}

/// Numbers by xorshift, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).expect("it is below a usize")
    }
}

fn mutate(text: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(text.len());
    let end = (at + random.below(32)).min(text.len());
    match random.below(7) {
        0 => text.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (random.next() % 8)),
        1 => text.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.next().to_le_bytes()[0]),
        2 => drop(text.drain(at..end)),
        3 => text.truncate(at),
        4 => {
            let again = text[at..end].to_vec();
            drop(text.splice(at..at, again));
        }
        5 => {
            let from = random.below(other.len());
            let some = other[from..(from + random.below(64)).min(other.len())].to_vec();
            drop(text.splice(at..end, some));
        }
        _ => text.insert(at, [b'"', b'\n', b'\\', b',', 0, 0xFF][random.below(6)]),
    }
}
