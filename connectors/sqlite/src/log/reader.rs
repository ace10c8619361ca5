//! Reads the changes on a thread of its own, which looks for more until nobody wants any.
//!
//! SQLite tells nobody that something has changed, so the thread asks, which costs a few microseconds.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use rusqlite::Connection;
use syncline_connect::{Context, LogReader, Logged, Reservation};
use syncline_types::{Error, Position, Result, codes};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, OwnedPermit},
    time::Instant,
};

use super::{
    look::{Halt, Look, Outlet},
    place::{Names, Place, forget},
};
use crate::{client::Database, error::is_locked};

/// How often the thread asks whether something has changed. Without a write-ahead log even a question keeps
/// writers from committing for that moment.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASK_EVERY_WITHOUT_WAL: Duration = Duration::from_millis(200);

/// Batches that wait for whoever asked for them. Room for one is taken before it is read.
const BATCHES_AHEAD: usize = 1;

/// How often records are deleted, how many at once, and in how many steps: whoever writes to the file waits
/// for each of them.
const FORGET_EVERY: Duration = Duration::from_secs(1);
const FORGET_AT_ONCE: i64 = 500;
const FORGET_STEPS_MAX: usize = 100;
/// What others hold the file for is done later.
const FORGET_WAIT: Duration = Duration::from_millis(100);

/// Gives out what its thread has found.
pub(super) struct SqliteLogReader {
    found: mpsc::Receiver<Result<Logged>>,
    /// What is to look, until it does.
    waiting: Option<(Look, Out)>,
    database: Database,
    names: Names,
    cx: Context,
    /// Everything before it is durable at the target.
    confirmed: Option<Place>,
    forgot_at: Option<Instant>,
    /// Deletes records, once there is something to delete.
    writer: Option<Connection>,
}

impl SqliteLogReader {
    pub(super) fn new(look: Look, database: &Database, names: &Names, cx: &Context) -> Self {
        let (sender, found) = mpsc::channel(BATCHES_AHEAD);
        let out = Out { sender, permit: None, cx: cx.clone() };
        SqliteLogReader {
            found,
            waiting: Some((look, out)),
            database: database.clone(),
            names: names.clone(),
            cx: cx.clone(),
            confirmed: None,
            forgot_at: None,
            writer: None,
        }
    }

    /// Begins to look, once somebody wants to know.
    fn start(&mut self) {
        let Some((mut look, mut out)) = self.waiting.take() else { return };
        self.cx.spawn_blocking(move || {
            let ended = out.run(&mut look);
            drop(look);
            if let Err(Halt::Failed(error)) = ended {
                // The room that a batch has taken is the error's now.
                out.permit = None;
                // Nobody may be left to hear it.
                let _ = out.wait(out.sender.send(Err(error)));
            }
        });
    }

    /// Deletes what is confirmed, as far as nobody else writes.
    async fn forget(&mut self) -> Result<()> {
        let due = self.forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY);
        let Some(upto) = self.confirmed.take_if(|_| due) else { return Ok(()) };
        self.forgot_at = Some(Instant::now());
        let (database, names, writer) = (self.database.clone(), self.names.clone(), self.writer.take());
        let rest = upto.clone();
        let (writer, done) = self
            .cx
            .blocking("delete changes that were read", move || delete(&database, &names, writer, &upto))
            .await?;
        self.writer = Some(writer);
        if !done {
            self.confirmed = Some(rest);
        }
        Ok(())
    }
}

/// Whether all was deleted that comes before a place.
fn delete(
    database: &Database,
    names: &Names,
    writer: Option<Connection>,
    upto: &Place,
) -> Result<(Connection, bool)> {
    let writer = match writer {
        Some(writer) => writer,
        None => database.follow_waiting_only(FORGET_WAIT)?,
    };
    for _ in 0..FORGET_STEPS_MAX {
        match forget(&writer, names, upto, FORGET_AT_ONCE) {
            Ok(true) => {}
            Ok(false) => return Ok((writer, true)),
            Err(error) if is_locked(&error) => break,
            Err(error) => {
                let object = format!("`{}`", names.changes);
                return Err(crate::error::translate(&error, "delete changes that were read from", object));
            }
        }
    }
    Ok((writer, false))
}

#[async_trait]
impl LogReader for SqliteLogReader {
    async fn next(&mut self) -> Result<Logged> {
        self.start();
        match self.found.recv().await {
            Some(logged) => logged,
            None if self.cx.stop().is_cancelled() => {
                Err(Error::new(&codes::INTERRUPTED, "go on following with pipeline", self.names.quoted())
                    .because("the run ends"))
            }
            None => Err(Error::new(
                &codes::BROKEN_INVARIANT,
                "go on following with pipeline",
                self.names.quoted(),
            )
            .because("the thread doing it has ended")),
        }
    }

    fn pass_over(&mut self, stream: usize, upto: &Position) -> Result<()> {
        let upto = Place::of(upto)?;
        match &mut self.waiting {
            Some((look, _)) => look.pass_over(stream, &upto),
            None => {
                return Err(Error::new(
                    &codes::BROKEN_INVARIANT,
                    "pass over changes of",
                    self.names.quoted(),
                )
                .because("some were looked at already"));
            }
        }
        Ok(())
    }

    async fn confirm(&mut self, upto: &Position) -> Result<()> {
        self.confirmed = Some(Place::of(upto)?);
        self.forget().await
    }

    async fn tick(&mut self) -> Result<()> {
        // There is no server that could grow tired of waiting; what was held up is deleted now.
        self.forget().await
    }
}

impl Drop for SqliteLogReader {
    fn drop(&mut self) {
        self.found.close();
    }
}

/// What the thread works with.
struct Out {
    sender: mpsc::Sender<Result<Logged>>,
    permit: Option<OwnedPermit<Result<Logged>>>,
    cx: Context,
}

impl Out {
    fn run(&mut self, look: &mut Look) -> Result<(), Halt> {
        let pause = if look.has_wal { ASK_EVERY } else { ASK_EVERY_WITHOUT_WAL };
        loop {
            if self.sender.is_closed() || self.cx.stop().is_cancelled() {
                return Err(Halt::Unwanted);
            }
            if !look.look(self)? {
                std::thread::sleep(pause);
            }
        }
    }

    /// Waits for something, unless nobody wants the rest.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Halt> {
        Handle::current().block_on(async {
            tokio::select! {
                value = future => Ok(value),
                () = self.sender.closed() => Err(Halt::Unwanted),
                () = self.cx.stop().cancelled() => Err(Halt::Unwanted),
            }
        })
    }
}

impl Outlet for Out {
    fn begin(&mut self, bytes: u64) -> Result<Reservation, Halt> {
        let permit = self.wait(self.sender.clone().reserve_owned())?.map_err(|_| Halt::Unwanted)?;
        self.permit = Some(permit);
        self.wait(self.cx.memory().reserve(bytes))
    }

    fn give(&mut self, logged: Logged) -> Result<(), Halt> {
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => self.wait(self.sender.clone().reserve_owned())?.map_err(|_| Halt::Unwanted)?,
        };
        permit.send(Ok(logged));
        Ok(())
    }
}
