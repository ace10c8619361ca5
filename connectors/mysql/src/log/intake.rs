//! Events in, changes out: which transaction they are of, which stream, and how far that is. No IO.

mod origins;
mod tables;
mod transaction;

use std::collections::{HashMap, HashSet};

use syncline_connect::{LogBatch, Origin, Reservation};
use syncline_types::{Error, Result, codes};

use super::{
    event::{Event, HEADER_BYTES, Header, Rows, kind, split},
    gather::{Gathered, Shape},
    gtid::Gtid,
    names::Names,
    place::Place,
    rows::{self, Layouts, Scratch, Target},
    table_map::Form,
};
use crate::origin;

/// A batch ends after so many rows or bytes, whichever comes first, and then at the next end of a
/// transaction; a quarter more is the most that is waited for one.
const BATCH_ROWS: usize = 8_192;
pub(super) const BATCH_BYTES: u64 = 1 << 20;

/// What a change costs beside its values: its place in the log, and what it came from.
const CHANGE_BYTES: u64 = 32;

/// After so many events without a change of ours the place is given out, so that it moves on also where
/// the server has something to send all the time.
const EVENTS_WITHOUT_CHANGE_MAX: usize = 65_536;

/// Tables that are remembered: each alteration of a table gives it another number.
const TABLES_MAX: usize = 4_096;

/// Takes events.
pub(super) struct Intake {
    shapes: Vec<Shape>,
    names: Names,
    gathered: Vec<Option<Gathered>>,
    /// The tables that the log has described, by their numbers.
    tables: HashMap<u64, Described>,
    /// Streams whose table was altered since it was last looked at, with the columns that went.
    suspects: HashMap<usize, Vec<String>>,
    /// Streams whose table was looked at since.
    settled: HashSet<usize>,
    /// Streams whose table is known as it was at a place further on: before it, it may have been another one.
    doubted: HashMap<usize, Place>,
    /// Streams whose table has columns that nobody knows, until it is altered once more: they are not read.
    unread: HashSet<usize>,
    checksums: bool,
    /// Changes that have come through one of these databases are passed over.
    not_from: Vec<String>,
    /// What comes next has come through this, and what is gathered.
    coming: Origin,
    origin: Origin,
    /// Transactions of this server that begin before it are known already.
    from: Place,
    /// Of each stream, the place from which on it is read.
    places: Vec<Option<Place>>,
    /// Whether the transaction under way lies before it.
    copied: Vec<bool>,
    /// Behind the last event, with the transactions behind the last whole one.
    here: Place,
    /// Behind the last whole transaction.
    reached: Place,
    transaction: Option<Transaction>,
    sequence: u64,
    /// Changes, bytes of the log, and memory since the last batch.
    changes: usize,
    bytes: u64,
    held: u64,
    transactions: u64,
    committed_micros: Option<i64>,
    /// Whether a transaction has ended since the last batch of which changes, or parts, were given out.
    ended: bool,
    end_due: bool,
    idle_events: usize,
    scratch: Scratch,
}

/// A table as the log has described it.
struct Described {
    body: Vec<u8>,
    layouts: Layouts,
    /// Where the values of a row are, if its rows say what changes have come through.
    mark: Option<Vec<Form>>,
}

/// The transaction under way.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    is_known: bool,
    /// Whether what comes next of it is passed over.
    passes: bool,
    gtid: Option<Gtid>,
    tagged: bool,
    micros: Option<i64>,
    /// Whether statements follow until its end is told; else its first statement is all of it.
    open: bool,
    /// Changes of it since the last batch.
    changes: usize,
    /// Whether a part of it was given out.
    is_part: bool,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Done,
    /// The tables of these streams have to be looked at before it can be taken.
    Compare(Vec<usize>),
    /// It is a compressed transaction: these bytes.
    Payload(Vec<u8>),
    /// It has not come the way of what is gathered, which is to be given out before it is taken again.
    Apart,
}

impl Intake {
    pub(super) fn new(
        shapes: Vec<Shape>,
        names: Names,
        (from, here): (Place, Place),
        not_from: &[String],
        checksums: bool,
    ) -> Self {
        let gathered = shapes.iter().map(|_| None).collect();
        let (places, copied) = (vec![None; shapes.len()], vec![false; shapes.len()]);
        Intake {
            shapes,
            names,
            gathered,
            tables: HashMap::new(),
            suspects: HashMap::new(),
            settled: HashSet::new(),
            doubted: HashMap::new(),
            unread: HashSet::new(),
            checksums,
            not_from: not_from.to_vec(),
            coming: Origin::default(),
            origin: Origin::default(),
            from,
            places,
            copied,
            reached: here.clone(),
            here,
            transaction: None,
            sequence: 0,
            changes: 0,
            bytes: 0,
            held: 0,
            transactions: 0,
            committed_micros: None,
            ended: false,
            end_due: false,
            idle_events: 0,
            scratch: Scratch::default(),
        }
    }

    /// Those of some streams that are read here.
    fn read_of(&self, streams: &[usize]) -> Vec<usize> {
        streams.iter().copied().filter(|stream| !self.is_copied(*stream)).collect()
    }

