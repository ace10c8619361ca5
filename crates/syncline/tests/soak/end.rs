//! One end: a server of its own behind a proxy, or a file.

use syncline_testkit::{
    faults::Proxy,
    servers::{
        mysql::{self, Mysql, Product},
        postgres::{self, Postgres, StopMode},
    },
};

use crate::lite::Lite;

/// A server (or a file), and the way to it.
pub(crate) struct End {
    server: Server,
    proxy: Option<Proxy>,
}

enum Server {
    Postgres(Box<Postgres>, postgres::Database),
    Mysql(Box<Mysql>, mysql::Database),
    Sqlite(Lite),
}

/// Asks an end, whatever happens to it meanwhile.
#[derive(Clone)]
pub(crate) enum Client {
    Postgres(postgres::Database),
    Mysql(mysql::Database),
    Sqlite(Lite),
}

/// How a server goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// It ends its clients and saves everything.
    Fast,
    /// It ends at once, and recovers when it starts.
    Immediate,
    /// Its processes are killed.
    Killed,
}

impl End {
    /// A fresh one; a file is at `path`.
    pub(crate) fn start(kind: &str, path: &std::path::Path) -> Self {
        let product = Product::ALL.into_iter().find(|product| product.name() == kind);
        let server = match (kind, product) {
            ("postgres", _) => {
                let server = Postgres::start(postgres::Options::new().logical());
                let database = server.database(&server.create_database());
                Server::Postgres(Box::new(server), database)
            }
            (_, Some(product)) => {
                let server = Mysql::start(product, mysql::Options::new().binlog());
                let database = server.database(&server.create_database());
                Server::Mysql(Box::new(server), database)
            }
            ("sqlite", _) => {
                let file = Lite::at(path);
                file.sql("PRAGMA journal_mode = WAL");
                Server::Sqlite(file)
            }
            _ => panic!("there is no end `{kind}`"),
        };
        let proxy = match &server {
            Server::Postgres(server, _) => Some(Proxy::start(("127.0.0.1", server.port()))),
            Server::Mysql(server, _) => Some(Proxy::start(("127.0.0.1", server.port()))),
            Server::Sqlite(_) => None,
        };
        End { server, proxy }
    }

    /// Where the program finds it: behind the proxy, where there is one.
    pub(crate) fn url(&self) -> String {
        let through = |url: &str, port: u16| match &self.proxy {
            Some(proxy) => url.replace(&format!(":{port}/"), &format!(":{}/", proxy.addr().port())),
            None => url.to_owned(),
        };
        match &self.server {
            Server::Postgres(server, database) => through(database.url(), server.port()),
            Server::Mysql(server, database) => through(database.url(), server.port()),
            Server::Sqlite(file) => file.url(),
        }
    }

    /// The way to it, that can be cut.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub(crate) fn client(&self) -> Client {
        match &self.server {
            Server::Postgres(_, database) => Client::Postgres(database.clone()),
            Server::Mysql(_, database) => Client::Mysql(database.clone()),
            Server::Sqlite(file) => Client::Sqlite(file.clone()),
        }
    }

    pub(crate) fn go_down(&mut self, how: Down) {
        match (&mut self.server, how) {
            (Server::Postgres(server, _), Down::Fast) => server.stop(StopMode::Fast),
            (Server::Postgres(server, _), Down::Immediate) => server.stop(StopMode::Immediate),
            (Server::Postgres(server, _), Down::Killed) => server.kill9(),
            (Server::Mysql(server, _), Down::Fast) => server.stop(),
            (Server::Mysql(server, _), Down::Immediate | Down::Killed) => server.kill9(),
            (Server::Sqlite(_), _) => {}
        }
    }

    pub(crate) fn come_up(&mut self) {
        match &mut self.server {
            Server::Postgres(server, _) => server.start_again(),
            Server::Mysql(server, _) => server.start_again(),
            Server::Sqlite(_) => {}
        }
    }
}

impl Client {
    /// Runs SQL that all kinds understand. Rows come one a line, columns parted by `|`, NULL as nothing.
    pub(crate) fn try_sql(&self, sql: &str) -> Result<String, String> {
        match self {
            Client::Postgres(database) => database.try_sql(sql),
            Client::Mysql(database) => {
                let told = database.try_sql(&sql.replace(" text", " longtext"))?;
                let cell = |cell: &str| if cell == "NULL" { String::new() } else { cell.to_owned() };
                let line = |line: &str| line.split('\t').map(cell).collect::<Vec<_>>().join("|");
                Ok(told.lines().map(line).collect::<Vec<_>>().join("\n"))
            }
            Client::Sqlite(file) => file.try_sql(sql).map_err(|error| error.to_string()),
        }
    }

    /// The same where it has to work.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{error}\nof: {sql}"))
    }
}
