//! Messages in, changes out: which transaction they are of, which stream, and how far that is. No IO.

use std::collections::HashMap;

use syncline_connect::{LogBatch, ORIGIN, Origin, Reservation};
use syncline_types::{Error, Result, codes};

use super::{
    gather::{Gathered, Layout, Shape},
    lsn::Lsn,
    message::{Message, message},
};
use crate::decode::EPOCH_MICROS;

/// A batch ends after so many rows or bytes, whichever comes first, and then at the next end of a
/// transaction; a quarter more is the most that is waited for one.
const BATCH_ROWS: usize = 8_192;
pub(super) const BATCH_BYTES: u64 = 1 << 20;

/// What a change costs beside its values: its place in the log, and what it came from.
const CHANGE_BYTES: u64 = 32;

/// After so many messages without a change of ours the place is given out, so that it moves on also
/// where the server has something to send all the time.
const MESSAGES_WITHOUT_CHANGE_MAX: usize = 65_536;

/// Takes messages.
pub(super) struct Intake {
    shapes: Vec<Shape>,
    /// The streams of a table, as the log has last described it. A table that nobody follows has none.
    layouts: HashMap<u32, Vec<(usize, Layout)>>,
    gathered: Vec<Option<Gathered>>,
    /// Transactions that end at or before it are known already.
    from: Lsn,
    /// Of each stream, transactions that are committed before it are passed over.
    places: Vec<Lsn>,
    /// Changes that have come through one of these databases are passed over.
    not_from: Vec<String>,
    /// What has come next has come through this.
    coming: Origin,
    /// What is gathered has come through this.
    origin: Origin,
    transaction: Option<Transaction>,
    sequence: u64,
    /// Changes and bytes since the last batch.
    changes: usize,
    bytes: u64,
    transactions: u64,
    committed_micros: Option<i64>,
    /// Behind the last whole transaction since the last batch.
    ended: Option<Lsn>,
    /// Whether a transaction has ended since the last batch of which parts were given out before.
    end_due: bool,
    /// Behind the last whole transaction, or what the server has said to have sent.
    reached: Lsn,
    /// Messages since the last change.
    idle_messages: usize,
    /// A batch is to end behind this transaction.
    cut: Option<Lsn>,
    /// Descriptions of tables that came when some of their streams were passed over: with those streams, each
    /// message as it came.
    undescribed: HashMap<u32, (Vec<usize>, Vec<u8>)>,
}

/// The transaction under way.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    /// Where it is committed.
    commit: Lsn,
    /// And when, by the server's own count.
    micros: i64,
    is_known: bool,
    /// Whether what comes next of it is passed over.
    passes: bool,
    /// Changes of it since the last batch.
    changes: usize,
    /// Whether a part of it was given out.
    is_open: bool,
}

impl Transaction {
    /// Whether what comes next of it is taken.
    fn is_wanted(self) -> bool {
        !self.is_known && !self.passes
    }
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Done,
    /// It describes a table, and [`Intake::describe`] is to be called before the next one.
    Relation,
    /// It is the first of this table since streams are read of it that were passed over: what has described the
    /// table is to be dealt with, and then it is taken again.
    Undescribed(u32),
    /// It has not come the way of what is gathered, which is to be given out before it is taken again.
    Apart,
}

impl Intake {
    pub(super) fn new(shapes: Vec<Shape>, from: Lsn, not_from: &[String]) -> Self {
        let gathered = shapes.iter().map(|_| None).collect();
        Intake {
            places: shapes.iter().map(|_| Lsn::default()).collect(),
            shapes,
            layouts: HashMap::new(),
            gathered,
            from,
            not_from: not_from.to_vec(),
            coming: Origin::default(),
            origin: Origin::default(),
            transaction: None,
            sequence: 0,
            changes: 0,
            bytes: 0,
            transactions: 0,
            committed_micros: None,
            ended: None,
            end_due: false,
            reached: from,
            idle_messages: 0,
            cut: None,
            undescribed: HashMap::new(),
        }
    }

