//! One look at the changes: what has been recorded behind a place, and the rows that it is about as they
//! are at that moment, read in one transaction.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{
    Connection, Statement, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use syncline_connect::{How, LogBatch, Logged, Origin, Read, Reservation, SchemaChange, Went};
use syncline_types::{Error, Position, Result, codes};

use super::{
    place::{self, Names, Place, lost},
    rows::Gathered,
    stream::{Seen, Told, changed_read, see},
    trigger::{self, Since, Whose, key_column},
};
use crate::{
    client::{Database, journal_mode, roll_back, transact},
    decode::value_bytes,
    error::Explain,
};

/// A batch ends after so many records or bytes, whichever comes first.
const BATCH_RECORDS: usize = 8_192;
const BATCH_BYTES: u64 = 2 << 20;

/// Columns of a record before those of the key.
const RECORD_COLUMNS: usize = 5;

/// Where what was found goes to.
pub(super) trait Outlet {
    /// Waits until something can be given, and for memory for a batch whose first row is this large.
    fn begin(&mut self, bytes: u64) -> Result<Reservation, Halt>;
    /// Gives it.
    fn give(&mut self, logged: Logged) -> Result<(), Halt>;
}

/// Why looking stopped before its end.
pub(super) enum Halt {
    Failed(Error),
    /// Nobody wants the rest.
    Unwanted,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Failed(error)
    }
}

/// Looks again and again, from a place on.
pub(super) struct Look {
    connection: Connection,
    database: Database,
    names: Names,
    streams: Vec<Arc<Read>>,
    tables: Vec<Told>,
    /// Of the streams, by their tables' names.
    by_table: BTreeMap<String, usize>,
    at: Place,
    /// Changes that have come through one of these databases are passed over.
    not_from: Vec<String>,
    /// Of each stream, records up to this one are passed over.
    copied: Vec<u64>,
    /// Changes whenever somebody else commits.
    version: Option<i64>,
    /// Changes with every definition.
    schema_version: Option<i64>,
    pub(super) has_wal: bool,
}

impl Look {
    pub(super) fn new(
        database: &Database,
        names: &Names,
        reads: &[Arc<Read>],
        at: Place,
        not_from: Vec<String>,
    ) -> Result<Self> {
        let connection = database.look()?;
        place::check(&connection, names, &at)?;
        let has_wal = journal_mode(&connection, database)? == "wal";
        Ok(Look {
            connection,
            database: database.clone(),
            names: names.clone(),
            streams: reads.to_vec(),
            tables: vec![],
            by_table: BTreeMap::new(),
            at,
            not_from,
            copied: vec![0; reads.len()],
            version: None,
            schema_version: None,
            has_wal,
        })
    }

    /// Leaves out what comes before a stream's place.
    pub(super) fn pass_over(&mut self, stream: usize, upto: &Place) {
        self.copied[stream] = u64::try_from(upto.number).unwrap_or(0);
    }

    fn ask(&self, pragma: &str) -> Result<i64> {
        self.connection
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .explain("look for changes in", self.database.place())
    }

    /// Gives out everything that has happened since the last look. False when that is nothing.
    pub(super) fn look(&mut self, out: &mut dyn Outlet) -> Result<bool, Halt> {
        let version = self.ask("data_version")?;
        if self.version == Some(version) {
            return Ok(false);
        }
        let found = self.look_in_one_transaction(out);
        roll_back(&self.connection);
        let found = found?;
        // What is there twice is better than what is never looked at.
        self.version = found.then_some(version).or(self.version);
        match found {
            true => Ok(true),
            // The definitions are others: whoever writes must be watched by triggers that fit.
            false => self.adapt(out).map(|()| true),
        }
    }

