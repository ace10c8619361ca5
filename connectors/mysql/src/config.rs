//! Options of a `mysql://` connection, and how TLS is meant by them.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use syncline_net::{Certificates, Tls, is_this_machine};
use syncline_types::Result;

/// Options of a `mysql://` or `mariadb://` connection. The names that the servers' own clients have
/// for the same thing are understood.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlConfig {
    /// Login name; the name of the system's user by default.
    #[serde(default)]
    pub user: Option<String>,
    /// Password.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
    /// Host name, address, or the path of a Unix socket.
    #[serde(default = "localhost")]
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Database: tables that are named without one are in it, and Syncline's own tables.
    #[serde(default)]
    pub path: Option<String>,
    /// The path of a Unix socket to connect through, in place of host and port.
    #[serde(default)]
    pub socket: Option<String>,
    /// How the connection is encrypted: `verify` (certificate and host name; the default),
    /// `verify_ca` (certificate only), `require` (encrypted, and anybody may pretend to be the
    /// server) or `disable`. Over loopback and Unix sockets the default is no encryption.
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
    /// The clients' word for `tls`: `DISABLED`, `REQUIRED`, `VERIFY_CA`, `VERIFY_IDENTITY`.
    #[serde(default, rename = "ssl-mode")]
    pub ssl_mode: Option<String>,
    /// Another name for `ssl-mode`.
    #[serde(default)]
    pub sslmode: Option<String>,
    /// The clients' name for `tls_ca`.
    #[serde(default, rename = "ssl-ca")]
    pub ssl_ca: Option<PathBuf>,
    /// The clients' name for `tls_cert`.
    #[serde(default, rename = "ssl-cert")]
    pub ssl_cert: Option<PathBuf>,
    /// The clients' name for `tls_key`.
    #[serde(default, rename = "ssl-key")]
    pub ssl_key: Option<PathBuf>,
    /// What a date becomes that is no day, such as `0000-00-00`: `reject` refuses its row, `null`
    /// makes it NULL, `text` reads the table's date columns as texts.
    #[serde(default)]
    pub zero_dates: ZeroDates,
    /// What `tinyint(1)` is: `bool`, or `int` where it holds other numbers than 0 and 1.
    #[serde(default)]
    pub tinyint1: Tinyint1,
    /// The name the server shows for our sessions.
    #[serde(default = "default_application")]
    pub application_name: String,
    /// Seconds to wait for a connection.
    #[serde(default = "default_connect_seconds")]
    pub connect_timeout: u64,
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

/// What a date becomes that is no day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDates {
    /// Its row is refused.
    #[default]
    Reject,
    /// It becomes NULL.
    Null,
    /// Date columns are read as texts.
    Text,
}

/// What `tinyint(1)` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tinyint1 {
    /// True or false.
    #[default]
    Bool,
    /// A number.
    Int,
}

fn localhost() -> String {
    "localhost".into()
}

fn default_port() -> u16 {
    3306
}

fn default_application() -> String {
    "syncline".into()
}

fn default_connect_seconds() -> u64 {
    10
}

impl MysqlConfig {
    /// The path of the Unix socket, where there is to be one.
    pub(crate) fn unix_socket(&self) -> Option<&str> {
        let of_host = Some(self.host.as_str()).filter(|host| host.starts_with('/'));
        self.socket.as_deref().or(of_host)
    }

    /// Whether the server can only be this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.unix_socket().is_some() || is_this_machine(&self.host)
    }

    /// How the connection is to be encrypted.
    ///
    /// # Errors
    /// When `tls` and `ssl-mode` contradict, or `ssl-mode` may fall back to plain text.
    pub(crate) fn tls(&self) -> Result<Tls> {
        let others = [("ssl-mode", self.ssl_mode.as_deref()), ("sslmode", self.sslmode.as_deref())];
        Tls::agreed(self.tls, &others, self.is_local())
    }

    /// Whom to trust, and as whom to show ourselves.
    pub(crate) fn certificates(&self) -> Certificates<'_> {
        Certificates {
            ca: self.tls_ca.as_deref().or(self.ssl_ca.as_deref()),
            cert: self.tls_cert.as_deref().or(self.ssl_cert.as_deref()),
            key: self.tls_key.as_deref().or(self.ssl_key.as_deref()),
        }
    }

    /// The database connected to.
    pub(crate) fn database(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| !path.is_empty())
    }

    /// Host, port and database, for messages.
    pub(crate) fn place(&self) -> String {
        let database = self.database().map(|database| format!("/{database}")).unwrap_or_default();
        match self.unix_socket() {
            Some(socket) => format!("{socket}{database}"),
            None => format!("{}:{}{database}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> MysqlConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_unix_socket_needs_no_encryption_and_other_hosts_do() {
        for (json, expected) in [
            (r#"{"host": "db.example"}"#, Tls::Verify),
            (r#"{"host": "/run/mysqld/mysqld.sock"}"#, Tls::Disable),
            (r#"{"host": "db.example", "socket": "/run/mysqld/mysqld.sock"}"#, Tls::Disable),
            (r#"{"host": "db.example", "ssl-mode": "REQUIRED"}"#, Tls::Require),
            (r#"{"host": "db.example", "sslmode": "verify-ca"}"#, Tls::VerifyCa),
        ] {
            assert_eq!(config(json).tls().unwrap(), expected, "{json}");
        }
    }
}