    /// The bytes of memory that a message needs.
    pub(super) fn needs(&self, bytes: &[u8]) -> u64 {
        let table = match bytes {
            [b'I' | b'U' | b'D', a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => return 0,
        };
        let followed = self.layouts.get(&table).is_some_and(|streams| !streams.is_empty());
        match followed && self.transaction.is_some_and(|transaction| transaction.is_wanted()) {
            true => bytes.len() as u64 + CHANGE_BYTES,
            false => 0,
        }
    }

    /// The bytes of memory that what is gathered holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is anything to be given out.
    pub(super) fn has_changes(&self) -> bool {
        self.changes > 0 || self.end_due
    }

    /// Whether the last message was in the middle of a transaction.
    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a batch should end here.
    pub(super) fn is_full(&self) -> bool {
        if self.ended.is_some() && self.ended == self.cut {
            return true;
        }
        let over = |rows: usize, bytes: u64| self.changes >= rows || self.bytes >= bytes;
        match self.in_transaction() {
            true => over(BATCH_ROWS + BATCH_ROWS / 4, BATCH_BYTES + BATCH_BYTES / 4),
            false => over(BATCH_ROWS, BATCH_BYTES),
        }
    }

    /// Whether much was read that was not ours.
    pub(super) fn is_idle_for_long(&self) -> bool {
        !self.in_transaction() && !self.has_changes() && self.idle_messages >= MESSAGES_WITHOUT_CHANGE_MAX
    }

    /// Where the transaction under way is committed; behind the last one where none is.
    pub(super) fn commit_place(&self) -> Lsn {
        self.transaction.map_or(self.reached, |transaction| transaction.commit)
    }

    /// The batch that reaches this place is to end there.
    pub(super) fn cut_at(&mut self, place: Lsn) {
        self.cut = Some(place);
    }

    /// Transactions that end at or before a place are passed over, as far as they concern a stream.
    pub(super) fn pass_over(&mut self, stream: usize, upto: Lsn) {
        if let Some(place) = self.places.get_mut(stream) {
            *place = upto;
        }
    }

    /// Whether the transaction under way is passed over for a stream.
    pub(super) fn is_passed(&self, stream: usize) -> bool {
        let commit = self.transaction.map_or(self.reached, |transaction| transaction.commit);
        self.places.get(stream).is_some_and(|place| commit < *place)
    }

    /// Keeps the description of a table for those of its streams that are passed over.
    pub(super) fn keep_description(&mut self, table: u32, streams: Vec<usize>, message: Vec<u8>) {
        match streams.is_empty() {
            true => self.undescribed.remove(&table),
            false => self.undescribed.insert(table, (streams, message)),
        };
    }

    /// What has described a table.
    pub(super) fn description(&self, table: u32) -> Option<Vec<u8>> {
        self.undescribed.get(&table).map(|(_, message)| message.clone())
    }

    /// The table of a change that is the first since its streams are read.
    fn undescribed(&self, message: &Message<'_>) -> Option<u32> {
        if self.undescribed.is_empty() || !self.transaction.is_some_and(Transaction::is_wanted) {
            return None;
        }
        let waits = |table: &u32| {
            let streams = self.undescribed.get(table).map(|(streams, _)| streams.as_slice());
            streams.unwrap_or_default().iter().any(|stream| !self.is_passed(*stream))
        };
        match message {
            Message::Insert { table, .. } | Message::Update { table, .. } | Message::Delete { table, .. } => {
                Some(*table).filter(waits)
            }
            Message::Truncate { tables } => tables.iter().copied().find(waits),
            _ => None,
        }
    }

    /// Everything before it has been taken, where nothing is gathered and no transaction is under way.
    pub(super) fn reached(&self) -> Lsn {
        self.reached
    }

    /// The server has sent everything before a place.
    pub(super) fn keep_alive(&mut self, upto: Lsn) {
        if !self.in_transaction() {
            self.reached = self.reached.max(upto);
        }
    }

    /// The place was given out.
    pub(super) fn idle_told(&mut self) {
        self.idle_messages = 0;
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when it is none, or stands where it cannot; [`codes::SCHEMA_CHANGED`] when
    /// a row that is gone is not told by its key.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Taken> {
        self.idle_messages += 1;
        let message = message(bytes)?;
        if self.is_apart(&message) {
            return Ok(Taken::Apart);
        }
        if let Some(table) = self.undescribed(&message) {
            return Ok(Taken::Undescribed(table));
        }
        match message {
            Message::Begin { commit, micros } => {
                if self.in_transaction() {
                    return Err(misplaced());
                }
                self.coming = Origin::default();
                let is_known = commit < self.from;
                let (passes, changes, is_open) = (false, 0, false);
                self.transaction = Some(Transaction { commit, micros, is_known, passes, changes, is_open });
            }
            Message::Commit { end, micros } => self.commit(end, micros)?,
            Message::Relation(_) => return Ok(Taken::Relation),
            Message::Insert { table, new } => {
                let sequence = self.sequence;
                self.change(table, bytes.len(), |gathered, shape, layout| {
                    gathered.insert(shape, layout, &new, sequence).map(|()| 1)
                })?;
            }
            Message::Update { table, old, new } => {
                let sequence = self.sequence;
                self.change(table, bytes.len(), |gathered, shape, layout| {
                    gathered.update(shape, layout, old.as_ref(), &new, sequence)
                })?;
            }
            Message::Delete { table, old } => {
                let sequence = self.sequence;
                self.change(table, bytes.len(), |gathered, shape, layout| {
                    gathered.delete(shape, layout, &old, sequence).map(|()| 1)
                })?;
            }
            Message::Truncate { tables } => {
                for table in tables {
                    let sequence = self.sequence;
                    self.change(table, bytes.len(), |gathered, _, _| {
                        gathered.truncate(sequence);
                        Ok(1)
                    })?;
                }
            }
            Message::Said { name, text } => self.said(name, text),
            Message::Aside => {}
        }
        Ok(Taken::Done)
    }

    /// Whether a change has not come the way of those that are gathered.
    fn is_apart(&self, message: &Message<'_>) -> bool {
        let wanted = |table: &u32| self.layouts.get(table).is_some_and(|streams| !streams.is_empty());
        self.changes > 0
            && self.origin != self.coming
            && self.transaction.is_some_and(|transaction| transaction.is_wanted())
            && match message {
                Message::Insert { table, .. }
                | Message::Update { table, .. }
                | Message::Delete { table, .. } => wanted(table),
                Message::Truncate { tables } => tables.iter().any(wanted),
                _ => false,
            }
    }

    /// Whoever writes for another pipeline says so, in words that nobody else uses.
    fn said(&mut self, name: &[u8], text: &[u8]) {
        let Some(transaction) = self.transaction.as_mut().filter(|_| name == ORIGIN.as_bytes()) else {
            return;
        };
        if let Some(origin) = std::str::from_utf8(text).ok().and_then(Origin::read) {
            transaction.passes = origin.is_from(&self.not_from);
            self.coming = origin;
        }
    }

    fn commit(&mut self, end: Lsn, micros: i64) -> Result<()> {
        let Some(transaction) = self.transaction.take() else { return Err(misplaced()) };
        self.reached = self.reached.max(end);
        if transaction.is_known {
            return Ok(());
        }
        if transaction.changes > 0 || transaction.is_open {
            self.transactions += 1;
            self.committed_micros = micros.checked_add(EPOCH_MICROS);
        }
        self.end_due |= transaction.is_open;
        self.ended = Some(end);
        Ok(())
    }

    /// Gives a change to each stream of its table.
    fn change(
        &mut self,
        table: u32,
        bytes: usize,
        mut apply: impl FnMut(&mut Gathered, &Shape, &Layout) -> Result<u64>,
    ) -> Result<()> {
        let Some(transaction) = &mut self.transaction else { return Err(misplaced()) };
        let Some(streams) = self.layouts.get(&table) else {
            return Err(Error::new(&codes::BAD_BYTES, "read", "PostgreSQL's log")
                .because("there is a change of a table that was not described before"));
        };
        let (commit, all) = (transaction.commit, &self.places);
        let is_read = |(stream, _): &&(usize, Layout)| all.get(*stream).is_none_or(|place| commit >= *place);
        if !transaction.is_wanted() || !streams.iter().any(|stream| is_read(&stream)) {
            return Ok(());
        }
        let mut places = 0;
        for (stream, layout) in streams.iter().filter(is_read) {
            let shape = &self.shapes[*stream];
            let gathered = self.gathered[*stream].get_or_insert_with(|| Gathered::new(shape));
            places = apply(gathered, shape, layout)?.max(places);
        }
        if places == 0 {
            return Ok(());
        }
        if self.changes == 0 {
            self.origin.clone_from(&self.coming);
        }
        self.sequence += places;
        self.changes += 1;
        transaction.changes += 1;
        self.bytes += bytes as u64 + CHANGE_BYTES;
        self.idle_messages = 0;
        Ok(())
    }

    /// A table is as described from here on. Nothing must be gathered of a stream whose `shape` is new.
    pub(super) fn describe(&mut self, table: u32, layouts: Vec<(usize, Layout)>) {
        self.layouts.insert(table, layouts);
    }

    /// A stream has another shape from here on.
    pub(super) fn reshape(&mut self, stream: usize, shape: Shape) {
        self.shapes[stream] = shape;
    }

    pub(super) fn shape(&self, stream: usize) -> &Shape {
        &self.shapes[stream]
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
        let position = if inside { None } else { self.ended.take() };
        if let Some(transaction) = self.transaction.filter(|_| inside) {
            self.committed_micros = transaction.micros.checked_add(EPOCH_MICROS);
        }
        (self.ended, self.end_due) = (None, false);
        if let Some(transaction) = &mut self.transaction {
            transaction.is_open |= inside;
            transaction.changes = 0;
        }
        let batch = LogBatch {
            changes,
            origin: std::mem::take(&mut self.origin),
            position: position.map(Lsn::position),
            committed_micros: self.committed_micros.take(),
            transactions: self.transactions,
            bytes: self.bytes,
            memory,
        };
        (self.changes, self.bytes, self.transactions) = (0, 0, 0);
        Ok(batch)
    }
}

fn misplaced() -> Error {
    Error::new(&codes::BAD_BYTES, "read", "PostgreSQL's log")
        .because("a message stands where it cannot")
        .hint("Look at what stands between here and the server")
}

/// Takes messages of any bytes for a table with these columns, as a reader would. Built for tests and
/// fuzzing only.
#[cfg(any(test, fuzzing))]
pub(crate) fn look_into<'a>(
    columns: Vec<syncline_types::Column>,
    keyed: bool,
    messages: impl Iterator<Item = &'a [u8]>,
) {
    use super::{message::frame, relation::described};

    let mut schema = syncline_types::TableSchema::new("postgres", columns);
    schema.key = schema.columns.iter().take(usize::from(keyed)).map(|column| column.name.clone()).collect();
    let read = whole("t", schema);
    let shape = Shape::new(&read, true).expect("the key's columns are read");
    let mut intake = Intake::new(vec![shape], Lsn(16), &[]);
    for bytes in messages {
        // What it is a frame of does not matter here.
        let _ = frame(bytes);
        match intake.take(bytes) {
            Ok(Taken::Done) => {}
            Ok(Taken::Apart) => {
                look_at_batch(&mut intake);
                assert_ne!(intake.take(bytes).ok(), Some(Taken::Apart), "nothing is gathered");
            }
            Ok(Taken::Relation) => {
                let Ok(Message::Relation(relation)) = message(bytes) else { panic!("it was one before") };
                let (columns, identity) = described(&relation);
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let layout = intake.shape(0).layout(&names, &identity);
                intake.describe(relation.table, layout.into_iter().map(|layout| (0, layout)).collect());
            }
            Ok(Taken::Undescribed(_)) => panic!("nothing is passed over"),
            // What a broken stream leaves behind is never used.
            Err(_) => return,
        }
        if intake.is_full() || bytes.len() % 3 == 0 {
            look_at_batch(&mut intake);
        }
    }
    look_at_batch(&mut intake);
}