    /// The bytes of memory that an event needs.
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub(super) fn needs(&self, bytes: &[u8]) -> Result<u64> {
        let header = Header::read(bytes)?;
        let is_rows = matches!(header.kind, kind::WRITE_V1..=kind::DELETE_V1 | kind::WRITE..=kind::DELETE)
            || matches!(
                header.kind,
                kind::PARTIAL_UPDATE | kind::WRITE_COMPRESSED_V1..=kind::DELETE_COMPRESSED
            );
        if header.kind == kind::PAYLOAD {
            return Ok(bytes.len() as u64);
        }
        if !is_rows {
            return Ok(0);
        }
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        let Event::Rows(rows) = Event::read(&header, body)? else { return Ok(0) };
        let followed = self.tables.get(&rows::table_id(body)?).is_some_and(|table| !table.layouts.is_empty());
        // Values in columns may take twice the room that they have in the log.
        Ok(if followed { cost(rows::unpacked_bytes(&rows)?) } else { 0 })
    }

    /// The bytes of memory that what is gathered holds.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Whether there is anything to be given out.
    pub(super) fn has_changes(&self) -> bool {
        self.changes > 0 || self.end_due
    }

    /// Whether the last event was in the middle of a transaction.
    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a batch should end here.
    pub(super) fn is_full(&self) -> bool {
        let over = |rows: usize, bytes: u64| self.changes >= rows || self.held >= bytes;
        match self.in_transaction() {
            true => over(BATCH_ROWS + BATCH_ROWS / 4, BATCH_BYTES + BATCH_BYTES / 4),
            false => over(BATCH_ROWS, BATCH_BYTES),
        }
    }

    /// Whether much was read that was not ours.
    pub(super) fn is_idle_for_long(&self) -> bool {
        !self.in_transaction() && !self.has_changes() && self.idle_events >= EVENTS_WITHOUT_CHANGE_MAX
    }

    /// Columns of a stream's table that went, in whose places others may have come: see `Statement::Alter`.
    pub(super) fn lost(&self, stream: usize) -> &[String] {
        self.suspects.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// A stream's table may be another one here than the one that it is known as, which it was at this place.
    pub(super) fn doubt(&mut self, stream: usize, upto: Place) {
        self.doubted.insert(stream, upto);
    }

    /// Up to where that is so, if it is and the table has not been altered.
    pub(super) fn doubted(&self, stream: usize) -> Option<&Place> {
        self.doubted.get(&stream)
    }

    /// Transactions before this place are passed over, as far as they concern a stream.
    pub(super) fn pass_over(&mut self, stream: usize, upto: Place) {
        self.places[stream] = Some(upto);
    }

    /// Whether the transaction under way is passed over for a stream.
    fn is_copied(&self, stream: usize) -> bool {
        self.transaction.is_some() && self.copied[stream]
    }

    /// The tables that are followed.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Behind the last whole transaction.
    pub(super) fn reached(&self) -> &Place {
        &self.reached
    }

    /// The place was given out.
    pub(super) fn idle_told(&mut self) {
        self.idle_events = 0;
    }

    /// Takes an event as it was sent.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when it is none; [`codes::UNSUPPORTED`], [`codes::SCHEMA_CHANGED`] and
    /// [`codes::LOG_INCOMPLETE`] when it tells of a change in a way that is not understood.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Taken> {
        let (header, body) = split(bytes, self.checksums)?;
        let event = Event::read(&header, body)?;
        // What has to wait is taken again.
        if let Event::Table(body) = event
            && let Some(streams) = self.doubtful(body)?
        {
            return Ok(Taken::Compare(streams));
        }
        if self.is_apart(&event)? {
            return Ok(Taken::Apart);
        }
        if !header.is_artificial() {
            self.here.advance(header.next);
        }
        self.take_event(&header, event)
    }

    /// Takes an event out of a compressed transaction, whose end is where the whole of it ends.
    ///
    /// # Errors
    /// As [`Intake::take`].
    pub(super) fn take_unpacked(&mut self, bytes: &[u8]) -> Result<Taken> {
        let header = Header::read(bytes)?;
        let event = Event::read(&header, bytes.get(HEADER_BYTES..).unwrap_or_default())?;
        match event {
            Event::Table(body) => match self.doubtful(body)? {
                Some(streams) => Ok(Taken::Compare(streams)),
                None => self.take_event(&header, event),
            },
            Event::Payload(_) | Event::Rotate { .. } | Event::Format { .. } => Err(misplaced()),
            event if self.is_apart(&event)? => Ok(Taken::Apart),
            event => self.take_event(&header, event),
        }
    }

