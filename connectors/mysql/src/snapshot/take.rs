//! Takes one snapshot over several connections.
//!
//! A transaction of these servers cannot join another's snapshot, so commits are held back for the
//! moment in which all of them begin. The ways to do that are tried in order, each as far as the
//! user may and the server grants it at once.

use std::{fmt, sync::Arc};

use syncline_connect::Context;
use syncline_types::{Error, ErrorKind, Result, StreamName, codes};

use crate::{
    client::{Client, Server, connect},
    config::MysqlConfig,
    dialect::qualified,
    log::{Place, head, of_snapshot},
};

/// How long a lock is waited for: whoever writes waits behind us meanwhile.
const LOCK_SECONDS: u32 = 3;

/// How often the binary log may move on before it is given up.
const STANDSTILL_TRIES: usize = 5;

/// A transaction may be in the log and not yet be seen; for so long the log has to stand still
/// before it is taken that none is.
const STANDSTILL_SECONDS: &str = "0.2";

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// What the snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// One connection needs nobody's help.
    Single,
    /// `BACKUP STAGE BLOCK_COMMIT`
    BackupStage,
    /// `FLUSH TABLES WITH READ LOCK`
    GlobalLock,
    /// `LOCK TABLES ... READ`
    TableLocks,
    /// The binary log had not moved.
    Standstill,
    /// None of them, for these reasons.
    Apart(Vec<String>),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Single => f.write_str("one snapshot (of one connection)"),
            Way::BackupStage => f.write_str("one snapshot (taken under BACKUP STAGE BLOCK_COMMIT)"),
            Way::GlobalLock => f.write_str("one snapshot (taken under FLUSH TABLES WITH READ LOCK)"),
            Way::TableLocks => f.write_str("one snapshot (taken under LOCK TABLES ... READ)"),
            Way::Standstill => f.write_str("one snapshot (the binary log stood still while it was taken)"),
            Way::Apart(reasons) => write!(
                f,
                "not one snapshot: each connection has its own, taken one after the other ({})",
                reasons.join("; ")
            ),
        }
    }
}

/// `count` connections in one snapshot of these tables, or as near to it as it goes.
pub(super) async fn take(
    config: &Arc<MysqlConfig>,
    cx: &Context,
    tables: &[StreamName],
    count: usize,
) -> Result<(Vec<Client>, Way)> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connect(config, cx).await?);
    }
    if count == 1 {
        begin_all(&mut clients).await?;
        return Ok((clients, Way::Single));
    }
    let mut taking = Taking::new(config, cx, clients).await?;
    let way = taking.by_any_way(config, tables).await?;
    Ok((taking.clients, way))
}

/// As [`take`], where it is known which place in the log the snapshot is: for these tables everything before it
/// is in the snapshot, and nothing behind it.
///
/// # Errors
/// [`codes::UNSUPPORTED`] when the place cannot be known.
pub(super) async fn take_exactly(
    config: &Arc<MysqlConfig>,
    cx: &Context,
    tables: &[StreamName],
    count: usize,
) -> Result<(Vec<Client>, Way, Place)> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connect(config, cx).await?);
    }
    let mut taking = Taking::new(config, cx, clients).await?;
    taking.is_exact = true;
    let way = taking.by_any_way(config, tables).await?;
    let mut place = taking.held.take();
    if taking.holder.server.is_mariadb() && way == Way::Standstill {
        // It has said of each snapshot where it is, which was the same.
        place = Some(of_snapshot(&mut taking.clients[0]).await?);
    }
    let Taking { clients, place: server, reasons, .. } = taking;
    let place = place.ok_or_else(|| {
        Error::new(&codes::UNSUPPORTED, "take a snapshot without keys of", server)
            .because(format!(
                "which place in the log it is can only be known while commits are held back: {}",
                reasons.join("; ")
            ))
            .hint(
                "Grant RELOAD, or LOCK TABLES on the database, to the user; or give the table a primary key",
            )
    })?;
    Ok((clients, way, place))
}

async fn begin_all(clients: &mut [Client]) -> Result<()> {
    for client in clients {
        let place = client.config().place();
        client.run(BEGIN, "begin a snapshot of", &place).await?;
    }
    Ok(())
}

struct Taking {
    /// Whether the snapshot's place in the log has to be known.
    is_exact: bool,
    /// That place.
    held: Option<Place>,
    /// Holds the locks, and sees nothing of the snapshot.
    holder: Client,
    clients: Vec<Client>,
    place: String,
    /// Why a way was not granted.
    reasons: Vec<String>,
}

impl Taking {
    async fn new(config: &Arc<MysqlConfig>, cx: &Context, clients: Vec<Client>) -> Result<Self> {
        let place = config.place();
        let mut holder = connect(config, cx).await?;
        let limit = format!("SET SESSION lock_wait_timeout = {LOCK_SECONDS}");
        holder.run(&limit, "set up a session on", &place).await?;
        Ok(Taking { is_exact: false, held: None, holder, clients, place, reasons: vec![] })
    }

