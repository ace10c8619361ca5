//! Reads the log: what the server streams, into batches.
//!
//! Rows go straight from the socket's buffer into columns. What there is no memory for stays in the
//! socket. A message is let go of only when all that follows from it is done, so that being cancelled
//! while something is waited for loses none.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use syncline_connect::{Context, LogReader, Logged, Memory, Read, Reservation, SchemaChange};
use syncline_types::{Error, LogicalType, Position, Result, codes};
use tokio::time::{Instant, timeout_at};

use super::{
    gather::{Layout, Shape, fits},
    intake::{BATCH_BYTES, Intake, Taken},
    lsn::Lsn,
    message::{Frame, Message, frame, message},
    relation::{Described, Followed, described, schema_of},
    session::{Session, Streamed},
    wire::Front,
};
use crate::{
    client::connect,
    config::PostgresConfig,
    error::{Answered, unreachable},
    types::reads_as_text,
};

/// How often the server is told how far we are, at most: well before it loses patience.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// When nothing has come for so long, the server is asked how far it is.
const ASK_AFTER: Duration = Duration::from_millis(20);

/// Reads on from a position.
pub(super) struct PostgresLogReader {
    session: Session,
    intake: Intake,
    config: Arc<PostgresConfig>,
    cx: Context,
    /// The streams, as they are at this place of the log.
    reads: Vec<Arc<Read>>,
    /// The streams of each table.
    tables: HashMap<u32, Vec<usize>>,
    /// Columns that are known to be those of a table's streams.
    known: HashMap<u32, Vec<Described>>,
    binary: bool,
    checks_text: bool,
    held: Held,
    /// Everything before it is durable at the target; nothing is said to be while this is zero.
    confirmed: Lsn,
    /// The last place that was given out.
    told: Lsn,
    reported_at: Instant,
    /// Since when the server has been silent, while something is waited for.
    silent_since: Option<Instant>,
    /// The server has asked how far we are.
    reply_wanted: bool,
    /// Whether the server was asked how far it is since it has sent anything.
    asked: bool,
    /// Keep-alives since the last place that was given out say that it has moved.
    idle_due: bool,
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

/// Why taking messages stopped.
enum Step {
    /// The batch is full.
    Full,
    /// Nothing whole is in the buffer.
    Dry,
    /// What is in front needs so much memory.
    NeedsMemory(u64),
    /// It is larger than the buffer.
    Large(usize),
    /// It describes a table.
    Relation(usize),
    /// What has described this table is due now.
    Undescribed(u32),
}

/// What a reader is opened for.
pub(super) struct Opening<'a> {
    pub(super) config: &'a Arc<PostgresConfig>,
    pub(super) cx: &'a Context,
    pub(super) slot: &'a str,
    pub(super) publication: &'a str,
    pub(super) reads: &'a [Arc<Read>],
    pub(super) followed: &'a [Followed],
    pub(super) at: Lsn,
    pub(super) not_from: &'a [String],
    /// Whether the database takes any bytes as text.
    pub(super) unencoded: bool,
}

impl PostgresLogReader {
    pub(super) async fn open(opening: Opening<'_>) -> Result<Self> {
        let Opening { config, cx, slot, publication, reads, followed, at, not_from, unencoded } = opening;
        // One column that has to come as text makes them all do so.
        let binary =
            reads.iter().all(|read| read.schema().columns.iter().all(|column| is_binary(column.logical)));
        let shapes = reads.iter().map(|read| Shape::new(read, unencoded)).collect::<Result<_>>()?;
        let mut tables: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut known = HashMap::new();
        for (stream, (table, read)) in followed.iter().zip(reads).enumerate() {
            tables.entry(table.oid()).or_default().push(stream);
            let schema = table.table.schema();
            let told: Vec<_> = schema.columns.iter().filter(|column| !column.generated).cloned().collect();
            if fits(read, &read.stream.schema, &told) {
                known.insert(table.oid(), table.described.clone());
            }
        }
        let encoding = if unencoded { "SQL_ASCII" } else { "UTF8" };
        let streamed = Streamed { slot, publication, from: at, binary, encoding };
        let session = Session::start(config, cx, &streamed).await?;
        Ok(PostgresLogReader {
            session,
            intake: Intake::new(shapes, at, not_from),
            config: Arc::clone(config),
            cx: cx.clone(),
            reads: reads.to_vec(),
            tables,
            known,
            binary,
            checks_text: unencoded,
            held: Held::default(),
            confirmed: Lsn(0),
            told: at,
            reported_at: Instant::now(),
            silent_since: None,
            reply_wanted: false,
            asked: false,
            idle_due: false,
            changed: vec![],
        })
    }

