//! A snapshot whose place in the log is known: the server exports one with every slot that it makes.
//!
//! Transactions whose commit stands before the slot's place are in it, and those behind it are told by the
//! log. The slot itself is not needed and ends with the connection that has made it.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use postgres_protocol::message::frontend;
use syncline_connect::Context;
use syncline_types::{Error, Result, codes};

use super::{login::log_in, lsn::Lsn, wire::Wire};
use crate::{
    client::{Client, SETTINGS, in_time},
    config::PostgresConfig,
    error::{Answered, unreachable},
};

/// Answers to what is asked here are short.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How long the server may be silent before it is looked whether it still works: it waits for every transaction
/// that is under way.
const LOOK_EVERY: Duration = Duration::from_secs(30);

const EXPORT: &str = "export a snapshot of";

/// The end of a session.
const FAREWELL: &[u8] = b"X\0\0\0\x04";

/// A snapshot that is there for as long as this is.
pub(super) struct Exported {
    wire: Wire,
    pub(super) place: Lsn,
    pub(super) snapshot: String,
}

impl Drop for Exported {
    fn drop(&mut self) {
        self.wire.leave(FAREWELL);
    }
}

/// Exports a snapshot. `client` looks after the session that does it.
///
/// # Errors
/// [`codes::SERVER_BUSY`] when the server has no slot to spare.
pub(super) async fn export(config: &Arc<PostgresConfig>, cx: &Context, client: &Client) -> Result<Exported> {
    let wire = in_time(config, log_in(config, cx, "UTF8")).await?;
    let mut session = Session { wire, place: config.place(), client, pid: None };
    session.ask(SETTINGS).await?;
    session.pid = session.ask("SELECT pg_backend_pid()").await?.into_iter().next();
    let name = format!("syncline_copy_{:016x}", RandomState::new().hash_one(std::process::id()));
    tracing::info!(slot = name, "the server waits for transactions that are under way");
    let row = session.ask(&format!("CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput")).await?;
    // The slot's name, its place, the snapshot's name, the plugin.
    let place = row.get(1).and_then(|text| Lsn::parse(text));
    let (Some(place), Some(snapshot)) = (place, row.get(2).filter(|name| !name.is_empty())) else {
        return Err(session.garbled());
    };
    let snapshot = snapshot.clone();
    Ok(Exported { wire: session.wire, place, snapshot })
}

/// A session that takes commands of replication, and what looks after it.
struct Session<'a> {
    wire: Wire,
    place: String,
    client: &'a Client,
    /// The server's process, once it is known.
    pid: Option<String>,
}

impl Session<'_> {
    /// Sends a command; returns the texts of the last row of its answer.
    async fn ask(&mut self, sql: &str) -> Result<Vec<String>> {
        frontend::query(sql, &mut self.wire.out)
            .map_err(|error| Error::new(&codes::BAD_VALUE, EXPORT, &self.place).because(error))?;
        self.wire.flush().await.map_err(|error| unreachable(&error.to_string(), EXPORT, &self.place))?;
        let mut row = vec![];
        loop {
            let received = tokio::time::timeout(LOOK_EVERY, self.wire.message(ANSWER_BYTES_MAX)).await;
            let Ok(received) = received else {
                self.look().await?;
                continue;
            };
            let (letter, payload) =
                received.map_err(|error| unreachable(&error.to_string(), EXPORT, &self.place))?;
            match letter {
                b'E' => {
                    let error = Answered::read(&payload).translate(EXPORT, &self.place);
                    return Err(match error.code() == &codes::SERVER_BUSY {
                        true => error.hint(
                            "Copying a table without a key takes one replication slot more for a moment: drop one that \
                             nobody needs, or raise max_replication_slots and max_wal_senders",
                        ),
                        false => error,
                    });
                }
                b'D' => row = texts(&payload).ok_or_else(|| self.garbled())?,
                b'Z' => return Ok(row),
                _ => {}
            }
        }
    }

    /// Whether the server still works for the session.
    async fn look(&self) -> Result<()> {
        let gone =
            || unreachable("the server no longer knows the session that was doing it", EXPORT, &self.place);
        let Some(pid) = self.pid.as_ref().filter(|pid| pid.bytes().all(|digit| digit.is_ascii_digit()))
        else {
            return Err(gone());
        };
        let sql = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid}");
        match self.client.text(&sql, EXPORT, &self.place).await? {
            Some(_) => Ok(()),
            None => Err(gone()),
        }
    }

    fn garbled(&self) -> Error {
        Error::new(&codes::BAD_BYTES, EXPORT, &self.place)
            .because("the server's answer is not of the form asked for")
    }
}

/// The texts of a row; NULL is an empty one. `None` when it is none.
fn texts(payload: &[u8]) -> Option<Vec<String>> {
    let (count, mut rest) = payload.split_first_chunk::<2>()?;
    let mut texts = vec![];
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (text, behind) = behind.split_at_checked(length)?;
        texts.push(String::from_utf8(text.to_vec()).ok()?);
        rest = behind;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_many_texts_as_it_says() {
        let row = b"\0\x03\0\0\0\x02ab\xFF\xFF\xFF\xFF\0\0\0\0";
        assert_eq!(texts(row), Some(vec!["ab".into(), String::new(), String::new()]));
        for length in 0..row.len() {
            assert_eq!(texts(&row[..length]), None, "{length}");
        }
    }
}
