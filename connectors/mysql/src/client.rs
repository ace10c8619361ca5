//! Connections: encrypted as the options say, with a deadline, and set up so that every session
//! reads and writes values in the same form.
//!
//! One command at a time: every call takes the client alone and leaves it ready for the next. A call
//! that is broken off in between (its future dropped) leaves it unusable, and every later one says so.

mod dump;
mod load;
mod login;
mod many;
mod packet;
mod public_key;
mod second;
mod server;
mod session;
mod statement;
mod wire;

use std::{io, path::Path, sync::Arc, time::Duration};

use syncline_connect::{Context, Finding, Report};
use syncline_net::Stream;
use syncline_types::{Error, Result, codes};

#[cfg(any(test, fuzzing))]
pub(crate) use self::packet::look_into;
pub(crate) use self::{
    dump::DumpFrom,
    packet::{Outcome, lenenc},
    second::Patience,
    server::{Family, Server},
    statement::{ColumnDefinition, Statement},
    wire::{Front, PAYLOAD_BYTES_MAX},
};
use self::{
    login::log_in,
    packet::{Answer, has_more, is_end, text_row},
    second::Beside,
    wire::Wire,
};
use crate::{
    config::MysqlConfig,
    error::{from_io, from_server, unreachable},
};

/// Rows of texts; `None` is NULL.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PING: u8 = 0x0E;

/// An answer in texts is not longer than this: it is kept whole.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A connection that is logged in and set up.
pub(crate) struct Client {
    wire: Wire,
    state: State,
    /// What is known of the session where the connection itself is at work.
    beside: Beside,
    pub(crate) server: Server,
    /// The longest packet that the server takes.
    pub(crate) packet_bytes_max: u64,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Ready,
    /// An answer is to come. When nobody waits for it any more, nobody can tell it from the next.
    Busy,
    /// Rows are to come, of which each can be told from the end.
    Rows,
    /// The server waits for a file.
    Loading,
}

/// Opens a connection.
pub(crate) async fn connect(config: &Arc<MysqlConfig>, cx: &Context) -> Result<Client> {
    let place = config.place();
    let limit = Duration::from_secs(config.connect_timeout);
    let opened = tokio::time::timeout(limit, async {
        let socket = match config.unix_socket() {
            Some(path) => syncline_net::unix(Path::new(path)).await,
            None => syncline_net::tcp(&config.host, config.port, cx.idle_max()).await,
        };
        let socket = socket.map_err(|error| unreachable(&error.to_string(), "connect to", &place))?;
        log_in(Wire::new(Stream::Left(socket)), config).await
    });
    let (wire, server) = opened.await.unwrap_or_else(|_| {
        Err(Error::new(&codes::TIMED_OUT, "connect to", &place)
            .because(format!("no answer within {} s", limit.as_secs()))
            .hint("Check host and port; connect_timeout=SECONDS gives more time"))
    })?;
    let beside = Beside { config: Arc::clone(config), cx: cx.clone(), session: String::new() };
    let mut client = Client { wire, state: State::Ready, beside, server, packet_bytes_max: 0 };
    session::set_up(&mut client).await?;
    Ok(client)
}

/// Says what is at the other end.
pub(crate) async fn check(config: MysqlConfig, cx: Context) -> Result<Report> {
    let config = Arc::new(config);
    let mut client = connect(&config, &cx).await?;
    let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &config.place()).await?;
    let tls = config.tls()?;
    let encryption = match config.unix_socket() {
        Some(_) => "through a Unix socket",
        None => tls.describe(),
    };
    let mut findings = vec![];
    if tls.is_exposed(config.is_local()) {
        findings.push(Finding::warning(format!("the connection to {} is {encryption}", config.place())));
    }
    Ok(Report {
        system: client.server.to_string(),
        connection: format!("as {}, {encryption}", user.unwrap_or_default()),
        findings,
    })
}

impl Client {
    /// The options it was opened with.
    pub(crate) fn config(&self) -> &Arc<MysqlConfig> {
        &self.beside.config
    }

    /// What the engine lends.
    pub(crate) fn cx(&self) -> &Context {
        &self.beside.cx
    }

