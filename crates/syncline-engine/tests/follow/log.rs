//! The source's log.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::BooleanBuffer;
use async_trait::async_trait;
use syncline_connect::{Changes, Finding, How, Log, LogBatch, LogReader, Logged, Read, Went, Written};
use syncline_types::{Error, Position, Result, codes};

use crate::world::{Change, Mistake, World, index, position};

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

    async fn open(&self, reads: &[Arc<Read>], at: &Position) -> Result<Box<dyn LogReader>> {
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
        Ok(Box::new(SimReader { world: self.0.clone(), reads: reads.to_vec(), next: (at, 0), sequence: 0 }))
    }

    async fn head(&self) -> Result<Position> {
        Ok(position(self.0.get().history.len()))
    }

    fn compare(&self, one: &Position, other: &Position) -> Result<Ordering> {
        Ok(index(one).cmp(&index(other)))
    }

    fn distance(&self, from: &Position, to: &Position) -> Option<u64> {
        Some(index(to).checked_sub(index(from))? as u64)
    }

    async fn lacks(&self, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
        Ok(reads.iter().map(|_| vec!["b".into()]).collect())
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }
}

struct SimReader {
    world: World,
    reads: Vec<Arc<Read>>,
    /// The transaction and the change of it that come next.
    next: (usize, usize),
    sequence: u64,
}

#[async_trait]
impl LogReader for SimReader {
    async fn next(&mut self) -> Result<Logged> {
        self.world.step().await;
        self.world.may_fail("read the log of")?;
        let mut world = self.world.get();
        let end = world.history.len();
        if self.next.0 >= end || self.next.1 == 0 && world.random.one_in(10) {
            return Ok(Logged::Idle(position(self.next.0.min(end))));
        }
        let mut changes = vec![];
        let mut transactions = 0;
        let mut is_part = false;
        for _ in 0..1 + world.random.below(4) {
            let Some(transaction) = world.history.get(self.next.0).cloned() else { break };
            let rest = &transaction[self.next.1..];
            let take = if world.random.one_in(4) {
                world.random.below(rest.len() as u64 + 1) as usize
            } else {
                rest.len()
            };
            changes.extend_from_slice(&rest[..take]);
            is_part = take < rest.len();
            if is_part {
                self.next.1 += take;
                world.counts.parts += 1;
                break;
            }
            self.next = (self.next.0 + 1, 0);
            transactions += 1;
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
        Ok(Logged::Changes(LogBatch { changes, position, committed_micros, transactions, bytes, memory }))
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
    fn gather(&mut self, changes: &[Change], mistake: Option<Mistake>) -> Vec<Changes> {
        let mut tables: [Columns; 2] = Default::default();
        for change in changes {
            self.sequence += 2;
            let sequence = self.sequence;
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
            };
            tables[table].gone.push(gone);
            tables[table].went.push(Went { sequence, moved });
        }
        let reads = self.reads.clone();
        tables
            .into_iter()
            .zip(&reads)
            .enumerate()
            .filter(|(_, (columns, _))| {
                !columns.written.is_empty() || !columns.went.is_empty() || columns.truncated.is_some()
            })
            .map(|(stream, (columns, read))| changes_of(stream, columns, read))
            .collect()
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
