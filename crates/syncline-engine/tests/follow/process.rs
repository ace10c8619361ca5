//! Processes that follow, one after the other; now and then an old one goes on beside the new one.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use syncline_config::{Deletes, Echoes, OnError};
use syncline_connect::{
    Log, Origin, Read, Replace, RunRef, SchemaChange, Sink, SplitOrder, Stream, Target, Task, WriteMode,
};
use syncline_engine::Between;
use syncline_engine::follow::{
    Counted, FollowMark, Followed, Halt, Known, Live, LiveObserver, Passage, known_mark,
};
use syncline_engine::shell::Limits;
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Column, Error, LogicalType, Position, Retry, StreamName, TableSchema, codes};
use tokio_util::sync::CancellationToken;

use crate::{
    log::SimLog,
    sink::SimSink,
    store::SimStore,
    world::{BAG, Copying, Mistake, NAMES, Versions, World, column, index, position},
};

/// What a table is when its second value has this name.
pub(crate) fn schema(version: u32) -> TableSchema {
    let columns = vec![
        Column::new("id", LogicalType::Int64).required(),
        Column::new("a", LogicalType::Int64),
        Column::new(column(version), LogicalType::Int64),
    ];
    TableSchema::new("simulation", columns).with_key(["id"])
}

/// Processes after which one is left alone to come to the end.
const LIVES_MAX: u64 = 12;

/// How often the second value of a table has been given another name.
pub(crate) fn version(schema: &TableSchema) -> u32 {
    let name = &schema.columns[2].name;
    (0..).find(|version| column(*version) == *name).unwrap()
}

/// The stream without a key.
fn bag() -> Followed {
    let name = StreamName::bare("c");
    let columns = vec![Column::new("a", LogicalType::Int64), Column::new("b", LogicalType::Int64)];
    let schema = TableSchema::new("simulation", columns);
    let stream = Stream {
        name: name.clone(),
        in_default_namespace: true,
        schema: schema.clone(),
        order: SplitOrder::Place,
        rows_estimate: None,
        bytes_estimate: None,
    };
    let columns = vec!["a".into(), "b".into()];
    let read = Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 10 };
    let steps = vec![StepSpec::Filter("a < 3".into())];
    let target = Target {
        stream: u32::try_from(BAG).unwrap(),
        source: name.clone(),
        name,
        schema: schema.clone(),
        task: Task::Load,
        write: WriteMode::Overwrite,
        key: vec![],
        cursor: None,
        staged: true,
        replace: Replace::Auto,
        overwrite_said: false,
    };
    let passage = Passage::bind(&steps, &read, &target, &[], Deletes::Apply, None, "c").unwrap();
    let chain = Chain::bind(&steps, &schema, None, "c").unwrap();
    let (read, target) = (Arc::new(read), Arc::new(target));
    Followed { read, target, passage: Arc::new(passage), chain: Arc::new(chain) }
}

