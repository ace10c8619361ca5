//! What stands in the way of following a server's tables, or weakens it.

use std::{collections::HashMap, sync::Arc};

use syncline_connect::{Finding, Read};
use syncline_sql::quote_double;
use syncline_types::{Error, Result, StreamName, codes};

use super::{
    Names, publication,
    relation::{Followed, followed},
    slot,
};
use crate::{client::Client, dialect::qualified};

/// The oldest server whose pgoutput sends values in their binary form, and messages.
const VERSION_MIN: u32 = 140_000;
/// The oldest server that decodes its log while it is a standby.
const VERSION_STANDBY: u32 = 160_000;

/// What is asked of the server as a whole.
struct Server {
    version: u32,
    wal_level: String,
    slots_free: i64,
    senders_free: i64,
    replicates: bool,
    creates: bool,
    user: String,
    database: String,
    is_standby: bool,
    keep_size: String,
    awaited: String,
}

/// A table, or a partition that has rows, with how its old rows are told.
struct Identity {
    root: u32,
    name: String,
    persistence: String,
    /// `d` primary key, `i` an index, `f` everything, `n` nothing.
    kind: String,
    /// The columns, where it is a key or an index.
    columns: Vec<String>,
    row_security: bool,
    owned: bool,
    parents: Vec<u32>,
}

/// Everything found.
pub(super) async fn inspect(client: &Client, names: &Names, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let server = server(client).await?;
    let followed = followed(client, reads).await?;
    let mut findings = of_server(client, names, &server).await?;
    findings.extend(of_tables(client, names, reads, &followed).await?);
    if let Some(bare) = reads.iter().find(|read| read.schema().key.is_empty()) {
        let own = slot::look(client, &names.slot).await?;
        if server.slots_free <= i64::from(own.is_none()) {
            findings.push(
                Finding::warning(
                    "to copy a table without a key takes one replication slot more for a moment, and none is free: drop one \
                     that nobody needs, or raise max_replication_slots",
                )
                .of(&bare.stream.name),
            );
        }
    }
    findings.extend(of_publication(client, names, reads, &followed, &server).await?);
    Ok(findings)
}

/// The first thing that stands in the way.
pub(super) async fn refuse(client: &Client, names: &Names, reads: &[Arc<Read>]) -> Result<()> {
    let findings = inspect(client, names, reads).await?;
    findings.into_iter().find_map(|finding| finding.error).map_or(Ok(()), Err)
}

/// Numbers of so many digits are too short for the server to keep them apart.
const DIGITS_MAX: u32 = 24;

/// Of each stream, the columns that updates may leave out: values that are kept apart from their row are
/// told only where they change, unless the table's old rows are told whole.
pub(super) async fn lacks(client: &Client, reads: &[Arc<Read>]) -> Result<Vec<Vec<String>>> {
    let followed = followed(client, reads).await?;
    let oids: Vec<String> = followed.iter().map(|table| table.oid().to_string()).collect();
    let sql = format!(
        "SELECT DISTINCT o.oid, a.attname FROM unnest(ARRAY[{}]::oid[]) o(oid)
         CROSS JOIN LATERAL (SELECT o.oid UNION SELECT relid::oid FROM pg_partition_tree(o.oid)) p(oid)
         JOIN pg_class c ON c.oid = p.oid JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind = 'r' AND c.relreplident <> 'f' AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage <> 'p'
           AND NOT (a.atttypid = 'numeric'::regtype AND a.atttypmod >= 0 AND (a.atttypmod - 4) >> 16 <= {DIGITS_MAX})",
        oids.join(", ")
    );
    let mut lacks: HashMap<u32, Vec<String>> = HashMap::new();
    for row in client.texts(&sql, "look at how updates are told of in", &client.config.place()).await? {
        if let [Some(oid), Some(name)] = row.as_slice()
            && let Ok(oid) = oid.parse()
        {
            lacks.entry(oid).or_default().push(name.clone());
        }
    }
    Ok(followed.iter().map(|table| lacks.get(&table.oid()).cloned().unwrap_or_default()).collect())
}

