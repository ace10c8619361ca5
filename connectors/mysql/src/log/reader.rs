//! Reads the log: what the server sends, into batches.
//!
//! Rows go straight from the socket's buffer into columns. What there is no memory for stays in the
//! socket. An event is let go of only when all that follows from it is done, so that being cancelled
//! while something is waited for loses none.

use std::{cmp::Ordering, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{Context, LogReader, Logged, Memory, Read, Reservation, SchemaChange};
use syncline_types::{Error, Position, Result, TableSchema, codes};
use tokio::time::Instant;

use super::{
    ahead::is_altered,
    gather::Shape,
    intake::{BATCH_BYTES, Intake, Taken},
    names::Names,
    place::Place,
    session::{OPERATION, Session},
    streams::{Differs, Readings, now},
    unpack::Unpacked,
};
use crate::{
    client::{Client, Front, connect},
    config::MysqlConfig,
    error::from_io,
};

/// Reads on from a position.
pub(super) struct MysqlLogReader {
    client: Client,
    intake: Intake,
    config: Arc<MysqlConfig>,
    cx: Context,
    /// The streams, as they are at this place of the log.
    reads: Vec<Arc<Read>>,
    readings: Readings,
    /// A compressed transaction, as far as it is not taken.
    unpacked: Option<Unpacked>,
    held: Held,
    /// The last place that was given out.
    told: Place,
    /// Since when the server has been silent, while something is waited for.
    silent_since: Option<Instant>,
    /// Changes of schemas that are still to be given out.
    changed: Vec<SchemaChange>,
}

/// Memory for what is gathered.
#[derive(Default)]
struct Held {
    memory: Option<Reservation>,
    bytes: u64,
}

impl Held {
    /// Takes memory for so many bytes in all, if it is free.
    fn make_room(&mut self, budget: &Memory, bytes: u64) -> bool {
        let missing = bytes.saturating_sub(self.bytes);
        if missing == 0 {
            return true;
        }
        // The first of a batch waits, and takes enough for many.
        let Some(memory) = &mut self.memory else { return false };
        let Some(more) = budget.try_reserve(missing) else { return false };
        memory.merge(more);
        self.bytes += missing;
        true
    }
}

/// Why taking events stopped.
enum Step {
    /// The batch is full.
    Full,
    /// Nothing whole is in the buffer.
    Dry,
    /// What is in front needs so much memory.
    NeedsMemory(u64),
    /// The tables of these streams have to be looked at.
    Compare(Vec<usize>),
}

/// What was found of a stream whose table was looked at.
struct Found {
    stream: usize,
    /// How it is read from here on, if that is in another way.
    other: Option<(Shape, Arc<Read>)>,
    schema: TableSchema,
    /// Whether a column is another one of its name.
    replaced: bool,
    /// Whether its columns are to be told.
    told: bool,
}

/// What a reader is opened for.
pub(super) struct Opening<'a> {
    pub(super) config: &'a Arc<MysqlConfig>,
    pub(super) cx: &'a Context,
    pub(super) reads: &'a [Arc<Read>],
    pub(super) at: Place,
    pub(super) not_from: &'a [String],
}

impl MysqlLogReader {
    pub(super) async fn open(opening: Opening<'_>) -> Result<Self> {
        let Opening { config, cx, reads, at, not_from } = opening;
        let mut client = connect(config, cx).await?;
        let mut readings = Readings::new(config);
        let mut shapes = vec![];
        for read in reads {
            shapes.push(readings.shape(&mut client, read).await?);
        }
        let folds_case = Readings::folds_case(&mut client).await?;
        let names = Names::new(reads.iter().map(AsRef::as_ref), folds_case);
        let session = Session::start(config, cx, &at).await?;
        let here = Place { server: session.server, ..at.clone() };
        let intake = Intake::new(shapes, names, (at.clone(), here), not_from, session.checksums);
        Ok(MysqlLogReader {
            client: session.client,
            intake,
            config: Arc::clone(config),
            cx: cx.clone(),
            reads: reads.to_vec(),
            readings,
            unpacked: None,
            held: Held::default(),
            told: at,
            silent_since: None,
            changed: vec![],
        })
    }

    async fn read_on(&mut self) -> Result<Logged> {
        loop {
            if let Some(change) = self.changed.pop() {
                return Ok(Logged::Schema(change));
            }
            match self.take_events()? {
                Step::Full if self.intake.has_changes() => return self.give(),
                Step::Full if self.has_moved()? => return Ok(self.idle()),
                Step::Full => self.intake.idle_told(),
                Step::NeedsMemory(_) | Step::Compare(_) if self.intake.has_changes() => return self.give(),
                Step::NeedsMemory(bytes) => self.reserve(bytes).await,
                Step::Compare(streams) => self.compare(&streams).await?,
                Step::Dry => {
                    if self.receive_now().await? {
                        continue;
                    }
                    if !self.intake.in_transaction() {
                        if self.intake.has_changes() {
                            return self.give();
                        }
                        if self.has_moved()? {
                            return Ok(self.idle());
                        }
                    }
                    self.wait().await?;
                }
            }
        }
    }

