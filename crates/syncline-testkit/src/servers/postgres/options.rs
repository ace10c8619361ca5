//! How a server is to be.

use std::{collections::BTreeMap, path::Path};

use super::USER;
use crate::certificates::Certificate;

/// How a [`super::Postgres`] is to be: by default not durable, unencrypted, on the machine's disk.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: BTreeMap<String, String>,
    durable: bool,
    tls_only: bool,
    client_certificates: bool,
    pub(super) certificate: Option<Certificate>,
    pub(super) disk_bytes: Option<u64>,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Options::default()
    }

    /// Any setting of `postgresql.conf`; it replaces ours.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Syncs its files as in production, for measurements. Killing the server loses nothing without it
    /// either, since the kernel keeps what was written; with it, recovery takes seconds.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Can be followed: `wal_level=logical` and room for slots.
    #[must_use]
    pub fn logical(self) -> Self {
        self.setting("wal_level", "logical")
            .setting("max_replication_slots", "400")
            .setting("max_wal_senders", "100")
    }

    /// Keeps its data on a disk of so many bytes (at least 64 MiB), of which a fresh cluster takes 40.
    /// Needs root.
    #[must_use]
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Offers TLS with this certificate.
    #[must_use]
    pub fn tls(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.clone());
        self
    }

    /// Offers TLS and refuses plain text over TCP.
    #[must_use]
    pub fn tls_only(mut self, certificate: &Certificate) -> Self {
        self.tls_only = true;
        self.tls(certificate)
    }

    /// Refuses whoever does not show a certificate of the same authority, in the name of the role that
    /// logs in; it needs no password then. The superuser comes in over the socket as ever.
    #[must_use]
    pub fn client_certificates(mut self, certificate: &Certificate) -> Self {
        self.client_certificates = true;
        self.tls_only(certificate)
    }

    /// What is added to `postgresql.conf`. Of two lines about one setting the later holds.
    pub(super) fn configuration(&self, socket: &Path, home: &Path) -> String {
        let switch = |on: bool| (if on { "on" } else { "off" }).to_owned();
        let path = |path: &Path| path.to_str().expect("the temporary folder's name is UTF-8").to_owned();
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", path(socket)),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            // Many tests share a server, and each looks for what was done in its own database.
            ("log_line_prefix", "%m [%p] %d: ".to_owned()),
            // In the data folder, so that nothing stays in /dev/shm when it is killed.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
            ("fsync", switch(self.durable)),
            ("full_page_writes", switch(self.durable)),
        ];
        if self.certificate.is_some() {
            settings.push(("ssl", switch(true)));
            settings.push(("ssl_cert_file", path(&home.join("server.crt"))));
            settings.push(("ssl_key_file", path(&home.join("server.key"))));
            settings.push(("ssl_ca_file", path(&home.join("authority.crt"))));
        }
        let given = self.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        settings
            .into_iter()
            .chain(given)
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect()
    }

    /// `pg_hba.conf`: the superuser comes in, everybody else gives a password. `all` does not cover
    /// replication, which needs lines of its own.
    pub(super) fn access(&self) -> String {
        let tcp = if self.tls_only { "hostssl" } else { "host" };
        let (superuser, others) =
            if self.client_certificates { ("cert", "cert") } else { ("trust", "scram-sha-256") };
        ["all", "replication"]
            .map(|database| {
                format!(
                    "local {database} {USER} trust\nlocal {database} all scram-sha-256\n\
                     {tcp} {database} {USER} 127.0.0.1/32 {superuser}\n{tcp} {database} all 127.0.0.1/32 {others}\n"
                )
            })
            .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_test_comes_after_ours_and_is_quoted() {
        let options = Options::new().setting("fsync", "on").setting("application_name", "it's");
        let text = options.configuration(Path::new("/s"), Path::new("/h"));
        assert!(text.rfind("fsync = 'on'") > text.find("fsync = 'off'"), "{text}");
        assert!(text.contains("application_name = 'it''s'\n") && !text.contains("ssl"), "{text}");
    }
}