    async fn read_on(&mut self) -> Result<Logged> {
        loop {
            if let Some(change) = self.changed.pop() {
                return Ok(Logged::Schema(change));
            }
            if self.reply_wanted || self.reported_at.elapsed() >= self.report_every() {
                self.report(false).await?;
            }
            match self.take_messages()? {
                Step::Full if self.intake.has_changes() => return self.give(),
                Step::Full => return Ok(self.idle()),
                Step::NeedsMemory(_) | Step::Relation(_) | Step::Undescribed(_)
                    if self.intake.has_changes() =>
                {
                    return self.give();
                }
                Step::NeedsMemory(bytes) => self.reserve(bytes).await?,
                Step::Large(length) => {
                    // While it is decoded it is there twice.
                    let needed = 2 * length as u64;
                    if self.held.make_room(self.cx.memory(), self.intake.bytes() + needed) {
                        self.session.wire.make_room(length);
                    } else if self.intake.has_changes() {
                        return self.give();
                    } else {
                        self.reserve(needed).await?;
                    }
                }
                Step::Relation(length) => {
                    let Frame::Data(bytes) = frame(self.session.wire.payload(length))? else { continue };
                    let bytes = bytes.to_vec();
                    self.describe(bytes, false).await?;
                    self.session.wire.advance(length);
                }
                Step::Undescribed(table) => {
                    let bytes = self.intake.description(table).unwrap_or_default();
                    self.describe(bytes, true).await?;
                }
                Step::Dry => {
                    let received = self.session.wire.receive_now().await;
                    if received.map_err(|error| self.session.lost(&error))? {
                        self.silent_since = None;
                        continue;
                    }
                    if !self.intake.in_transaction() {
                        if self.intake.has_changes() {
                            return self.give();
                        }
                        let moved = self.intake.reached() > self.told;
                        if moved || self.idle_due && self.intake.reached() > self.confirmed {
                            return Ok(self.idle());
                        }
                    }
                    self.wait().await?;
                }
            }
        }
    }

    /// Takes the messages that are here.
    fn take_messages(&mut self) -> Result<Step> {
        loop {
            if self.intake.is_full() || self.intake.is_idle_for_long() {
                return Ok(Step::Full);
            }
            let front = self.session.wire.front().map_err(|error| self.session.lost(&error))?;
            let (letter, length) = match front {
                Front::Message(letter, length) => (letter, length),
                Front::Large(length) => return Ok(Step::Large(length)),
                Front::Nothing => return Ok(Step::Dry),
            };
            let payload = self.session.wire.payload(length);
            match letter {
                b'd' => match frame(payload)? {
                    Frame::KeepAlive { upto, wants_reply } => {
                        self.intake.keep_alive(upto);
                        self.idle_due = true;
                        self.reply_wanted |= wants_reply;
                    }
                    Frame::Data(bytes) => {
                        self.asked = false;
                        let needed = self.intake.needs(bytes);
                        let total = self.intake.bytes() + needed;
                        if needed > 0 && !self.held.make_room(self.cx.memory(), total) {
                            return Ok(Step::NeedsMemory(needed));
                        }
                        match self.intake.take(bytes)? {
                            Taken::Done => {}
                            Taken::Relation => return Ok(Step::Relation(length)),
                            Taken::Undescribed(table) => return Ok(Step::Undescribed(table)),
                            Taken::Apart => return Ok(Step::Full),
                        }
                    }
                },
                b'E' => return Err(Answered::read(payload).translate_log("follow by slot", self.name())),
                b'c' | b'C' => {
                    return Err(unreachable(
                        "the server has ended the stream",
                        "follow by slot",
                        self.name(),
                    ));
                }
                // Notices, settings.
                b'N' | b'S' => {}
                other => {
                    return Err(Error::new(&codes::BAD_BYTES, "follow by slot", self.name())
                        .because(format!("a message `{}` does not belong there", other.escape_ascii())));
                }
            }
            self.session.wire.advance(length);
        }
    }

    fn name(&self) -> &str {
        self.session.slot()
    }

