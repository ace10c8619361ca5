//! From the first packet to a session: encryption, and who we are.

use std::{collections::HashMap, io};

use mysql_common::{
    constants::CapabilityFlags as Flag,
    packets::{AuthPlugin, HandshakeResponse, SslRequest},
    proto::MySerialize,
    scramble::{scramble_native, scramble_sha256},
};
use secrecy::ExposeSecret;
use syncline_net::{Tls, client_config};
use syncline_types::{Error, Result, codes};

use super::{
    packet::{self, Greeting},
    public_key::seal,
    server::Server,
    wire::Wire,
};
use crate::{
    config::MysqlConfig,
    error::{from_io, from_server},
};

/// Packets of a login are short.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// utf8mb4_general_ci, which every server knows.
const COLLATION: u8 = 45;
/// The longest packet we take, as we tell the server.
const ROW_BYTES_MAX: u32 = 1 << 30;
/// A server that asks for one way of logging in after the other is not to keep us forever.
const ROUNDS_MAX: usize = 10;

const NATIVE: &[u8] = b"mysql_native_password";
const SHA2: &[u8] = b"caching_sha2_password";

/// Ways of logging in by being who the Unix socket says we are.
const PEER: &[&[u8]] = &[b"auth_socket", b"unix_socket"];

/// Logs in over a fresh connection.
pub(super) async fn log_in(mut wire: Wire, config: &MysqlConfig) -> Result<(Wire, Server)> {
    let place = config.place();
    let broken = |error: io::Error| from_io(&error, "connect to", &place);
    let first = wire.receive(PACKET_BYTES_MAX).await.map_err(|error| match error.kind() {
        // The first bytes of another protocol look like a packet with a number out of order.
        io::ErrorKind::InvalidData => not_mysql(&place),
        _ => broken(error),
    })?;
    if let Some(error) = packet::error(&first).map_err(broken)? {
        return Err(from_server(&error, "connect to", &place));
    }
    let greeting = packet::greeting(&first).ok_or_else(|| not_mysql(&place))?;
    let server = Server::of(&greeting.version, &place)?;
    let wire = encrypt(wire, config, &greeting).await?;
    let mut login = Login { wire, config, place, plugin: greeting.plugin, nonce: greeting.nonce };
    login.introduce().await?;
    login.prove().await?;
    Ok((login.wire, server))
}

fn not_mysql(place: &str) -> Error {
    Error::new(&codes::UNREACHABLE, "connect to", place)
        .because("what answers there is not a MySQL or MariaDB server")
        .hint("Check host and port")
}

fn capabilities() -> Flag {
    Flag::CLIENT_LONG_PASSWORD
        | Flag::CLIENT_LONG_FLAG
        | Flag::CLIENT_PROTOCOL_41
        | Flag::CLIENT_TRANSACTIONS
        | Flag::CLIENT_SECURE_CONNECTION
        | Flag::CLIENT_PLUGIN_AUTH
        | Flag::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Flag::CLIENT_LOCAL_FILES
}

async fn encrypt(mut wire: Wire, config: &MysqlConfig, greeting: &Greeting) -> Result<Wire> {
    let place = config.place();
    let tls = config.tls()?;
    if tls == Tls::Disable || config.unix_socket().is_some() {
        return Ok(wire);
    }
    let refused = |reason: &dyn std::fmt::Display| {
        Error::new(&codes::TLS_FAILED, "connect to", &place)
            .because(reason)
            .hint("Check the host name and tls_ca=FILE; tls=disable turns encryption off")
    };
    if !greeting.capabilities.contains(Flag::CLIENT_SSL) {
        return Err(refused(&"the server does not offer encryption"));
    }
    let mut request = vec![];
    SslRequest::new(capabilities() | Flag::CLIENT_SSL, ROW_BYTES_MAX, COLLATION).serialize(&mut request);
    wire.send(&[&request]).await.map_err(|error| from_io(&error, "connect to", &place))?;
    let settings = client_config(tls, &config.certificates(), &place)?;
    let (socket, sequence) =
        wire.into_socket().ok_or_else(|| refused(&"the server spoke before the encryption was agreed on"))?;
    let stream =
        syncline_net::encrypt(socket, settings, &config.host).await.map_err(|error| refused(&error))?;
    Ok(Wire::go_on(stream, sequence))
}

/// A login under way.
struct Login<'a> {
    wire: Wire,
    config: &'a MysqlConfig,
    place: String,
    plugin: Vec<u8>,
    nonce: Vec<u8>,
}

