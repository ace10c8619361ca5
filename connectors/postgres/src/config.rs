//! Options of a `postgres://` connection, and how TLS is meant by them.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use syncline_net::{Certificates, Tls, is_this_machine};
use syncline_types::Result;

/// Options of a `postgres://` connection. The names that libpq has for the same thing are understood.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Login name; the name of the system's user by default.
    #[serde(default)]
    pub user: Option<String>,
    /// Password.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// Host name, address, or the folder of a Unix socket.
    #[serde(default = "localhost")]
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Database; the user's name by default.
    #[serde(default)]
    pub path: Option<String>,
    /// The schema of tables that are named without one, and of Syncline's own tables.
    #[serde(default = "public")]
    pub schema: String,
    /// How the connection is encrypted: `verify` (certificate and host name; the default), `require`
    /// (encrypted, and anybody may pretend to be the server) or `disable`. Over loopback and Unix
    /// sockets the default is no encryption.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// A file with the certificates (PEM) of the authorities to trust, in place of the system's.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// A file with a client certificate (PEM).
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// A file with the client certificate's key (PEM).
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// libpq's word for `tls`: `disable`, `require`, `verify-ca`, `verify-full`.
    #[serde(default)]
    pub sslmode: Option<String>,
    /// libpq's name for `tls_ca`.
    #[serde(default)]
    pub sslrootcert: Option<PathBuf>,
    /// libpq's name for `tls_cert`.
    #[serde(default)]
    pub sslcert: Option<PathBuf>,
    /// libpq's name for `tls_key`.
    #[serde(default)]
    pub sslkey: Option<PathBuf>,
    /// The name the server shows for our sessions.
    #[serde(default = "default_application")]
    pub application_name: String,
    /// Seconds to wait for a connection.
    #[serde(default = "default_connect_seconds")]
    pub connect_timeout: u64,
    /// The replication slot to follow by, made by an administrator; by default Syncline makes one for
    /// the pipeline.
    #[serde(default)]
    pub slot: Option<String>,
    /// The publication to follow by, made by an administrator; by default Syncline makes one for the
    /// pipeline.
    #[serde(default)]
    pub publication: Option<String>,
    /// How changes are learnt of: from the server's log (`log`), or by `triggers` that record them, for
    /// servers whose log one may not read.
    #[serde(default)]
    pub capture: Capture,
}

/// How changes are learnt of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// From the server's log.
    #[default]
    Log,
    /// By triggers.
    Triggers,
}

fn localhost() -> String {
    "localhost".into()
}

fn default_port() -> u16 {
    5432
}

fn public() -> String {
    "public".into()
}

fn default_application() -> String {
    "syncline".into()
}

fn default_connect_seconds() -> u64 {
    10
}

impl PostgresConfig {
    /// Whether the server can only be this machine.
    pub(crate) fn is_local(&self) -> bool {
        is_this_machine(&self.host)
    }

    /// How the connection is to be encrypted.
    ///
    /// # Errors
    /// When `tls` and `sslmode` contradict, or `sslmode` may fall back to plain text.
    pub(crate) fn tls(&self) -> Result<Tls> {
        Tls::agreed(self.tls, &[("sslmode", self.sslmode.as_deref())], self.is_local())
    }

    /// Whom to trust, and as whom to show ourselves.
    pub(crate) fn certificates(&self) -> Certificates<'_> {
        Certificates {
            ca: self.tls_ca.as_deref().or(self.sslrootcert.as_deref()),
            cert: self.tls_cert.as_deref().or(self.sslcert.as_deref()),
            key: self.tls_key.as_deref().or(self.sslkey.as_deref()),
        }
    }

    /// The role that logs in.
    pub(crate) fn user_name(&self) -> String {
        self.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "postgres".into())
    }

    /// The database connected to.
    pub(crate) fn database(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| !path.is_empty())
    }

    /// Host, port and database, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database().unwrap_or_default())
    }
}