#[cfg(any(test, fuzzing))]
fn look_at_batch(intake: &mut Intake) {
    if !intake.has_changes() {
        return;
    }
    let inside = intake.in_transaction();
    let batch = intake.finish(None).expect("every value has been looked at");
    assert!(inside || batch.position.is_some(), "a whole transaction has a position");
    for changes in &batch.changes {
        assert_eq!(changes.rows.num_rows(), changes.written.len());
        assert_eq!(changes.gone.num_rows(), changes.went.len());
        let mut lengths = changes.absent.iter().flatten().map(arrow_buffer::BooleanBuffer::len);
        assert!(lengths.all(|length| length == changes.written.len()));
    }
}

/// All columns of a table.
#[cfg(any(test, fuzzing))]
fn whole(name: &str, schema: syncline_types::TableSchema) -> syncline_connect::Read {
    let columns = schema.columns.iter().map(|column| column.name.clone()).collect();
    let stream = syncline_connect::Stream {
        name: syncline_types::StreamName::bare(name),
        in_default_namespace: true,
        schema,
        order: syncline_connect::SplitOrder::Whole,
        rows_estimate: None,
        bytes_estimate: None,
    };
    syncline_connect::Read { stream: std::sync::Arc::new(stream), columns, filter: None, chunk_rows: 1 }
}

