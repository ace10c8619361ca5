//! Connections: encrypted as the options say, with a deadline, and set up so that every session
//! reads and writes values in the same form.

use std::{fs::File, future::Future, io::BufReader, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use secrecy::ExposeSecret;
use syncline_connect::{Context, Finding, Report};
use syncline_types::{Error, Result, codes};
use tokio::task::AbortHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    config::{PostgresConfig, Tls},
    error::translate,
};

/// Values are read and written in one form whatever the server's or user's settings are; nothing
/// of ours is ended for being slow; a policy that would hide rows is an error, not an empty result.
const SETTINGS: &str = "SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
    SET xmloption = 'content'; SET lc_monetary = 'C'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET lock_timeout = 0; SET row_security = off; SET search_path = pg_catalog; \
    SET standard_conforming_strings = on";

/// How long a statement may run before a second connection looks whether the server still works on it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The oldest version that is tested, as `server_version_num` has it.
const VERSION_MIN: u32 = 140_000;

/// A connection that the engine's context drives.
pub(crate) struct Client {
    pub(crate) inner: tokio_postgres::Client,
    /// Ends the connection at once, whatever it is doing.
    driver: AbortHandle,
    pub(crate) config: Arc<PostgresConfig>,
    pub(crate) cx: Context,
}

/// Opens a connection.
pub(crate) async fn connect(config: &Arc<PostgresConfig>, cx: &Context) -> Result<Client> {
    let place = config.place();
    let limit = Duration::from_secs(config.connect_timeout);
    let opened = tokio::time::timeout(limit, open(config, cx)).await;
    let (inner, driver) = opened.unwrap_or_else(|_| {
        Err(Error::new(&codes::TIMED_OUT, "connect to", &place)
            .because(format!("no answer within {} s", limit.as_secs()))
            .hint("Check host and port; connect_timeout=SECONDS gives more time"))
    })?;
    let client = Client { inner, driver, config: Arc::clone(config), cx: cx.clone() };
    client.run(SETTINGS, "set up a session on", &place).await?;
    Ok(client)
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
    let encryption = match tls {
        Tls::Verify => "encrypted, certificate verified",
        Tls::VerifyCa => "encrypted, certificate verified but not its host name",
        Tls::Require => "encrypted, certificate not verified",
        Tls::Disable => "not encrypted",
    };
    if matches!(tls, Tls::Require | Tls::VerifyCa) || (tls == Tls::Disable && !config.is_local()) {
        findings.push(Finding::warning(format!("the connection to {} is {encryption}", config.place())));
    }
    Ok(Report {
        system: format!("PostgreSQL {version}"),
        connection: format!("as {user}, {encryption}"),
        findings,
    })
}

async fn open(config: &PostgresConfig, cx: &Context) -> Result<(tokio_postgres::Client, AbortHandle)> {
    let place = config.place();
    let failed = |error: tokio_postgres::Error| translate(&error, "connect to", &place);
    let tls = config.tls()?;
    let mut driver = tokio_postgres::Config::new();
    let user =
        config.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "postgres".into());
    driver
        .user(user)
        .host(&config.host)
        .port(config.port)
        .application_name(&config.application_name)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3)
        .tcp_user_timeout(cx.idle_max());
    if let Some(password) = &config.password {
        driver.password(password.expose_secret());
    }
    if let Some(database) = config.database() {
        driver.dbname(database);
    }
    if tls == Tls::Disable {
        driver.ssl_mode(SslMode::Disable);
        let (client, connection) = driver.connect(NoTls).await.map_err(failed)?;
        return Ok((client, cx.spawn(log_end(connection)).abort_handle()));
    }
    driver.ssl_mode(SslMode::Require);
    let (client, connection) =
        driver.connect(MakeRustlsConnect::new(tls_config(config, tls)?)).await.map_err(failed)?;
    Ok((client, cx.spawn(log_end(connection)).abort_handle()))
}

/// Drives a connection. How it ends shows in whatever the client does next.
async fn log_end(connection: impl Future<Output = std::result::Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = %translate(&error, "keep", "a connection"), "connection ended");
    }
}

fn tls_config(config: &PostgresConfig, tls: Tls) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error: rustls::Error| {
        Error::new(&codes::TLS_FAILED, "set up encryption to", config.place()).because(error)
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match tls {
        Tls::Verify => builder.with_root_certificates(roots(config)?),
        Tls::VerifyCa | Tls::Require | Tls::Disable => {
            let chain = match tls {
                Tls::VerifyCa => Some(
                    WebPkiServerVerifier::builder_with_provider(
                        Arc::new(roots(config)?),
                        Arc::clone(&provider),
                    )
                    .build()
                    .map_err(|error| {
                        Error::new(&codes::TLS_FAILED, "set up encryption to", config.place()).because(error)
                    })?,
                ),
                _ => None,
            };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { provider, chain }))
        }
    };
    let (cert, key) = (first(&config.tls_cert, &config.sslcert), first(&config.tls_key, &config.sslkey));
    match (cert, key) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(failed)
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(Error::new(&codes::BAD_VALUE, "use a client certificate for", config.place())
            .because("only one of tls_cert and tls_key is given")
            .hint("Give both")),
    }
}

fn first<'a>(
    ours: &'a Option<std::path::PathBuf>,
    libpq: &'a Option<std::path::PathBuf>,
) -> Option<&'a Path> {
    ours.as_deref().or(libpq.as_deref())
}

/// The authorities to trust: those of a file, or the system's.
fn roots(config: &PostgresConfig) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = first(&config.tls_ca, &config.sslrootcert) {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|error| unusable(file, &error))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Error::new(&codes::TLS_FAILED, "find", "the system's certificate authorities")
            .because("there are none that can be read")
            .hint("Install ca-certificates, or name a file with tls_ca=FILE"));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let mut reader = BufReader::new(File::open(file).map_err(|error| unusable(file, &error))?);
    let all: Vec<_> = CertificateDer::pem_reader_iter(&mut reader)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unusable(file, &error))?;
    if all.is_empty() {
        return Err(unusable(file, &"there is no certificate in it"));
    }
    Ok(all)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::TLS_FAILED, "read certificates from", file.display())
        .because(reason)
        .hint("Name a PEM file that can be read")
}

/// Checks less than it could, because the user has said so: the chain but not the host name, or
/// nothing at all. Signatures are always checked.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Client {
    /// Ends the connection without waiting for what it is doing: the server stops when it notices.
    pub(crate) fn hang_up(&self) {
        self.driver.abort();
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
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect())
    }

    /// The first text of the first row.
    pub(crate) async fn text(&self, sql: &str, operation: &str, object: &str) -> Result<Option<String>> {
        let rows = self.texts(sql, operation, object).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Runs statements that may take long and say nothing meanwhile. There is no deadline; instead a
    /// second connection looks now and then whether the server still works on it.
    pub(crate) async fn run_long(&self, sql: &str, operation: &str, object: &str) -> Result<()> {
        let pid = self.text("SELECT pg_backend_pid()", operation, object).await?.unwrap_or_default();
        let work = self.inner.batch_execute(sql);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|error| translate(&error, operation, object)),
                () = tokio::time::sleep(LOOK_EVERY) => self.look(&pid, operation, object).await?,
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
