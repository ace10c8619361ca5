//! Where splits begin and end: ranges of the key, ranges of pages, or the whole.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_connect::{Read, Splitter};
use syncline_sql::{Dialect, cut_condition, key_range_condition, order_by};
use syncline_types::{Extent, KeyRange, Result, Split, SplitId};

use super::{Shared, garbled, key};
use crate::dialect::{Postgres, qualified};

/// Rows on a page when the server has never counted them.
const ROWS_PER_PAGE_GUESS: u64 = 60;

/// Cuts by the key: each chunk ends at the key that lies so many rows behind the last.
pub(super) struct KeySplitter {
    pub(super) shared: Arc<Shared>,
    pub(super) read: Arc<Read>,
    pub(super) chunk: u64,
    pub(super) last: Option<Extent>,
    pub(super) next_id: u32,
}

#[async_trait]
impl Splitter for KeySplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let after = match &self.last {
            None => None,
            Some(Extent::Keys(KeyRange { upto: Some(upto), .. })) => Some(upto.clone()),
            Some(_) => return Ok(None),
        };
        let upto = self.bound(after.as_ref()).await?;
        let extent = Extent::Keys(KeyRange { after, upto });
        self.last = Some(extent.clone());
        let id = SplitId(self.next_id);
        self.next_id += 1;
        Ok(Some(Split { id, extent, rows_estimate: Some(self.chunk) }))
    }
}

impl KeySplitter {
    /// The key of the row that is the chunk's last; `None` when fewer are left.
    async fn bound(&self, after: Option<&Vec<String>>) -> Result<Option<Vec<String>>> {
        let shared = &self.shared;
        let (schema, key) = (&self.read.stream.schema, key(&self.read)?);
        let range = KeyRange { after: after.cloned(), upto: None };
        let behind = key_range_condition(&Postgres, schema, key, &range).ok_or_else(garbled)?;
        let condition = cut_condition(&Postgres, &self.read, behind).ok_or_else(garbled)?;
        // Named otherwise than the columns: ORDER BY would take the text of that name for the key.
        let texts: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{}::text AS bound_{at}", Postgres.quote(column)))
            .collect();
        let only = if shared.listed(&self.read)?.kind == 'r' { "ONLY " } else { "" };
        let sql = format!(
            "SELECT {} FROM {only}{} WHERE {condition} ORDER BY {} OFFSET {} LIMIT 1",
            texts.join(", "),
            qualified(&self.read.stream.name, &shared.config.schema),
            order_by(&Postgres, key),
            self.chunk - 1
        );
        let name = self.read.stream.name.to_string();
        let rows = shared.ask(&sql, &name).await;
        let rows =
            rows.map_err(|error| if shared.exporter.inner.is_closed() { shared.lost() } else { error })?;
        rows.into_iter()
            .next()
            .map(|row| row.into_iter().collect::<Option<Vec<_>>>().ok_or_else(garbled))
            .transpose()
    }
}

/// Cuts by pages, partition by partition.
pub(super) struct PageSplitter {
    pub(super) shared: Arc<Shared>,
    pub(super) read: Arc<Read>,
    pub(super) chunk: u64,
    /// What is left, the next one last.
    pub(super) planned: Option<Vec<Split>>,
}

#[async_trait]
impl Splitter for PageSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        if self.planned.is_none() {
            self.planned = Some(self.plan().await?);
        }
        Ok(self.planned.as_mut().and_then(Vec::pop))
    }
}

impl PageSplitter {
    async fn plan(&self) -> Result<Vec<Split>> {
        let oid = self.shared.listed(&self.read)?.oid;
        let sql = format!(
            "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind,
                    pg_relation_size(c.oid) / current_setting('block_size')::bigint, greatest(c.reltuples, 0)::bigint
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = {oid} AND c.relkind <> 'p'
                OR c.oid IN (SELECT relid FROM pg_partition_tree({oid}) WHERE isleaf)
             ORDER BY c.oid"
        );
        let name = self.read.stream.name.to_string();
        let rows = self.shared.ask(&sql, &name).await?;
        let mut splits = vec![];
        for row in rows {
            let [Some(table), Some(kind), Some(pages), Some(rows)] = row.as_slice() else {
                return Err(garbled());
            };
            let (pages, rows): (u64, u64) =
                (pages.parse().map_err(|_| garbled())?, rows.parse().map_err(|_| garbled())?);
            // A foreign table has no pages to cut by.
            let step = if kind == "f" { u64::MAX } else { pages_per_chunk(self.chunk, pages, rows) };
            let mut from = 0_u64;
            loop {
                // The last chunk of each is open, for pages that have come since they were counted.
                let upto = from.checked_add(step).filter(|upto| *upto < pages);
                let spec = serde_json::to_string(&Pages { table: table.clone(), from, upto });
                let id = SplitId(u32::try_from(splits.len()).map_err(|_| garbled())?);
                let extent = Extent::Own(spec.expect("a range of pages serialises"));
                splits.push(Split { id, extent, rows_estimate: Some(self.chunk) });
                match upto {
                    Some(upto) => from = upto,
                    None => break,
                }
            }
        }
        splits.reverse();
        Ok(splits)
    }
}

fn pages_per_chunk(chunk_rows: u64, pages: u64, rows: u64) -> u64 {
    let rows_per_page = if pages == 0 || rows == 0 { ROWS_PER_PAGE_GUESS } else { (rows / pages).max(1) };
    (chunk_rows / rows_per_page).max(1)
}

/// Does not cut.
pub(super) struct WholeSplitter {
    pub(super) done: bool,
}

#[async_trait]
impl Splitter for WholeSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let split =
            (!self.done).then_some(Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None });
        self.done = true;
        Ok(split)
    }
}

/// A range of pages of one table or partition.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pages {
    /// Quoted, with its schema.
    pub(super) table: String,
    pub(super) from: u64,
    /// `None`: to the end, wherever that is by now.
    pub(super) upto: Option<u64>,
}

impl Pages {
    pub(super) fn condition(&self) -> Option<String> {
        let from = (self.from > 0).then(|| format!("ctid >= '({},0)'::tid", self.from));
        let upto = self.upto.map(|upto| format!("ctid < '({upto},0)'::tid"));
        let parts: Vec<String> = from.into_iter().chain(upto).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_rows_on_them() {
        assert_eq!(pages_per_chunk(100_000, 0, 0), 1_666);
        assert_eq!(pages_per_chunk(100_000, 1_000, 100_000), 1_000);
        assert_eq!(pages_per_chunk(10, 1_000, 100_000), 1);
        assert_eq!(pages_per_chunk(10, 1_000, 10), 10);
    }

    #[test]
    fn a_range_of_pages_is_a_condition() {
        let pages = |from, upto| Pages { table: "t".into(), from, upto }.condition();
        assert_eq!(pages(0, None), None);
        assert_eq!(pages(5, Some(9)).unwrap(), "ctid >= '(5,0)'::tid AND ctid < '(9,0)'::tid");
    }
}
