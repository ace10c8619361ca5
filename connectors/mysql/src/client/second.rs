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

/// How long to wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as a silence is allowed.
    Quick,
    /// As long as the server works on it.
    Long,
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
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(LOOK_EVERY) => self.look(operation, object).await?,
            }
        }
    }

    /// Whether the server still works for the session.
    async fn look(&self, operation: &str, object: &str) -> Result<()> {
        let sessions = self.second("SHOW PROCESSLIST", operation, object).await?;
        // Number, user, host, database, and what it is doing.
        let own = sessions.iter().find(|row| row.first().is_some_and(|id| *id == Some(self.session.clone())));
        let reason = match own.map(|row| row.get(4).and_then(Option::as_deref)) {
            Some(Some("Sleep")) => "the server is done with it, and its answer got lost",
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
