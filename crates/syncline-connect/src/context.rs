//! What the engine lends to a connector: memory, tasks, deadlines, and word that it is time to stop.

use std::{future::Future, sync::Arc, time::Duration};

use syncline_types::{Error, Result, codes};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Memory;

/// Lent to every connector; cheap to clone. Every task started through it is known to the engine,
/// which waits for it before the process ends.
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: Memory,
    idle_max: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Context {
    /// A context with a memory budget and the longest time that a connection on which data should
    /// flow may be silent.
    pub fn new(memory: Memory, idle_max: Duration) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Context(Arc::new(Inner { memory, idle_max, tasks, stop }))
    }

    /// The budget that batches are read within.
    pub fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// The longest silence on a connection on which data should flow.
    pub fn idle_max(&self) -> Duration {
        self.0.idle_max
    }

    /// Cancelled when the run is to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Runs a future beside the caller, such as a driver's connection.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.tasks.spawn(future)
    }

    /// Runs blocking code on a thread for it.
    ///
    /// # Errors
    /// What the code returns, or [`codes::BROKEN_INVARIANT`] if it panicked.
    pub async fn blocking<T, F>(&self, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        self.spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Error::new(&codes::BROKEN_INVARIANT, name, "").because("the thread doing it panicked"))
        })
    }

    /// Runs blocking code on a thread for it, without waiting.
    pub fn spawn_blocking<T, F>(&self, work: F) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.0.tasks.spawn_blocking(work)
    }

    /// Waits for `future` for as long as a silence is allowed.
    ///
    /// # Errors
    /// What the future returns, or [`codes::TIMED_OUT`].
    pub async fn deadline<T>(
        &self,
        operation: &str,
        object: &str,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.0.idle_max, future).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(&codes::TIMED_OUT, operation, object)
                .because(format!("nothing came or went for {} s", self.0.idle_max.as_secs()))),
        }
    }

    /// Tells every task to end and waits until all have.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