    fn has_moved(&self) -> Result<bool> {
        // After a fail-over a place of the new server is worth to be known, though it has no more.
        let moved = self.intake.reached().compare(&self.told)?;
        Ok(moved == Ordering::Greater)
    }

    /// Takes the events that are here.
    fn take_events(&mut self) -> Result<Step> {
        loop {
            if self.intake.is_full() || self.intake.is_idle_for_long() {
                return Ok(Step::Full);
            }
            if let Some(streams) = self.intake.altered_again() {
                return Ok(Step::Compare(streams));
            }
            if let Some(mut unpacked) = self.unpacked.take() {
                let step = self.take_unpacked(&mut unpacked)?;
                if step.is_some() || unpacked.front()?.is_some() {
                    self.unpacked = Some(unpacked);
                }
                match step {
                    Some(step) => return Ok(step),
                    None => continue,
                }
            }
            let object = self.config.place();
            let front = self.client.incoming().front();
            match front.map_err(|error| from_io(&error, OPERATION, &object))? {
                Front::Nothing => return Ok(Step::Dry),
                // While it is decoded it is there several times. Where it is not known how long it is, it
                // has all the memory there is to itself.
                Front::Large(length) => {
                    let room = length.map_or(u64::MAX / 4, |length| 3 * length as u64);
                    if !self.held.make_room(self.cx.memory(), self.intake.held() + room) {
                        return Ok(Step::NeedsMemory(room));
                    }
                    self.client.incoming().take_large();
                    continue;
                }
                Front::Payload => {}
            }
            let Some((0, event)) = self.client.incoming().payload().split_first() else {
                return Err(self.client.dump_ended(OPERATION, &object));
            };
            let needed = self.intake.needs(event)?;
            if needed > 0 && !self.held.make_room(self.cx.memory(), self.intake.held() + needed) {
                return Ok(Step::NeedsMemory(needed));
            }
            match self.intake.take(event)? {
                Taken::Done => {}
                Taken::Compare(streams) => return Ok(Step::Compare(streams)),
                Taken::Payload(payload) => self.unpacked = Some(Unpacked::new(&payload)?),
                Taken::Apart => return Ok(Step::Full),
            }
            self.client.incoming().advance();
        }
    }

    /// Takes the next event of a compressed transaction; `None` when it is done.
    fn take_unpacked(&mut self, unpacked: &mut Unpacked) -> Result<Option<Step>> {
        let Some(event) = unpacked.front()? else { return Ok(None) };
        let needed = self.intake.needs(event)?;
        if needed > 0 && !self.held.make_room(self.cx.memory(), self.intake.held() + needed) {
            return Ok(Some(Step::NeedsMemory(needed)));
        }
        match self.intake.take_unpacked(event)? {
            Taken::Compare(streams) => return Ok(Some(Step::Compare(streams))),
            Taken::Apart => return Ok(Some(Step::Full)),
            Taken::Done | Taken::Payload(_) => unpacked.advance(),
        }
        Ok(None)
    }

    /// Waits for memory, while nothing is held.
    async fn reserve(&mut self, bytes: u64) {
        self.held = Held::default();
        let wanted = bytes.max(BATCH_BYTES);
        let reserved = self.cx.memory().clone().reserve(wanted).await;
        self.held = Held { memory: Some(reserved), bytes: wanted };
    }

    /// Receives what is at hand; false when that is nothing.
    async fn receive_now(&mut self) -> Result<bool> {
        for _ in 0..2 {
            let received = tokio::select! {
                biased;
                received = self.client.incoming().fill() => Some(received),
                () = std::future::ready(()) => None,
            };
            if let Some(received) = received {
                received.map_err(|error| self.lost(&error))?;
                self.silent_since = None;
                return Ok(true);
            }
            // The runtime hears of what has come only when it looks.
            tokio::task::yield_now().await;
        }
        Ok(false)
    }

    /// Waits for the server, which says at least that it has nothing to send.
    async fn wait(&mut self) -> Result<()> {
        let limit = self.cx.idle_max();
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        match tokio::time::timeout_at(since + limit, self.client.incoming().fill()).await {
            Ok(received) => {
                received.map_err(|error| self.lost(&error))?;
                self.silent_since = None;
                Ok(())
            }
            Err(_) => Err(Error::new(&codes::TIMED_OUT, OPERATION, self.config.place()).because(format!(
                "the server has not even said that nothing happens for {} s",
                limit.as_secs()
            ))),
        }
    }

    fn lost(&self, error: &std::io::Error) -> Error {
        from_io(error, OPERATION, &self.config.place())
    }

