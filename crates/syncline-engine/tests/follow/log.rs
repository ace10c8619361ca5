//! The source's log.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use async_trait::async_trait;
use syncline_connect::{
    Changes, Finding, How, Log, LogBatch, LogReader, Logged, Origin, Read, SchemaChange, Went, Written,
};
use syncline_engine::follow::Rows;
use syncline_types::{Error, Position, Result, codes};

use crate::{
    process::{schema, version},
    world::{BAG, Change, Inner, Mistake, NAMES, Versions, World, index, position},
};

/// As the process of an epoch sees it.
pub(crate) struct SimLog(pub(crate) World, pub(crate) u64);

#[async_trait]
impl Log for SimLog {
    async fn inspect(&self, _: &[Arc<Read>]) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    async fn keeps(&self, reads: &[Arc<Read>]) -> Result<Vec<bool>> {
        Ok(vec![true; reads.len()])
    }

    async fn keep(&self, _: &[Arc<Read>], _: Option<&Position>) -> Result<Position> {
        unreachable!("the copy is done")
    }

    async fn open(&self, reads: &[Arc<Read>], at: &Position, _: &[String]) -> Result<Box<dyn LogReader>> {
        self.0.step().await;
        self.0.may_fail("open the log of")?;
        let mut world = self.0.get();
        let mut at = index(at);
        if at < world.kept_from {
            let why = format!("it reads from {at}, and was told that {} is durable", world.kept_from);
            // One that was replaced may well come too late.
            if world.epoch == self.1 {
                world.wrong.get_or_insert(why);
            }
            return Err(Error::new(&codes::LOG_LOST, "open the log of", "the simulation"));
        }
        if world.mistake == Some(Mistake::SkipsOne) && world.random.one_in(8) && at < world.history.len() {
            at += 1;
        }
        if world.mistake == Some(Mistake::LetsGoOfOpened) {
            world.kept_from = world.kept_from.max(at);
        }
        let versions = world.versions[at];
        drop(world);
        let stream = |name: &&str| reads.iter().position(|read| read.stream.name.table == **name);
        let streams = NAMES.each_ref().map(stream);
        let told = [streams[0], streams[1]].map(|at| at.map_or(0, |at| version(&reads[at].stream.schema)));
        Ok(Box::new(SimReader {
            world: self.0.clone(),
            reads: reads.to_vec(),
            streams,
            next: (at, 0),
            sequence: 0,
            versions,
            told,
            cut: None,
            passed: [0; 3],
            said: None,
            epoch: self.1,
        }))
    }

    async fn head(&self) -> Result<Position> {
        Ok(position(self.0.get().happened))
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        Ok(index(one).cmp(&index(other)))
    }

    fn distance(&self, from: &Position, to: &Position) -> Option<u64> {
        Some(index(to).checked_sub(index(from))? as u64)
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        Ok(reads.iter().map(|read| read.columns.get(2).cloned().into_iter().collect()).collect())
    }