fn streams(versions: Versions) -> Vec<Followed> {
    (0..2_u32)
        .map(|number| {
            let name = StreamName::bare(NAMES[number as usize]);
            let version = versions[number as usize];
            let schema = schema(version);
            let stream = Stream {
                name: name.clone(),
                in_default_namespace: true,
                schema: schema.clone(),
                order: SplitOrder::Key(vec!["id".into()]),
                rows_estimate: None,
                bytes_estimate: None,
            };
            let columns = vec!["id".into(), "a".into(), column(version)];
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
        .chain([bag()])
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
    let log: Arc<dyn Log> = Arc::new(SimLog(world.clone(), epoch));
    let end = position(world.get().history.len());
    // Once for every change of columns, and whenever a copy begins or ends.
    loop {
        let saved = world.get().state_mark.clone();
        let mark: FollowMark = known_mark(Some(saved), sink.as_ref(), "p").await.unwrap().unwrap();
        let mut streams = streams(known_versions(&mark));
        streams.retain(|stream| mark.copied.contains_key(&stream.target.source.table));
        let mut live = Live {
            run: RunRef { pipeline: "p".into(), run: "+log".into(), epoch, origin: Origin::default() },
            log: Arc::clone(&log),
            rows: Arc::new(SimLog(world.clone(), epoch)),
            recent: None,
            between: Between::default(),
            echoes: Echoes::Skip,
            sink: Arc::clone(&sink),
            store: Arc::new(SimStore(world.clone(), epoch)),
            streams,
            on_error: OnError::Stop,
            limits: Limits::default(),
            mark,
        };
        let went = match live.mark.copied.len() < NAMES.len() {
            true => copy_beside(&world, epoch, &mut live).await.map(|()| false),
            false => go_on(&world, &mut live, &end).await,
        };
        match went {
            Ok(true) => return true,
            Err(error) if error.retry() != Retry::Backoff => return world.gave_up(epoch, &error),
            // What has failed is done again.
            Ok(false) | Err(_) => {}
        }
    }
}

/// Follows all tables to the end or a place before, behind which one of them may be copied again. Says whether it
/// was the end.
async fn go_on(world: &World, live: &mut Live, end: &Position) -> syncline_types::Result<bool> {
    let wished = {
        let mut world = world.get();
        world.recopied.filter(|_| {
            live.mark.behind.is_empty() && live.mark.turns < world.wishes && world.random.one_in(2)
        })
    };
    if let Some(table) = wished {
        let name = NAMES[table].to_owned();
        live.mark.copied.remove(&name);
        live.mark.leave([&name]);
        let late = {
            let world = world.get();
            let late = position((world.happened + 3).min(world.history.len()));
            (world.mistake == Some(Mistake::JoinsWhereCopied)).then_some(late)
        };
        if let Some(late) = late {
            live.mark.behind.get_mut(&name).unwrap().position = late;
        }
        return save(live).await;
    }
    let upto = {
        let mut world = world.get();
        let (from, all) = (index(&live.mark.position), world.history.len());
        match world.random.one_in(2) {
            true => position(from + world.random.below((all - from + 1) as u64) as usize),
            false => end.clone(),
        }
    };
    let stop = CancellationToken::new();
    match live.go_on(Some(&upto), &stop, &mut Quiet).await? {
        Halt::Schema(change) => evolve(world, live, &change).await.map(|()| false),
        Halt::CopyAgain(stream) => panic!("{stream}: the log tells all that has become of it"),
        _ => Ok(upto == *end),
    }
}

async fn save(live: &Live) -> syncline_types::Result<bool> {
    let text = serde_json::to_string(&live.mark).unwrap();
    live.store.save_mark("p", "+log", Some(&text)).await.map(|()| false)
}

/// Copies what is to be copied again while the other table is followed, as `follow` does it.
async fn copy_beside(world: &World, epoch: u64, live: &mut Live) -> syncline_types::Result<()> {
    let table = world.get().recopied.unwrap();
    let (pause, turn) = (CancellationToken::new(), live.mark.turns);
    let (halt, copied) = {
        let mut quiet = Quiet;
        let following = live.go_on(None, &pause, &mut quiet);
        let copying = copy(world, epoch, table, turn);
        tokio::pin!(following);
        tokio::pin!(copying);
        tokio::select! {
            biased;
            halt = &mut following => (halt?, None),
            copied = &mut copying => {
                pause.cancel();
                (following.await?, Some(copied?))
            }
        }
    };
    if let Some(since) = copied {
        let (mark, name) = (&mut live.mark, NAMES[table].to_owned());
        let happened = world.get().happened;
        mark.copied.insert(name.clone(), String::new());
        mark.since.insert(name.clone(), position(since));
        mark.copied_until(&[name].into(), position(happened));
        save(live).await?;
    }
    match halt {
        Halt::Schema(change) => evolve(world, live, &change).await,
        Halt::CopyAgain(stream) => panic!("{stream}: the log tells all that has become of it"),
        _ => Ok(()),
    }
}

/// A copy from its beginning, which may be in the life of an earlier process, to its publication. Says where the log
/// ended when it began.
async fn copy(world: &World, epoch: u64, table: usize, turn: u64) -> syncline_types::Result<usize> {
    let holds = || match world.get().epoch == epoch {
        true => Ok(()),
        false => Err(Error::new(&codes::FENCED, "copy", "the simulation")),
    };
    let begun = {
        let mut world = world.get();
        let since = world.happened;
        let known = world.copying.filter(|copying| copying.turn == turn);
        let begun = known.unwrap_or(Copying { turn, since, done: false });
        // An old one has a state of its own.
        if world.epoch == epoch {
            world.copying = Some(begun);
        }
        begun
    };
    if begun.done {
        return Ok(begun.since);
    }
    // What is read soon is published late.
    let read = world.get().happened.max(begun.since);
    let steps = 10 + world.get().random.below(50);
    for _ in 0..steps {
        world.step().await;
        tokio::task::yield_now().await;
    }
    holds()?;
    {
        let mut world = world.get();
        crate::world::copy(&mut world, table, begun.since..=read);
        world.copying = Some(Copying { done: true, ..begun });
    }
    world.step().await;
    Ok(begun.since)
}

fn known_versions(mark: &FollowMark) -> Versions {
    [NAMES[0], NAMES[1]].map(|name| mark.streams.get(name).map_or(0, |known| version(&known.schema)))
}

/// The target's columns first, then what the state has of them, as `follow` does it.
async fn evolve(world: &World, live: &mut Live, change: &SchemaChange) -> syncline_types::Result<()> {
    let (epoch, version) = (live.run.epoch, version(&change.schema));
    let table = live.streams[change.stream].target.stream as usize;
    let mark = &mut live.mark;
    mark.evolved.insert(NAMES[table].into(), mark.position.clone());
    mark.streams.insert(NAMES[table].into(), Known { schema: change.schema.clone(), columns: None });
    let text = serde_json::to_string(&mark).unwrap();
    if world.get().mistake == Some(Mistake::SavedBeforeDone) {
        live.store.save_mark("p", "+log", Some(&text)).await?;
    }
    world.step().await;
    world.may_fail("change the columns of")?;
    {
        let mut world = world.get();
        if world.epoch != epoch {
            return Err(Error::new(&codes::FENCED, "change the columns of", "the simulation"));
        }
        world.target_versions[table] = version;
        world.counts.evolved += 1;
    }
    world.look();
    world.step().await;
    world.may_fail("change the columns of")?;
    live.store.save_mark("p", "+log", Some(&text)).await
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
        if world.get().wrong.is_some() {
            return;
        }
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
    let at = world.target_mark.as_ref().map(|mark| index(&mark.position));
    if at != Some(end) || world.settled != [true; 3] {
        let settled = world.settled;
        world.wrong.get_or_insert_with(|| format!("the target is at {at:?} of {end}, {settled:?}"));
    }
}