#[cfg(test)]
mod tests {
    use syncline_connect::identity;
    use syncline_types::{Column, LogicalType, TableSchema};

    use super::*;

    fn intake(from: u64) -> Intake {
        let id = Column::new("id", LogicalType::Int32).required();
        let read = whole("t", TableSchema::new("postgres", vec![id]).with_key(["id"]));
        let shape = Shape::new(&read, false).unwrap();
        let layout = shape.layout(&["id"], &[true]).unwrap();
        let mut intake = Intake::new(vec![shape], Lsn(from), &[identity("test", "target")]);
        intake.describe(7, vec![(0, layout)]);
        intake.describe(8, vec![]);
        intake
    }

    fn begin(commit: u64) -> Vec<u8> {
        [b"B", commit.to_be_bytes().as_slice(), &[0; 12]].concat()
    }

    fn commit(end: u64) -> Vec<u8> {
        [b"C", [0; 9].as_slice(), &end.to_be_bytes(), &[0; 8]].concat()
    }

    fn insert(table: u8) -> Vec<u8> {
        [b"I", [0, 0, 0, table].as_slice(), b"N", &[0, 1], b"t", &[0, 0, 0, 1], b"5"].concat()
    }

    fn take(intake: &mut Intake, messages: &[Vec<u8>]) {
        for message in messages {
            assert_eq!(intake.take(message).unwrap(), Taken::Done);
        }
    }

