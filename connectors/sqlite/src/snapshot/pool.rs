//! Connections that share one snapshot. Each is lent to one reader at a time.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::Connection;
use syncline_types::{Error, Result, codes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections that nobody uses just now.
pub(super) struct Pool {
    place: String,
    idle: Mutex<Vec<Connection>>,
    /// Closed last, it clears SQLite's own files away.
    _guard: Arc<Guard>,
    /// As many permits as connections.
    turns: Arc<Semaphore>,
    /// A connection has come back without its snapshot.
    lost: AtomicBool,
}

/// The connection that held writers out while the others began.
pub(super) type Guard = Mutex<Option<Connection>>;

/// A connection on loan. It goes back when this is dropped.
pub(super) struct Lease {
    /// There until it is dropped.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _turn: OwnedSemaphorePermit,
}

impl Pool {
    /// Of connections that have a read transaction open.
    pub(super) fn new(connections: Vec<Connection>, guard: &Arc<Guard>, place: String) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(connections.len()));
        let (idle, lost) = (Mutex::new(connections), AtomicBool::new(false));
        Arc::new(Pool { place, idle, _guard: Arc::clone(guard), turns, lost })
    }

    /// Waits until a connection is free.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed");
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match connection {
            Some(connection) if !self.lost.load(Ordering::Relaxed) => {
                Ok(Lease { connection: Some(connection), pool: Arc::clone(self), _turn: turn })
            }
            _ => Err(Error::new(&codes::SNAPSHOT_LOST, "go on reading from", &self.place)
                .because("a connection has lost its snapshot")),
        }
    }
}

impl Lease {
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // An error may have ended the transaction, and with it the snapshot: nobody else may read
        // from a connection that would see another state.
        if connection.is_autocommit() {
            self.pool.lost.store(true, Ordering::Relaxed);
        }
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Arc<Pool> {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("BEGIN").unwrap();
        Pool::new(vec![connection], &Arc::default(), "`x`".into())
    }

    #[tokio::test]
    async fn a_connection_comes_back_when_its_lease_ends() {
        let pool = pool();
        let lease = pool.lease().await.unwrap();
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.lease().await.is_ok() }
        });
        drop(lease);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_lost_snapshot_is_not_read_from() {
        let pool = pool();
        let lease = pool.lease().await.unwrap();
        lease.connection().execute_batch("ROLLBACK").unwrap();
        drop(lease);
        assert_eq!(pool.lease().await.err().unwrap().code(), &codes::SNAPSHOT_LOST);
    }
}
