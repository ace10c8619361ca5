//! A simulated source: keyed tables that outlive their snapshot, and others that do not.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use async_trait::async_trait;
use syncline_connect::{
    Batch, Digest, Edge, Finding, NameGlob, Next, Read, Reader, Selection, Session, Source, SplitOrder,
    Splitter, Stream,
};
use syncline_testkit::conformance::Row;
use syncline_types::{
    Column, Error, Extent, KeyRange, LogicalType, Position, Predicate, Progress, Result, Split, SplitId,
    StreamName, TableSchema, codes,
};

use super::world::{Shared, stream_of, table_name};

/// The source as one process sees it, with the number of that process's state directory.
pub(crate) struct SimSource(pub(crate) Shared, pub(crate) usize);

/// Rows of a batch.
const PAGE: usize = 3;

pub(crate) fn stream(number: usize, keyed: bool) -> Stream {
    let columns =
        vec![Column::new("id", LogicalType::Int64).required(), Column::new("value", LogicalType::Int64)];
    let key: &[&str] = if keyed { &["id"] } else { &[] };
    Stream {
        name: StreamName::bare(table_name(number)),
        in_default_namespace: true,
        schema: TableSchema::new("sim", columns).with_key(key.iter().copied()),
        order: if keyed { SplitOrder::Key(vec!["id".into()]) } else { SplitOrder::Place },
        rows_estimate: None,
        bytes_estimate: None,
    }
}

fn number(read: &Read) -> usize {
    stream_of(&read.stream.name.table)
}

#[async_trait]
impl Source for SimSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let world = self.0.get();
        let all = world.tables.iter().enumerate().map(|(number, table)| stream(number, table.keyed));
        match selection {
            Selection::Default => Ok(all.collect()),
            Selection::Name(name) => match all.into_iter().find(|stream| stream.name == *name) {
                Some(stream) => Ok(vec![stream]),
                None => Err(Error::new(&codes::STREAM_MISSING, "find", name.to_string())),
            },
            Selection::Glob(glob) => {
                let glob = NameGlob::new(glob)?;
                Ok(all.filter(|stream| glob.matches(&stream.name, true)).collect())
            }
        }
    }

    fn evaluates(&self, _: &Stream, _: &Predicate) -> bool {
        false
    }

    async fn inspect(&self, _: &[Arc<Read>]) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    async fn begin(&self, _: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        self.0.shake("begin")?;
        let mut world = self.0.get();
        world.sessions += 1;
        let id = world.sessions;
        let world = &mut *world;
        for table in &mut world.tables {
            if table.changing && world.dice.chance(500) {
                let key = table.rows.keys().next_back().copied().unwrap_or(0) + 1;
                table.rows.insert(key, Some((world.dice.roll() % 1_000) as i64));
                let first = table.rows.keys().next().copied();
                first.filter(|_| world.dice.chance(500)).map(|key| table.rows.remove(&key));
            }
            table.snapshots.insert(id, table.rows.clone());
        }
        Ok(Box::new(SimSession { world: self.0.clone(), id, state: self.1 }))
    }

    async fn edge(&self, stream: &Stream, _: &str) -> Result<Edge> {
        self.0.shake("find the highest value")?;
        let rows = &self.0.get().tables[stream_of(&stream.name.table)].rows;
        let nulls = rows.values().filter(|value| value.is_none()).count() as u64;
        Ok(Edge { highest: rows.values().flatten().max().map(i64::to_string), nulls })
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

#[derive(Clone)]
struct SimSession {
    world: Shared,
    id: u64,
    state: usize,
}

impl SimSession {
    fn alive(&self) -> Result<()> {
        let mut world = self.world.get();
        let chaos = world.chaos;
        if world.dice.chance(chaos / 4) {
            world.lost.insert(self.id);
        }
        if world.lost.contains(&self.id) {
            return Err(Error::new(&codes::SNAPSHOT_LOST, "read", "the simulated source"));
        }
        Ok(())
    }

    fn rows(&self, read: &Read) -> Vec<Row> {
        let world = self.world.get();
        world.tables[number(read)].snapshots[&self.id].iter().map(|(key, value)| (*key, *value)).collect()
    }
}

#[async_trait]
impl Session for SimSession {
    fn describe(&self) -> String {
        format!("snapshot {}", self.id)
    }

    async fn splitter(&self, read: &Arc<Read>, last: Option<&Split>) -> Result<Box<dyn Splitter>> {
        self.alive()?;
        Ok(Box::new(SimSplitter { session: self.clone(), read: Arc::clone(read), last: last.cloned() }))
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, at: Option<&Position>) -> Result<Box<dyn Reader>> {
        self.alive()?;
        self.world.shake("open a reader")?;
        let rows = self.rows(read);
        let rows: Vec<Row> = match &split.extent {
            Extent::Keys(range) => {
                let bound =
                    |bound: &Option<Vec<String>>| bound.as_ref().map(|key| key[0].parse::<i64>().unwrap());
                let (after, upto) = (bound(&range.after), bound(&range.upto));
                let at = at.map(|at| at.0.parse::<i64>().unwrap());
                rows.into_iter()
                    .filter(|(key, _)| {
                        after.is_none_or(|after| *key > after) && upto.is_none_or(|upto| *key <= upto)
                    })
                    .filter(|(key, _)| at.is_none_or(|at| *key > at))
                    .collect()
            }
            Extent::Own(spec) => {
                // A place means nothing in another snapshot; a source would read whatever lies there now.
                let (from, upto) = spec.split_once("..").unwrap();
                let (from, upto): (usize, usize) = (from.parse().unwrap(), upto.parse().unwrap());
                rows.into_iter().skip(from).take(upto - from).collect()
            }
            Extent::Whole => rows,
        };
        Ok(Box::new(SimReader {
            session: self.clone(),
            stream: number(read),
            split: split.id,
            keyed: matches!(split.extent, Extent::Keys(_)),
            rows,
            next: 0,
        }))
    }

    async fn digest(&self, _: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(Error::new(&codes::UNSUPPORTED, "compute a checksum in", "the simulated source"))
    }
}

struct SimSplitter {
    session: SimSession,
    read: Arc<Read>,
    last: Option<Split>,
}

#[async_trait]
impl Splitter for SimSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        self.session.alive()?;
        self.session.world.shake("plan a split")?;
        let rows = self.session.rows(&self.read);
        let chunk = self.read.chunk_rows as usize;
        let id = SplitId(self.last.as_ref().map_or(0, |last| last.id.0 + 1));
        let keyed = self.read.stream.order.outlives_snapshot();
        let extent = match self.last.as_ref().map(|last| &last.extent) {
            Some(Extent::Keys(KeyRange { upto: None, .. })) => return Ok(None),
            Some(Extent::Keys(KeyRange { upto: Some(upto), .. })) => {
                let after: i64 = upto[0].parse().unwrap();
                keys(Some(after), rows.iter().filter(|(key, _)| *key > after).nth(chunk - 1))
            }
            None if keyed => keys(None, rows.get(chunk - 1)),
            last => {
                let from: usize = match last {
                    Some(Extent::Own(spec)) => spec.split_once("..").unwrap().1.parse().unwrap(),
                    _ => 0,
                };
                if from >= rows.len() {
                    return Ok(None);
                }
                Extent::Own(format!("{from}..{}", from + chunk))
            }
        };
        let split = Split { id, extent, rows_estimate: None };
        self.last = Some(split.clone());
        Ok(Some(split))
    }
}

