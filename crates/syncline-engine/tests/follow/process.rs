//! Processes that follow, one after the other; now and then an old one goes on beside the new one.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use syncline_config::{Deletes, OnError};
use syncline_connect::{Log, Read, Replace, RunRef, Sink, SplitOrder, Stream, Target, Task, WriteMode};
use syncline_engine::follow::{Counted, FollowMark, Followed, Live, LiveObserver, Passage, known_mark};
use syncline_engine::shell::Limits;
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Column, Error, LogicalType, Position, Retry, StreamName, TableSchema};
use tokio_util::sync::CancellationToken;

use crate::{log::SimLog, sink::SimSink, store::SimStore, world::World};

/// Processes after which one is left alone to come to the end.
const LIVES_MAX: u64 = 12;

pub(crate) fn streams() -> Vec<Followed> {
    (0..2_u32)
        .map(|number| {
            let columns = vec![
                Column::new("id", LogicalType::Int64).required(),
                Column::new("a", LogicalType::Int64),
                Column::new("b", LogicalType::Int64),
            ];
            let name = StreamName::bare(if number == 0 { "a" } else { "b" });
            let schema = TableSchema::new("simulation", columns).with_key(["id"]);
            let stream = Stream {
                name: name.clone(),
                in_default_namespace: true,
                schema: schema.clone(),
                order: SplitOrder::Key(vec!["id".into()]),
                rows_estimate: None,
                bytes_estimate: None,
            };
            let columns = vec!["id".into(), "a".into(), "b".into()];
            let read = Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 10 };
            let steps: Vec<StepSpec> =
                if number == 0 { vec![] } else { vec![StepSpec::Filter("a < 50".into())] };
            let target = Target {
                stream: number,
                source: name.clone(),
                name: name.clone(),
                schema: schema.clone(),
                task: Task::Load,
                write: WriteMode::Merge,
                key: vec!["id".into()],
                cursor: None,
                staged: true,
                replace: Replace::Auto,
                overwrite_said: false,
            };
            let passage =
                Passage::bind(&steps, &read, &target, &target.key, Deletes::Apply, None, "s").unwrap();
            let chain = Chain::bind(&steps, &schema, None, "s").unwrap();
            Followed {
                read: Arc::new(read),
                target: Arc::new(target),
                passage: Arc::new(passage),
                chain: Arc::new(chain),
            }
        })
        .collect()
}

struct Quiet;

impl LiveObserver for Quiet {
    fn applied(&mut self, _: &Counted, _: &Position) {}
    fn waiting(&mut self, _: &Error, _: Duration) {}
}

/// One process, until it has come to the end of the log, has failed for good, or was fenced off.
async fn follow(world: World) -> bool {
    let epoch = {
        let mut world = world.get();
        world.epoch += 1;
        world.epoch
    };
    let sink: Arc<dyn Sink> = Arc::new(SimSink(world.clone()));
    let saved = world.get().state_mark.clone();
    let mark: FollowMark = known_mark(Some(saved), sink.as_ref(), "p").await.unwrap().unwrap();
    let log: Arc<dyn Log> = Arc::new(SimLog(world.clone(), epoch));
    let upto = log.head().await.unwrap();
    let run = RunRef { pipeline: "p".into(), run: "+log".into(), epoch };
    let store = Arc::new(SimStore(world.clone(), epoch));
    let streams = world.streams.clone();
    let mut live =
        Live { run, log, sink, store, streams, on_error: OnError::Stop, limits: Limits::default(), mark };
    let stop = CancellationToken::new();
    loop {
        match live.go_on(Some(&upto), &stop, &mut Quiet).await {
            Ok(_) => return true,
            Err(error) if error.retry() == Retry::Backoff => {}
            Err(_) => return false,
        }
    }
}

type Life = Pin<Box<dyn Future<Output = bool>>>;

/// Follows until the target has everything.
pub(crate) async fn to_the_end(world: &World) {
    let mut zombie: Option<Life> = None;
    for life in 0.. {
        let last = life >= LIVES_MAX;
        {
            let mut world = world.get();
            world.fuel = if last { u64::MAX } else { 1 + world.random.below(120) };
        }
        let mut now: Life = Box::pin(follow(world.clone()));
        let done = loop {
            let zombie_moves = zombie.is_some() && world.get().random.one_in(2);
            if zombie_moves && let Some(old) = &mut zombie {
                // A little of its own; a crash of the new one is none of it.
                let is_over = futures_util::poll!(old.as_mut()).is_ready();
                if is_over {
                    zombie = None;
                }
            }
            tokio::select! {
                biased;
                done = &mut now => break Some(done),
                () = world.crashed.notified() => break None,
                () = tokio::task::yield_now(), if zombie.is_some() => {}
            }
        };
        world.look();
        match done {
            Some(true) if zombie.is_none() || last => break,
            Some(true) => zombie = None,
            Some(false) => {
                let mut world = world.get();
                world.wrong.get_or_insert_with(|| "a process gave up".into());
                break;
            }
            None => {
                let mut world = world.get();
                world.counts.crashes += 1;
                // Some processes only seem to be dead.
                zombie = (!world.random.one_in(3)).then_some(now);
            }
        }
    }
    world.look();
    let mut world = world.get();
    let end = world.history.len();
    let at = world.target_mark.as_ref().map(|mark| crate::world::index(&mark.position));
    if at != Some(end) {
        world.wrong.get_or_insert_with(|| format!("the target is at {at:?} of {end}"));
    }
}