    #[test]
    fn a_transaction_that_is_known_is_passed_over() {
        let mut intake = intake(100);
        take(&mut intake, &[begin(90), insert(7), commit(100)]);
        assert!(!intake.has_changes());
        assert_eq!(intake.needs(&insert(7)), 0);
        take(&mut intake, &[begin(100), insert(7), commit(110)]);
        let batch = intake.finish(None).unwrap();
        assert_eq!((batch.position, batch.transactions), (Some(Lsn(110).position()), 1));
        assert_eq!(batch.changes[0].rows.num_rows(), 1);
    }

    #[test]
    fn only_the_last_part_of_a_transaction_has_a_position() {
        let mut intake = intake(0);
        take(&mut intake, &[begin(5), insert(7), commit(10), begin(15), insert(7)]);
        let part = intake.finish(None).unwrap();
        assert_eq!((part.position, part.transactions, part.changes[0].rows.num_rows()), (None, 1, 2));
        assert!(!intake.has_changes());
        // Nothing of it comes any more, but that it has ended.
        take(&mut intake, &[insert(8), commit(20)]);
        assert!(intake.has_changes());
        // One that is none of ours does not count, and is passed over with it.
        take(&mut intake, &[begin(21), commit(22)]);
        let end = intake.finish(None).unwrap();
        assert_eq!((end.position, end.transactions, end.changes.len()), (Some(Lsn(22).position()), 1, 0));
        // What has only begun does not hold back what has ended.
        take(&mut intake, &[begin(25), insert(7), commit(30), begin(35)]);
        let whole = intake.finish(None).unwrap();
        assert_eq!(whole.position, Some(Lsn(30).position()));
        take(&mut intake, &[insert(7), commit(40)]);
        assert_eq!(intake.finish(None).unwrap().position, Some(Lsn(40).position()));
    }