    /// Whether it can take another command, as far as can be told without asking the server. One
    /// that failed on the way cannot.
    pub(crate) fn is_usable(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether the session is still there, as the server says.
    pub(crate) async fn ping(&mut self, operation: &str, object: &str) -> Result<()> {
        self.command(PING, &[], Patience::Quick, operation, object).await?;
        self.receive(Patience::Quick, operation, object).await?;
        self.state = State::Ready;
        Ok(())
    }

    /// Runs a statement that is quick. Rows it may return are left out.
    pub(crate) async fn run(&mut self, sql: &str, operation: &str, object: &str) -> Result<Outcome> {
        Ok(self.ask(sql, Patience::Quick, operation, object).await?.0)
    }

    /// Runs a statement that may take long and says nothing meanwhile. There is no deadline; instead
    /// a second connection looks now and then whether the server still works on it.
    pub(crate) async fn run_long(&mut self, sql: &str, operation: &str, object: &str) -> Result<Outcome> {
        Ok(self.ask(sql, Patience::Long, operation, object).await?.0)
    }

    /// Runs a statement that is quick, and returns its rows as texts. Columns of bytes have to be
    /// asked for as `HEX(...)`: what is not UTF-8 does not come through.
    pub(crate) async fn texts(&mut self, sql: &str, operation: &str, object: &str) -> Result<Rows> {
        Ok(self.ask(sql, Patience::Quick, operation, object).await?.1)
    }

    /// As [`Client::texts`], for what may take long.
    pub(crate) async fn texts_long(&mut self, sql: &str, operation: &str, object: &str) -> Result<Rows> {
        Ok(self.ask(sql, Patience::Long, operation, object).await?.1)
    }

    /// The first text of the first row.
    pub(crate) async fn text(&mut self, sql: &str, operation: &str, object: &str) -> Result<Option<String>> {
        let rows = self.texts(sql, operation, object).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    async fn ask(
        &mut self,
        sql: &str,
        patience: Patience,
        operation: &str,
        object: &str,
    ) -> Result<(Outcome, Rows)> {
        self.command(QUERY, &[sql.as_bytes()], patience, operation, object).await?;
        let (outcome, rows) = self.whole_answer(patience, operation, object).await?;
        self.state = State::Ready;
        Ok((outcome, rows))
    }

    /// An answer with all its rows.
    async fn whole_answer(
        &mut self,
        patience: Patience,
        operation: &str,
        object: &str,
    ) -> Result<(Outcome, Rows)> {
        match self.answer(patience, operation, object).await? {
            Answer::Ok(outcome) => Ok((outcome, vec![])),
            // Nothing of ours asks for one here: whoever answers wants to read our files.
            Answer::Infile => Err(Error::new(&codes::SERVER_REFUSED, operation, object)
                .because("the server asks for a file of this machine, which nothing has offered it")
                .hint("Do not trust this server, nor what stands between here and it")),
            Answer::Columns(count) => {
                for _ in 0..count {
                    self.receive(patience, operation, object).await?;
                }
                self.end_of_columns(operation, object).await?;
                let (rows, more) = self.rows(count, patience, operation, object).await?;
                Ok((Outcome { more, ..Outcome::default() }, rows))
            }
        }
    }

    /// Rows up to their end, and whether another answer follows.
    async fn rows(
        &mut self,
        columns: usize,
        patience: Patience,
        operation: &str,
        object: &str,
    ) -> Result<(Rows, bool)> {
        let (mut rows, mut bytes) = (vec![], 0);
        loop {
            let packet = self.receive(patience, operation, object).await?;
            if is_end(&packet) {
                return Ok((rows, has_more(&packet)));
            }
            bytes += packet.len();
            if bytes > ANSWER_BYTES_MAX {
                return Err(Error::new(&codes::BROKEN_INVARIANT, operation, object)
                    .because("the answer is longer than what is kept whole"));
            }
            let row = text_row(&packet, columns).map_err(|error| from_io(&error, operation, object))?;
            rows.push(row);
        }
    }

    /// Begins a command.
    async fn command(
        &mut self,
        code: u8,
        pieces: &[&[u8]],
        patience: Patience,
        operation: &str,
        object: &str,
    ) -> Result<()> {
        if self.state != State::Ready {
            return Err(unreachable("something on this connection was broken off", operation, object));
        }
        self.state = State::Busy;
        self.wire.restart_sequence();
        let code = [code];
        let pieces: Vec<&[u8]> = std::iter::once(&code[..]).chain(pieces.iter().copied()).collect();
        self.send(&pieces, patience, operation, object).await
    }

    async fn send(
        &mut self,
        pieces: &[&[u8]],
        patience: Patience,
        operation: &str,
        object: &str,
    ) -> Result<()> {
        let Client { wire, beside, .. } = self;
        let sent = beside.wait(patience, operation, object, wire.send(pieces)).await?;
        match sent {
            Ok(()) => Ok(()),
            // A server that is tired of us says why before it hangs up.
            Err(error) => Err(self.last_word(&error, operation, object).await),
        }
    }

    async fn last_word(&mut self, error: &io::Error, operation: &str, object: &str) -> Error {
        let heard = self
            .beside
            .cx
            .deadline(operation, object, async { Ok(self.wire.receive(ANSWER_BYTES_MAX).await) });
        if let Ok(Ok(packet)) = heard.await
            && let Ok(Some(said)) = packet::error(&packet)
        {
            return from_server(&said, operation, object);
        }
        from_io(error, operation, object)
    }

    /// The next packet. One that tells of an error ends the command.
    async fn receive(&mut self, patience: Patience, operation: &str, object: &str) -> Result<Vec<u8>> {
        let failed = |error: io::Error| from_io(&error, operation, object);
        let Client { wire, beside, .. } = self;
        let packet = beside.wait(patience, operation, object, wire.receive(ANSWER_BYTES_MAX)).await?;
        let packet = packet.map_err(failed)?;
        if let Some(error) = packet::error(&packet).map_err(failed)? {
            self.state = State::Ready;
            return Err(from_server(&error, operation, object));
        }
        Ok(packet)
    }

    async fn answer(&mut self, patience: Patience, operation: &str, object: &str) -> Result<Answer> {
        let packet = self.receive(patience, operation, object).await?;
        packet::answer(&packet).map_err(|error| from_io(&error, operation, object))
    }

    async fn end_of_columns(&mut self, operation: &str, object: &str) -> Result<()> {
        let packet = self.receive(Patience::Quick, operation, object).await?;
        match is_end(&packet) {
            true => Ok(()),
            false => Err(from_io(&packet::garbled(), operation, object)),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.state == State::Ready {
            self.wire.leave(QUIT);
        }
    }
}
