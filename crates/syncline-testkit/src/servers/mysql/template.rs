//! A data folder made once, which takes seconds, and copied for every server.
//!
//! It is kept under the target folder, one per version.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Product, binaries::Binaries, options};
use crate::{
    account::{self, Account},
    cache,
    home::Home,
    process::Program,
};

/// MySQL makes a `root` that comes over the socket only; this one comes over TCP, as MariaDB's does.
const USERS: &str =
    "CREATE USER root@'127.0.0.1';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n";

/// Names a server to others; two with one name would not follow each other.
const IDENTITY: &str = "auto.cnf";

/// It takes two seconds on an idle machine.
const MAKE_MAX: Duration = Duration::from_secs(180);

/// Makes `data` a fresh data folder.
pub(super) fn copy_to(data: &Path, binaries: &Binaries, account: Option<Account>) {
    cache::copy(&template(binaries, account), data);
}

/// The template for this version, made if it is not there yet.
fn template(binaries: &Binaries, account: Option<Account>) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (&binaries.version, USERS, options::storage(binaries.product), account).hash(&mut hasher);
    let name = format!("{}-{:016x}", binaries.product.name(), hasher.finish());
    cache::kept(&name, |path| make(path, binaries, account))
}

/// Lets the server make it where its account may go, and takes the result home.
fn make(path: &Path, binaries: &Binaries, account: Option<Account>) {
    let home = Home::new(binaries.product.name());
    account::give(&home.disk(), account);
    let data = home.disk().join("data");
    let made = match binaries.product {
        Product::Mysql => {
            let users = home.path().join("users.sql");
            fs::write(&users, USERS).expect("the home is ours to write");
            let (program, arguments) = binaries.server();
            Program::new(program)
                .args(arguments)
                .arg("--initialize-insecure")
                .arg(format!("--init-file={}", users.display()))
        }
        Product::Mariadb => Program::new("mariadb-install-db").args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]),
    };
    let made = made
        .arg(format!("--datadir={}", data.display()))
        .args(options::storage(binaries.product).iter().chain(options::HASTY))
        .for_server(account)
        .deadline(MAKE_MAX)
        .run();
    assert!(
        made.code == Some(0),
        "{} could not make its data folder; may its account enter the folder?\n{made}",
        binaries.product.title()
    );
    if data.join(IDENTITY).exists() {
        fs::remove_file(data.join(IDENTITY)).expect("the data folder is ours");
    }
    cache::copy(&data, path);
}
