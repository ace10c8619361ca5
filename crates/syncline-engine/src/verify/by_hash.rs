//! Compares rows that no order relates: each side is read once, its hashes are kept on disk in
//! partitions, and each partition is compared in memory. A second reading names the rows that differ.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{BufWriter, Read as _, Write},
    path::{Path, PathBuf},
};

use syncline_types::{Error, Result, codes};

use super::{
    Difference, Kind, Observer, StreamVerdict,
    pair::{Pair, Side},
    rows,
    wanted::Wanted,
};

/// Files a side: a partition of 100 million rows then takes 50 MB in memory.
const PARTITIONS: usize = 64;

/// Bytes of a record: the hash of the key, and that of the row.
const RECORD_BYTES: usize = 32;

/// Rows that are named; all are counted.
const NAMED_MAX: usize = 1_000;

/// A folder that goes with whoever made it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is hashes and no more; there is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn compare(
    pair: &Pair,
    scratch: &Path,
    wanted: &mut Wanted,
    observer: &mut dyn Observer,
) -> Result<StreamVerdict> {
    let scratch = Scratch(scratch.to_owned());
    fs::create_dir_all(&scratch.0).map_err(|error| failed(&scratch.0, &error))?;
    let mut verdict = StreamVerdict::new(pair.name.clone());
    let (source, target) = (scratch.0.join("source"), scratch.0.join("target"));
    let read = spill(pair, &pair.source, &source).await?;
    (verdict.source_rows, verdict.unreadable) = read;
    wanted.source_unreadable += verdict.unreadable;
    observer.progress(&verdict.stream, verdict.source_rows);
    let read = spill(pair, &pair.target, &target).await?;
    verdict.target_rows = read.0;
    verdict.unreadable += read.1;
    let mut named: HashMap<u128, Kind> = HashMap::new();
    for partition in 0..PARTITIONS {
        let (a, b) = (load(&source, partition)?, load(&target, partition)?);
        for (kind, key) in differences(a, b) {
            verdict.count(kind);
            wanted.note(kind, key, None, || None);
            // Whoever looks at them again names them then.
            if named.len() < NAMED_MAX && wanted.found.is_none() {
                named.insert(key, kind);
            }
        }
    }
    if !named.is_empty() {
        name_rows(pair, &named, &verdict.stream, observer).await?;
    }
    Ok(verdict)
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(&codes::STATE_FAILED, "keep hashes in", path.display())
        .because(error)
        .hint("Make room there, or name another directory with --state DIR")
}

fn partition_file(base: &Path, partition: usize) -> PathBuf {
    base.with_extension(partition.to_string())
}

/// Reads a side and writes its hashes. Returns its rows, and how many cannot be read.
async fn spill(pair: &Pair, side: &Side, base: &Path) -> Result<(u64, u64)> {
    let mut files = (0..PARTITIONS)
        .map(|partition| {
            let path = partition_file(base, partition);
            File::create(&path).map(BufWriter::new).map_err(|error| failed(&path, &error))
        })
        .collect::<Result<Vec<_>>>()?;
    let keys = pair.keys(&side.schema)?;
    let (mut rows, mut unreadable) = (0, 0);
    let mut splitter = side.session.splitter(&side.read, None).await?;
    while let Some(split) = splitter.next().await? {
        unreadable += rows::each_batch(side, &split, |batch| {
            rows += batch.num_rows() as u64;
            for (key, row) in keys.hash(batch)?.into_iter().zip(side.rows.hash(batch)?) {
                let file = &mut files[(key % PARTITIONS as u128) as usize];
                file.write_all(&[key.to_le_bytes(), row.to_le_bytes()].concat())
                    .map_err(|error| failed(base, &error))?;
            }
            Ok(())
        })
        .await?;
    }
    files.iter_mut().try_for_each(Write::flush).map_err(|error| failed(base, &error))?;
    Ok((rows, unreadable))
}

type Record = (u128, u128);

fn load(base: &Path, partition: usize) -> Result<Vec<Record>> {
    let path = partition_file(base, partition);
    let mut bytes = vec![];
    File::open(&path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| failed(&path, &error))?;
    let number = |half: &[u8]| half.try_into().map(u128::from_le_bytes).unwrap_or_default();
    let mut records: Vec<Record> = bytes
        .chunks_exact(RECORD_BYTES)
        .map(|record| (number(&record[..16]), number(&record[16..])))
        .collect();
    records.sort_unstable();
    Ok(records)
}

/// What differs between two sorted lists, each a multiset: rows of one key pair up in their order.
fn differences(source: Vec<Record>, target: Vec<Record>) -> Vec<(Kind, u128)> {
    let mut found = vec![];
    let (mut source, mut target) = (source.into_iter().peekable(), target.into_iter().peekable());
    loop {
        match (source.peek().copied(), target.peek().copied()) {
            (None, None) => return found,
            (Some(a), Some(b)) if a == b => {
                source.next();
                target.next();
            }
            (Some(a), Some(b)) if a.0 == b.0 => {
                // The smaller hash has no partner on the other side; both may still be one row.
                found.push((Kind::Different, a.0));
                source.next();
                target.next();
            }
            (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                found.push((Kind::Missing, a.0));
                source.next();
            }
            (_, Some(b)) => {
                found.push((Kind::Extra, b.0));
                target.next();
            }
            (Some(_), None) => unreachable!("a list that has ended is no larger"),
        }
    }
}

/// Reads again to say which rows the hashes stand for. Each is named once, at the side that has it.
async fn name_rows(
    pair: &Pair,
    wanted: &HashMap<u128, Kind>,
    stream: &str,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut named = HashSet::new();
    for (side, at_source) in [(&pair.source, true), (&pair.target, false)] {
        let keys = pair.keys(&side.schema)?;
        let mut splitter = side.session.splitter(&side.read, None).await?;
        while let Some(split) = splitter.next().await? {
            rows::each_batch(side, &split, |batch| {
                for (row, key) in keys.hash(batch)?.into_iter().enumerate() {
                    let Some(kind) = wanted.get(&key).filter(|kind| (**kind != Kind::Extra) == at_source)
                    else {
                        continue;
                    };
                    if named.insert(key) {
                        let key = rows::row_object(batch, &side.schema, row, &pair.pairing)?;
                        observer.difference(stream, &Difference { kind: *kind, key });
                    }
                }
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multisets_are_compared_row_by_row() {
        let source = vec![(1, 10), (2, 20), (2, 20), (3, 30), (5, 50)];
        let target = vec![(1, 10), (2, 20), (3, 31), (4, 40), (5, 50), (5, 50)];
        assert_eq!(
            differences(source, target),
            [(Kind::Missing, 2), (Kind::Different, 3), (Kind::Extra, 4), (Kind::Extra, 5)]
        );
    }
}
