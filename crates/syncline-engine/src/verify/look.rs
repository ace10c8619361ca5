//! Reads the rows of some keys again at both ends: by their keys where both ends find rows by them, else
//! with the splits they are in, else with everything.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow_array::RecordBatch;
use syncline_config::Pipeline;
use syncline_connect::{Read, Source};
use syncline_types::{Comparison, Position, Predicate, Result, Split, SplitId, fingerprint::RowHasher};

use super::{
    Ends, Kind,
    pair::{Pair, Side},
    rows,
};
use crate::shell::StreamWork;

/// Keys that a database is asked for in one condition.
const ASKED_MAX: usize = 200;
/// Keys that are asked for at all; more are found faster by reading on.
const ASKED_ALL_MAX: usize = 5_000;

/// A stream whose rows are looked at again.
pub(crate) struct Lookup<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) work: &'a StreamWork,
    pub(crate) ends: &'a Ends,
}

/// A row that may differ.
#[derive(Debug)]
pub(crate) struct Suspect {
    /// The hash of its key.
    pub(crate) key: u128,
    /// The split it is in, where that is known.
    pub(crate) split: Option<SplitId>,
    /// The texts of its key's columns, once they are known.
    pub(crate) text: Option<Vec<String>>,
    /// What is there at the last look.
    pub(crate) seen: Option<Seen>,
    /// How many looks in a row have found just that.
    pub(crate) alike: u32,
    /// Those of them before which the pipeline was past the first of them.
    pub(crate) past: u32,
    /// Where the log ended after the first of them.
    pub(crate) since: Option<Arc<Position>>,
}

/// What both ends have of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    source: Rows,
    target: Rows,
}

/// The rows with one key: one at most, where the key is what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rows {
    count: u64,
    /// Of their hashes.
    sum: u128,
}

impl Seen {
    pub(crate) fn equal(self) -> bool {
        self.source == self.target
    }

    pub(crate) fn kind(self) -> Kind {
        match (self.source.count, self.target.count) {
            (0, _) => Kind::Extra,
            (_, 0) => Kind::Missing,
            _ => Kind::Different,
        }
    }
}

/// What is read of a side.
enum Way {
    /// For each part of the keys, a condition.
    Asked(Vec<Predicate>),
    Splits(Vec<Split>),
    Everything,
}

/// What a side has, by the hash of the key: the rows, and the texts of the key's columns.
type Had = HashMap<u128, (Rows, Vec<String>)>;

impl Lookup<'_> {
    /// Looks at all of these, which are sorted by their keys. Each side is one snapshot.
    pub(crate) async fn look(
        &self,
        suspects: &mut [Suspect],
        splits: &BTreeMap<SplitId, Split>,
    ) -> Result<Vec<Seen>> {
        let Ends { source, target, .. } = self.ends;
        let pair = Pair::of_some(self.pipeline, self.work, source, target).await?;
        let (from, to) = self.ways(&pair, suspects, splits);
        let wanted: Vec<u128> = suspects.iter().map(|suspect| suspect.key).collect();
        let (mut from, mut to) = tokio::try_join!(
            had(&pair, &pair.source, &from, &wanted),
            had(&pair, &pair.target, &to, &wanted)
        )?;
        tracing::debug!(rows = suspects.len(), stream = pair.name, "looked at rows again");
        let seen = suspects.iter_mut().map(|suspect| {
            let (source, target) = (from.remove(&suspect.key), to.remove(&suspect.key));
            let rows =
                |had: &Option<(Rows, Vec<String>)>| had.as_ref().map_or_else(Rows::default, |had| had.0);
            let seen = Seen { source: rows(&source), target: rows(&target) };
            if suspect.text.is_none() {
                suspect.text = source.or(target).map(|(_, text)| text);
            }
            seen
        });
        Ok(seen.collect())
    }

    /// The columns of a row that are not the same at both ends, where both have it.
    pub(crate) async fn columns(&self, suspect: &Suspect) -> Result<Vec<String>> {
        let Ends { source, target, .. } = self.ends;
        let pair = Pair::of_some(self.pipeline, self.work, source, target).await?;
        let (from, to) = self.ways(&pair, std::slice::from_ref(suspect), &BTreeMap::new());
        let (from, to) = tokio::try_join!(
            hashes(&pair, &pair.source, &from, suspect.key),
            hashes(&pair, &pair.target, &to, suspect.key)
        )?;
        let (Some(from), Some(to)) = (from, to) else { return Ok(vec![]) };
        let both = pair.columns.iter().zip(from.into_iter().zip(to));
        Ok(both.filter(|(_, (from, to))| from != to).map(|((name, _), _)| name.clone()).collect())
    }

    fn ways(&self, pair: &Pair, suspects: &[Suspect], splits: &BTreeMap<SplitId, Split>) -> (Way, Way) {
        if let Some((from, to)) = self.asked(pair, suspects) {
            return (Way::Asked(from), Way::Asked(to));
        }
        let known: Option<BTreeMap<SplitId, Split>> = suspects
            .iter()
            .map(|suspect| splits.get_key_value(&suspect.split?).map(|(id, split)| (*id, split.clone())))
            .collect();
        match known {
            Some(known) => {
                let known: Vec<Split> = known.into_values().collect();
                (Way::Splits(known.clone()), Way::Splits(known))
            }
            None => (Way::Everything, Way::Everything),
        }
    }

    /// Conditions for both ends; `None` where one of them would not find just these rows by them.
    fn asked(&self, pair: &Pair, suspects: &[Suspect]) -> Option<(Vec<Predicate>, Vec<Predicate>)> {
        if suspects.len() > ASKED_ALL_MAX {
            return None;
        }
        let columns = key_columns(self.work, pair)?;
        let texts: Vec<&Vec<String>> =
            suspects.iter().map(|suspect| suspect.text.as_ref()).collect::<Option<_>>()?;
        let conditions = |name: fn(&(String, String)) -> &String| -> Vec<Predicate> {
            let row = |texts: &&Vec<String>| {
                let compare = |(columns, text): (&(String, String), &String)| equal(name(columns), text);
                Predicate::And(columns.iter().zip(*texts).map(compare).collect())
            };
            texts.chunks(ASKED_MAX).map(|part| Predicate::Or(part.iter().map(row).collect())).collect()
        };
        let (from, to) = (conditions(|columns| &columns.0), conditions(|columns| &columns.1));
        let evaluates = |source: &Arc<dyn Source>, read: &Read, all: &[Predicate]| {
            all.iter().all(|condition| source.evaluates(&read.stream, condition))
        };
        (evaluates(&self.ends.source, &pair.source.read, &from)
            && evaluates(&self.ends.target, &pair.target.read, &to))
        .then_some((from, to))
    }
}

