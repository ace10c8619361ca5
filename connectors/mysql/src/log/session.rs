//! A connection on which the server sends its log.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use syncline_connect::Context;
use syncline_types::{Error, Result, codes};

use super::{
    event::{Event, split},
    gtid::GtidSet,
    place::Place,
    server,
};
use crate::{
    client::{Client, DumpFrom, Front, connect},
    config::MysqlConfig,
    error::from_io,
};

pub(super) const OPERATION: &str = "follow the log of";

/// How often a server that has nothing to send says so, at most.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The log as it is sent.
pub(super) struct Session {
    pub(super) client: Client,
    /// Whether events have checksums, as far as is known before the first.
    pub(super) checksums: bool,
    /// Who the server is.
    pub(super) server: String,
}

impl Session {
    /// Asks for the log from a place on.
    pub(super) async fn start(config: &Arc<MysqlConfig>, cx: &Context, at: &Place) -> Result<Self> {
        check(config, cx, at).await?;
        let mut client = connect(config, cx).await?;
        let identity = server::identity(&mut client).await?;
        let by_gtid = at.gtids.is_some() && server::has_gtids(&mut client).await?;
        let object = config.place();
        let checksums = prepare(&mut client, cx.idle_max()).await?;
        let number = replica_number();
        client.register(number, OPERATION, &object).await?;
        match at.gtids.as_ref().filter(|_| by_gtid) {
            Some(GtidSet::Mysql(set)) => {
                client.dump(DumpFrom::AllBut(&set.bytes()), number, OPERATION, &object).await?;
            }
            // Without any transaction the server would begin with its first file, which may be gone.
            Some(GtidSet::Mariadb(state)) if !state.is_empty() => {
                let sql = format!("SET @slave_connect_state = '{state}'");
                client.run(&sql, OPERATION, &object).await?;
                client.dump(DumpFrom::Place { file: "", position: 4 }, number, OPERATION, &object).await?;
            }
            _ => {
                let position = u32::try_from(at.position).map_err(|_| {
                    Error::new(&codes::LOG_LOST, OPERATION, &object)
                        .because("the place is behind the first 4 GiB of a file, where the server can be asked for it by its transactions' ids only")
                        .hint("Copy the streams again with --restart; gtid_mode=ON avoids it")
                })?;
                client.dump(DumpFrom::Place { file: &at.file, position }, number, OPERATION, &object).await?;
            }
        }
        Ok(Session { client, checksums, server: identity })
    }
}

/// Whether the server still has what comes after a place.
///
/// # Errors
/// [`codes::LOG_LOST`] when not.
pub(super) async fn check(config: &Arc<MysqlConfig>, cx: &Context, known: &Place) -> Result<()> {
    let mut client = connect(config, cx).await?;
    server::check(&mut client, known).await?;
    let Some(begun) = known.begun else { return Ok(()) };
    let files = server::files(&mut client).await?;
    let is_there = files.iter().any(|(file, _)| *file == known.file);
    // After a fail-over a file of that name is another one's.
    if !is_there || server::identity(&mut client).await? != known.server {
        return Ok(());
    }
    if begun_at(client, &known.file).await? != Some(begun) {
        return Err(Error::new(&codes::LOG_LOST, "go on with the log of", config.place())
            .because(format!("it was begun anew: its file `{}` is not the one that was read", known.file))
            .hint("Copy the streams again with --restart"));
    }
    Ok(())
}

/// When a file of the log was begun, as its first event says.
async fn begun_at(mut client: Client, file: &str) -> Result<Option<u32>> {
    let (config, cx) = (Arc::clone(client.config()), client.cx().clone());
    let object = config.place();
    let checksums = prepare(&mut client, cx.idle_max()).await?;
    let number = replica_number();
    client.register(number, OPERATION, &object).await?;
    client.dump(DumpFrom::Place { file, position: 4 }, number, OPERATION, &object).await?;
    loop {
        let wire = client.incoming();
        match wire.front().map_err(|error| from_io(&error, OPERATION, &object))? {
            Front::Nothing => {
                let filled = cx.deadline(OPERATION, &object, async { Ok(wire.fill().await) }).await?;
                filled.map_err(|error| from_io(&error, OPERATION, &object))?;
                continue;
            }
            // What comes first is short.
            Front::Large(_) => return Ok(None),
            Front::Payload => {}
        }
        let Some((0, bytes)) = wire.payload().split_first() else {
            return Err(client.dump_ended(OPERATION, &object));
        };
        let (header, body) = split(bytes, checksums)?;
        match Event::read(&header, body)? {
            Event::Format { .. } => return Ok(Some(header.seconds)),
            Event::Rotate { .. } => client.incoming().advance(),
            _ => return Ok(None),
        }
    }
}

/// Says in which form the log is wanted, and whether its events have checksums.
async fn prepare(client: &mut Client, idle_max: Duration) -> Result<bool> {
    let object = client.config().place();
    let heartbeat = HEARTBEAT.min(idle_max / 3).as_nanos();
    let (low, high) = (random(), random());
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        low >> 32,
        low & 0xFFFF,
        low >> 16 & 0xFFF,
        high >> 48 & 0xFFF,
        high & 0xFFFF_FFFF_FFFF
    );
    // Each is known by its older or its newer name.
    let sql = format!(
        "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum, \
         @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}, \
         @slave_uuid = '{uuid}', @replica_uuid = '{uuid}'"
    );
    client.run(&sql, OPERATION, &object).await?;
    if client.server.is_mariadb() {
        // We understand its transactions' ids, and want none that it does not have.
        let sql = "SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0";
        client.run(sql, OPERATION, &object).await?;
    }
    let told = client.text("SELECT @master_binlog_checksum", OPERATION, &object).await?;
    Ok(told.is_some_and(|told| told != "NONE"))
}

fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Another one for every connection: of two replicas with one number the server ends the first. The
/// highest ones are nobody else's.
fn replica_number() -> u32 {
    u32::try_from(random() & 0x3FFF_FFFF).unwrap_or(1) | 0x8000_0000
}