fn keys(after: Option<i64>, upto: Option<&Row>) -> Extent {
    let bound = |key: i64| vec![key.to_string()];
    Extent::Keys(KeyRange { after: after.map(bound), upto: upto.map(|(key, _)| bound(*key)) })
}

struct SimReader {
    session: SimSession,
    stream: usize,
    split: SplitId,
    keyed: bool,
    rows: Vec<Row>,
    next: usize,
}

#[async_trait]
impl Reader for SimReader {
    async fn next(&mut self) -> Result<Next> {
        // A reader that is open goes on, even when its session can open no more.
        self.session.world.shake("read")?;
        let position = |row: Option<&Row>| row.map(|(key, _)| Position(key.to_string()));
        let last = self.next.checked_sub(1).and_then(|last| self.rows.get(last));
        if let Some(position) = position(last).filter(|_| self.keyed)
            && self.session.world.get().dice.chance(100)
        {
            return Ok(Next::Idle(position));
        }
        let page: Vec<Row> = self.rows.iter().skip(self.next).take(PAGE).copied().collect();
        if page.is_empty() {
            return Ok(Next::End);
        }
        self.next += page.len();
        let resumable = self.keyed && self.session.world.get().dice.chance(500);
        Ok(Next::Batch(Batch {
            rows: batch(&page),
            bytes: page.len() as u64 * 16,
            position: position(page.last()).filter(|_| resumable),
            rejects: vec![],
            memory: None,
        }))
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        let mut world = self.session.world.get();
        let saved = world.states[self.session.state].run.as_ref().and_then(|run| {
            let stream = run.streams.get(self.stream)?;
            stream.splits.iter().find(|saved| saved.split.id == self.split)?.row.clone()
        });
        let durable = match saved.map(|row| row.progress) {
            Some(Progress::Done) => true,
            Some(Progress::At(at)) => at.0.parse::<i64>().unwrap() >= upto.0.parse::<i64>().unwrap(),
            None => false,
        };
        if !durable {
            world.complain("the source was told to forget what was not saved as durable");
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let schema = stream(0, true).schema.arrow();
    let (keys, values): (Vec<i64>, Vec<Option<i64>>) = rows.iter().copied().unzip();
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(keys)), Arc::new(Int64Array::from(values))])
        .unwrap()
}
