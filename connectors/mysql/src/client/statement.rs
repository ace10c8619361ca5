//! Prepared statements, whose rows are in binary.

pub(crate) use mysql_common::packets::Column as ColumnDefinition;
use syncline_types::{Error, Result, codes};

use super::{
    Client, Patience, State,
    packet::{self, Answer, is_end},
    wire::{Front, Wire},
};
use crate::error::{from_io, from_server};

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const CLOSE: u8 = 0x19;

/// A statement that the server has prepared. It lasts as long as the connection, or until
/// [`Client::close`].
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    id: u32,
}

impl Client {
    /// Prepares a statement without parameters.
    pub(crate) async fn prepare(&mut self, sql: &str, operation: &str, object: &str) -> Result<Statement> {
        let quick = Patience::Quick;
        self.command(PREPARE, &[sql.as_bytes()], quick, operation, object).await?;
        let first = self.receive(quick, operation, object).await?;
        let (id, params, columns) =
            packet::prepared(&first).map_err(|error| from_io(&error, operation, object))?;
        for count in [params, columns] {
            for _ in 0..count {
                self.receive(quick, operation, object).await?;
            }
            if count > 0 {
                self.end_of_columns(operation, object).await?;
            }
        }
        self.state = State::Ready;
        Ok(Statement { id })
    }

    /// Lets the server forget a statement.
    pub(crate) async fn close(&mut self, statement: Statement, operation: &str, object: &str) -> Result<()> {
        let id = statement.id.to_le_bytes();
        self.command(CLOSE, &[&id], Patience::Quick, operation, object).await?;
        // The server does not answer.
        self.state = State::Ready;
        Ok(())
    }

    /// Runs a prepared statement that returns rows, and says what columns they
    /// have. The rows are then taken from [`Client::incoming`]; the reading ends with
    /// [`Client::end_rows`].
    pub(crate) async fn open_rows(
        &mut self,
        statement: &Statement,
        operation: &str,
        object: &str,
    ) -> Result<Vec<ColumnDefinition>> {
        // No cursor, once.
        let head = [&statement.id.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat();
        self.command(EXECUTE, &[&head], Patience::Long, operation, object).await?;
        let Answer::Columns(count) = self.answer(Patience::Long, operation, object).await? else {
            return Err(Error::new(&codes::BROKEN_INVARIANT, operation, object)
                .because("the statement returns no rows"));
        };
        let mut columns = Vec::with_capacity(count.min(4096));
        for _ in 0..count {
            let packet = self.receive(Patience::Quick, operation, object).await?;
            columns.push(packet::column(&packet).map_err(|error| from_io(&error, operation, object))?);
        }
        self.end_of_columns(operation, object).await?;
        self.wire.set_room(true);
        self.state = State::Rows;
        Ok(columns)
    }

    /// Receives more of the rows. Being cancelled loses nothing.
    pub(crate) async fn fill(&mut self, patience: Patience, operation: &str, object: &str) -> Result<()> {
        let Client { wire, beside, .. } = self;
        let filled = beside.wait(patience, operation, object, wire.fill()).await?;
        filled.map_err(|error| {
            self.state = State::Busy;
            from_io(&error, operation, object)
        })
    }

    /// Whether the next who wants it can have it, after [`Client::stop_rows`].
    pub(crate) fn may_recover(&self) -> bool {
        matches!(self.state, State::Ready | State::Rows)
    }

    /// Ends a reading that somebody has left, and looks whether the session is still there. Its
    /// transaction goes on.
    pub(crate) async fn stop_rows(&mut self) -> Result<()> {
        let operation = "stop reading";
        let place = self.config().place();
        if self.state != State::Rows {
            return self.ping(operation, &place).await;
        }
        self.beside.interrupt(&place).await?;
        loop {
            match self.wire.front().map_err(|error| from_io(&error, operation, &place))? {
                Front::Nothing => self.fill(Patience::Quick, operation, &place).await?,
                Front::Large(length) => {
                    let room = length.map_or(u64::MAX, |length| length as u64);
                    let _memory = self.cx().memory().reserve(room).await;
                    while self.wire.front().is_ok_and(|front| front != Front::Payload) {
                        if matches!(self.wire.front(), Ok(Front::Large(_))) {
                            self.wire.take_large();
                        } else {
                            self.fill(Patience::Quick, operation, &place).await?;
                        }
                    }
                    self.wire.advance();
                }
                Front::Payload => match self.end_rows(operation, &place) {
                    None => self.wire.advance(),
                    // That it was interrupted is what was wanted.
                    Some(_) if self.state == State::Ready => break,
                    Some(ended) => return ended,
                },
            }
        }
        // Should the word to stop have come too late for the rows, it may end the next statement.
        let _ = self.run("DO 0", operation, &place).await;
        if self.state == State::Ready { Ok(()) } else { Err(from_io(&packet::garbled(), operation, &place)) }
    }

    /// The packets of the rows that are being read.
    pub(crate) fn incoming(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// What the packet in front is, besides a row: the end of all rows, or an error instead of it.
    /// Both end the reading.
    pub(crate) fn end_rows(&mut self, operation: &str, object: &str) -> Option<Result<()>> {
        let packet = self.wire.payload();
        let ended = match packet.first() {
            Some(0x00) => return None,
            _ if is_end(packet) => Ok(()),
            _ => match packet::error(packet) {
                Ok(Some(error)) => Err(from_server(&error, operation, object)),
                // What follows is not known.
                Ok(None) => {
                    self.state = State::Busy;
                    return Some(Err(from_io(&packet::garbled(), operation, object)));
                }
                Err(error) => {
                    self.state = State::Busy;
                    return Some(Err(from_io(&error, operation, object)));
                }
            },
        };
        self.wire.advance();
        self.wire.set_room(false);
        self.state = State::Ready;
        Some(ended)
    }
}