async fn server(client: &Client) -> Result<Server> {
    let sql = "SELECT current_setting('server_version_num'), current_setting('wal_level'),
                 current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
                 current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
                 (SELECT r.rolreplication OR r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
                   OR EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER')),
                 has_database_privilege(current_database(), 'CREATE'), current_user, current_database(),
                 pg_is_in_recovery(), current_setting('max_slot_wal_keep_size'),
                 current_setting('synchronous_standby_names')";
    let place = client.config.place();
    let rows = client.texts(sql, "ask for the settings of", &place).await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || row.next().flatten().unwrap_or_default();
    Ok(Server {
        version: next().parse().unwrap_or(0),
        wal_level: next(),
        slots_free: next().parse().unwrap_or(0),
        senders_free: next().parse().unwrap_or(0),
        replicates: next() == "t",
        creates: next() == "t",
        user: next(),
        database: next(),
        is_standby: next() == "t",
        keep_size: next(),
        awaited: next(),
    })
}

async fn of_server(client: &Client, names: &Names, server: &Server) -> Result<Vec<Finding>> {
    let mut findings = vec![];
    let mut blocker = |code, reason: String, hint: String| {
        let error = Error::new(code, "follow the log of", client.config.place()).because(reason).hint(hint);
        findings.push(Finding::blocker(error));
    };
    if server.version < VERSION_MIN {
        let version = server.version / 10_000;
        blocker(
            &codes::UNSUPPORTED,
            format!("PostgreSQL {version} does not send its log in the form that Syncline reads"),
            "Use PostgreSQL 14 or newer, or write sync: incremental".into(),
        );
    }
    if server.wal_level != "logical" {
        blocker(
            &codes::UNSUPPORTED,
            format!("wal_level is `{}`, so rows cannot be told from the log", server.wal_level),
            "Run ALTER SYSTEM SET wal_level = 'logical', and start the server again".into(),
        );
    }
    if !server.replicates {
        blocker(
            &codes::PERMISSION_DENIED,
            format!("user `{}` may not replicate", server.user),
            format!("Run: ALTER ROLE {} REPLICATION", quote_double(&server.user)),
        );
    }
    let decodes = server.version >= VERSION_STANDBY && names.publication_given;
    if server.is_standby && !decodes {
        blocker(
            &codes::UNSUPPORTED,
            "it is a standby, which cannot make what is needed".into(),
            "Name the primary".into(),
        );
    }
    let there = slot::look(client, &names.slot).await?;
    match &there {
        Some(there) => {
            if let Err(error) = there.check_kind(&names.slot) {
                findings.push(Finding::blocker(error));
            } else if let Err(error) = there.check_kept(&names.slot) {
                // Our own is made anew when that is asked for, and whoever goes on with it is told.
                findings.push(match names.slot_given {
                    true => Finding::blocker(error),
                    false => Finding::warning(error.to_string()),
                });
            }
        }
        None if names.slot_given => {
            let error =
                Error::new(&codes::STREAM_MISSING, "use the replication slot", format!("`{}`", names.slot))
                    .because("there is none of that name")
                    .hint(format!(
                        "Run SELECT pg_create_logical_replication_slot('{}', 'pgoutput'), or leave slot= out",
                        names.slot
                    ));
            findings.push(Finding::blocker(error));
        }
        None if server.slots_free <= 0 => blocker(
            &codes::SERVER_BUSY,
            "all of its replication slots are taken".into(),
            "Drop one that nobody needs (pg_replication_slots lists them), or raise max_replication_slots"
                .into(),
        ),
        None => {}
    }
    let mut blocker = |code, reason: String, hint: String| {
        let error = Error::new(code, "follow the log of", client.config.place()).because(reason).hint(hint);
        findings.push(Finding::blocker(error));
    };
    if server.senders_free <= 0 {
        blocker(
            &codes::SERVER_BUSY,
            "as many others as it lets follow it at once are doing so".into(),
            "Raise max_wal_senders".into(),
        );
    }
    if server.awaited.contains('*') || server.awaited.contains(&client.config.application_name) {
        findings.push(Finding::warning(format!(
            "every commit at the server waits for whom synchronous_standby_names has (`{}`), and that may be this \
             pipeline: name the standbys there, or give the connection another application_name",
            server.awaited
        )));
    }
    if server.keep_size == "-1" {
        findings.push(Finding::warning(
            "while the pipeline does not run the server keeps its log, until its disk is full: \
             max_slot_wal_keep_size sets a limit, and whoever gives up the pipeline has to drop its slot",
        ));
    }
    Ok(findings)
}

async fn of_tables(
    client: &Client,
    names: &Names,
    reads: &[Arc<Read>],
    followed: &[Followed],
) -> Result<Vec<Finding>> {
    let mut findings = vec![];
    let identities = identities(client, followed).await?;
    for (read, table) in reads.iter().zip(followed) {
        let name = &read.stream.name;
        let own: Vec<&Identity> = identities.iter().filter(|identity| identity.root == table.oid()).collect();
        if let Some(error) = unreadable(read, table) {
            findings.push(Finding::blocker(error).of(name));
            continue;
        }
        // At the place that is followed the table may have other columns than today; the log tells its key there.
        let is_of_today = |column: &String| table.described.iter().any(|told| told.name == *column);
        let key_is_there = read.stream.schema.key.iter().all(is_of_today);
        if let Some(error) = own.iter().find_map(|identity| untold(read, identity)).filter(|_| key_is_there) {
            findings.push(Finding::blocker(error).of(name));
        }
        let twice = identities.iter().find(|identity| {
            identity.root != table.oid()
                && own.iter().any(|own| own.name == identity.name && own.parents.contains(&identity.root))
        });
        if let Some(whole) = twice {
            let parent = followed.iter().find(|followed| followed.oid() == whole.root);
            let parent = parent.map(|parent| parent.table.listed.name.to_string()).unwrap_or_default();
            let error = refused(name, format!("it is a partition of `{parent}`, which is followed too, and its changes are told as that table's"))
                .hint("Follow one of them, or each in a pipeline of its own");
            findings.push(Finding::blocker(error).of(name));
        }
        if own.iter().any(|identity| identity.row_security) {
            findings.push(
                Finding::warning("the table has row security, which does not hold in the log: changes of all rows are followed").of(name),
            );
        }
        if own.iter().any(|identity| identity.kind == "f") {
            findings.push(
                Finding::note("its replica identity is FULL: every update and delete writes the whole old row into the log").of(name),
            );
        }
        if table.table.listed.kind == 'p' {
            findings.push(
                Finding::warning("the log does not tell when a partition is truncated, dropped, attached or detached: its rows stay as they were at the target").of(name),
            );
        }
        if !names.publication_given && own.iter().any(|identity| !identity.owned) {
            let error = Error::new(&codes::PERMISSION_DENIED, "publish table", format!("`{name}`"))
                .because("only its owner may")
                .hint(format!(
                    "Let its owner run CREATE PUBLICATION syncline FOR TABLE {} WITH (publish_via_partition_root), and write publication=syncline",
                    qualified(name, &client.config.schema)
                ));
            findings.push(Finding::blocker(error).of(name));
        }
    }
    Ok(findings)
}

fn refused(name: &StreamName, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::UNSUPPORTED, "follow table", format!("`{name}`")).because(reason)
}