    fn take_event(&mut self, header: &Header, event: Event<'_>) -> Result<Taken> {
        self.idle_events += 1;
        match event {
            Event::Rotate { file, position } => {
                self.file(file);
                self.here.position = position;
            }
            Event::Format { checksums } => {
                self.checksums = checksums;
                self.here.begun = Some(header.seconds);
                // A server that was started anew counts its tables from the beginning.
                self.tables.clear();
                self.cut_off()?;
            }
            Event::Begin(begin) => self.begin(begin)?,
            Event::Query(query) => self.query(header, query)?,
            Event::Commit => self.commit(header)?,
            Event::Prepare { one_phase: true, .. } => self.commit(header)?,
            Event::Prepare { one_phase: false, transaction } => self.prepare(header, transaction)?,
            Event::Table(body) => self.table(body)?,
            Event::Rows(rows) => self.rows(&rows)?,
            Event::Payload(body) => return Ok(Taken::Payload(body.to_vec())),
            Event::Heartbeat { file, position } => {
                self.file(file);
                if position > 0 {
                    self.here.advance(u32::try_from(position & 0xFFFF_FFFF).unwrap_or(0));
                }
            }
            Event::LoadQuery(query) => self.query(header, query)?,
            Event::Incident => {
                return Err(Error::new(&codes::LOG_LOST, "read", "the binary log")
                    .because(
                        "the server says that it has lost changes which should be there (an incident event)",
                    )
                    .hint("Copy the streams again with --restart"));
            }
            Event::Aside => {}
        }
        if self.transaction.is_none() {
            self.reach();
        }
        Ok(Taken::Done)
    }

    /// The log goes on in another file, unless it is the one that is read.
    fn file(&mut self, file: &str) {
        if self.here.file != file {
            self.here.file = file.to_owned();
            (self.here.position, self.here.begun) = (0, None);
        }
    }

    /// Everything up to here is taken.
    fn reach(&mut self) {
        if self.reached.file != self.here.file {
            self.reached.file.clone_from(&self.here.file);
        }
        (self.reached.position, self.reached.begun) = (self.here.position, self.here.begun);
    }

    fn rows(&mut self, rows: &Rows<'_>) -> Result<()> {
        /// Says only that a statement ends.
        const NO_TABLE: u64 = 0x00FF_FFFF;
        let id = rows::table_id(rows.body)?;
        if id == NO_TABLE && !self.tables.contains_key(&id) {
            return Ok(());
        }
        let Some(Described { layouts, mark, .. }) = self.tables.get(&id) else {
            return Err(Error::new(&codes::BAD_BYTES, "read", "the binary log")
                .because("there are rows of a table that was not described before"));
        };
        let Some(transaction) = self.transaction else { return Err(misplaced()) };
        if let Some(forms) = mark {
            let said = rows::last_value(rows, forms, origin::MARK_COLUMN)?;
            self.heard(said.as_deref().and_then(origin::heard));
            return Ok(());
        }
        let is_wanted = |(stream, _): &(usize, _)| !self.copied[*stream];
        if !layouts.iter().any(is_wanted) || transaction.is_known || transaction.passes {
            return Ok(());
        }
        let held = cost(rows::unpacked_bytes(rows)?);
        let mut target =
            Target { shapes: &self.shapes, gathered: &mut self.gathered, layouts, copied: &self.copied };
        let (changes, places) = rows::take(rows, &mut target, &mut self.scratch, self.sequence)?;
        self.bytes += rows.body.len() as u64;
        self.changed_by(changes, places, held);
        Ok(())
    }

    fn changed_by(&mut self, changes: usize, places: u64, held: u64) {
        if self.changes == 0 {
            self.origin.clone_from(&self.coming);
        }
        self.sequence += places;
        self.changes += changes;
        self.held += held;
        if let Some(transaction) = &mut self.transaction {
            transaction.changes += changes;
        }
        self.idle_events = 0;
    }

    /// What was gathered.
    ///
    /// # Errors
    /// [`codes::BROKEN_INVARIANT`] when it does not make columns.
    pub(super) fn finish(&mut self, memory: Option<Reservation>) -> Result<LogBatch> {
        let mut changes = vec![];
        for (stream, (gathered, shape)) in self.gathered.iter_mut().zip(&self.shapes).enumerate() {
            if let Some(gathered) = gathered.take() {
                changes.push(gathered.finish(shape, stream)?);
            }
        }
        // Inside of a transaction of which nothing is here yet, the last whole one ends the batch.
        let inside = self.transaction.as_mut().is_some_and(|transaction| transaction.changes > 0);
        let ended = std::mem::take(&mut self.ended) && !inside;
        self.end_due = false;
        if let Some(transaction) = self.transaction.as_ref().filter(|_| inside) {
            self.committed_micros = transaction.micros;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.is_part |= inside;
            transaction.changes = 0;
        }
        let batch = LogBatch {
            changes,
            origin: std::mem::take(&mut self.origin),
            position: ended.then(|| self.reached.to_position()),
            committed_micros: self.committed_micros.take(),
            transactions: self.transactions,
            bytes: self.bytes,
            memory,
        };
        (self.changes, self.bytes, self.held, self.transactions) = (0, 0, 0, 0);
        Ok(batch)
    }
}

/// The memory that rows need.
fn cost(bytes: usize) -> u64 {
    2 * bytes as u64 + CHANGE_BYTES
}

fn misplaced() -> Error {
    Error::new(&codes::BAD_BYTES, "read", "the binary log")
        .because("an event stands where it cannot")
        .hint("Look at what stands between here and the server")
}
