//! Options of a `postgres://` connection, and how TLS is meant by them.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use syncline_types::{Error, Result, codes};

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
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Encrypted; the certificate must be valid and for this host.
    Verify,
    /// Encrypted; the certificate must be valid, for whatever host.
    VerifyCa,
    /// Encrypted; any certificate will do.
    Require,
    /// Not encrypted.
    Disable,
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
        self.host.starts_with('/')
            || self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// How the connection is to be encrypted.
    ///
    /// # Errors
    /// When `tls` and `sslmode` contradict, or `sslmode` may fall back to plain text.
    pub(crate) fn tls(&self) -> Result<Tls> {
        let by_libpq = match self.sslmode.as_deref() {
            None => None,
            Some("disable") => Some(Tls::Disable),
            Some("require") => Some(Tls::Require),
            Some("verify-ca") => Some(Tls::VerifyCa),
            Some("verify-full") => Some(Tls::Verify),
            // On this machine it makes no difference that they may fall back to plain text.
            Some("prefer" | "allow") if self.is_local() => Some(Tls::Disable),
            Some(mode @ ("prefer" | "allow")) => {
                return Err(Error::new(&codes::BAD_VALUE, "use option", format!("`sslmode={mode}`"))
                    .because("it may fall back to plain text without a word")
                    .hint("Write sslmode=verify-full, or tls=disable if plain text is meant"));
            }
            Some(mode) => {
                return Err(Error::new(&codes::BAD_VALUE, "use option", format!("`sslmode={mode}`"))
                    .because("there is no such mode")
                    .hint("It is one of disable, require, verify-ca and verify-full"));
            }
        };
        match (self.tls, by_libpq) {
            (Some(tls), Some(other)) if tls != other => {
                Err(Error::new(&codes::BAD_VALUE, "use options", "`tls` and `sslmode`")
                    .because("they say different things")
                    .hint("Leave one of them out"))
            }
            (Some(tls), _) | (None, Some(tls)) => Ok(tls),
            (None, None) if self.is_local() => Ok(Tls::Disable),
            (None, None) => Ok(Tls::Verify),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> PostgresConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn encryption_is_verified_unless_said_otherwise() {
        for (json, expected) in [
            (r#"{"host": "db.example"}"#, Tls::Verify),
            (r#"{"host": "127.0.0.1"}"#, Tls::Disable),
            (r#"{"host": "/var/run/postgresql"}"#, Tls::Disable),
            (r#"{"host": "127.0.0.1", "tls": "verify"}"#, Tls::Verify),
            (r#"{"host": "db.example", "sslmode": "require"}"#, Tls::Require),
            (r#"{"host": "db.example", "sslmode": "verify-full", "tls": "verify"}"#, Tls::Verify),
            (r#"{"host": "db.example", "sslmode": "disable"}"#, Tls::Disable),
            (r#"{"host": "localhost", "sslmode": "prefer"}"#, Tls::Disable),
        ] {
            assert_eq!(config(json).tls().unwrap(), expected, "{json}");
        }
        for json in [
            r#"{"host": "db.example", "sslmode": "prefer"}"#,
            r#"{"host": "db.example", "sslmode": "nonsense"}"#,
            r#"{"host": "db.example", "sslmode": "require", "tls": "verify"}"#,
        ] {
            assert_eq!(config(json).tls().unwrap_err().code(), &codes::BAD_VALUE, "{json}");
        }
    }
}