/// What is not in the log at all.
fn unreadable(read: &Read, table: &Followed) -> Option<Error> {
    let name = &read.stream.name;
    let kind = match table.table.listed.kind {
        'r' | 'p' => None,
        'v' => Some("a view, of which the log tells nothing"),
        'm' => Some("a materialized view, of which the log tells nothing"),
        _ => Some("a foreign table, of which this server's log tells nothing"),
    };
    if let Some(kind) = kind {
        return Some(refused(name, format!("it is {kind}")).hint("Leave it out, or copy it with sync: full"));
    }
    let computed = read
        .columns
        .iter()
        .find(|name| read.stream.schema.column(name).is_some_and(|column| column.generated));
    computed.map(|column| {
        refused(name, format!("the table computes its column `{column}`, which the log does not tell"))
            .hint("Leave the column out with a `drop` step or --columns, and compute it at the target")
    })
}

/// Changes that do not tell which row they are of.
fn untold(read: &Read, identity: &Identity) -> Option<Error> {
    let name = &read.stream.name;
    let table = &identity.name;
    if identity.persistence != "p" {
        return Some(
            refused(name, format!("{table} is unlogged, so its changes are not in the log"))
                .hint(format!("Run: ALTER TABLE {table} SET LOGGED")),
        );
    }
    let missing =
        |reason: String| Error::new(&codes::KEY_MISSING, "follow table", format!("`{name}`")).because(reason);
    let full = format!("Run: ALTER TABLE {table} REPLICA IDENTITY FULL");
    let key = &read.stream.schema.key;
    if identity.kind == "f" {
        return None;
    }
    if identity.columns.is_empty() {
        let reason = match identity.kind.as_str() {
            "n" => "its replica identity is NOTHING",
            "i" => "the index of its replica identity is gone",
            _ => "it has no primary key",
        };
        return Some(
            missing(format!(
                "{reason}, so its changes would not tell which row they are of, and once it is published the server would refuse updates and deletes"
            ))
            .hint(format!("{full}, or give it a primary key")),
        );
    }
    if key.is_empty() {
        return Some(
            missing(
                "it has no primary key, and its replica identity is an index, which does not tell whole rows"
                    .into(),
            )
            .hint(format!("{full}, or give it a primary key")),
        );
    }
    let untold: Vec<&str> =
        key.iter().filter(|column| !identity.columns.contains(column)).map(String::as_str).collect();
    (!untold.is_empty()).then(|| {
        missing(format!("its replica identity does not tell `{}`, a part of its key", untold.join("`, `")))
            .hint(format!("Run: ALTER TABLE {table} REPLICA IDENTITY DEFAULT"))
    })
}