    async fn by_any_way(&mut self, config: &MysqlConfig, tables: &[StreamName]) -> Result<Way> {
        let server = self.holder.server.clone();
        let locks: Vec<String> = tables
            .iter()
            .map(|name| format!("{} READ", qualified(name, config.database().unwrap_or_default())))
            .collect();
        let locked = format!("LOCK TABLES {}", locks.join(", "));
        Ok(
            if server.is_mariadb()
                && self
                    .under(&["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"], "BACKUP STAGE END")
                    .await?
            {
                Way::BackupStage
            } else if self.under(&["FLUSH TABLES WITH READ LOCK"], "UNLOCK TABLES").await? {
                Way::GlobalLock
            } else if !tables.is_empty() && self.under(&[&locked], "UNLOCK TABLES").await? {
                Way::TableLocks
            } else if (!self.is_exact || server.is_mariadb()) && self.at_standstill(&server).await? {
                Way::Standstill
            } else {
                begin_all(&mut self.clients).await?;
                Way::Apart(self.reasons.clone())
            },
        )
    }

    /// Begins everywhere while `locks` are held. False when they are not granted.
    async fn under(&mut self, locks: &[&str], unlock: &str) -> Result<bool> {
        for (at, lock) in locks.iter().enumerate() {
            if let Err(error) = self.holder.run(lock, "hold back commits of", &self.place).await {
                if at > 0 {
                    self.holder.run(unlock, "let go of", &self.place).await?;
                }
                return self.not_granted(lock, error).map(|()| false);
            }
        }
        let begun = self.begin_locked().await;
        // Whatever happened, nobody is to wait any longer. If this fails the server lets go by itself
        // when the connection ends, which it does with this function.
        self.holder.run(unlock, "let go of", &self.place).await?;
        begun.map(|()| true)
    }

    /// Begins everywhere, and asks for the place that it is. Whoever holds locks on tables has no other in them
    /// on his way to the log, and one that changes other tables has nothing of ours.
    async fn begin_locked(&mut self) -> Result<()> {
        begin_all(&mut self.clients).await?;
        if self.is_exact {
            let place = match (self.holder.server.is_mariadb(), self.clients.first_mut()) {
                (true, Some(client)) => of_snapshot(client).await?,
                _ => head(&mut self.holder).await?,
            };
            self.held = Some(place);
        }
        Ok(())
    }

    /// Keeps the reason why a way is not granted; what has nothing to do with that is an error.
    fn not_granted(&mut self, what: &str, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Unreachable if !self.holder.is_usable() => Err(error),
            _ => {
                let words: Vec<&str> = what.split(' ').take(3).collect();
                self.reasons.push(format!("{}: {}", words.join(" "), error.reason()));
                Ok(())
            }
        }
    }

    /// Begins everywhere, again and again, until nothing was committed meanwhile.
    async fn at_standstill(&mut self, server: &Server) -> Result<bool> {
        for _ in 0..STANDSTILL_TRIES {
            let before = match server.is_mariadb() {
                true => None,
                false => match log_end(&mut self.holder, server, &self.place).await {
                    Ok(end) => Some(end),
                    Err(error) => return self.not_granted("binary log", error).map(|()| false),
                },
            };
            if let Some(before) = before {
                let pause = format!("DO SLEEP({STANDSTILL_SECONDS})");
                self.holder.run(&pause, "watch the binary log of", &self.place).await?;
                begin_all(&mut self.clients).await?;
                if log_end(&mut self.holder, server, &self.place).await? == before {
                    return Ok(true);
                }
                continue;
            }
            begin_all(&mut self.clients).await?;
            match self.own_log_ends().await?.as_slice() {
                [Some(first), rest @ ..] if rest.iter().all(|end| end.as_ref() == Some(first)) => {
                    return Ok(true);
                }
                [Some(_), ..] => {}
                _ => {
                    self.reasons.push("binary log: it is off".into());
                    return Ok(false);
                }
            }
        }
        self.reasons.push("binary log: it moves on all the time".into());
        Ok(false)
    }

    /// Where the log ended when each connection's snapshot was taken, as MariaDB knows.
    async fn own_log_ends(&mut self) -> Result<Vec<Option<String>>> {
        let mut ends = vec![];
        for client in &mut self.clients {
            let sql = "SHOW SESSION STATUS LIKE 'binlog_snapshot_%'";
            let rows = client.texts(sql, "watch the binary log of", &self.place).await?;
            let values: Vec<String> = rows
                .into_iter()
                .filter_map(|row| row.into_iter().nth(1).flatten())
                .filter(|value| !value.is_empty() && value != "0")
                .collect();
            ends.push((!values.is_empty()).then(|| values.join(" ")));
        }
        Ok(ends)
    }
}

/// Where MySQL's log ends now, and which transactions are through.
async fn log_end(client: &mut Client, server: &Server, place: &str) -> Result<String> {
    let sql = if server.version >= (8, 2, 0) { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let rows = client.texts(sql, "watch the binary log of", place).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(Error::new(&codes::UNSUPPORTED, "watch the binary log of", place).because("it is off"));
    };
    let through = client.text("SELECT @@GLOBAL.gtid_executed", "watch the binary log of", place).await?;
    let row: Vec<String> = row.into_iter().flatten().collect();
    Ok(format!("{} {}", row.join(" "), through.unwrap_or_default()))
}
