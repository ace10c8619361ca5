//! Where the programs of MySQL and MariaDB are, and how they are run.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{Product, install};
use crate::{process::Program, servers::WITHOUT};

/// Where system packages put servers, which is not in everybody's `PATH`.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// One installation.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) product: Product,
    /// As it tells it itself, such as `mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu`.
    pub(super) version: String,
    server: PathBuf,
    client: PathBuf,
    /// What it was unpacked into, if it is not one of the system's.
    root: Option<Root>,
}

/// Packages that were unpacked and not installed: run by their own loader with their own libraries.
#[derive(Debug)]
struct Root {
    usr: PathBuf,
    loader: PathBuf,
    libraries: PathBuf,
}

impl Binaries {
    /// The server's program with what has to come before its arguments.
    pub(super) fn server(&self) -> (PathBuf, Vec<OsString>) {
        let (program, mut arguments) = self.loaded(&self.server);
        arguments.push("--no-defaults".into());
        if let Some(Root { usr, .. }) = &self.root {
            let folder = |name: &str, path: PathBuf| {
                let mut argument = OsString::from(format!("--{name}="));
                argument.push(path);
                argument
            };
            arguments.push(folder("basedir", usr.clone()));
            arguments.push(folder("lc-messages-dir", usr.join("share/mysql")));
            arguments.push(folder("character-sets-dir", usr.join("share/mysql/charsets")));
            arguments.push(folder("plugin-dir", usr.join("lib/mysql/plugin")));
        }
        (program, arguments)
    }

    /// The command line client, which reads no configuration of the machine.
    pub(super) fn client(&self) -> Program {
        let (program, arguments) = self.loaded(&self.client);
        Program::new(program).args(arguments).arg("--no-defaults")
    }

    fn loaded(&self, program: &Path) -> (PathBuf, Vec<OsString>) {
        match &self.root {
            None => (program.to_owned(), vec![]),
            Some(Root { loader, libraries, .. }) => {
                (loader.clone(), vec!["--library-path".into(), libraries.into(), program.into()])
            }
        }
    }
}

/// The installation of a product; genuine MySQL is fetched if the machine has none.
pub(super) fn find(product: Product) -> &'static Binaries {
    static MYSQL: OnceLock<Binaries> = OnceLock::new();
    static MARIADB: OnceLock<Binaries> = OnceLock::new();
    match product {
        Product::Mysql => {
            MYSQL.get_or_init(|| installed(product).unwrap_or_else(|| unpacked(&install::root())))
        }
        Product::Mariadb => MARIADB.get_or_init(|| {
            installed(product).unwrap_or_else(|| {
                panic!(
                    "MariaDB is not installed: run `cargo x test`, which installs it, or set {WITHOUT}=mariadb"
                )
            })
        }),
    }
}

/// The system's own installation. What answers to MySQL's names may be MariaDB, and says so.
fn installed(product: Product) -> Option<Binaries> {
    let (server, client) = match product {
        Product::Mysql => ("mysqld", "mysql"),
        Product::Mariadb => ("mariadbd", "mariadb"),
    };
    let (server, client) = (in_folders(server)?, in_folders(client)?);
    let version = version(Program::new(&server));
    (version.contains("MariaDB") == (product == Product::Mariadb)).then_some(Binaries {
        product,
        version,
        server,
        client,
        root: None,
    })
}

fn unpacked(root: &Path) -> Binaries {
    let usr = root.join("usr");
    let (libraries, loader) = loader(&usr.join("lib")).unwrap_or_else(|| {
        panic!("no loader was unpacked with MySQL into {}; remove it and try again", root.display())
    });
    let root = Root { loader, libraries, usr };
    let mut binaries = Binaries {
        product: Product::Mysql,
        version: String::new(),
        server: root.usr.join("sbin/mysqld"),
        client: root.usr.join("bin/mysql"),
        root: Some(root),
    };
    let (program, arguments) = binaries.loaded(&binaries.server);
    binaries.version = version(Program::new(program).args(arguments));
    binaries
}

/// The loader of programs and its folder, which is named by the machine's architecture.
fn loader(lib: &Path) -> Option<(PathBuf, PathBuf)> {
    let folders = fs::read_dir(lib).ok()?.flatten().map(|folder| folder.path());
    folders.into_iter().find_map(|folder| {
        let files = fs::read_dir(&folder).ok()?.flatten().map(|file| file.path());
        let is_loader = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("ld-linux") && name.contains(".so.")
        };
        let loader = files.into_iter().find(is_loader)?;
        Some((folder, loader))
    })
}

fn version(server: Program) -> String {
    server.args(["--no-defaults", "--version"]).run().expect_code(0).stdout.trim().to_owned()
}

fn in_folders(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SERVER_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
