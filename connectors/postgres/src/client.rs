//! Connections: encrypted as the options say, with a deadline, and set up so that every session
//! reads and writes values in the same form.

mod driver;
mod tap;

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use syncline_connect::{Context, Finding, Report};
use syncline_net::{Socket, Tls, client_config};
use syncline_types::{Error, Result, codes};
use tokio::sync::{OnceCell, oneshot};
use tokio_postgres::{
    NoTls, SimpleQueryMessage,
    config::SslMode,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use self::{
    driver::Driver,
    tap::{Front, Tap},
};
use self::{
    driver::Driving,
    tap::{TapBehindTls, Tapped},
};
use crate::{
    config::PostgresConfig,
    error::{translate, unreachable},
};

/// Values are read and written in one form whatever the server's or user's settings are; nothing
/// of ours is ended for being slow; a policy that would hide rows is an error, not an empty result.
pub(crate) const SETTINGS: &str = "SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
    SET xmloption = 'content'; SET lc_monetary = 'C'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET lock_timeout = 0; SET row_security = off; SET search_path = pg_catalog; \
    SET standard_conforming_strings = on";

/// How long a statement may run before a second connection looks whether the server still works on it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The oldest version that is tested, as `server_version_num` has it.
const VERSION_MIN: u32 = 140_000;

/// A connection that the engine's context drives, unless somebody has taken its driver.
pub(crate) struct Client {
    pub(crate) inner: tokio_postgres::Client,
    /// The number of the session at the server, once it was asked for.
    pid: OnceCell<String>,
    driving: Driving,
    /// Where rows of a COPY can be taken from.
    pub(crate) tap: Tap,
    pub(crate) config: Arc<PostgresConfig>,
    pub(crate) cx: Context,
}

/// Opens a connection.
pub(crate) async fn connect(config: &Arc<PostgresConfig>, cx: &Context) -> Result<Client> {
    let place = config.place();
    let (inner, driver, tap) = in_time(config, open(config, cx)).await?;
    let client = Client {
        inner,
        pid: OnceCell::new(),
        driving: driver.start(cx),
        tap,
        config: Arc::clone(config),
        cx: cx.clone(),
    };
    client.run(SETTINGS, "set up a session on", &place).await?;
    Ok(client)
}

/// Waits for a connection for as long as the options say.
pub(crate) async fn in_time<T>(
    config: &PostgresConfig,
    opening: impl Future<Output = Result<T>>,
) -> Result<T> {
    let limit = Duration::from_secs(config.connect_timeout);
    tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| {
        Err(Error::new(&codes::TIMED_OUT, "connect to", config.place())
            .because(format!("no answer within {} s", limit.as_secs()))
            .hint("Check host and port; connect_timeout=SECONDS gives more time"))
    })
}

/// Says what is at the other end.
pub(crate) async fn check(config: PostgresConfig, cx: Context) -> Result<Report> {
    let config = Arc::new(config);
    let client = connect(&config, &cx).await?;
    let sql =
        "SELECT current_setting('server_version'), current_user, current_setting('server_version_num')::int";
    let rows = client.texts(sql, "ask for the version of", &config.place()).await?;
    let (version, user, number) = match rows.first().map(Vec::as_slice) {
        Some([Some(version), Some(user), Some(number)]) => {
            (version.clone(), user.clone(), number.parse().unwrap_or(0))
        }
        _ => (String::new(), String::new(), 0),
    };
    let mut findings = vec![];
    if number < VERSION_MIN {
        findings.push(Finding::warning(format!(
            "PostgreSQL {version} is older than what Syncline is tested with (14)"
        )));
    }
    let tls = config.tls()?;
    let encryption = tls.describe();
    if tls.is_exposed(config.is_local()) {
        findings.push(Finding::warning(format!("the connection to {} is {encryption}", config.place())));
    }
    Ok(Report {
        system: format!("PostgreSQL {version}"),
        connection: format!("as {user}, {encryption}"),
        findings,
    })
}

async fn open(config: &PostgresConfig, cx: &Context) -> Result<(tokio_postgres::Client, Driver, Tap)> {
    let place = config.place();
    let failed = |error: tokio_postgres::Error| translate(&error, "connect to", &place);
    let tls = config.tls()?;
    let mut driver = tokio_postgres::Config::new();
    driver.user(config.user_name()).application_name(&config.application_name);
    if let Some(password) = &config.password {
        driver.password(password.expose_secret());
    }
    if let Some(database) = config.database() {
        driver.dbname(database);
    }
    let socket = reach(config, cx).await?;
    let tap = Tap::default();
    if tls == Tls::Disable {
        driver.ssl_mode(SslMode::Disable);
        let socket = Tapped::new(socket, tap.clone());
        let (client, connection) = driver.connect_raw(socket, NoTls).await.map_err(failed)?;
        return Ok((client, Driver::new(connection), tap));
    }
    driver.ssl_mode(SslMode::Require);
    let encrypt = TapBehindTls { tls: encryption(config, tls)?, tap: tap.clone() };
    let (client, connection) = driver.connect_raw(socket, encrypt).await.map_err(failed)?;
    Ok((client, Driver::new(connection), tap))
}

