//! A connection that the server streams its log over.

use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::BufMut;
use postgres_protocol::message::frontend;
use syncline_connect::Context;
use syncline_sql::{quote_double, quote_text};
use syncline_types::{Error, Result, codes};

use super::{login::log_in, lsn::Lsn, wire::Wire};
use crate::{
    client::{SETTINGS, in_time},
    config::PostgresConfig,
    decode::EPOCH_MICROS,
    error::{Answered, unreachable},
};

/// Answers to what we ask here are short.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A server that lets go of silent followers sooner would let go of us while the target is slow; one
/// that never does would keep the slot of a machine that is gone.
const PATIENCE: &str = "SET wal_sender_timeout = '60s'";

/// The end of the stream, and of the session.
const FAREWELL: &[u8] = b"c\0\0\0\x04X\0\0\0\x04";

/// A session that streams.
pub(super) struct Session {
    pub(super) wire: Wire,
    /// For messages.
    slot: String,
    cx: Context,
}

/// What is streamed.
pub(super) struct Streamed<'a> {
    pub(super) slot: &'a str,
    pub(super) publication: &'a str,
    pub(super) from: Lsn,
    /// Whether values come in their binary form.
    pub(super) binary: bool,
    /// The encoding of texts.
    pub(super) encoding: &'a str,
}

impl Session {
    /// Logs in and begins to stream.
    pub(super) async fn start(
        config: &Arc<PostgresConfig>,
        cx: &Context,
        streamed: &Streamed<'_>,
    ) -> Result<Self> {
        let wire = in_time(config, log_in(config, cx, streamed.encoding)).await?;
        let mut session = Session { wire, slot: streamed.slot.to_owned(), cx: cx.clone() };
        session.ask(&format!("{SETTINGS}; SET client_encoding = '{}'", streamed.encoding), b'Z').await?;
        session.ask(PATIENCE, b'Z').await?;
        let options = format!(
            "proto_version '1', publication_names {}, messages 'true', binary '{}'",
            quote_text(&quote_double(streamed.publication)),
            streamed.binary
        );
        let sql = format!(
            "START_REPLICATION SLOT {} LOGICAL {} ({options})",
            quote_double(streamed.slot),
            streamed.from
        );
        session.ask(&sql, b'W').await?;
        Ok(session)
    }

    /// Sends a command and passes over what comes until a message with the letter `last`.
    async fn ask(&mut self, sql: &str, last: u8) -> Result<()> {
        frontend::query(sql, &mut self.wire.out).map_err(|error| {
            Error::new(&codes::BAD_VALUE, "follow by slot", format!("`{}`", self.slot)).because(error)
        })?;
        self.flush().await?;
        loop {
            let Session { wire, slot, cx } = self;
            let object = format!("`{slot}`");
            let received = async {
                wire.message(ANSWER_BYTES_MAX)
                    .await
                    .map_err(|error| unreachable(&error.to_string(), "follow by slot", &object))
            };
            let (letter, payload) = cx.deadline("follow by slot", &object, received).await?;
            match letter {
                b'E' => return Err(Answered::read(&payload).translate_log("follow by slot", &object)),
                letter if letter == last => return Ok(()),
                _ => {}
            }
        }
    }

    /// Says what is durable here, and whether an answer is wanted.
    pub(super) async fn report(&mut self, received: Lsn, durable: Lsn, wants_reply: bool) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX).saturating_sub(EPOCH_MICROS);
        let out = &mut self.wire.out;
        out.put_u8(b'd');
        out.put_u32(4 + 1 + 3 * 8 + 8 + 1);
        out.put_u8(b'r');
        // Written, flushed and applied. Zero moves nothing; then a server that is shut down waits only until
        // everything has been received, and not for it to be durable.
        [received.max(durable), durable, durable].iter().for_each(|place| out.put_u64(place.0));
        out.put_i64(micros);
        out.put_u8(u8::from(wants_reply));
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        let Session { wire, slot, cx } = self;
        let object = format!("`{slot}`");
        let sent = async { wire.flush().await.map_err(|error| lost(&error, &object)) };
        cx.deadline("follow by slot", &object, sent).await
    }

    /// The slot, for messages.
    pub(super) fn slot(&self) -> &str {
        &self.slot
    }

    /// The error of a connection that is no more.
    pub(super) fn lost(&self, error: &io::Error) -> Error {
        lost(error, &format!("`{}`", self.slot))
    }
}

fn lost(error: &io::Error, object: &str) -> Error {
    unreachable(&error.to_string(), "follow by slot", object)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.wire.leave(FAREWELL);
    }
}
