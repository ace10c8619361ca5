//! What stands in the way of following tables by triggers, or weakens it.

use std::{collections::BTreeMap, sync::Arc};

use syncline_connect::{Finding, Read};
use syncline_sql::{Dialect, bookkeeping::is_ours};
use syncline_types::{Error, ErrorKind, Result, StreamName, codes};

use super::install::{Names, key};
use crate::{
    client::Client,
    dialect::{Mysql, qualified, text_constant},
    schema::{Table, describe, find},
    snapshot::{gives, grants, user_name},
    types::Meaning,
};

/// What the user has to be allowed in the database of Syncline's own tables.
const OWN_PRIVILEGES: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP"];

/// Everything found.
pub(super) async fn inspect(client: &mut Client, names: &Names, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let mut findings = vec![Finding::note(format!(
        "changes are recorded by triggers, in tables `_syncline_changes_{}_*` of database `{}`, until `syncline release`; \
         while a column of a key has another name than when they were made, writes to its table fail",
        names.hash, names.database
    ))];
    if client.server.is_mariadb() {
        findings.push(Finding::note(
            "MariaDB refuses writes to a table with such triggers in a session that has locked it by LOCK TABLES (error 1442)",
        ));
    }
    let grants = grants(client).await?;
    let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &names.database).await?;
    let user = user_name(user);
    findings.extend(of_server(client, names, &grants, &user).await?.into_iter().map(Finding::blocker));
    let meaning = Meaning::new(client.server.family, client.config());
    for read in reads {
        let name = &read.stream.name;
        let listed = find(client, name).await?.ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, "follow table", format!("`{name}`"))
                .because("it was there a moment ago, and is no more")
        })?;
        let described = describe(client, vec![listed], meaning).await?;
        for table in &described {
            if let Some(error) = refusal(client, read, table).await? {
                findings.push(Finding::blocker(error).of(name));
            } else if !may_make_triggers(&grants, name) {
                findings.push(Finding::blocker(not_granted(name, &user)).of(name));
            }
        }
    }
    Ok(findings)
}

/// The first thing that stands in the way.
pub(super) async fn refuse(client: &mut Client, names: &Names, reads: &[Arc<Read>]) -> Result<()> {
    let findings = inspect(client, names, reads).await?;
    findings.into_iter().find_map(|finding| finding.error).map_or(Ok(()), Err)
}

async fn of_server(client: &mut Client, names: &Names, grants: &[String], user: &str) -> Result<Vec<Error>> {
    let settings = settings(client, names).await?;
    let is = |name: &str, value: &str| settings.get(name).is_some_and(|setting| setting == value);
    let mut errors = vec![];
    let own = |privilege: &&&str| !grants.iter().any(|grant| gives(grant, privilege, Some(&names.database)));
    let missing: Vec<&str> = OWN_PRIVILEGES.iter().filter(own).copied().collect();
    if !missing.is_empty() {
        errors.push(
            Error::new(
                &codes::PERMISSION_DENIED,
                "record changes in database",
                format!("`{}`", names.database),
            )
            .because(format!("user {user} may not make and use tables in it"))
            .hint(format!(
                "Run: GRANT {} ON {}.* TO {user}",
                missing.join(", "),
                Mysql.quote(&names.database)
            )),
        );
    }
    let place = client.config().place();
    let error = |code, reason: &str| Error::new(code, "make triggers at", &place).because(reason);
    let is_trusted = grants.iter().any(|grant| gives(grant, "SUPER", None));
    if is("log_bin", "ON") && !is("log_bin_trust_function_creators", "ON") && !is_trusted {
        let reason = format!("the server has a binary log, and lets user {user} make no triggers that write");
        errors.push(
            error(&codes::PERMISSION_DENIED, &reason)
                .hint("Run: SET GLOBAL log_bin_trust_function_creators = ON"),
        );
    }
    if is("log_bin", "ON") && is("binlog_format", "STATEMENT") {
        errors.push(
            error(
                &codes::UNSUPPORTED,
                "the server writes its log by statements, and its replicas would number records otherwise",
            )
            .hint("Run: SET GLOBAL binlog_format = 'ROW', and let all sessions begin anew"),
        );
    }
    if is("read_only", "ON") {
        errors.push(
            error(&codes::PERMISSION_DENIED, "the server is read-only, and nothing can be made there")
                .hint("Name the primary"),
        );
    } else if is_replica(client, names).await? && !is("slave_run_triggers_for_rbr", "YES") {
        errors.push(
            error(
                &codes::UNSUPPORTED,
                "the server is a replica, and what replication writes fires no triggers",
            )
            .hint("Name the primary"),
        );
    }
    Ok(errors)
}

async fn settings(client: &mut Client, names: &Names) -> Result<BTreeMap<String, String>> {
    let wanted = [
        "log_bin",
        "log_bin_trust_function_creators",
        "binlog_format",
        "read_only",
        "slave_run_triggers_for_rbr",
    ];
    let list: Vec<String> = wanted.iter().map(|name| text_constant(name)).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", list.join(", "));
    let rows = client.texts(&sql, "ask for the settings of", &names.database).await?;
    let pair = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        Some((row.next()??.to_ascii_lowercase(), row.next()??.to_ascii_uppercase()))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// Whether it replicates from another server, as far as the user may know.
async fn is_replica(client: &mut Client, names: &Names) -> Result<bool> {
    let sql = match client.server.is_mariadb() {
        true => "SHOW ALL SLAVES STATUS",
        false if client.server.version >= (8, 0, 22) => "SHOW REPLICA STATUS",
        false => "SHOW SLAVE STATUS",
    };
    match client.texts(sql, "ask for the replication of", &names.database).await {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(error) if error.kind() == ErrorKind::Permission => Ok(false),
        Err(error) => Err(error),
    }
}

fn refused(name: &StreamName, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::UNSUPPORTED, "follow table", format!("`{name}`")).because(reason)
}

