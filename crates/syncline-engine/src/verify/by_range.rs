//! Compares ranges of keys, several at once.

use std::{collections::HashMap, sync::Arc};

use syncline_types::{Result, Split};
use tokio::task::JoinSet;

use super::{Difference, Kind, Observer, Pair, Side, StreamVerdict, rows};
use crate::shell::work::broken;

/// What came of one chunk.
struct ChunkVerdict {
    source_rows: u64,
    target_rows: u64,
    unreadable: u64,
    /// Keys as text.
    differences: Vec<(Kind, String)>,
}

pub(super) async fn compare(
    pair: &Pair,
    by_digest: bool,
    parallel: usize,
    name: String,
    observer: &mut dyn Observer,
) -> Result<StreamVerdict> {
    let mut splitter = pair.source.session.splitter(&pair.source.read, None).await?;
    let mut verdict = StreamVerdict::new(name);
    let mut chunks = JoinSet::new();
    let key = Arc::new(pair.key.clone());
    loop {
        while chunks.len() < parallel {
            let Some(split) = splitter.next().await? else { break };
            let (source, target, key) =
                (Arc::clone(&pair.source), Arc::clone(&pair.target), Arc::clone(&key));
            chunks.spawn(async move { compare_chunk(&source, &target, &split, by_digest, &key).await });
        }
        let Some(chunk) = chunks.join_next().await else { return Ok(verdict) };
        let chunk = chunk.map_err(|_| broken("comparing a chunk panicked"))??;
        verdict.source_rows += chunk.source_rows;
        verdict.target_rows += chunk.target_rows;
        verdict.unreadable += chunk.unreadable;
        for (kind, key) in chunk.differences {
            verdict.count(kind);
            let key = rows::key_object(&key, &pair.source.schema, &pair.key);
            observer.difference(&verdict.stream, &Difference { kind, key });
        }
        observer.progress(&verdict.stream, verdict.source_rows);
    }
}

async fn compare_chunk(
    source: &Side,
    target: &Side,
    split: &Split,
    by_digest: bool,
    key: &[String],
) -> Result<ChunkVerdict> {
    if by_digest {
        let (a, b) = tokio::try_join!(
            source.session.digest(&source.read, split),
            target.session.digest(&target.read, split)
        )?;
        if a == b {
            let (source_rows, target_rows) = (a.rows, b.rows);
            return Ok(ChunkVerdict { source_rows, target_rows, unreadable: 0, differences: vec![] });
        }
    }
    let (a, b) = tokio::try_join!(hashes(source, split, key), hashes(target, split, key))?;
    let (mut hashes, mut unreadable) = a;
    unreadable += b.1;
    let (source_rows, target_rows) = (hashes.len() as u64, b.0.len() as u64);
    let mut differences = vec![];
    for (key, hash) in b.0 {
        match hashes.remove(&key) {
            Some(same) if same == hash => {}
            Some(_) => differences.push((Kind::Different, key)),
            None => differences.push((Kind::Extra, key)),
        }
    }
    differences.extend(hashes.into_keys().map(|key| (Kind::Missing, key)));
    differences.sort_by(|a, b| a.1.len().cmp(&b.1.len()).then_with(|| a.1.cmp(&b.1)));
    Ok(ChunkVerdict { source_rows, target_rows, unreadable, differences })
}

/// Each row's hash by its key.
async fn hashes(side: &Side, split: &Split, key: &[String]) -> Result<(HashMap<String, u128>, u64)> {
    let mut hashes = HashMap::new();
    let unreadable = rows::each_batch(side, split, |batch| {
        let keys = rows::key_texts(batch, &side.schema, key)?;
        hashes.extend(keys.into_iter().zip(side.rows.hash(batch)?));
        Ok(())
    })
    .await?;
    Ok((hashes, unreadable))
}