    /// Waits for memory, while nothing is held.
    async fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.held = Held::default();
        let wanted = bytes.max(BATCH_BYTES);
        let memory = self.cx.memory().clone();
        let reserved = loop {
            match timeout_at(self.reported_at + self.report_every(), memory.reserve(wanted)).await {
                Ok(reserved) => break reserved,
                Err(_) => self.report(false).await?,
            }
        };
        self.held = Held { memory: Some(reserved), bytes: wanted };
        Ok(())
    }

    /// Waits for the server.
    async fn wait(&mut self) -> Result<()> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        let due = match self.asked {
            true => self.reported_at + self.report_every(),
            false => since + ASK_AFTER,
        };
        if let Ok(received) = timeout_at(due, self.session.wire.receive()).await {
            received.map_err(|error| self.session.lost(&error))?;
            self.silent_since = None;
            return Ok(());
        }
        let limit = self.cx.idle_max();
        if since.elapsed() >= limit {
            return Err(Error::new(&codes::TIMED_OUT, "follow by slot", self.name())
                .because(format!("the server has not answered for {} s", limit.as_secs())));
        }
        // It has nothing to send, or is no more: an answer tells.
        self.asked = true;
        self.report(true).await
    }

    fn report_every(&self) -> Duration {
        REPORT_EVERY.min(self.cx.idle_max() / 4)
    }

    async fn report(&mut self, wants_reply: bool) -> Result<()> {
        self.session.report(self.intake.reached(), self.confirmed, wants_reply).await?;
        self.reported_at = Instant::now();
        self.reply_wanted = false;
        Ok(())
    }

    fn give(&mut self) -> Result<Logged> {
        let mut memory = std::mem::take(&mut self.held).memory;
        if let Some(memory) = &mut memory {
            memory.shrink_to(self.intake.bytes());
        }
        let batch = self.intake.finish(memory)?;
        if let Some(position) = &batch.position {
            self.told = Lsn::of(position)?;
        }
        Ok(Logged::Changes(batch))
    }

    fn idle(&mut self) -> Logged {
        self.told = self.intake.reached();
        self.idle_due = false;
        self.intake.idle_told();
        // Taken for rows that have not come.
        self.held = Held::default();
        Logged::Idle(self.told.position())
    }

    /// Deals with the description of a table, for those of its streams that are read by now; `again` where it
    /// is not the first time.
    async fn describe(&mut self, bytes: Vec<u8>, again: bool) -> Result<()> {
        let Message::Relation(relation) = message(&bytes)? else { return Ok(()) };
        let table = relation.table;
        let (columns, identity) = described(&relation);
        let streams = self.tables.get(&table).cloned().unwrap_or_default();
        let (passed, streams): (Vec<usize>, Vec<usize>) =
            streams.into_iter().partition(|stream| self.intake.is_passed(*stream));
        // Of streams that were passed over it is not known what they were.
        if (again || self.known.get(&table) != Some(&columns)) && !streams.is_empty() {
            self.compare(&streams, &columns, &identity).await?;
            self.known.insert(table, columns.clone());
        }
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut layouts: Vec<(usize, Layout)> = vec![];
        for stream in streams {
            let layout = self.intake.shape(stream).layout(&names, &identity).ok_or_else(|| {
                Error::new(
                    &codes::SCHEMA_CHANGED,
                    "follow table",
                    format!("`{}`", self.intake.shape(stream).name),
                )
                .because("the log does not tell a column that is read, such as one that the table computes")
                .hint("Leave the column out with a `drop` step or --columns")
            })?;
            layouts.push((stream, layout));
        }
        self.intake.describe(table, layouts);
        self.intake.keep_description(table, passed, bytes);
        Ok(())
    }

    /// Looks whether a table's columns are still those of its streams; where not, the streams have
    /// others from here on.
    async fn compare(&mut self, streams: &[usize], columns: &[Described], identity: &[bool]) -> Result<()> {
        let client = connect(&self.config, &self.cx).await?;
        let mut changes = vec![];
        for stream in streams {
            let read = &self.reads[*stream];
            let schema = schema_of(&client, read, columns, identity).await?;
            let told =
                schema.columns.iter().filter(|there| columns.iter().any(|told| told.name == there.name));
            let told: Vec<_> = told.cloned().collect();
            if fits(read, &read.stream.schema, &told) {
                continue;
            }
            let read = Arc::new(read.altered(&schema, |column| !column.generated));
            if self.binary && !read.schema().columns.iter().all(|column| is_binary(column.logical)) {
                return Err(Error::new(
                    &codes::SCHEMA_CHANGED,
                    "follow table",
                    format!("`{}`", read.stream.name),
                )
                .because("a column has come whose type has to be read in another way than the others were")
                .hint("Copy it again: --restart"));
            }
            let shape = Shape::new(&read, self.checks_text)?;
            changes.push((*stream, read, shape, schema));
        }
        // Nothing is waited for from here on, so that all of it is done or nothing.
        for (stream, read, shape, schema) in changes {
            self.reads[stream] = read;
            self.intake.reshape(stream, shape);
            let position = self.intake.reached().position();
            let at = self.intake.commit_place().position();
            self.changed.push(SchemaChange { stream, schema, position, at, unread: false });
        }
        Ok(())
    }
}

fn is_binary(logical: LogicalType) -> bool {
    !reads_as_text(logical)
}

#[async_trait]
impl LogReader for PostgresLogReader {
    async fn next(&mut self) -> Result<Logged> {
        let logged = self.read_on().await?;
        self.silent_since = None;
        Ok(logged)
    }

    fn cut_at(&mut self, position: &Position) {
        // One that is none of this log's is never reached.
        if let Ok(place) = Lsn::of(position) {
            self.intake.cut_at(place);
        }
    }

    fn pass_over(&mut self, stream: usize, upto: &Position) -> Result<()> {
        self.intake.pass_over(stream, Lsn::of(upto)?);
        Ok(())
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        self.confirmed = self.confirmed.max(Lsn::of(upto)?);
        self.report(false).await
    }

    async fn tick(&mut self) -> Result<()> {
        self.report(false).await
    }
}
