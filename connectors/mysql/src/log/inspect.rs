//! What stands in the way of following a server's tables, or weakens it.

use std::{collections::BTreeMap, sync::Arc};

use syncline_connect::{Finding, Read};
use syncline_sql::bookkeeping::is_ours;
use syncline_types::{Column, Error, Result, StreamName, codes};

use super::{server::is_off, streams::Readings};
use crate::{
    client::Client,
    dialect::{qualified, text_constant},
    origin,
    schema::find,
    types::base,
};

/// Kept for less, the log is soon gone while the pipeline does not run.
const KEPT_SECONDS_MIN: u64 = 24 * 3600;

/// The server's settings, by their names.
struct Settings(BTreeMap<String, String>);

impl Settings {
    async fn ask(client: &mut Client) -> Result<Self> {
        let place = client.config().place();
        let names = [
            "log_bin",
            "binlog_format",
            "binlog_row_image",
            "binlog_row_value_options",
            "binlog_expire_logs_seconds",
            "expire_logs_days",
            "innodb_native_foreign_keys",
        ];
        let list: Vec<String> = names.iter().map(|name| text_constant(name)).collect();
        let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", list.join(", "));
        let rows = client.texts(&sql, "ask for the settings of", &place).await?;
        let pair = |row: Vec<Option<String>>| {
            let mut row = row.into_iter();
            Some((row.next()??.to_ascii_lowercase(), row.next()??.to_ascii_uppercase()))
        };
        Ok(Settings(rows.into_iter().filter_map(pair).collect()))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// For how many seconds the log is kept; `None` without a limit.
    fn kept_seconds(&self) -> Option<u64> {
        let seconds = self.get("binlog_expire_logs_seconds").parse().unwrap_or(0);
        let days: f64 = self.get("expire_logs_days").parse().unwrap_or(0.0);
        // Days may have a fraction, and no more than 99 are taken.
        let limit = if seconds > 0 { seconds } else { (days * 86_400.0) as u64 };
        (limit > 0).then_some(limit)
    }
}

/// Everything found.
pub(super) async fn inspect(client: &mut Client, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let settings = Settings::ask(client).await?;
    let place = client.config().place();
    if settings.get("log_bin") != "ON" {
        return Ok(vec![Finding::blocker(is_off(&place))]);
    }
    let mut findings = of_server(&settings, &place);
    if let Some(error) = grants(client).await? {
        findings.push(Finding::blocker(error));
        return Ok(findings);
    }
    findings.extend(left_out(client, reads).await?);
    let names = reads.iter().map(|read| &read.stream.name);
    if let Some(database) = origin::lacks_identity(client, names).await? {
        findings.push(Finding::note(format!(
            "database `{database}` gets a table `{}`, by which it is told from others",
            origin::IDENTITY
        )));
    }
    let mut readings = Readings::new(&client.config().clone());
    for read in reads {
        findings.extend(of_table(client, &settings, &mut readings, read).await?);
    }
    Ok(findings)
}

/// Of each stream, the columns that updates may leave out.
pub(super) async fn lacks(client: &mut Client, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
    let settings = Settings::ask(client).await?;
    let image = settings.get("binlog_row_image").to_owned();
    let lacks = |read: &Read, column: &Column| match image.as_str() {
        "MINIMAL" => !read.stream.schema.key.contains(&column.name),
        "NOBLOB" => !read.stream.schema.key.contains(&column.name) && is_blob(column),
        _ => false,
    };
    let of_read = |read: &Arc<Read>| {
        let columns = read.stream.schema.columns.iter().filter(|column| lacks(read, column));
        columns.map(|column| column.name.clone()).collect()
    };
    Ok(reads.iter().map(of_read).collect())
}

fn is_blob(column: &Column) -> bool {
    let native = column.native.as_deref().map(base).unwrap_or_default();
    native.ends_with("blob")
        || native.ends_with("text")
        || matches!(native, "json" | "vector")
        || crate::types::is_geometry(native)
}

fn of_server(settings: &Settings, place: &str) -> Vec<Finding> {
    let mut findings = vec![];
    let format = settings.get("binlog_format");
    if format != "ROW" && !format.is_empty() {
        let error = Error::new(&codes::UNSUPPORTED, "follow the log of", place)
            .because(format!("binlog_format is {format}, so that the log does not tell rows"))
            .hint("Run SET GLOBAL binlog_format = 'ROW', and let all sessions begin anew");
        findings.push(Finding::blocker(error));
    }
    let image = settings.get("binlog_row_image");
    if !matches!(image, "FULL" | "FULL_NODUP" | "") {
        findings.push(Finding::note(format!(
            "binlog_row_image is {image}: what an update leaves alone is left alone at the target too; where \
             the log leaves out a value of a new row that the server computes, the pipeline stops. SET GLOBAL binlog_row_image = 'FULL' tells whole rows"
        )));
        if settings.get("binlog_row_value_options").contains("PARTIAL_JSON") {
            let error = Error::new(&codes::LOG_INCOMPLETE, "follow the log of", place)
                .because(format!("it tells what differs in JSON documents (binlog_row_value_options), and with binlog_row_image = {image} not from what"))
                .hint("Run SET GLOBAL binlog_row_image = 'FULL', or SET GLOBAL binlog_row_value_options = ''");
            findings.push(Finding::blocker(error));
        }
    }
    if let Some(seconds) = settings.kept_seconds() {
        let text = format!(
            "the server deletes its log after {} hours: a pipeline that stands still for longer has to copy anew",
            seconds / 3600
        );
        findings.push(if seconds < KEPT_SECONDS_MIN { Finding::warning(text) } else { Finding::note(text) });
    }
    findings
}

/// Whether the user may read the log and ask where it ends.
async fn grants(client: &mut Client) -> Result<Option<Error>> {
    let grants = crate::snapshot::grants(client).await?;
    let has = |privileges: &[&str]| {
        privileges
            .iter()
            .any(|privilege| grants.iter().any(|grant| crate::snapshot::gives(grant, privilege, None)))
    };
    let status: &[&str] = match client.server.is_mariadb() {
        true => &["BINLOG MONITOR", "REPLICATION CLIENT"],
        false => &["REPLICATION CLIENT"],
    };
    let reads: &[&str] = &["REPLICATION SLAVE", "REPLICATION REPLICA"];
    let missing: Vec<&str> = [reads, status].into_iter().filter(|any| !has(any)).map(|any| any[0]).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let place = client.config().place();
    let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &place).await?;
    let user = crate::snapshot::user_name(user);
    Ok(Some(
        Error::new(&codes::PERMISSION_DENIED, "follow the log of", place)
            .because(format!("user {user} may not read it"))
            .hint(format!("Run: GRANT {} ON *.* TO {user}", missing.join(", "))),
    ))
}

