//! How a server is to be.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use super::Product;
use crate::certificates::Certificate;

/// How a [`super::Mysql`] is to be: by default not durable, without a binary log, on the machine's disk.
///
/// What a test wants otherwise is a [`Options::setting`]: `default-time-zone`, `sql-mode`,
/// `max-allowed-packet`, `local-infile` (which is on here).
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: BTreeMap<String, String>,
    durable: bool,
    binlog: bool,
    tls_only: bool,
    pub(super) certificate: Option<Certificate>,
    pub(super) disk_bytes: Option<u64>,
}

/// Does not wait for the disk. What is committed outlives the server's death, since the kernel keeps it.
pub(super) const HASTY: &[&str] =
    &["--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--innodb-doublewrite=OFF"];

/// Sizes that are laid down when the data folder is made.
pub(super) fn storage(product: Product) -> &'static [&'static str] {
    match product {
        Product::Mysql => &["--innodb-redo-log-capacity=32M"],
        Product::Mariadb => &["--innodb-log-file-size=32M"],
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Options::default()
    }

    /// Any option of the server, as on its command line without the dashes; it replaces ours.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.replace('_', "-"), value.to_owned());
        self
    }

    /// Syncs its files as in production, for measurements.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keeps a binary log of rows with all metadata and global transaction ids.
    #[must_use]
    pub fn binlog(mut self) -> Self {
        self.binlog = true;
        self
    }

    /// Keeps its data on a disk of so many bytes (at least 192 MiB). Needs root.
    #[must_use]
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Offers TLS with this certificate. MySQL offers it with one of its own otherwise, MariaDB does not.
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

    /// The server's arguments. Of two about one option the later holds.
    pub(super) fn arguments(&self, product: Product, home: &Path) -> Vec<OsString> {
        let text = home.to_str().expect("the temporary folder's name is UTF-8");
        let mut arguments: Vec<String> = [
            "--bind-address=127.0.0.1",
            "--skip-name-resolve=ON",
            "--character-set-server=utf8mb4",
            "--default-time-zone=+00:00",
            "--innodb-buffer-pool-size=64M",
            "--performance-schema=OFF",
            "--local-infile=ON",
        ]
        .iter()
        .chain(storage(product))
        .map(|argument| (*argument).to_owned())
        .collect();
        for (name, file) in [
            ("datadir", "disk/data"),
            ("tmpdir", "disk/tmp"),
            ("secure-file-priv", "disk/tmp"),
            ("socket", "socket/s"),
            ("pid-file", "socket/pid"),
        ] {
            arguments.push(format!("--{name}={text}/{file}"));
        }
        if product == Product::Mysql {
            arguments.push("--mysqlx=OFF".to_owned());
        }
        if !self.durable {
            arguments.extend(HASTY.iter().map(|argument| (*argument).to_owned()));
        }
        arguments.extend(self.binlog_arguments(product).iter().map(|argument| (*argument).to_owned()));
        if self.certificate.is_some() {
            for (name, file) in
                [("ssl-cert", "server.crt"), ("ssl-key", "server.key"), ("ssl-ca", "authority.crt")]
            {
                arguments.push(format!("--{name}={text}/{file}"));
            }
        }
        if self.tls_only {
            arguments.push("--require-secure-transport=ON".to_owned());
        }
        arguments.extend(self.settings.iter().map(|(name, value)| format!("--{name}={value}")));
        arguments.into_iter().map(OsString::from).collect()
    }

    fn binlog_arguments(&self, product: Product) -> &'static [&'static str] {
        match (self.binlog, product) {
            (false, _) => &["--skip-log-bin"],
            (true, Product::Mysql) => &[
                "--server-id=1",
                "--log-bin=bin",
                "--sync-binlog=0",
                "--binlog-row-metadata=FULL",
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
            ],
            (true, Product::Mariadb) => &[
                "--server-id=1",
                "--log-bin=bin",
                "--sync-binlog=0",
                "--binlog-format=ROW",
                "--binlog-row-metadata=FULL",
                "--gtid-strict-mode=ON",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_test_comes_after_ours() {
        let options = Options::new().setting("local_infile", "OFF").setting("sql-mode", "");
        let arguments = options.arguments(Product::Mariadb, Path::new("/h"));
        let at = |wanted: &str| arguments.iter().position(|argument| argument == wanted);
        assert!(at("--local-infile=OFF") > at("--local-infile=ON"), "{arguments:?}");
        assert!(at("--sql-mode=").is_some() && at("--datadir=/h/disk/data").is_some(), "{arguments:?}");
    }
}
