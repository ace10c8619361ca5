//! From a socket to a session that may replicate: encryption, and who we are. The driver of ordinary
//! connections has no such sessions.

use std::io;

use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::frontend,
};
use secrecy::ExposeSecret;
use syncline_connect::Context;
use syncline_net::{Stream, Tls, client_config};
use syncline_types::{Error, Result, codes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire::Wire;
use crate::{
    client::reach,
    config::PostgresConfig,
    error::{Answered, unreachable},
};

/// Messages of a login are short.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// A server that asks for one thing after the other is not to keep us forever.
const ROUNDS_MAX: usize = 100;

/// What an authentication request asks for.
const OK: u32 = 0;
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// Opens a connection and logs in for replication, with texts in `encoding`.
pub(super) async fn log_in(config: &PostgresConfig, cx: &Context, encoding: &str) -> Result<Wire> {
    let place = config.place();
    let broken = |error: io::Error| unreachable(&error.to_string(), "connect to", &place);
    let mut wire = Wire::new(encrypted(config, cx).await?);
    let user = config.user_name();
    let mut parameters = vec![
        ("user", user.as_str()),
        ("replication", "database"),
        ("application_name", config.application_name.as_str()),
        ("client_encoding", encoding),
    ];
    parameters.extend(config.database().map(|database| ("database", database)));
    frontend::startup_message(parameters, &mut wire.out).map_err(|error| {
        Error::new(&codes::BAD_URL, "log in to", &place)
            .because(error)
            .hint("User, database and application_name cannot have a NUL in them")
    })?;
    wire.flush().await.map_err(broken)?;
    Login { wire, config, user, place, scram: None }.prove().await
}

async fn encrypted(config: &PostgresConfig, cx: &Context) -> Result<Stream> {
    let place = config.place();
    let mut socket = reach(config, cx).await?;
    let tls = config.tls()?;
    if tls == Tls::Disable {
        return Ok(Stream::Left(socket));
    }
    let refused = |reason: &dyn std::fmt::Display| {
        Error::new(&codes::TLS_FAILED, "connect to", &place)
            .because(reason)
            .hint("Check the host name and tls_ca=FILE; tls=disable turns encryption off")
    };
    let settings = client_config(tls, &config.certificates(), &place)?;
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    let broken = |error: io::Error| unreachable(&error.to_string(), "connect to", &place);
    socket.write_all(&request).await.map_err(broken)?;
    // One byte and not one more: what came along with it would be taken for encrypted.
    if socket.read_u8().await.map_err(broken)? != b'S' {
        return Err(refused(&"the server does not offer encryption"));
    }
    syncline_net::encrypt(socket, settings, &config.host).await.map_err(|error| refused(&error))
}

/// A login under way.
struct Login<'a> {
    wire: Wire,
    config: &'a PostgresConfig,
    user: String,
    place: String,
    scram: Option<ScramSha256>,
}

impl Login<'_> {
    /// Answers until the server is ready for us.
    async fn prove(mut self) -> Result<Wire> {
        for _ in 0..ROUNDS_MAX {
            let received = self.wire.message(MESSAGE_BYTES_MAX).await;
            let (letter, payload) =
                received.map_err(|error| unreachable(&error.to_string(), "log in to", &self.place))?;
            match letter {
                b'R' => self.authenticate(&payload).await?,
                b'E' => return Err(Answered::read(&payload).translate_log("log in to", &self.place)),
                b'Z' => return Ok(self.wire),
                // Settings, the key to cancel by, notices.
                b'S' | b'K' | b'N' => {}
                _ => return Err(self.garbled()),
            }
        }
        Err(self.garbled())
    }

    async fn authenticate(&mut self, payload: &[u8]) -> Result<()> {
        let Some((kind, rest)) = payload.split_first_chunk::<4>() else { return Err(self.garbled()) };
        match u32::from_be_bytes(*kind) {
            OK => Ok(()),
            CLEARTEXT => {
                if !self.wire.is_private() && !self.config.is_local() {
                    return Err(Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
                        .because("the server wants the password itself, and the connection is not encrypted")
                        .hint("Leave tls=disable out: over an encrypted connection it can be sent"));
                }
                let password = self.password()?.to_owned();
                self.send_password(password.as_bytes()).await
            }
            MD5 => {
                let salt: [u8; 4] = rest.try_into().map_err(|_| self.garbled())?;
                let hash = md5_hash(self.user.as_bytes(), self.password()?.as_bytes(), salt);
                self.send_password(hash.as_bytes()).await
            }
            SASL => {
                if !rest.split(|byte| *byte == 0).any(|mechanism| mechanism == SCRAM_SHA_256.as_bytes()) {
                    return Err(self.unknown_way());
                }
                let scram = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                let sent =
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut self.wire.out);
                sent.map_err(|_| self.garbled())?;
                self.scram = Some(scram);
                self.send().await
            }
            SASL_CONTINUE => {
                let Some(mut scram) = self.scram.take() else { return Err(self.garbled()) };
                scram.update(rest).map_err(|error| self.refused(&error))?;
                let sent = frontend::sasl_response(scram.message(), &mut self.wire.out);
                sent.map_err(|_| self.garbled())?;
                self.scram = Some(scram);
                self.send().await
            }
            // The server proves that it knows the password too.
            SASL_FINAL => {
                let Some(mut scram) = self.scram.take() else { return Err(self.garbled()) };
                scram.finish(rest).map_err(|error| self.refused(&error))
            }
            _ => Err(self.unknown_way()),
        }
    }

    fn password(&self) -> Result<&str> {
        let password = self.config.password.as_ref().map(|password| password.expose_secret());
        password.ok_or_else(|| self.refused(&"the server wants a password, and none is given"))
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<()> {
        frontend::password_message(password, &mut self.wire.out).map_err(|error| self.refused(&error))?;
        self.send().await
    }

    async fn send(&mut self) -> Result<()> {
        let sent = self.wire.flush().await;
        sent.map_err(|error| unreachable(&error.to_string(), "log in to", &self.place))
    }

    fn refused(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
            .because(reason)
            .hint("Check user and password")
    }

    fn unknown_way(&self) -> Error {
        Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
            .because("the server wants a way of logging in that Syncline has not")
            .hint("Let pg_hba.conf ask for scram-sha-256, md5 or a client certificate")
    }

    fn garbled(&self) -> Error {
        unreachable("the server's answer is none that a login can have", "log in to", &self.place)
    }
}