    fn give(&mut self) -> Result<Logged> {
        let mut memory = std::mem::take(&mut self.held).memory;
        if let Some(memory) = &mut memory {
            memory.shrink_to(self.intake.held());
        }
        let batch = self.intake.finish(memory)?;
        if batch.position.is_some() {
            self.told = self.intake.reached().clone();
        }
        Ok(Logged::Changes(batch))
    }

    fn idle(&mut self) -> Logged {
        self.told = self.intake.reached().clone();
        self.intake.idle_told();
        // Taken for rows that have not come.
        self.held = Held::default();
        Logged::Idle(self.told.to_position())
    }

    /// Looks whether streams' tables are still as they are known; where not, the streams have others
    /// from here on.
    async fn compare(&mut self, streams: &[usize]) -> Result<()> {
        let mut client = connect(&self.config, &self.cx).await?;
        let mut streams = streams.to_vec();
        // Not altered so far; if it is not until it was known either, it is what it is known as.
        for stream in
            streams.extract_if(.., |stream| self.intake.doubted(*stream).is_some()).collect::<Vec<_>>()
        {
            let upto = self.intake.doubted(stream).cloned();
            match self.is_altered(&[stream], upto.as_ref()).await? {
                true => self.leave_unread(&mut client, &[stream]).await?,
                false => drop(self.intake.settle(stream, None)),
            }
        }
        let streams = streams.as_slice();
        if self.is_altered(streams, None).await? {
            return self.leave_unread(&mut client, streams).await;
        }
        let mut found = vec![];
        for stream in streams {
            let read = &self.reads[*stream];
            let schema = now(&mut client, read).await?;
            let differs = Differs::between(&read.stream.schema, &schema);
            let is_replaced = |name: &String| {
                let has = |schema: &TableSchema| {
                    schema.columns.iter().any(|column| column.name.to_lowercase() == *name)
                };
                name.is_empty() || has(&read.stream.schema) && has(&schema)
            };
            let replaced = self.intake.lost(*stream).iter().any(is_replaced);
            let other = match differs {
                Differs::Nothing => None,
                // Nobody is told of another form, so that what is read stays the same.
                Differs::Columns => Some(Arc::new(read.altered(&schema, |_| true))),
                Differs::Form => Some(Arc::new(read.reformed(&schema))),
            };
            let other = match other {
                Some(read) => Some((self.readings.shape(&mut client, &read).await?, read)),
                None => None,
            };
            found.push(Found { stream: *stream, other, schema, replaced, told: differs == Differs::Columns });
        }
        // Nothing is waited for from here on, so that all of it is done or nothing.
        for Found { stream, other, schema, replaced, told } in found {
            let shape = other.map(|(shape, read)| {
                self.reads[stream] = read;
                shape
            });
            let was_unread = self.intake.settle(stream, shape);
            // What was pushed last is given out first.
            if was_unread || told || replaced {
                self.has_changed(stream, schema.clone(), false);
            }
            // The rows that are there have not the values of the new column, and nobody has told which they have.
            if replaced {
                self.has_changed(stream, schema, true);
            }
        }
        Ok(())
    }

    /// Whether the tables of these streams are altered further on, up to a place or to the end of the log.
    async fn is_altered(&mut self, streams: &[usize], upto: Option<&Place>) -> Result<bool> {
        let (names, from) = (self.intake.names(), self.intake.reached());
        Ok(!streams.is_empty() && is_altered(&self.config, &self.cx, names, streams, (from, upto)).await?)
    }

    /// Streams whose table is altered once more further on: what it is in between nobody says.
    async fn leave_unread(&mut self, client: &mut Client, streams: &[usize]) -> Result<()> {
        let mut left = vec![];
        for stream in streams {
            left.push((*stream, now(client, &self.reads[*stream]).await?));
        }
        for (stream, schema) in left {
            if self.intake.leave_unread(stream) {
                self.has_changed(stream, schema, true);
            }
        }
        Ok(())
    }

    fn has_changed(&mut self, stream: usize, schema: TableSchema, unread: bool) {
        let position = self.intake.reached().to_position();
        self.changed.push(SchemaChange { stream, schema, at: position.clone(), position, unread });
    }
}

#[async_trait]
impl LogReader for MysqlLogReader {
    async fn next(&mut self) -> Result<Logged> {
        let logged = self.read_on().await?;
        self.silent_since = None;
        Ok(logged)
    }

    fn doubt(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let upto = Place::of(upto, self.client.server.family)?;
        self.intake.doubt(stream, upto);
        Ok(())
    }

    fn pass_over(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let family = self.client.server.family;
        self.intake.pass_over(stream, Place::of(upto, family)?);
        Ok(())
    }

    /// The server keeps its log for so long as it is told to, whoever reads it.
    async fn confirm(&mut self, _: &Position) -> Result<()> {
        Ok(())
    }

    /// The session's limit for a write that nobody takes is a week.
    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}