pub(crate) fn equal(column: &str, text: &str) -> Predicate {
    Predicate::Compare { column: column.to_owned(), op: Comparison::Equal, constant: text.to_owned() }
}

/// The key's columns at the source and at the target; `None` where a value is not the same text at both.
fn key_columns(work: &StreamWork, pair: &Pair) -> Option<Vec<(String, String)>> {
    let column = |name: &String| {
        let carried = |input: &&String| work.chain.carrier(input) == Some(name.as_str());
        let input = work.read.columns.iter().find(carried)?;
        let from = pair.source.read.stream.schema.column(input)?.logical;
        let to = pair.target.read.stream.schema.column(name)?.logical;
        (from == to || from.is_integer() && to.is_integer()).then(|| (input.clone(), name.clone()))
    };
    (!pair.key.is_empty()).then(|| pair.key.iter().map(column).collect())?
}

/// What a side has of the keys wanted.
async fn had(pair: &Pair, side: &Side, way: &Way, wanted: &[u128]) -> Result<Had> {
    let mut had = Had::new();
    visit(pair, side, way, wanted, |row, hash| {
        let value = side.rows.hash(row)?.pop().unwrap_or_default();
        let text = rows::texts(row, &side.schema, &pair.naming())?.pop().unwrap_or_default();
        let (rows, _) = had.entry(hash).or_insert_with(|| (Rows::default(), text));
        rows.count += 1;
        rows.sum = rows.sum.wrapping_add(value);
        Ok(())
    })
    .await?;
    Ok(had)
}

/// The hash of each column of a row, if the side has it.
async fn hashes(pair: &Pair, side: &Side, way: &Way, key: u128) -> Result<Option<Vec<u128>>> {
    let column = |column| RowHasher::new(&side.schema, std::slice::from_ref(column));
    let hashers = pair.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    let mut all = None;
    visit(pair, side, way, &[key], |row, _| {
        let hash = |hasher: &RowHasher| Ok(hasher.hash(row)?.pop().unwrap_or_default());
        all = Some(hashers.iter().map(hash).collect::<Result<Vec<_>>>()?);
        Ok(())
    })
    .await?;
    Ok(all)
}

/// Calls `each` with every row of the keys wanted, and the hash of its key.
async fn visit(
    pair: &Pair,
    side: &Side,
    way: &Way,
    wanted: &[u128],
    mut each: impl FnMut(&RecordBatch, u128) -> Result<()>,
) -> Result<()> {
    let keys = pair.keys(&side.schema)?;
    let mut of_batch = |batch: &RecordBatch| {
        let hashes = keys.hash(batch)?.into_iter().enumerate();
        let mut found = hashes.filter(|(_, hash)| wanted.binary_search(hash).is_ok());
        found.try_for_each(|(row, hash)| each(&batch.slice(row, 1), hash))
    };
    match way {
        Way::Asked(conditions) => {
            for condition in conditions {
                let filter = match side.read.filter.clone() {
                    Some(own) => Predicate::And(vec![own, condition.clone()]),
                    None => condition.clone(),
                };
                let read = Arc::new(Read { filter: Some(filter), ..Read::clone(&side.read) });
                everything(&Side { read, ..side.clone() }, &mut of_batch).await?;
            }
        }
        Way::Splits(splits) => {
            for split in splits {
                rows::each_batch(side, split, &mut of_batch).await?;
            }
        }
        Way::Everything => everything(side, &mut of_batch).await?,
    }
    Ok(())
}

async fn everything(side: &Side, each: &mut impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
    let mut splitter = side.session.splitter(&side.read, None).await?;
    while let Some(split) = splitter.next().await? {
        rows::each_batch(side, &split, &mut *each).await?;
    }
    Ok(())
}