impl Login<'_> {
    fn password(&self) -> &[u8] {
        self.config.password.as_ref().map_or(b"", |password| password.expose_secret().as_bytes())
    }

    /// What proves the password by the present plugin.
    fn scramble(&self) -> Result<Vec<u8>> {
        Ok(match self.plugin.as_slice() {
            NATIVE => scramble_native(&self.nonce, self.password()).map_or(vec![], Vec::from),
            SHA2 => scramble_sha256(&self.nonce, self.password()).map_or(vec![], Vec::from),
            peer if PEER.contains(&peer) => vec![],
            other => return Err(self.unknown_plugin(other)),
        })
    }

    fn unknown_plugin(&self, plugin: &[u8]) -> Error {
        let plugin = String::from_utf8_lossy(plugin);
        Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
            .because(format!("the server wants the user to log in by `{plugin}`, which Syncline cannot"))
            .hint("Give the user a password by caching_sha2_password (MySQL) or mysql_native_password (MariaDB)")
    }

    /// Says who we are.
    async fn introduce(&mut self) -> Result<()> {
        // The way that the server would like need not be the user's: then it asks for another one.
        if self.scramble().is_err() {
            self.plugin = NATIVE.to_vec();
        }
        let scramble = self.scramble()?;
        let user = self.config.user.clone().or_else(|| std::env::var("USER").ok());
        let attributes =
            [("program_name", self.config.application_name.as_str()), ("_client_name", "syncline")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let encrypted = self.config.tls()? != Tls::Disable && self.config.unix_socket().is_none();
        let flags = if encrypted { capabilities() | Flag::CLIENT_SSL } else { capabilities() };
        let response = HandshakeResponse::new(
            Some(scramble),
            (8, 0, 0),
            Some(user.unwrap_or_else(|| "root".into()).into_bytes()),
            self.config.database().map(|database| database.as_bytes().to_vec()),
            Some(AuthPlugin::from_bytes(&self.plugin)),
            flags,
            Some(HashMap::from(attributes)),
            ROW_BYTES_MAX,
        );
        let mut payload = vec![];
        response.serialize(&mut payload);
        self.send(&payload).await
    }

    /// Answers until the server has let us in.
    async fn prove(&mut self) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let answer = self.receive().await?;
            match answer.as_slice() {
                [0x00, ..] => return Ok(()),
                [0xFE] => return Err(self.unknown_plugin(b"mysql_old_password")),
                [0xFE, ..] => {
                    let (plugin, nonce) = packet::auth_switch(&answer).ok_or_else(|| self.garbled())?;
                    (self.plugin, self.nonce) = (plugin, nonce);
                    let scramble = self.scramble()?;
                    self.send(&scramble).await?;
                }
                // The server knows the password's hash: the next packet lets us in.
                [0x01, 0x03] if self.plugin == SHA2 => {}
                [0x01, 0x04] if self.plugin == SHA2 => self.send_password().await?,
                _ => return Err(self.garbled()),
            }
        }
        Err(self.garbled())
    }

    /// Sends the password itself, where nobody on the way can read it.
    async fn send_password(&mut self) -> Result<()> {
        if self.wire.is_private() {
            let password = [self.password(), &[0]].concat();
            return self.send(&password).await;
        }
        if !self.config.is_local() {
            return Err(Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
                .because("the server wants the password itself, and the connection is not encrypted")
                .hint("Leave tls=disable out: over an encrypted connection it can be sent"));
        }
        self.send(&[0x02]).await?;
        let key = self.receive().await?;
        let sealed = key.strip_prefix(&[0x01]).and_then(|pem| seal(self.password(), &self.nonce, pem));
        let sealed = sealed.ok_or_else(|| {
            Error::new(&codes::LOGIN_REFUSED, "log in to", &self.place)
                .because("the server sent no key to encrypt the password with")
                .hint("Write tls=verify, or connect through the server's Unix socket")
        })?;
        self.send(&sealed).await
    }

    async fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.wire.send(&[payload]).await.map_err(|error| from_io(&error, "log in to", &self.place))
    }

    async fn receive(&mut self) -> Result<Vec<u8>> {
        let failed = |error: io::Error| from_io(&error, "log in to", &self.place);
        let answer = self.wire.receive(PACKET_BYTES_MAX).await.map_err(failed)?;
        match packet::error(&answer).map_err(failed)? {
            Some(error) => Err(from_server(&error, "log in to", &self.place)),
            None => Ok(answer),
        }
    }

    fn garbled(&self) -> Error {
        Error::new(&codes::UNREACHABLE, "log in to", &self.place)
            .because("the server's answer is none that a login can have")
            .hint("Look at what stands between here and the server")
    }
}
