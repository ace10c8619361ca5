//! Where transactions begin and end, and what statements among them do.

use syncline_connect::Origin;
use syncline_types::{Error, Result, codes};

use super::{Intake, Transaction, misplaced};
use crate::log::{
    event::{Begin, Header, Query, transaction_of},
    gather::Gathered,
    names::Names,
    statement::{Named, Statement, statement},
    unpack::unpack,
};

impl Intake {
    pub(super) fn begin(&mut self, begin: Begin) -> Result<()> {
        if self.in_transaction() {
            return Err(misplaced());
        }
        let Begin { gtid, tagged, micros, open } = begin;
        let same_server = self.from.server == self.here.server;
        // The event itself has moved the place on.
        let is_known = same_server && self.here.compare(&self.from)?.is_le();
        for at in 0..self.places.len() {
            let Some(place) = &self.places[at] else { continue };
            let is_copied = match (place.server == self.here.server, gtid, &place.gtids) {
                (false, Some(gtid), Some(known)) => known.contains(gtid),
                _ => self.here.compare(place)?.is_le(),
            };
            if self.copied[at] != is_copied {
                self.copied[at] = is_copied;
                // They were described for other streams.
                self.tables.clear();
            }
        }
        self.coming = Origin::default();
        let (passes, changes, is_part) = (false, 0, false);
        self.transaction =
            Some(Transaction { is_known, passes, gtid, tagged, micros, open, changes, is_part });
        Ok(())
    }

    pub(super) fn query(&mut self, header: &Header, query: Query<'_>) -> Result<()> {
        let mut unpacked = vec![];
        let text = match query.compressed {
            true => {
                unpack(query.text, &mut unpacked)?;
                unpacked.as_slice()
            }
            false => query.text,
        };
        let statement = statement(text);
        match &statement {
            Statement::Begin => {
                match &mut self.transaction {
                    Some(transaction) => transaction.open = true,
                    None => self.begin(Begin { gtid: None, tagged: false, micros: None, open: true })?,
                }
                return Ok(());
            }
            Statement::Commit => return self.commit(header),
            Statement::Rollback => return self.roll_back(),
            Statement::RollbackTo if self.changed() => return Err(taken_back()),
            Statement::CommitPrepared(name) => return self.commit_prepared(header, name),
            Statement::RollbackPrepared(name) => {
                self.reached.prepared.remove(&transaction_of(name));
                return self.commit(header);
            }
            _ => {}
        }
        if !self.transaction.is_some_and(|transaction| transaction.is_known) {
            self.statement(statement, query.database)?;
        }
        if self.transaction.is_some_and(|transaction| transaction.open) {
            Ok(())
        } else {
            self.commit(header)
        }
    }

