//! Compares ranges of keys, several at once.

use std::{collections::HashMap, sync::Arc};

use syncline_types::{Result, Split, fingerprint::RowHasher};
use tokio::task::JoinSet;

use super::{
    Difference, Kind, Observer, StreamVerdict,
    pair::{Pair, Side},
    rows,
    wanted::Wanted,
};
use crate::shell::work::broken;

/// What came of one chunk.
struct ChunkVerdict {
    split: Split,
    source_rows: u64,
    target_rows: u64,
    /// Of the source, and of the target.
    unreadable: (u64, u64),
    /// Keys as text, and their hashes.
    differences: Vec<(Kind, String, u128)>,
}

/// Finds keys in rows: their names, and what hashes them on either side.
struct Keys {
    names: Vec<String>,
    source: RowHasher,
    target: RowHasher,
}

pub(super) async fn compare(
    pair: &Pair,
    parallel: usize,
    wanted: &mut Wanted,
    observer: &mut dyn Observer,
) -> Result<StreamVerdict> {
    let by_digest = pair.method;
    let mut splitter = pair.source.session.splitter(&pair.source.read, None).await?;
    let mut verdict = StreamVerdict::new(pair.name.clone());
    let mut chunks = JoinSet::new();
    let keys = Arc::new(Keys {
        names: pair.key.clone(),
        source: pair.keys(&pair.source.schema)?,
        target: pair.keys(&pair.target.schema)?,
    });
    loop {
        if parallel == 1 {
            // Nothing is to be done side by side.
            let Some(split) = splitter.next().await? else { return Ok(verdict) };
            let chunk = compare_chunk(&pair.source, &pair.target, split, by_digest, &keys).await?;
            take(pair, &mut verdict, chunk, wanted, observer);
            continue;
        }
        while chunks.len() < parallel {
            let Some(split) = splitter.next().await? else { break };
            let (source, target, keys) =
                (Arc::clone(&pair.source), Arc::clone(&pair.target), Arc::clone(&keys));
            chunks.spawn(async move { compare_chunk(&source, &target, split, by_digest, &keys).await });
        }
        let Some(chunk) = chunks.join_next().await else { return Ok(verdict) };
        let chunk = chunk.map_err(|_| broken("comparing a chunk panicked"))??;
        take(pair, &mut verdict, chunk, wanted, observer);
    }
}

/// Adds what came of a chunk to the verdict.
fn take(
    pair: &Pair,
    verdict: &mut StreamVerdict,
    chunk: ChunkVerdict,
    wanted: &mut Wanted,
    observer: &mut dyn Observer,
) {
    verdict.source_rows += chunk.source_rows;
    verdict.target_rows += chunk.target_rows;
    verdict.unreadable += chunk.unreadable.0 + chunk.unreadable.1;
    wanted.source_unreadable += chunk.unreadable.0;
    for (kind, key, hash) in chunk.differences {
        verdict.count(kind);
        wanted.note(kind, hash, Some(&chunk.split), || Some(rows::key_parts(&key)));
        let key = rows::key_object(&rows::key_parts(&key), &pair.source.schema, &pair.key);
        observer.difference(&verdict.stream, &Difference { kind, key });
    }
    observer.progress(&verdict.stream, verdict.source_rows);
}

async fn compare_chunk(
    source: &Side,
    target: &Side,
    split: Split,
    by_digest: bool,
    keys: &Keys,
) -> Result<ChunkVerdict> {
    if by_digest {
        let (a, b) = tokio::try_join!(
            source.session.digest(&source.read, &split),
            target.session.digest(&target.read, &split)
        )?;
        if a == b {
            let (source_rows, target_rows) = (a.rows, b.rows);
            return Ok(ChunkVerdict {
                split,
                source_rows,
                target_rows,
                unreadable: (0, 0),
                differences: vec![],
            });
        }
    }
    let (a, b) = tokio::try_join!(
        hashes(source, &split, &keys.names, &keys.source),
        hashes(target, &split, &keys.names, &keys.target)
    )?;
    let unreadable = (a.1, b.1);
    let mut hashes = a.0;
    let (source_rows, target_rows) = (hashes.len() as u64, b.0.len() as u64);
    let mut differences = vec![];
    for (key, (row, hash)) in b.0 {
        match hashes.remove(&key) {
            Some((same, _)) if same == row => {}
            Some((_, hash)) => differences.push((Kind::Different, key, hash)),
            None => differences.push((Kind::Extra, key, hash)),
        }
    }
    differences.extend(hashes.into_iter().map(|(key, (_, hash))| (Kind::Missing, key, hash)));
    differences.sort_by(|a, b| a.1.len().cmp(&b.1.len()).then_with(|| a.1.cmp(&b.1)));
    Ok(ChunkVerdict { split, source_rows, target_rows, unreadable, differences })
}

/// Each row's hash and that of its key, by the key.
async fn hashes(
    side: &Side,
    split: &Split,
    key: &[String],
    hasher: &RowHasher,
) -> Result<(HashMap<String, (u128, u128)>, u64)> {
    let mut hashes = HashMap::new();
    let unreadable = rows::each_batch(side, split, |batch| {
        let keys = rows::key_texts(batch, &side.schema, key)?;
        let both = side.rows.hash(batch)?.into_iter().zip(hasher.hash(batch)?);
        hashes.extend(keys.into_iter().zip(both));
        Ok(())
    })
    .await?;
    Ok((hashes, unreadable))
}
