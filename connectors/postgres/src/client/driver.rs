//! Who moves a connection's bytes: a task of its own, or a reader that wants them no faster than it
//! has room for them.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll},
};

use syncline_connect::Context;
use tokio::{sync::oneshot, task::AbortHandle};

use crate::error::translate;

/// The half of a connection that moves its bytes.
pub(crate) struct Driver(Pin<Box<dyn Future<Output = Ended> + Send>>);

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
        Driver(Box::pin(connection))
    }

    /// Moves what can be moved now; ready when the connection has ended.
    pub(crate) fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        self.0.as_mut().poll(task).map(log_end)
    }

    /// Waits for `future` and moves bytes meanwhile.
    pub(crate) async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut ended = false;
        poll_fn(|task| {
            // An answer may wait already, or come with the bytes moved now.
            ended = ended || self.poll(task).is_ready();
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