async fn identities(client: &Client, followed: &[Followed]) -> Result<Vec<Identity>> {
    if followed.is_empty() {
        return Ok(vec![]);
    }
    let oids = followed.iter().map(|table| table.oid().to_string()).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT root.oid, format('%I.%I', n.nspname, c.relname), c.relpersistence, c.relreplident, r.relrowsecurity,
                pg_has_role(r.relowner, 'USAGE'),
                (SELECT string_agg(a.attname, E'\\x01')
                 FROM pg_index i, unnest(i.indkey::int[]) WITH ORDINALITY k(attnum, place)
                 JOIN pg_attribute a ON a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND a.attrelid = c.oid AND k.place <= i.indnkeyatts AND i.indisvalid
                   AND (c.relreplident = 'd' AND i.indisprimary AND i.indimmediate
                        OR c.relreplident = 'i' AND i.indisreplident)),
                (SELECT string_agg(p.relid::oid::text, ',') FROM pg_partition_ancestors(root.oid) p)
         FROM unnest(array[{oids}]::oid[]) root(oid)
         JOIN pg_class r ON r.oid = root.oid
         JOIN pg_class c ON c.oid = root.oid AND r.relkind <> 'p'
              OR r.relkind = 'p' AND c.oid IN (SELECT p.relid FROM pg_partition_tree(root.oid) p WHERE p.isleaf)
         JOIN pg_namespace n ON n.oid = c.relnamespace"
    );
    let place = client.config.place();
    let rows = client.texts(&sql, "look up the replica identities of tables in", &place).await?;
    let identity = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        Some(Identity {
            root: next()?.parse().ok()?,
            name: next()?,
            persistence: next()?,
            kind: next()?,
            row_security: next()? == "t",
            owned: next()? == "t",
            columns: next()
                .map(|names| names.split('\u{1}').map(str::to_owned).collect())
                .unwrap_or_default(),
            parents: next().unwrap_or_default().split(',').filter_map(|oid| oid.parse().ok()).collect(),
        })
    };
    rows.into_iter().map(identity).collect::<Option<_>>().ok_or_else(|| {
        Error::new(&codes::BAD_BYTES, "read the catalog of", place)
            .because("an answer is not of the form asked for")
    })
}

