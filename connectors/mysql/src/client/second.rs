//! A second connection, which looks after a session while the first waits for its answer.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use syncline_connect::Context;
use syncline_types::{Result, codes};

use super::{Rows, connect};
use crate::{config::MysqlConfig, error::unreachable};

/// How long a statement may run before a second connection looks whether the server still works on it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What a server is about that waits until we take its rows.
const SENDING: &[&str] = &["Sending to client", "Writing to net"];

/// How long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as a silence is allowed.
    Quick,
    /// As long as the server works on it.
    Long,
    /// As long as the server looks for the next row, and is not the one who waits for us.
    Rows,
}

/// What is known of a session without asking it.
#[derive(Clone)]
pub(super) struct Beside {
    pub(super) config: Arc<MysqlConfig>,
    pub(super) cx: Context,
    /// Its number, as the server itself has it.
    pub(super) session: String,
}

impl Beside {
    /// Waits for something that the session does.
    pub(super) async fn wait<T>(
        &self,
        patience: Patience,
        operation: &str,
        object: &str,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        if patience == Patience::Quick {
            return self.cx.deadline(operation, object, async { Ok(work.await) }).await;
        }
        let pause = if patience == Patience::Rows { self.cx.idle_max() } else { LOOK_EVERY };
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(pause) => self.look(patience, operation, object).await?,
            }
        }
    }

    /// Whether the server still works for the session.
    async fn look(&self, patience: Patience, operation: &str, object: &str) -> Result<()> {
        let sessions = self.second("SHOW PROCESSLIST", operation, object).await?;
        // Number, user, host, database, command, seconds, and what it is about.
        let own = sessions.iter().find(|row| row.first().is_some_and(|id| *id == Some(self.session.clone())));
        let text = |at: usize| own.and_then(|row| row.get(at)?.as_deref()).unwrap_or_default();
        let sends = SENDING.contains(&text(6));
        let reason = match own {
            Some(_) if text(4) == "Sleep" => "the server is done with it, and its answer got lost",
            Some(_) if patience == Patience::Rows && sends => "what the server sends does not arrive",
            Some(_) => return Ok(()),
            None => "the server no longer knows the session that was doing it",
        };
        Err(unreachable(reason, operation, object))
    }

    /// Tells the server to stop what the session is doing. The session itself goes on.
    pub(super) async fn interrupt(&self, object: &str) -> Result<()> {
        let sql = format!("KILL QUERY {}", self.session);
        match self.second(&sql, "stop reading", object).await {
            // There is no such session any more.
            Err(error) if error.code() == &codes::SERVER_REFUSED => Ok(()),
            ran => ran.map(|_| ()),
        }
    }

    /// The rows of a quick statement on another connection. Boxed, since that one may be looked
    /// after too.
    fn second<'a>(
        &'a self,
        sql: &'a str,
        operation: &'a str,
        object: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Rows>> + Send + 'a>> {
        Box::pin(async move { connect(&self.config, &self.cx).await?.texts(sql, operation, object).await })
    }
}