/// Why a table cannot be followed by triggers, if it cannot.
pub(super) async fn refusal(client: &mut Client, read: &Read, table: &Table) -> Result<Option<Error>> {
    let (name, listed) = (&read.stream.name, &table.listed);
    if is_ours(&name.table) {
        return Ok(Some(refused(name, "it is one of Syncline's own").hint("Leave it out")));
    }
    if listed.is_view {
        return Ok(Some(
            refused(name, "it is a view, and no trigger can record its changes")
                .hint("Leave it out, or copy it with sync: full"),
        ));
    }
    let engine = listed.engine.as_deref().unwrap_or("?");
    if !engine.eq_ignore_ascii_case("innodb") {
        return Ok(Some(
            refused(
                name,
                format!("its engine {engine} has no snapshots that it shares with the records (InnoDB)"),
            )
            .hint("Give it ENGINE=InnoDB, or copy it with sync: full"),
        ));
    }
    if let Some(what) = kind(client, name).await? {
        return Ok(Some(refused(name, what).hint("Follow the server's log: leave capture= out")));
    }
    if let Some(key) = cascade(client, name).await? {
        let reason = format!(
            "its foreign key `{key}` deletes or changes rows by itself (CASCADE, SET NULL), which fires no triggers"
        );
        return Ok(Some(refused(name, reason).hint(
            "Let the key RESTRICT and the application delete the rows, or copy the table with sync: incremental and --deletes apply",
        )));
    }
    let (schema, own) = (read.schema(), key(table));
    if own.is_empty() || own != schema.key || own.iter().any(|column| schema.column(column).is_none()) {
        return Ok(Some(
            Error::new(&codes::KEY_MISSING, "follow table", format!("`{name}`"))
                .because("a change tells its row by the primary key, and it has none that is read")
                .hint("Give the table a primary key, and read all of its columns"),
        ));
    }
    Ok(None)
}

/// What kind of a table it is, if it is one of which triggers do not tell everything.
async fn kind(client: &mut Client, name: &StreamName) -> Result<Option<&'static str>> {
    let sql = format!(
        "SELECT TABLE_TYPE, CREATE_OPTIONS FROM information_schema.TABLES WHERE {}",
        place_of(name, "TABLE_SCHEMA")
    );
    let rows = client.texts(&sql, "look up table", &name.to_string()).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    let field = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
    if field(0) == "SYSTEM VERSIONED" {
        return Ok(Some("it keeps the history of its rows, which triggers see as rows too"));
    }
    if field(1).to_ascii_lowercase().contains("partitioned") {
        return Ok(Some(
            "it is partitioned, and triggers do not tell when a partition is truncated or exchanged",
        ));
    }
    Ok(None)
}

/// The name of a foreign key by which the engine changes the table's rows by itself.
async fn cascade(client: &mut Client, name: &StreamName) -> Result<Option<String>> {
    let sql = format!(
        "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE {}
         AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')) LIMIT 1",
        place_of(name, "CONSTRAINT_SCHEMA")
    );
    client.text(&sql, "look up the foreign keys of", &name.to_string()).await
}

fn place_of(name: &StreamName, schema: &str) -> String {
    format!(
        "{schema} = {} AND TABLE_NAME = {}",
        text_constant(name.namespace.as_deref().unwrap_or_default()),
        text_constant(&name.table)
    )
}

/// Whether some line of SHOW GRANTS gives TRIGGER on everything, the table's database, or the table.
fn may_make_triggers(grants: &[String], name: &StreamName) -> bool {
    let table = qualified(name, "");
    grants.iter().any(|grant| {
        let of_table =
            grant.split_once(" ON ").is_some_and(|(_, rest)| rest.starts_with(&format!("{table} TO ")));
        let among = grant.split_once(" ON ").is_some_and(|(privileges, _)| {
            let privileges = privileges.trim_start_matches("GRANT ");
            privileges.split(',').map(str::trim).any(|given| given == "TRIGGER" || given == "ALL PRIVILEGES")
        });
        of_table && among || gives(grant, "TRIGGER", name.namespace.as_deref())
    })
}

fn not_granted(name: &StreamName, user: &str) -> Error {
    Error::new(&codes::PERMISSION_DENIED, "make triggers of table", format!("`{name}`"))
        .because(format!("user {user} may not"))
        .hint(format!("Run: GRANT TRIGGER ON {} TO {user}", qualified(name, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_make_triggers_is_read_from_the_grants() {
        let name = StreamName::new("shop", "orders");
        for (grant, expected) in [
            ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", true),
            ("GRANT SELECT, TRIGGER ON `shop`.* TO `u`@`%`", true),
            ("GRANT SELECT, TRIGGER ON `shop`.`orders` TO `u`@`%`", true),
            ("GRANT SELECT, TRIGGER ON `shop`.`others` TO `u`@`%`", false),
            ("GRANT SELECT ON `shop`.`orders` TO `u`@`%`", false),
            ("GRANT TRIGGER ON `other`.* TO `u`@`%`", false),
        ] {
            assert_eq!(may_make_triggers(&[grant.to_owned()], &name), expected, "{grant}");
        }
    }
}
