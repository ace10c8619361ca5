//! Who moves a connection's bytes: a task of its own, or a reader that wants them no faster than it
//! has room for them.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll, ready},
};

use syncline_connect::Context;
use tokio::{sync::oneshot, task::AbortHandle};

use crate::error::translate;

/// The half of a connection that moves its bytes. Once the connection has ended it is gone: only
/// then do those who wait for an answer hear of it.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = Ended> + Send>>>);

type Ended = std::result::Result<(), tokio_postgres::Error>;

/// A driver at work in a task of its own.
pub(super) struct Driving {
    /// Ends the connection at once, whatever it is doing.
    pub(super) task: AbortHandle,
    /// Where to ask for the driver.
    pub(super) wanted: Option<oneshot::Sender<oneshot::Sender<Driver>>>,
}

impl Driver {
    pub(super) fn new(connection: impl Future<Output = Ended> + Send + 'static) -> Self {
        Driver(Some(Box::pin(connection)))
    }

    /// Moves what can be moved now; ready when the connection has ended.
    pub(crate) fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.0 {
            log_end(ready!(connection.as_mut().poll(task)));
            self.0 = None;
        }
        Poll::Ready(())
    }

    /// Whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_none()
    }

    /// Leaves nothing in its place.
    pub(crate) fn take(&mut self) -> Driver {
        Driver(self.0.take())
    }

    /// Waits for `future` and moves bytes meanwhile.
    pub(crate) async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|task| {
            // Whether it ends or not, an answer may have come.
            let _ = self.poll(task);
            future.as_mut().poll(task)
        })
        .await
    }

    /// Goes on in a task of its own, until it is asked for.
    pub(super) fn start(mut self, cx: &Context) -> Driving {
        let (wanted, mut asked) = oneshot::channel::<oneshot::Sender<Driver>>();
        let task = cx.spawn(async move {
            let mut nobody_left = false;
            let reply = poll_fn(|task| {
                if self.poll(task).is_ready() {
                    return Poll::Ready(None);
                }
                if nobody_left {
                    return Poll::Pending;
                }
                match Pin::new(&mut asked).poll(task) {
                    Poll::Ready(Ok(reply)) => Poll::Ready(Some(reply)),
                    // The client is gone: what is left is to end the connection in good order.
                    Poll::Ready(Err(_)) => {
                        nobody_left = true;
                        Poll::Pending
                    }
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            if let Some(reply) = reply {
                // Should nobody take it any more, it is dropped, and the connection with it.
                let _ = reply.send(self);
            }
        });
        Driving { task: task.abort_handle(), wanted: Some(wanted) }
    }
}

/// How a connection ends shows in whatever the client does next.
fn log_end(ended: Ended) {
    if let Err(error) = ended {
        tracing::debug!(error = %translate(&error, "keep", "a connection"), "connection ended");
    }
}
