//! The one connection that writes, and whose turn it is. SQLite has one writer at a time anyway; here
//! whoever wants to write waits in line and not for SQLite's own patience to end.

use std::sync::Arc;

use rusqlite::Connection;
use syncline_types::Result;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::client::{Database, roll_back, transact};

/// The connection, once somebody has needed it.
#[derive(Clone)]
pub(crate) struct Line {
    database: Database,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Line {
    pub(crate) fn new(database: Database) -> Self {
        Line { database, connection: Arc::default() }
    }

    /// Waits until nobody else writes.
    pub(crate) async fn turn(&self) -> Turn {
        let held = Arc::clone(&self.connection).lock_owned().await;
        Turn { held, database: self.database.clone() }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// The right to write. What is open when it is dropped is rolled back.
pub(crate) struct Turn {
    held: OwnedMutexGuard<Option<Connection>>,
    pub(crate) database: Database,
}

impl Turn {
    /// The connection, which is opened, and its file created, when it is first needed. It blocks.
    pub(crate) fn connection(&mut self) -> Result<&Connection> {
        match &mut *self.held {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(self.database.write()?)),
        }
    }

    /// Runs `work` in one transaction.
    pub(crate) fn transact<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let database = self.database.clone();
        let connection = self.connection()?;
        transact(connection, &database, || work(connection))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(connection) = &*self.held {
            roll_back(connection);
        }
    }
}