/// Databases that the server keeps out of its log.
async fn left_out(client: &mut Client, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let place = client.config().place();
    let newer = !client.server.is_mariadb() && client.server.version >= (8, 2, 0);
    let sql = if newer { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" };
    let row = client.texts(sql, "ask for the log of", &place).await?.into_iter().next().unwrap_or_default();
    let list = |at: usize| -> Vec<String> {
        let text = row.get(at).cloned().flatten().unwrap_or_default();
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let (only, not) = (list(2), list(3));
    let is_out = |read: &&Arc<Read>| {
        let database = read.stream.name.namespace.clone().unwrap_or_default();
        !only.is_empty() && !only.contains(&database) || not.contains(&database)
    };
    let blocker = |read: &Arc<Read>| {
        let name = &read.stream.name;
        let error = refused(name, "the server keeps its database out of the log")
            .hint("Take it out of binlog_ignore_db, or into binlog_do_db, and start the server anew");
        Finding::blocker(error).of(name)
    };
    Ok(reads.iter().filter(is_out).map(blocker).collect())
}

fn refused(name: &StreamName, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::UNSUPPORTED, "follow table", format!("`{name}`")).because(reason)
}

async fn of_table(
    client: &mut Client,
    settings: &Settings,
    readings: &mut Readings,
    read: &Read,
) -> Result<Vec<Finding>> {
    let name = &read.stream.name;
    let mut findings = vec![];
    let mut blocker = |error: Error| findings.push(Finding::blocker(error).of(name));
    if is_ours(&name.table) {
        blocker(refused(name, "it is one of Syncline's own").hint("Leave it out"));
    }
    let listed = find(client, name).await?;
    if listed.as_ref().is_some_and(|listed| listed.is_view) {
        blocker(
            refused(name, "it is a view, of which the log tells nothing")
                .hint("Leave it out, or copy it with sync: full"),
        );
        return Ok(findings);
    }
    let engine = listed.and_then(|listed| listed.engine).unwrap_or_default().to_ascii_lowercase();
    if matches!(engine.as_str(), "memory" | "federated" | "blackhole" | "connect" | "spider") {
        blocker(
            refused(name, format!("rows of engine {engine} come and go without the log's telling"))
                .hint("Leave it out, or copy it with sync: full"),
        );
    }
    let image = settings.get("binlog_row_image");
    if read.schema().key.is_empty() && !matches!(image, "FULL" | "FULL_NODUP" | "") {
        blocker(
            Error::new(&codes::KEY_MISSING, "follow table", format!("`{name}`"))
                .because(format!("it has no primary key, and with binlog_row_image = {image} the log does not tell whole rows"))
                .hint("Run SET GLOBAL binlog_row_image = 'FULL' and let sessions begin anew, or give it a primary key"),
        );
    }
    if is_versioned(client, name).await? {
        blocker(
            refused(name, "it keeps the history of its rows, and the log tells that as rows too")
                .hint("Leave it out, or copy it with sync: full"),
        );
    }
    // What the engine itself deletes or changes because of a key stands in no log, unless the server does it.
    if settings.get("innodb_native_foreign_keys") != "OFF"
        && let Some(key) = cascade(client, name).await?
    {
        blocker(
            refused(name, format!("its foreign key `{key}` deletes or changes rows by itself (CASCADE, SET NULL), of which the log does not tell"))
                .hint("Let the key RESTRICT and the application delete the rows, or copy the table with sync: incremental and --deletes apply"),
        );
    }
    match readings.shape(client, read).await {
        Ok(_) => {}
        Err(error) if error.code() == &codes::UNSUPPORTED => blocker(error),
        Err(error) => return Err(error),
    }
    let virtual_column = read
        .schema()
        .columns
        .iter()
        .find(|column| column.generated && client.server.is_mariadb())
        .map(|column| column.name.clone());
    if let Some(column) = virtual_column
        && is_virtual(client, name, &column).await?
    {
        blocker(
            refused(
                name,
                format!(
                    "the table computes its column `{column}` when it is read, and the log does not tell it"
                ),
            )
            .hint("Leave the column out with a `drop` step or --columns, and compute it at the target"),
        );
    }
    Ok(findings)
}

fn place_of(name: &StreamName, schema: &str, table: &str) -> String {
    format!(
        "{schema} = {} AND {table} = {}",
        text_constant(name.namespace.as_deref().unwrap_or_default()),
        text_constant(&name.table)
    )
}

/// Whether MariaDB keeps the history of the table's rows.
async fn is_versioned(client: &mut Client, name: &StreamName) -> Result<bool> {
    let place = place_of(name, "TABLE_SCHEMA", "TABLE_NAME");
    let sql = format!("SELECT TABLE_TYPE FROM information_schema.TABLES WHERE {place}");
    Ok(client.text(&sql, "look up table", &qualified(name, "")).await?.as_deref() == Some("SYSTEM VERSIONED"))
}

/// The name of a foreign key by which the engine changes the table's rows by itself.
async fn cascade(client: &mut Client, name: &StreamName) -> Result<Option<String>> {
    let place = place_of(name, "CONSTRAINT_SCHEMA", "TABLE_NAME");
    let sql = format!(
        "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE {place}
         AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')) LIMIT 1"
    );
    client.text(&sql, "look up the foreign keys of", &qualified(name, "")).await
}

async fn is_virtual(client: &mut Client, name: &StreamName, column: &str) -> Result<bool> {
    let place = place_of(name, "TABLE_SCHEMA", "TABLE_NAME");
    let sql = format!(
        "SELECT 1 FROM information_schema.COLUMNS WHERE {place} AND COLUMN_NAME = {} AND EXTRA LIKE '%VIRTUAL%'",
        text_constant(column)
    );
    Ok(client.text(&sql, "look up the columns of", &qualified(name, "")).await?.is_some())
}
