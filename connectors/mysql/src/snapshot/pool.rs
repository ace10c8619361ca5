//! The connections that hold a snapshot: each is lent to one reader at a time.
//!
//! None can join later, so that one which is lost is lost for good, and the snapshot with the last.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use syncline_types::{Error, Result, codes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::Client;

#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    idle: Mutex<Vec<Client>>,
    /// A permit for each connection that is idle.
    free: Arc<Semaphore>,
    alive: AtomicUsize,
    place: String,
}

/// A connection of the snapshot, given back when it is dropped.
pub(super) struct Lease {
    client: Option<Client>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Pool,
}

impl Pool {
    pub(super) fn new(clients: Vec<Client>, place: String) -> Self {
        let free = Arc::new(Semaphore::new(clients.len()));
        let alive = AtomicUsize::new(clients.len());
        Pool(Arc::new(Inner { idle: Mutex::new(clients), free, alive, place }))
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// [`codes::SNAPSHOT_LOST`] when there is none left.
    pub(super) async fn lease(&self) -> Result<Lease> {
        loop {
            let permit = Arc::clone(&self.0.free).acquire_owned().await.map_err(|_| self.lost())?;
            let client = self.idle().pop();
            let mut lease = Lease { client, permit: Some(permit), pool: self.clone() };
            // Whoever had it last may have left rows in it.
            match lease.client().stop_rows().await {
                Ok(()) => return Ok(lease),
                Err(error) => tracing::debug!(%error, "a connection of the snapshot is gone"),
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> Error {
        Error::new(&codes::SNAPSHOT_LOST, "go on reading from", &self.0.place)
            .because("the connections that held the snapshot are gone")
    }
}

impl Lease {
    pub(super) fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("it is there until the lease is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.client.take().filter(Client::may_recover) {
            Some(client) => self.pool.idle().push(client),
            None => {
                self.permit.take().into_iter().for_each(OwnedSemaphorePermit::forget);
                if self.pool.0.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.pool.0.free.close();
                }
            }
        }
    }
}
