//! What would stop or weaken reading.

use std::sync::Arc;

use syncline_connect::{Finding, Read};
use syncline_sql::Dialect;
use syncline_types::{Error, ErrorKind, LogicalType, Result, codes};

use super::read_sql::table_of;
use crate::{
    client::Client,
    dialect::{Mysql, qualified},
    schema::find,
    types::{base, expression, is_geometry},
};

/// Engines whose transactions see one state from their beginning on.
const WITH_SNAPSHOTS: &[&str] = &["innodb", "rocksdb"];

pub(super) async fn inspect(client: &mut Client, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let mut findings = vec![];
    for read in reads {
        findings.extend(of_table(client, read).await?);
    }
    if !reads.is_empty() {
        findings.extend(of_snapshot(client, reads).await?);
    }
    Ok(findings)
}

async fn of_table(client: &mut Client, read: &Read) -> Result<Vec<Finding>> {
    let name = &read.stream.name;
    let mut findings = vec![];
    let family = client.server.family;
    let schema = read.schema();
    let fields: Vec<String> = schema.columns.iter().map(|column| expression(column, family)).collect();
    let sql = format!("SELECT {} FROM {} LIMIT 0", fields.join(", "), table_of(read));
    match client.run(&sql, "read table", &format!("`{name}`")).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Permission => {
            let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &name.to_string()).await?;
            let error = Error::new(&codes::PERMISSION_DENIED, "read table", format!("`{name}`"))
                .because(error.reason())
                .hint(format!("Run: GRANT SELECT ON {} TO {}", qualified(name, ""), user_name(user)));
            findings.push(Finding::blocker(error).of(name));
        }
        Err(error) => return Err(error),
    }
    let listed = find(client, name).await?;
    if let Some(engine) = listed.and_then(|listed| listed.engine)
        && !WITH_SNAPSHOTS.contains(&engine.to_ascii_lowercase().as_str())
    {
        let text = format!(
            "not exact: the table's engine {engine} has no snapshots, so that rows which are changed \
             while it is read may be seen or not"
        );
        findings.push(Finding::warning(text).of(name));
    }
    for column in &schema.columns {
        let native = column.native.as_deref().unwrap_or("?");
        let note = if column.logical == LogicalType::Opaque {
            format!("column `{}` is of type {native}, which travels as text", column.name)
        } else if column.logical == LogicalType::Binary && is_geometry(base(native)) {
            format!(
                "column `{}` travels as WKB, with the number of its reference system (EWKB) where that is not 0",
                column.name
            )
        } else {
            continue;
        };
        findings.push(Finding::note(note).of(name));
    }
    Ok(findings)
}

/// `'user'@'host'`
pub(crate) fn user_name(user: Option<String>) -> String {
    let user = user.unwrap_or_default();
    let (name, host) = user.rsplit_once('@').unwrap_or((&user, "%"));
    format!("'{name}'@'{host}'")
}

/// Whether several connections could begin at one point.
async fn of_snapshot(client: &mut Client, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let place = client.config().place();
    let grants = grants(client).await?;
    let databases: Vec<&str> =
        reads.iter().filter_map(|read| read.stream.name.namespace.as_deref()).collect();
    let global = |privilege: &str| grants.iter().any(|grant| gives(grant, privilege, None));
    let locks = |database: &&str| grants.iter().any(|grant| gives(grant, "LOCK TABLES", Some(database)));
    if global("RELOAD") || global("FLUSH_TABLES") || databases.iter().all(locks) {
        return Ok(vec![]);
    }
    let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &place).await?;
    let database = databases.first().copied().unwrap_or_default();
    let text = format!(
        "not exact with several connections, unless nothing is written while they begin: the user may not \
         hold back commits. Run: GRANT LOCK TABLES ON {}.* TO {}; or read with --parallel 1, which is exact",
        Mysql.quote(database),
        user_name(user)
    );
    Ok(vec![Finding::warning(text)])
}

/// The lines of SHOW GRANTS, of the user and the roles that hold.
pub(crate) async fn grants(client: &mut Client) -> Result<Vec<String>> {
    let place = client.config().place();
    let mut grants = client.texts("SHOW GRANTS", "look up the grants of", &place).await?;
    if !client.server.is_mariadb() {
        // MySQL shows what the roles give only when it is asked with them.
        let role = client.text("SELECT CURRENT_ROLE()", "look up the roles of", &place).await?;
        if let Some(role) = role.filter(|role| role != "NONE") {
            let sql = format!("SHOW GRANTS FOR CURRENT_USER() USING {role}");
            grants.extend(client.texts(&sql, "look up the grants of", &place).await?);
        }
    }
    Ok(grants.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// Whether a line of SHOW GRANTS gives a privilege, on everything or on a database.
pub(crate) fn gives(grant: &str, privilege: &str, database: Option<&str>) -> bool {
    let Some((privileges, rest)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON "))
    else {
        return false;
    };
    let listed = privileges.split(',').map(str::trim);
    let among = listed.clone().any(|given| given == privilege || given == "ALL PRIVILEGES");
    let Some((scope, _)) = rest.split_once(" TO ") else { return false };
    let of_database = scope.strip_suffix(".*").and_then(|scope| scope.strip_prefix('`')?.strip_suffix('`'));
    among
        && (scope == "*.*"
            || database.is_some_and(|database| of_database.is_some_and(|pattern| like(pattern, database))))
}

/// Whether a database is meant by a grant, where `%` is any end and `\_` an underscore.
fn like(pattern: &str, database: &str) -> bool {
    let plain = pattern.replace("\\_", "_").replace("\\%", "%");
    match plain.split_once('%') {
        Some((head, _)) => database.starts_with(head),
        None => plain == database,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_understood() {
        for (grant, privilege, database, expected) in [
            ("GRANT SELECT, LOCK TABLES ON `shop`.* TO `u`@`%`", "LOCK TABLES", Some("shop"), true),
            ("GRANT SELECT, LOCK TABLES ON `shop\\_a`.* TO `u`@`%`", "LOCK TABLES", Some("shop_a"), true),
            ("GRANT SELECT, LOCK TABLES ON `shop%`.* TO `u`@`%`", "LOCK TABLES", Some("shop_b"), true),
            ("GRANT SELECT, LOCK TABLES ON `shop`.* TO `u`@`%`", "LOCK TABLES", Some("other"), false),
            ("GRANT SELECT ON `shop`.* TO `u`@`%`", "LOCK TABLES", Some("shop"), false),
            ("GRANT SELECT, RELOAD, PROCESS ON *.* TO `u`@`%`", "RELOAD", None, true),
            ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "RELOAD", None, true),
            ("GRANT FLUSH_TABLES,AUDIT_ADMIN ON *.* TO `u`@`%`", "FLUSH_TABLES", None, true),
            ("GRANT ALL PRIVILEGES ON `shop`.* TO `u`@`%`", "RELOAD", None, false),
            ("GRANT `role`@`%` TO `u`@`%`", "RELOAD", None, false),
        ] {
            assert_eq!(gives(grant, privilege, database), expected, "{grant}");
        }
    }
}