/// The socket under a connection.
pub(crate) async fn reach(config: &PostgresConfig, cx: &Context) -> Result<Socket> {
    let socket = match config.host.starts_with('/') {
        true => syncline_net::unix(&Path::new(&config.host).join(format!(".s.PGSQL.{}", config.port))).await,
        false => syncline_net::tcp(&config.host, config.port, cx.idle_max()).await,
    };
    socket.map_err(|error| unreachable(&error.to_string(), "connect to", &config.place()))
}

fn encryption(
    config: &PostgresConfig,
    tls: Tls,
) -> Result<impl TlsConnect<Socket, Stream: Send, Future: Send> + use<>> {
    let mut make = MakeRustlsConnect::new(client_config(tls, &config.certificates(), &config.place())?);
    let made = <MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(&mut make, &config.host);
    made.map_err(|error| {
        Error::new(&codes::TLS_FAILED, "set up encryption to", config.place()).because(error)
    })
}

fn rows_of(messages: &[SimpleQueryMessage]) -> Vec<Vec<Option<String>>> {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()).collect()
}

impl Client {
    /// Ends the connection without waiting for what it is doing: the server stops when it notices.
    pub(crate) fn hang_up(&self) {
        self.driving.task.abort();
    }

    /// Takes the half that moves the bytes: from now on nothing moves unless the caller does it.
    pub(crate) async fn take_driver(&mut self) -> Result<Driver> {
        let (reply, driver) = oneshot::channel();
        let asked = self.driving.wanted.take().is_some_and(|wanted| wanted.send(reply).is_ok());
        match driver.await {
            Ok(driver) if asked => Ok(driver),
            _ => Err(Error::new(&codes::UNREACHABLE, "read from", self.config.place())
                .because("the connection has ended")),
        }
    }

    /// Gives it back, so that the connection works by itself again.
    pub(crate) fn give_back(&mut self, driver: Driver) {
        self.driving = driver.start(&self.cx);
    }

    /// Waits for the server's answer for as long as a silence is allowed.
    pub(crate) async fn answer<T>(
        &self,
        operation: &str,
        object: &str,
        future: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let translated = async { future.await.map_err(|error| translate(&error, operation, object)) };
        self.cx.deadline(operation, object, translated).await
    }

    /// Runs statements that are quick, without parameters.
    pub(crate) async fn run(&self, sql: &str, operation: &str, object: &str) -> Result<()> {
        self.answer(operation, object, self.inner.batch_execute(sql)).await
    }

    /// Runs statements that are quick, and returns the texts of all rows of all results.
    pub(crate) async fn texts(
        &self,
        sql: &str,
        operation: &str,
        object: &str,
    ) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.answer(operation, object, self.inner.simple_query(sql)).await?;
        Ok(rows_of(&messages))
    }

    /// The first text of the first row.
    pub(crate) async fn text(&self, sql: &str, operation: &str, object: &str) -> Result<Option<String>> {
        let rows = self.texts(sql, operation, object).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Runs statements that may take long and say nothing meanwhile. There is no deadline; instead a
    /// second connection looks now and then whether the server still works on it.
    pub(crate) async fn run_long(&self, sql: &str, operation: &str, object: &str) -> Result<()> {
        self.long(operation, object, self.inner.batch_execute(sql)).await
    }

    /// As [`Client::texts`], for statements that may take as long as those of [`Client::run_long`].
    pub(crate) async fn texts_long(
        &self,
        sql: &str,
        operation: &str,
        object: &str,
    ) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.long(operation, object, self.inner.simple_query(sql)).await?;
        Ok(rows_of(&messages))
    }

    /// As [`Client::run_long`], for one statement: says how many rows it has met.
    pub(crate) async fn count_long(&self, sql: &str, operation: &str, object: &str) -> Result<u64> {
        let messages = self.long(operation, object, self.inner.simple_query(sql)).await?;
        let counts = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        });
        Ok(counts.sum())
    }

    async fn long<T>(
        &self,
        operation: &str,
        object: &str,
        work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let ask = self.text("SELECT pg_backend_pid()", operation, object);
        let pid =
            self.pid.get_or_try_init(|| async { Ok::<_, Error>(ask.await?.unwrap_or_default()) }).await?;
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|error| translate(&error, operation, object)),
                () = tokio::time::sleep(LOOK_EVERY) => self.look(pid, operation, object).await?,
            }
        }
    }

    /// Whether the server still works for the session `pid`.
    async fn look(&self, pid: &str, operation: &str, object: &str) -> Result<()> {
        let second = Box::pin(connect(&self.config, &self.cx)).await?;
        let sql = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid}");
        match second.text(&sql, operation, object).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(&codes::UNREACHABLE, operation, object)
                .because("the server no longer knows the session that was doing it")),
        }
    }
}
