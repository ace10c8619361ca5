//! `LOAD DATA LOCAL INFILE` out of memory: the server asks for a file, and gets what we have.

use syncline_types::{Error, Result, codes};

use super::{Client, Outcome, Patience, QUERY, State, packet::Answer};
use crate::error::from_io;

/// A load under way. Dropped before [`Load::finish`] it leaves the connection unusable, unless
/// [`Client::loading`] takes it up again.
pub(crate) struct Load<'a> {
    client: &'a mut Client,
    operation: &'a str,
    object: &'a str,
}

impl Client {
    /// Begins a `LOAD DATA LOCAL INFILE` statement. The file's name in it means nothing.
    ///
    /// # Errors
    /// [`codes::UNSUPPORTED`] when the server does not take files from its clients.
    pub(crate) async fn load<'a>(
        &'a mut self,
        sql: &str,
        operation: &'a str,
        object: &'a str,
    ) -> Result<Load<'a>> {
        self.command(QUERY, &[sql.as_bytes()], Patience::Long, operation, object).await?;
        match self.answer(Patience::Long, operation, object).await? {
            Answer::Infile => {
                self.state = State::Loading;
                Ok(Load { client: self, operation, object })
            }
            Answer::Ok(_) | Answer::Columns(_) => {
                Err(Error::new(&codes::BROKEN_INVARIANT, operation, object)
                    .because("the statement does not load anything"))
            }
        }
    }

    /// The load that was begun and neither finished nor failed.
    pub(crate) fn loading<'a>(&'a mut self, operation: &'a str, object: &'a str) -> Option<Load<'a>> {
        (self.state == State::Loading).then_some(Load { client: self, operation, object })
    }
}

impl Load<'_> {
    /// Sends more of the file. Lines may be cut anywhere. While the server is busy with what it has,
    /// this waits.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            // To the server that would be the end.
            return Ok(());
        }
        self.client.state = State::Busy;
        // Without the length of a whole packet, so that no empty one follows, which would be the end.
        for piece in bytes.chunks(PIECE_BYTES) {
            self.client.send(&[piece], Patience::Long, self.operation, self.object).await?;
        }
        self.client.state = State::Loading;
        Ok(())
    }

    /// Ends the file and waits for what the server says of it.
    ///
    /// # Errors
    /// When the statement failed; the connection can be used again.
    pub(crate) async fn finish(self) -> Result<Outcome> {
        let Load { client, operation, object } = self;
        client.state = State::Busy;
        client.send(&[], Patience::Long, operation, object).await?;
        match client.answer(Patience::Long, operation, object).await? {
            Answer::Ok(outcome) => {
                client.state = State::Ready;
                Ok(outcome)
            }
            Answer::Infile | Answer::Columns(_) => Err(from_io(&super::packet::garbled(), operation, object)),
        }
    }
}

/// What is sent in one packet.
const PIECE_BYTES: usize = 1 << 20;