    /// False when definitions have changed, and nothing was looked at.
    fn look_in_one_transaction(&mut self, out: &mut dyn Outlet) -> Result<bool, Halt> {
        self.connection.execute_batch("BEGIN").explain("look for changes in", self.database.place())?;
        let head = place::check(&self.connection, &self.names, &self.at)?;
        if self.schema_version != Some(self.ask("schema_version")?) {
            return Ok(false);
        }
        if head.number == self.at.number {
            return Ok(true);
        }
        let batches = Batches {
            connection: &self.connection,
            names: &self.names,
            tables: &self.tables,
            by_table: &self.by_table,
            not_from: &self.not_from,
            copied: &self.copied,
            origin: Origin::default(),
            building: None,
        };
        let last = batches.gather(self.at.number, head.number, out)?;
        // Nobody is held up by what has been read.
        roll_back(&self.connection);
        self.at = head;
        match last {
            Some(building) => {
                let batch = building.finish(&self.tables, Some(self.at.position()))?;
                out.give(Logged::Changes(batch))?;
            }
            None => out.give(Logged::Idle(self.at.position()))?,
        }
        Ok(true)
    }

    /// Sees to it that the triggers fit the tables as they are, and tells which tables are others.
    fn adapt(&mut self, out: &mut dyn Outlet) -> Result<(), Halt> {
        let begun = self.connection.execute_batch("BEGIN");
        begun.explain("look for changes in", self.database.place())?;
        let seen = self.check_triggers().and_then(|covered| match covered {
            true => self.see_all().map(Some),
            false => Ok(None),
        });
        roll_back(&self.connection);
        let Some(changes) = seen? else {
            let writer = self.database.follow()?;
            let since = Since::Place(self.at.number);
            transact(&writer, &self.database, || {
                trigger::cover(&writer, &self.database, &self.names, &self.streams, since, Whose::Theirs)
            })?;
            // The next look finds that they fit.
            return Ok(());
        };
        for change in changes {
            out.give(Logged::Schema(change))?;
        }
        Ok(())
    }

    /// That every row is recorded; false where a unique index has come or gone.
    fn check_triggers(&self) -> Result<bool> {
        for read in &self.streams {
            let tells = trigger::tell(&self.connection, &self.database, &self.names, read)?;
            if !tells && read.schema().key.is_empty() {
                let reason = format!(
                    "the triggers of `{}` are gone, or record rows by the columns that it had: without a key they record \
                     whole rows, and what has come since was not recorded whole",
                    read.stream.name
                );
                return Err(lost(&self.names, reason).hint("Copy it again: `syncline recopy`, or --restart"));
            }
            if !tells {
                return Err(lost(
                    &self.names,
                    format!(
                        "the triggers of `{}` are gone or not as they were made, so its changes since are told by \
                         nothing; making a table anew drops its triggers",
                        read.stream.name
                    ),
                ));
            }
        }
        trigger::are_covered(&self.connection, &self.database, &self.names, &self.streams, Whose::Theirs)
    }

    /// Looks at all tables, and returns what is new of them.
    fn see_all(&mut self) -> Result<Vec<SchemaChange>> {
        let schema_version = self.ask("schema_version")?;
        let (mut tables, mut changes) = (vec![], vec![]);
        for (stream, read) in self.streams.iter_mut().enumerate() {
            let gone = |read: &Read| lost(&self.names, format!("table `{}` is gone", read.stream.name));
            let told = match see(&self.connection, &self.database, read)?.ok_or_else(|| gone(read))? {
                Seen::Same(told) => told,
                Seen::Other(schema) => {
                    *read = Arc::new(changed_read(read, &schema));
                    let (position, at) = (self.at.position(), self.at.position());
                    changes.push(SchemaChange { stream, schema, position, at, unread: false });
                    match see(&self.connection, &self.database, read)?.ok_or_else(|| gone(read))? {
                        Seen::Same(told) => told,
                        Seen::Other(_) => {
                            let name = format!("`{}`", read.stream.name);
                            return Err(Error::new(&codes::SCHEMA_CHANGED, "follow table", name)
                                .because("its columns are not those that it is said to have"));
                        }
                    }
                }
            };
            tables.push(told);
        }
        self.by_table = tables.iter().enumerate().map(|(place, told)| (told.table.clone(), place)).collect();
        self.tables = tables;
        self.schema_version = Some(schema_version);
        Ok(changes)
    }
}

/// Records on their way into batches.
struct Batches<'a> {
    connection: &'a Connection,
    names: &'a Names,
    tables: &'a [Told],
    by_table: &'a BTreeMap<String, usize>,
    not_from: &'a [String],
    copied: &'a [u64],
    /// What the record at hand has come through.
    origin: Origin,
    building: Option<Building>,
}