    fn said(databases: &[&str]) -> Vec<u8> {
        let ids: Vec<String> = databases.iter().map(|one| identity("test", one)).collect();
        let text = ids.join(" ");
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [b"M\x01".as_slice(), &[0; 8], ORIGIN.as_bytes(), b"\0", &length, text.as_bytes()].concat()
    }

    #[test]
    fn what_has_come_through_the_target_is_passed_over() {
        let mut intake = intake(0);
        let own = [begin(1), insert(7), commit(5)];
        let back = [begin(6), said(&["one", "target"]), insert(7), insert(7), commit(10)];
        take(&mut intake, &own);
        take(&mut intake, &back);
        assert_eq!(intake.needs(&insert(7)), 0);
        let batch = intake.finish(None).unwrap();
        assert_eq!((batch.position, batch.transactions), (Some(Lsn(10).position()), 1));
        assert_eq!(batch.changes[0].rows.num_rows(), 1);
        take(&mut intake, &[begin(11), said(&["target"]), insert(7), commit(20)]);
        assert!(!intake.has_changes());
        assert_eq!(intake.reached(), Lsn(20));
        // What somebody else says means nothing, and the next transaction is its own.
        let other = [b"M\x01".as_slice(), &[0; 8], b"else\0", &[0, 0, 0, 1], b"x"].concat();
        take(&mut intake, &[begin(21), other, insert(7), commit(30)]);
        let batch = intake.finish(None).unwrap();
        assert!(batch.origin.is_here());
        assert_eq!(batch.transactions, 1);
    }

    #[test]
    fn a_batch_is_of_one_origin() {
        let mut intake = intake(0);
        let origin = |name: &str| Origin::default().through(&[identity("test", name)]).unwrap();
        take(&mut intake, &[begin(1), said(&["a"]), insert(7), commit(5), begin(6), insert(8)]);
        assert_eq!(intake.take(&insert(7)).unwrap(), Taken::Apart);
        let first = intake.finish(None).unwrap();
        assert_eq!((first.origin, first.position), (origin("a"), Some(Lsn(5).position())));
        // One that is told to be of two is given out in parts.
        take(&mut intake, &[insert(7), said(&["b"]), insert(8)]);
        assert_eq!(intake.take(&insert(7)).unwrap(), Taken::Apart);
        let part = intake.finish(None).unwrap();
        assert_eq!((part.origin, part.position), (Origin::default(), None));
        take(&mut intake, &[insert(7), said(&["target"]), insert(7), commit(10)]);
        let rest = intake.finish(None).unwrap();
        assert_eq!((rest.origin, rest.position), (origin("b"), Some(Lsn(10).position())));
        assert_eq!(rest.changes[0].rows.num_rows(), 1);
    }

    #[test]
    fn a_keep_alive_inside_of_a_transaction_says_nothing_of_it() {
        let mut intake = intake(0);
        take(&mut intake, &[begin(5)]);
        intake.keep_alive(Lsn(50));
        assert_eq!(intake.reached(), Lsn(0));
        take(&mut intake, &[insert(8), commit(10)]);
        assert!(!intake.has_changes());
        assert_eq!(intake.reached(), Lsn(10));
        intake.keep_alive(Lsn(50));
        assert_eq!(intake.reached(), Lsn(50));
    }

    #[test]
    fn what_stands_where_it_cannot_is_an_error() {
        for messages in
            [vec![insert(7)], vec![commit(1)], vec![begin(1), begin(2)], vec![begin(1), insert(9)]]
        {
            let mut intake = intake(0);
            let error = messages.iter().find_map(|message| intake.take(message).err());
            assert_eq!(error.unwrap().code(), &codes::BAD_BYTES);
        }
    }
}
