//! The binary log, sent as it grows: the commands by which a replica asks for it.

use syncline_types::{Error, Result};

use super::{Client, Patience, State, packet};
use crate::error::{from_io, of_log, unreachable};

const REGISTER_REPLICA: u8 = 0x15;
const DUMP: u8 = 0x12;
const DUMP_GTID: u8 = 0x1E;

/// The position of a log's first event.
const FIRST_POSITION: u64 = 4;

/// From where on the log is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DumpFrom<'a> {
    /// From a place in a file. MariaDB looks at it only where no state was set before.
    Place { file: &'a str, position: u32 },
    /// Everything but these transactions, in the form that MySQL takes.
    AllBut(&'a [u8]),
}

impl Client {
    /// Says as which replica we read, so that the server lists us.
    pub(crate) async fn register(&mut self, server_id: u32, operation: &str, object: &str) -> Result<()> {
        // Host, user and password are for people only, and left empty; so are port, rank and the
        // primary's number.
        let rest = [0; 3 + 2 + 4 + 4];
        let pieces: [&[u8]; 2] = [&server_id.to_le_bytes(), &rest];
        self.command(REGISTER_REPLICA, &pieces, Patience::Quick, operation, object).await?;
        self.receive(Patience::Quick, operation, object).await?;
        self.state = State::Ready;
        Ok(())
    }

    /// Asks for the log. From here on the connection does nothing else, and ends by being dropped:
    /// what comes is taken from [`Client::incoming`].
    pub(crate) async fn dump(
        &mut self,
        from: DumpFrom<'_>,
        server_id: u32,
        operation: &str,
        object: &str,
    ) -> Result<()> {
        let (code, payload) = request(from, server_id);
        self.command(code, &[&payload], Patience::Quick, operation, object).await?;
        self.wire.set_room(true);
        Ok(())
    }

    /// Why the server sends no more of the log: the packet in front says it.
    pub(crate) fn dump_ended(&mut self, operation: &str, object: &str) -> Error {
        match packet::error(self.wire.payload()) {
            Ok(Some(error)) => of_log(&error, operation, object),
            Ok(None) => unreachable("the server has ended the stream", operation, object),
            Err(error) => from_io(&error, operation, object),
        }
    }
}

/// The command's number and what follows it.
fn request(from: DumpFrom<'_>, server_id: u32) -> (u8, Vec<u8>) {
    match from {
        DumpFrom::Place { file, position } => {
            let payload =
                [&position.to_le_bytes()[..], &[0, 0], &server_id.to_le_bytes(), file.as_bytes()].concat();
            (DUMP, payload)
        }
        DumpFrom::AllBut(set) => {
            let length = u32::try_from(set.len()).unwrap_or(u32::MAX).to_le_bytes();
            // The flag says that a set follows; the file's name is empty.
            let payload =
                [&[4, 0][..], &server_id.to_le_bytes(), &[0; 4], &FIRST_POSITION.to_le_bytes(), &length, set]
                    .concat();
            (DUMP_GTID, payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_form() {
        let (code, payload) = request(DumpFrom::Place { file: "bin.000002", position: 0x0102 }, 7);
        assert_eq!((code, &payload[..10]), (0x12, &[2, 1, 0, 0, 0, 0, 7, 0, 0, 0][..]));
        assert_eq!(&payload[10..], b"bin.000002");
        let (code, payload) = request(DumpFrom::AllBut(&[9; 8]), 7);
        assert_eq!((code, payload.len()), (0x1E, 2 + 4 + 4 + 8 + 4 + 8));
        assert_eq!(&payload[18..22], &[8, 0, 0, 0]);
    }
}