impl Batches<'_> {
    /// All records in `(after, upto]`. The last batch is not given out yet.
    fn gather(mut self, after: i64, upto: i64, out: &mut dyn Outlet) -> Result<Option<Building>, Halt> {
        let keys = self.tables.iter().map(Told::recorded_len).max().unwrap_or_default();
        let columns: Vec<String> = (0..keys).map(|place| format!(", {}", key_column(place))).collect();
        let sql = format!(
            "SELECT number, millis, stream, op, origin{} FROM main.{} WHERE number > ?1 AND number <= ?2 ORDER BY number",
            columns.concat(),
            self.names.table()
        );
        let object = format!("`{}`", self.names.changes);
        let mut records = self.connection.prepare(&sql).explain("read", &object)?;
        let mut lookups: Vec<Option<Statement<'_>>> =
            self.tables.iter().map(|told| told.prepare(self.connection)).collect::<Result<_>>()?;
        let mut records = records.query((after, upto)).explain("read", &object)?;
        let (mut scratch, mut said) = (String::new(), None);
        while let Some(record) = records.next().explain("read", &object)? {
            let record = Record::of(record).explain("read", &object)?;
            if record.said != said.as_deref() {
                said = record.said.map(str::to_owned);
                self.origin = record.said.and_then(Origin::read).unwrap_or_default();
            }
            if self.origin.is_from(self.not_from) {
                continue;
            }
            let Some(stream) = record.stream.and_then(|name| self.by_table.get(name).copied()) else {
                continue;
            };
            let (Some(told), Some(lookup)) = (self.tables.get(stream), lookups.get_mut(stream)) else {
                continue;
            };
            if record.number <= self.copied[stream] {
                continue;
            }
            self.keep_apart(out)?;
            match lookup {
                Some(lookup) => self.take(stream, told, lookup, &record, &mut scratch, out)?,
                None => self.take_whole(stream, told, &record, &mut scratch, out)?,
            }
        }
        Ok(self.building)
    }

    /// Gives out what has not come the way of the record at hand.
    fn keep_apart(&mut self, out: &mut dyn Outlet) -> Result<(), Halt> {
        match self.building.take_if(|building| building.origin != self.origin) {
            Some(full) => out.give(Logged::Changes(full.finish(self.tables, None)?)),
            None => Ok(()),
        }
    }

    /// Looks up the row of a record.
    fn take(
        &mut self,
        stream: usize,
        told: &Told,
        lookup: &mut Statement<'_>,
        record: &Record<'_>,
        scratch: &mut String,
        out: &mut dyn Outlet,
    ) -> Result<(), Halt> {
        let key = record.key.get(..told.key_len()).unwrap_or_default();
        let parameters = params_from_iter(key.iter().map(|value| ToSqlOutput::Borrowed(*value)));
        let name = || format!("`{}`", told.read.stream.name);
        let columns = told.decoders.len();
        let selected = columns + told.key_len() + usize::from(told.has_rowid);
        let mut rows = lookup.query(parameters).explain("read table", name())?;
        let mut found = false;
        // There is one at most, unless the key holds NULLs.
        while let Some(row) = rows.next().explain("read table", name())? {
            let values: Vec<ValueRef<'_>> = (0..selected)
                .map(|place| row.get_ref(place))
                .collect::<rusqlite::Result<_>>()
                .explain("read table", name())?;
            // Equal for the key's index is not the same: then the row has another key by now.
            if values.get(columns..columns + key.len()) != Some(key) {
                continue;
            }
            found = true;
            let bytes = values.iter().take(columns).copied().map(value_bytes).sum();
            let how = if record.op == "i" { How::Insert } else { How::Update };
            let building = self.room(bytes, record, out)?;
            building.of(stream, told).write(told, &values, record.number, how, scratch);
        }
        if !found {
            let bytes = key.iter().copied().map(value_bytes).sum();
            let went = Went { sequence: record.number, moved: false };
            self.room(bytes, record, out)?.of(stream, told).remove(told, key, went, scratch);
        }
        Ok(())
    }

    /// Takes the row that a record has.
    fn take_whole(
        &mut self,
        stream: usize,
        told: &Told,
        record: &Record<'_>,
        scratch: &mut String,
        out: &mut dyn Outlet,
    ) -> Result<(), Halt> {
        if record.op == "x" {
            let error =
                Error::new(&codes::LOG_INCOMPLETE, "follow table", format!("`{}`", told.read.stream.name));
            return Err(Halt::Failed(
                error
                    .because("a row was put where another one was, by its number (rowid), and no trigger tells which")
                    .hint("Copy it again: `syncline recopy`, or --restart"),
            ));
        }
        let values: Vec<ValueRef<'_>> =
            told.places.iter().filter_map(|place| record.key.get(*place).copied()).collect();
        let bytes = values.iter().copied().map(value_bytes).sum();
        let gathered = self.room(bytes, record, out)?.of(stream, told);
        let sequence = record.number;
        match record.op {
            "i" => gathered.write(told, &values, sequence, How::Insert, scratch),
            "n" => gathered.write(told, &values, sequence, How::Move, scratch),
            op => gathered.remove(told, &values, Went { sequence, moved: op == "o" }, scratch),
        }
        Ok(())
    }

    /// The batch under construction, with room for so many bytes more.
    fn room(&mut self, bytes: u64, record: &Record<'_>, out: &mut dyn Outlet) -> Result<&mut Building, Halt> {
        if let Some(full) = self.building.take_if(|building| !building.has_room(bytes)) {
            let batch = full.finish(self.tables, None)?;
            out.give(Logged::Changes(batch))?;
        }
        let building = match &mut self.building {
            Some(building) => building,
            place => {
                let reserved = bytes.max(BATCH_BYTES);
                place.insert(Building::new(self.origin.clone(), out.begin(reserved)?, reserved))
            }
        };
        building.count += 1;
        building.bytes += bytes;
        building.millis = building.millis.max(record.millis);
        Ok(building)
    }
}

