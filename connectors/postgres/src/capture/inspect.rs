//! What stands in the way of following tables by triggers, or weakens it.

use std::sync::Arc;

use syncline_connect::{Finding, Read};
use syncline_sql::{quote_double, quote_text};
use syncline_types::{Error, Result, StreamName, codes};

use super::install::{Names, key};
use crate::{
    client::Client,
    log::{Followed, followed},
};

/// Everything found.
pub(super) async fn inspect(client: &Client, names: &Names, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let mut findings = vec![Finding::note(format!(
        "changes are recorded by triggers, in tables `_syncline_changes_{}_*` of schema `{}`, until `syncline release`",
        names.hash, names.schema
    ))];
    findings.extend(of_server(client, names).await?);
    for (read, table) in reads.iter().zip(followed(client, reads).await?) {
        let name = &read.stream.name;
        if let Some(error) = refusal(read, &table) {
            findings.push(Finding::blocker(error).of(name));
        } else if let Some(error) = not_owned(client, name, &table).await? {
            findings.push(Finding::blocker(error).of(name));
        }
    }
    Ok(findings)
}

/// The first thing that stands in the way.
pub(super) async fn refuse(client: &Client, names: &Names, reads: &[Arc<Read>]) -> Result<()> {
    let findings = inspect(client, names, reads).await?;
    findings.into_iter().find_map(|finding| finding.error).map_or(Ok(()), Err)
}

async fn of_server(client: &Client, names: &Names) -> Result<Option<Finding>> {
    let sql = format!(
        "SELECT pg_is_in_recovery(), has_schema_privilege({}, 'CREATE'), current_user",
        quote_text(&names.schema)
    );
    let rows = client.texts(&sql, "look up the grants on schema", &names.schema).await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter().map(Option::unwrap_or_default);
    let mut next = || row.next().unwrap_or_default();
    let (standby, creates, user) = (next() == "t", next() == "t", next());
    let error = |reason: String, hint: String| {
        let error =
            Error::new(&codes::PERMISSION_DENIED, "record changes in schema", format!("`{}`", names.schema));
        Some(Finding::blocker(error.because(reason).hint(hint)))
    };
    if standby {
        return Ok(error(
            "the server is a standby, in which nothing can be made".into(),
            "Name the primary".into(),
        ));
    }
    if !creates {
        let grant =
            format!("Run: GRANT CREATE ON SCHEMA {} TO {}", quote_double(&names.schema), quote_double(&user));
        return Ok(error(format!("user `{user}` may not make tables in it"), grant));
    }
    Ok(None)
}

fn refusal(read: &Read, table: &Followed) -> Option<Error> {
    let name = &read.stream.name;
    let refused =
        |reason: &str| Error::new(&codes::UNSUPPORTED, "follow table", format!("`{name}`")).because(reason);
    match table.table.listed.kind {
        'r' => {}
        'p' => {
            return Some(
                refused(
                    "it is partitioned, and triggers do not tell when a partition is truncated or detached",
                )
                .hint("Follow its partitions, or follow the server's log: leave capture= out"),
            );
        }
        _ => {
            return Some(
                refused("it is no table of this server's own, so no trigger can record its changes")
                    .hint("Leave it out, or copy it with sync: full"),
            );
        }
    }
    let schema = read.schema();
    let own = key(table);
    if own.is_empty() || own != schema.key || own.iter().any(|column| schema.column(column).is_none()) {
        return Some(
            Error::new(&codes::KEY_MISSING, "follow table", format!("`{name}`"))
                .because("a change tells its row by the primary key, and it has none that is read")
                .hint("Give the table a primary key, and read all of its columns"),
        );
    }
    None
}

async fn not_owned(client: &Client, name: &StreamName, table: &Followed) -> Result<Option<Error>> {
    let sql =
        format!("SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = {}", table.oid());
    let owned = client.text(&sql, "look up the owner of", &name.to_string()).await?;
    Ok((owned.as_deref() != Some("t")).then(|| {
        Error::new(&codes::PERMISSION_DENIED, "make triggers of table", format!("`{name}`"))
            .because("only its owner may make triggers that always fire")
            .hint("Log in as a role that is a member of the table's owner")
    }))
}