    /// What a statement does to followed tables.
    fn statement(&mut self, statement: Statement, database: &[u8]) -> Result<()> {
        let meant = |names: &[Named], all: &Names| -> Vec<usize> {
            let streams: Vec<usize> = names.iter().flat_map(|name| all.meant(name, database)).collect();
            self.read_of(&streams)
        };
        match statement {
            Statement::Truncate(name) => {
                for stream in self.read_of(&self.names.meant(&name, database)) {
                    if self.unread.contains(&stream) {
                        continue;
                    }
                    let shape = &self.shapes[stream];
                    let gathered = self.gathered[stream].get_or_insert_with(|| Gathered::new(shape));
                    gathered.truncate(self.sequence);
                    self.changed_by(1, 1, 0);
                }
                Ok(())
            }
            Statement::Alter { table, lost } => {
                let streams = self.read_of(&self.names.meant(&table, database));
                self.settled.retain(|stream| !streams.contains(stream));
                for stream in streams {
                    self.doubted.remove(&stream);
                    self.suspects.entry(stream).or_default().extend(lost.iter().cloned());
                }
                Ok(())
            }
            Statement::Replaced(names) => self.refuse(
                meant(&names, &self.names),
                "it was made, renamed, dropped, or lost rows all at once, of which the log does not tell one by one",
            ),
            Statement::DropDatabase(database) => self.refuse(self.read_of(&self.names.within(&database)), "its database was dropped"),
            Statement::Change(names) if names.is_empty() => Err(Error::new(&codes::UNSUPPORTED, "read", "the binary log")
                .because("rows were changed by a statement that the log tells in place of the rows (binlog_format is not ROW in a session)")
                .hint("Let all sessions write rows, then copy the streams again with --restart")),
            Statement::Change(names) => self.refuse(
                meant(&names, &self.names),
                "its rows were changed by a statement that the log tells in place of the rows (binlog_format is not ROW in a session)",
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn refuse(&self, streams: Vec<usize>, reason: &str) -> Result<()> {
        let Some(shape) = streams.first().and_then(|stream| self.shapes.get(*stream)) else { return Ok(()) };
        Err(Error::new(&codes::SCHEMA_CHANGED, "follow table", format!("`{}`", shape.name))
            .because(reason)
            .hint("Copy it again: --restart"))
    }

    /// Whether the transaction has changed anything of ours.
    fn changed(&self) -> bool {
        self.transaction.is_some_and(|transaction| transaction.changes > 0 || transaction.is_part)
    }

    pub(super) fn commit(&mut self, header: &Header) -> Result<()> {
        let Some(transaction) = self.transaction.take() else {
            // A statement of an old log may stand for itself.
            self.ended = true;
            return Ok(());
        };
        if let Some(gtids) = &mut self.reached.gtids {
            let known = transaction.gtid.is_none_or(|gtid| gtids.add(gtid));
            if transaction.tagged || !known {
                // The set would no longer say what lies before the place.
                self.reached.gtids = None;
            }
        }
        self.ended |= !transaction.is_known;
        if transaction.changes > 0 || transaction.is_part {
            self.transactions += 1;
            self.committed_micros = transaction.micros.or(header.micros());
        }
        self.end_due |= transaction.is_part;
        Ok(())
    }

    /// Nothing of the transaction holds. What was given out of it cannot be taken back.
    fn roll_back(&mut self) -> Result<()> {
        if self.changed() {
            return Err(taken_back());
        }
        if let (Some(Transaction { gtid: Some(gtid), .. }), Some(gtids)) =
            (self.transaction.take(), &mut self.reached.gtids)
        {
            gtids.add(gtid);
        }
        Ok(())
    }

    pub(super) fn prepare(&mut self, header: &Header, transaction: u64) -> Result<()> {
        if self.changed() {
            return Err(Error::new(&codes::UNSUPPORTED, "follow", "a transaction of two phases")
                .because("the log tells its rows when it is prepared (XA PREPARE), and not when it is committed")
                .hint("Commit what changes followed tables in one phase, and copy the streams again with --restart"));
        }
        self.reached.prepared.insert(transaction);
        self.commit(header)
    }

    /// What was prepared before the place may have changed anything.
    fn commit_prepared(&mut self, header: &Header, name: &str) -> Result<()> {
        let is_known = self.transaction.is_some_and(|transaction| transaction.is_known);
        if !self.reached.prepared.remove(&transaction_of(name)) && !is_known {
            return Err(Error::new(&codes::LOG_INCOMPLETE, "follow", "a transaction of two phases")
                .because("it was prepared (XA PREPARE) before the pipeline's place in the log, and committed behind it: its rows are not told again")
                .hint("Copy the streams again with --restart"));
        }
        self.commit(header)
    }

    /// A file begins: what was under way in the one before has not come to its end.
    pub(super) fn cut_off(&mut self) -> Result<()> {
        if self.changed() {
            return Err(Error::new(&codes::LOG_INCOMPLETE, "read", "the binary log")
                .because("a file ends in the middle of a transaction, as after a crash of the server")
                .hint("Copy the streams again with --restart"));
        }
        self.transaction = None;
        Ok(())
    }
}

fn taken_back() -> Error {
    Error::new(&codes::UNSUPPORTED, "follow", "a transaction that was taken back")
        .because("the log tells its rows, and then that they do not hold: it has also changed what cannot be taken back")
        .hint("Do not change tables of different engines, or temporary ones, in a transaction; copy the streams again with --restart")
}