/// A record of the table of changes.
struct Record<'r> {
    number: u64,
    millis: Option<i64>,
    stream: Option<&'r str>,
    op: &'r str,
    /// What it has come through.
    said: Option<&'r str>,
    key: Vec<ValueRef<'r>>,
}

impl<'r> Record<'r> {
    fn of(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let columns = row.as_ref().column_count();
        Ok(Record {
            number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
            millis: row.get(1)?,
            stream: row.get_ref(2)?.as_str_or_null()?,
            op: row.get_ref(3)?.as_str()?,
            said: row.get_ref(4)?.as_str_or_null()?,
            key: (RECORD_COLUMNS..columns)
                .map(|place| row.get_ref(place))
                .collect::<rusqlite::Result<_>>()?,
        })
    }
}

/// A batch under construction.
struct Building {
    origin: Origin,
    memory: Reservation,
    reserved: u64,
    gathered: BTreeMap<usize, Gathered>,
    count: usize,
    bytes: u64,
    millis: Option<i64>,
}

impl Building {
    fn new(origin: Origin, memory: Reservation, reserved: u64) -> Self {
        Building { origin, memory, reserved, gathered: BTreeMap::new(), count: 0, bytes: 0, millis: None }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.count < BATCH_RECORDS && self.bytes + bytes <= self.reserved
    }

    fn of(&mut self, stream: usize, told: &Told) -> &mut Gathered {
        self.gathered.entry(stream).or_insert_with(|| Gathered::new(told))
    }

    /// With a position, it is the last one of a look.
    fn finish(mut self, tables: &[Told], position: Option<Position>) -> Result<LogBatch> {
        let changes = self
            .gathered
            .into_iter()
            .filter_map(|(stream, gathered)| Some(gathered.finish(tables.get(stream)?, stream)))
            .collect::<Result<_>>()?;
        self.memory.shrink_to(self.bytes);
        Ok(LogBatch {
            changes,
            origin: self.origin,
            transactions: u64::from(position.is_some()),
            position,
            committed_micros: self.millis.map(|millis| millis.saturating_mul(1_000)),
            bytes: self.bytes,
            memory: Some(self.memory),
        })
    }
}