async fn of_publication(
    client: &Client,
    names: &Names,
    reads: &[Arc<Read>],
    followed: &[Followed],
    server: &Server,
) -> Result<Vec<Finding>> {
    let name = &names.publication;
    let there = publication::look(client, name).await?;
    if !names.publication_given {
        let mut findings = vec![];
        if there.is_none() && !server.creates {
            let error = Error::new(&codes::PERMISSION_DENIED, "make a publication in", client.config.place())
                .because(format!("user `{}` may not", server.user))
                .hint(format!(
                    "Run GRANT CREATE ON DATABASE {} TO {}, or name a publication with publication=NAME",
                    quote_double(&server.database),
                    quote_double(&server.user)
                ));
            findings.push(Finding::blocker(error));
        }
        return Ok(findings);
    }
    let refused = |reason: String, hint: String| {
        let error = Error::new(&codes::UNSUPPORTED, "use the publication", format!("`{name}`"))
            .because(reason)
            .hint(hint);
        Finding::blocker(error)
    };
    let quoted = quote_double(name);
    let Some(there) = there else {
        let error = Error::new(&codes::STREAM_MISSING, "use the publication", format!("`{name}`"))
            .because("there is none of that name")
            .hint(format!("Run CREATE PUBLICATION {quoted} FOR TABLE ..., or leave publication= out"));
        return Ok(vec![Finding::blocker(error)]);
    };
    let mut findings = vec![];
    if !there.whole {
        findings.push(refused(
            "it leaves out inserts, updates, deletes or truncation".into(),
            format!("Run: ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, truncate')"),
        ));
    }
    let published = publication::published(client, name, server.version).await?;
    for (read, table) in reads.iter().zip(followed) {
        let stream = &read.stream.name;
        if table.table.listed.kind == 'p' && !there.via_root {
            let hint = format!("Run: ALTER PUBLICATION {quoted} SET (publish_via_partition_root = true)");
            let reason = format!("it tells the changes of `{stream}` as those of its partitions");
            findings.push(refused(reason, hint).of(stream));
            continue;
        }
        let Some(as_published) = published.iter().find(|published| published.table == table.oid()) else {
            let table = qualified(stream, &client.config.schema);
            let hint = format!("Run: ALTER PUBLICATION {quoted} ADD TABLE {table}");
            findings.push(refused(format!("`{stream}` is not in it"), hint).of(stream));
            continue;
        };
        let columns = as_published.columns.as_ref();
        let unpublished =
            columns.and_then(|columns| read.columns.iter().find(|name| !columns.contains(name)));
        if let Some(column) = unpublished {
            let hint = "Let it publish the column, or leave it out with a `drop` step or --columns".into();
            findings.push(refused(format!("it leaves out column `{column}` of `{stream}`"), hint).of(stream));
        }
        if as_published.filtered {
            let note =
                format!("publication `{name}` tells only the changes of rows that its filter lets through");
            findings.push(Finding::warning(note).of(stream));
        }
    }
    Ok(findings)
}