    fn passes_over(&self) -> bool {
        true
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Rows for SimLog {
    async fn row(&self, read: &Arc<Read>, key: &[String]) -> Result<Option<RecordBatch>> {
        self.0.step().await;
        self.0.may_fail("read a row of")?;
        let mut world = self.0.get();
        world.counts.read += 1;
        if world.mistake == Some(Mistake::RowOverlooked) {
            return Ok(None);
        }
        let table = usize::from(read.stream.name.table == "b");
        if world.epoch == self.1 {
            // It is of a later time than the rest of the table.
            (world.settled[table], world.copied_until[table]) = (false, world.happened);
        }
        let id: i64 = key[0].parse().unwrap();
        let row = world.moments[world.happened].keyed[table].get(&id).copied();
        Ok(row.map(|(a, b)| {
            let columns = [id, a, b].map(|value| Arc::new(Int64Array::from(vec![value])) as ArrayRef);
            RecordBatch::try_new(read.schema().arrow(), columns.into()).unwrap()
        }))
    }
}

/// More often than anybody else does something while a reader waits.
const WAITS_MAX: u32 = 100_000;

struct SimReader {
    world: World,
    reads: Vec<Arc<Read>>,
    /// The stream of each table that is read.
    streams: [Option<usize>; 3],
    /// The transaction and the change of it that come next.
    next: (usize, usize),
    sequence: u64,
    /// What the log has come to.
    versions: Versions,
    /// What was told of it, or known from the beginning.
    told: Versions,
    /// Where a batch is to end.
    cut: Option<usize>,
    /// The transactions of each table that are passed over.
    passed: [usize; 3],
    /// The end of the log that it has said, which it does once.
    said: Option<usize>,
    /// Of the process that reads.
    epoch: u64,
}

#[async_trait]
impl LogReader for SimReader {
    async fn next(&mut self) -> Result<Logged> {
        self.world.step().await;
        self.world.may_fail("read the log of")?;
        let shared = self.world.clone();
        self.something_new().await;
        let mut world = shared.get();
        let end = world.happened;
        if self.next.0 >= end {
            self.said = Some(end);
        }
        if self.next.0 >= end || self.next.1 == 0 && world.random.one_in(10) {
            return Ok(Logged::Idle(position(self.next.0.min(end))));
        }
        let mut changes = vec![];
        let mut transactions = 0;
        for _ in 0..1 + world.random.below(4) {
            let Some(transaction) = world.history[..end].get(self.next.0).cloned() else { break };
            let rest = &transaction[self.next.1..];
            let take = if world.random.one_in(4) {
                world.random.below(rest.len() as u64 + 1) as usize
            } else {
                rest.len()
            };
            let upto = self.next.1 + take;
            let untold = self.read_up_to(upto, &transaction, &mut changes, &world);
            if let Some(table) = untold.filter(|_| changes.is_empty() && transactions == 0) {
                return Ok(self.tell_columns(table, &world));
            }
            if self.next.1 < transaction.len() {
                world.counts.parts += 1;
                break;
            }
            self.next = (self.next.0 + 1, 0);
            transactions += 1;
            if self.cut == Some(self.next.0) {
                break;
            }
        }
        let is_part = self.next.1 > 0;
        if changes.is_empty() && !is_part {
            self.said = (self.next.0 == end).then_some(end);
            return Ok(Logged::Idle(position(self.next.0)));
        }
        if world.mistake == Some(Mistake::LetsGoEarly) {
            world.kept_from = world.kept_from.max(self.next.0);
        }
        let whole = !is_part || world.mistake == Some(Mistake::HalfIsWhole);
        let mistake = world.mistake;
        drop(world);
        let changes = self.gather(&changes, mistake);
        let position = whole.then(|| position(self.next.0 + usize::from(is_part)));
        let (committed_micros, bytes, memory) = (None, 1, None);
        Ok(Logged::Changes(LogBatch {
            changes,
            origin: Origin::default(),
            position,
            committed_micros,
            transactions,
            bytes,
            memory,
        }))
    }

    fn cut_at(&mut self, position: &Position) {
        self.cut = Some(index(position));
    }

    fn pass_over(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let Some(table) = self.streams.iter().position(|one| *one == Some(stream)) else { return Ok(()) };
        let too_far = usize::from(self.world.get().mistake == Some(Mistake::PassesTooFar));
        self.passed[table] = index(upto) + too_far;
        Ok(())
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        self.world.step().await;
        let mut world = self.world.get();
        world.kept_from = world.kept_from.max(index(upto));
        drop(world);
        self.world.may_fail("confirm to")
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Columns {
    rows: [Vec<i64>; 3],
    absent: Vec<bool>,
    written: Vec<Written>,
    gone: Vec<i64>,
    went: Vec<Went>,
    truncated: Option<u64>,
}

impl SimReader {
    /// Comes back when there is something that was not said yet.
    async fn something_new(&self) {
        for _ in 0..WAITS_MAX {
            let (happened, is_all) = {
                let world = self.world.get();
                (world.happened, world.happened == world.history.len())
            };
            match self.said == Some(happened) {
                false => return,
                true if is_all => tokio::task::yield_now().await,
                true => self.world.step().await,
            }
        }
        {
            let mut world = self.world.get();
            // Who was replaced may wait for what never comes.
            if world.epoch == self.epoch {
                let why = "nothing has come of the end of the log, which was said";
                world.wrong.get_or_insert_with(|| why.into());
                world.fuel = 1;
            }
        }
        self.world.step().await;
        std::future::pending().await
    }

    /// Takes changes of a transaction up to one; returns the table whose columns are to be told first.
    fn read_up_to(
        &mut self,
        upto: usize,
        transaction: &[Change],
        changes: &mut Vec<Change>,
        world: &Inner,
    ) -> Option<usize> {
        while self.next.1 < upto {
            let change = &transaction[self.next.1];
            let table = change.table();
            let is_passed = self.streams[table].is_none() || self.next.0 < self.passed[table];
            if table == BAG {
                if !is_passed {
                    changes.push(change.clone());
                }
                self.next.1 += 1;
                continue;
            }
            let is_rename = matches!(change, Change::Rename(_));
            let now = self.versions[table] + u32::from(is_rename);
            let is_told = match is_passed {
                true => self.streams[table].is_some() && world.mistake == Some(Mistake::TellsOldColumns),
                false => true,
            };
            if is_told && self.told[table] != now && (!is_rename || !world.lazy) {
                if world.mistake != Some(Mistake::ColumnsUntold) {
                    return Some(table);
                }
                self.told[table] = now;
            }
            if is_rename {
                self.versions[table] = now;
            } else if !is_passed {
                changes.push(change.clone());
            }
            self.next.1 += 1;
        }
        None
    }

    fn tell_columns(&mut self, table: usize, world: &Inner) -> Logged {
        let is_rename = matches!(world.history[self.next.0][self.next.1], Change::Rename(_));
        let now = self.versions[table] + u32::from(is_rename);
        self.told[table] = now;
        let late = usize::from(world.mistake == Some(Mistake::ColumnsLate));
        let position = position((self.next.0 + late).min(world.history.len()));
        Logged::Schema(SchemaChange {
            unread: false,
            stream: self.streams[table].unwrap(),
            schema: schema(now),
            position,
            at: crate::world::position(self.next.0 + 1),
        })
    }

    fn gather(&mut self, changes: &[Change], mistake: Option<Mistake>) -> Vec<Changes> {
        let mut tables: [Columns; 2] = Default::default();
        let mut bag = BagColumns::default();
        for change in changes {
            self.sequence += 2;
            let sequence = self.sequence;
            if change.table() == BAG {
                bag.take(change, sequence);
                continue;
            }
            let mut write = |table: usize, id: i64, a: i64, b: Option<i64>, how: How| {
                let columns = &mut tables[table];
                columns.rows[0].push(id);
                columns.rows[1].push(a);
                columns.rows[2].push(b.unwrap_or(0));
                columns.absent.push(b.is_none() && mistake != Some(Mistake::AbsentIsZero));
                columns.written.push(Written { sequence: sequence + 1, how });
            };
            let (table, gone, moved) = match *change {
                Change::Insert(table, id, (a, b)) => {
                    write(table, id, a, Some(b), How::Insert);
                    continue;
                }
                Change::Update(table, id, to, (a, b)) => {
                    let how = if id == to { How::Update } else { How::Move };
                    write(table, to, a, b, how);
                    if id == to || mistake == Some(Mistake::MoveForgotten) {
                        continue;
                    }
                    (table, id, true)
                }
                Change::Delete(table, id) => (table, id, false),
                Change::Truncate(table) => {
                    tables[table].truncated = Some(sequence);
                    continue;
                }
                Change::Rename(_) | Change::Come(_) | Change::Go(_) | Change::Turn(..) => continue,
            };
            tables[table].gone.push(gone);
            tables[table].went.push(Went { sequence, moved });
        }
        let reads = self.reads.clone();
        let bag =
            self.streams[BAG].filter(|_| !bag.is_empty()).map(|stream| bag.finish(stream, &reads[stream]));
        tables
            .into_iter()
            .zip(self.streams)
            .filter_map(|(columns, stream)| Some((columns, stream?)))
            .filter(|(columns, _)| {
                !columns.written.is_empty() || !columns.went.is_empty() || columns.truncated.is_some()
            })
            .map(|(columns, stream)| changes_of(stream, columns, &reads[stream]))
            .chain(bag)
            .collect()
    }
}

/// Changes without a key.
#[derive(Default)]
struct BagColumns {
    rows: Vec<(i64, i64)>,
    written: Vec<Written>,
    gone: Vec<(i64, i64)>,
    went: Vec<Went>,
    truncated: Option<u64>,
}

impl BagColumns {
    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.went.is_empty() && self.truncated.is_none()
    }

    fn take(&mut self, change: &Change, sequence: u64) {
        let (gone, moved, row, how) = match *change {
            Change::Come(row) => (None, false, Some(row), How::Insert),
            Change::Go(row) => (Some(row), false, None, How::Insert),
            // As a source tells it that sees no difference.
            Change::Turn(old, new) if old == new => (None, false, Some(new), How::Update),
            Change::Turn(old, new) => (Some(old), true, Some(new), How::Move),
            _ => {
                self.truncated = Some(sequence);
                return;
            }
        };
        if let Some(gone) = gone {
            self.gone.push(gone);
            self.went.push(Went { sequence, moved });
        }
        if let Some(row) = row {
            self.rows.push(row);
            self.written.push(Written { sequence: sequence + 1, how });
        }
    }

    fn finish(self, stream: usize, read: &Read) -> Changes {
        let batch = |rows: &[(i64, i64)]| {
            let (a, b): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
            let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(a)), Arc::new(Int64Array::from(b))];
            RecordBatch::try_new(read.logged_schema().arrow(), columns).unwrap()
        };
        Changes {
            stream,
            rows: batch(&self.rows),
            written: self.written,
            absent: vec![None, None],
            gone: batch(&self.gone),
            went: self.went,
            truncated: self.truncated,
            rejects: vec![],
        }
    }
}

fn changes_of(stream: usize, columns: Columns, read: &Read) -> Changes {
    let Columns { rows, absent, written, gone, went, truncated } = columns;
    let arrays: Vec<ArrayRef> =
        rows.into_iter().map(|values| Arc::new(Int64Array::from(values)) as ArrayRef).collect();
    let absent = BooleanBuffer::from_iter(absent);
    Changes {
        stream,
        rows: RecordBatch::try_new(read.logged_schema().arrow(), arrays).unwrap(),
        written,
        absent: vec![None, None, (absent.count_set_bits() > 0).then_some(absent)],
        gone: RecordBatch::try_new(read.gone_schema().arrow(), vec![Arc::new(Int64Array::from(gone))])
            .unwrap(),
        went,
        truncated,
        rejects: vec![],
    }
}
