//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod default;

use std::collections::BTreeMap;

use syncline_connect::{Action, ColumnPlan, Existing, Finding, Replace, Target, TargetPlan, WriteMode};
use syncline_sql::{Dialect, Fit, bookkeeping, quote_text, reconcile};
use syncline_types::{Column, Error, ErrorKind, LogicalType, Result, codes};

use crate::{
    attached::{Attached, attached},
    client::Client,
    dialect::{NAME, Postgres, qualified},
    schema::{Table, describe, find},
    types::column_type,
};
use default::default_sql;

/// What is there, as far as a target is concerned.
pub(crate) struct Seen {
    pub(crate) table: Option<Table>,
    pub(crate) ours: bool,
    pub(crate) has_rows: bool,
    pub(crate) attached: Attached,
    /// Check constraints: the columns each looks at, and its name and definition.
    checks: Vec<(Vec<String>, String)>,
}

/// How the staged rows get to where everybody sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Staging takes the target's name.
    Rename,
    /// All rows are deleted and the staged ones inserted, in one transaction.
    InPlace,
    /// Rows are deleted, updated and inserted by key, because other tables refer to them.
    InPlaceByKey,
    /// Rows are updated and inserted by key.
    Merge,
    /// The staged rows are inserted.
    Insert,
    /// Rows are written where everybody sees them, chunk by chunk.
    Direct,
}

/// Looks at a target.
pub(crate) async fn see(client: &Client, target: &Target) -> Result<Seen> {
    let found: Vec<_> = find(client, &target.name).await?.into_iter().collect();
    let Some(table) = describe(client, found).await?.pop() else {
        return Ok(Seen {
            table: None,
            ours: false,
            has_rows: false,
            attached: Attached::default(),
            checks: vec![],
        });
    };
    let name = target.name.to_string();
    let ours = made_by_us(client, table.listed.oid, &name).await?;
    let table_name = qualified(&target.name, &client.config.schema);
    let has_rows = client
        .text(&format!("SELECT 1 FROM {table_name} LIMIT 1"), "look for rows in", &name)
        .await
        .map_err(|error| grant_select(error, client, &table_name))?
        .is_some();
    let attached = attached(client, &table, ours).await?;
    let checks = checks(client, table.listed.oid, &name).await?;
    Ok(Seen { table: Some(table), ours, has_rows, attached, checks })
}

/// Whether there are rows decides what may be done, so this one grant cannot wait for the others.
fn grant_select(error: Error, client: &Client, table: &str) -> Error {
    let user = client
        .config
        .user
        .as_deref()
        .map_or("the user that connects".to_owned(), |user| Postgres.quote(user));
    match error.kind() {
        ErrorKind::Permission => error.hint(format!("Run: GRANT SELECT ON {table} TO {user}")),
        _ => error,
    }
}

async fn made_by_us(client: &Client, oid: u32, name: &str) -> Result<bool> {
    let made = qualified_made(client);
    let exists = format!("SELECT to_regclass({}) IS NOT NULL", quote_text(&made));
    if client.text(&exists, "look up who made", name).await?.as_deref() != Some("t") {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM {made} WHERE table_oid = {oid}");
    Ok(client.text(&sql, "look up who made", name).await?.is_some())
}

/// The table's check constraints: the columns each looks at, and its name and definition.
async fn checks(client: &Client, oid: u32, name: &str) -> Result<Vec<(Vec<String>, String)>> {
    let sql = format!(
        "SELECT (SELECT string_agg(a.attname, E'\\x01') FROM pg_attribute a
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)),
                'CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid)
         FROM pg_constraint c WHERE c.conrelid = {oid} AND c.contype = 'c' AND c.convalidated"
    );
    let rows = client.texts(&sql, "read the checks of", name).await?;
    let checks = rows.into_iter().filter_map(|row| match row.as_slice() {
        [Some(columns), Some(check)] => {
            Some((columns.split('\u{1}').map(str::to_owned).collect(), check.clone()))
        }
        _ => None,
    });
    Ok(checks.collect())
}

/// The table that lists the tables we made.
pub(crate) fn qualified_made(client: &Client) -> String {
    format!("{}.{}", Postgres.quote(&client.config.schema), Postgres.quote(bookkeeping::MADE))
}

impl Seen {
    /// How rows will be published.
    pub(crate) fn way(&self, target: &Target) -> Way {
        match (target.write, &self.table) {
            (WriteMode::Append, _) if !target.staged => Way::Direct,
            (_, None) => Way::Rename,
            (WriteMode::Append, Some(_)) => Way::Insert,
            (WriteMode::Merge, Some(_)) => Way::Merge,
            (WriteMode::Overwrite, Some(table)) => {
                if self.attached.reasons.is_empty() && target.replace == Replace::Auto {
                    Way::Rename
                } else if self.attached.referenced && self.is_key(table, &target.key) {
                    Way::InPlaceByKey
                } else {
                    Way::InPlace
                }
            }
        }
    }

    /// Whether these columns are a key of the table.
    fn is_key(&self, table: &Table, key: &[String]) -> bool {
        let mut wanted: Vec<&String> = key.iter().collect();
        wanted.sort();
        !key.is_empty()
            && table.keys.iter().any(|known| {
                let mut columns: Vec<&String> = known.columns.iter().collect();
                columns.sort();
                columns == wanted
            })
    }

    /// Whether the new table's shape is the stream's own, whatever the old one's was.
    pub(crate) fn new_shape(&self, target: &Target) -> bool {
        self.way(target) == Way::Rename && (self.table.is_none() || self.ours)
    }
}

/// The types of a stream's columns here, with what is special about each.
pub(crate) struct Types(BTreeMap<String, (String, Option<String>)>);

impl Types {
    pub(crate) fn of(&self, column: &Column) -> &str {
        self.0.get(&column.name).map_or("text", |(name, _)| name.as_str())
    }

    fn note(&self, column: &Column) -> Option<String> {
        self.0.get(&column.name).and_then(|(_, note)| note.clone())
    }
}

/// Which of the source's type names are types here too; the others get what we have for them.
pub(crate) async fn types(client: &Client, target: &Target) -> Result<Types> {
    let same_dialect = target.schema.dialect == NAME;
    let mut types = BTreeMap::new();
    for column in &target.schema.columns {
        let own = column_type(column);
        let Some(native) = column.native.as_ref().filter(|_| same_dialect) else {
            types.insert(column.name.clone(), (own, None));
            continue;
        };
        let sql = format!(
            "WITH RECURSIVE chain(oid) AS (
               SELECT to_regtype({})::oid
               UNION SELECT t.typbasetype FROM chain JOIN pg_type t USING (oid) WHERE t.typtype = 'd')
             SELECT 1, (SELECT string_agg(enumlabel, E'\\x01') FROM pg_enum WHERE enumtypid IN (SELECT oid FROM chain))
             FROM chain WHERE oid IS NOT NULL LIMIT 1",
            quote_text(native)
        );
        let rows = client.texts(&sql, "look up type", native).await?;
        let entry = match rows.first().map(Vec::as_slice) {
            // A domain over an enumeration has that one's labels.
            Some([_, labels]) => {
                let known: Vec<&str> = labels.as_deref().unwrap_or_default().split('\u{1}').collect();
                let missing = column.labels.iter().flatten().find(|label| !known.contains(&label.as_str()));
                match missing {
                    Some(_) => {
                        (own.clone(), Some(format!("{native} lacks a label here, so it becomes {own}")))
                    }
                    None => (native.clone(), None),
                }
            }
            _ => (own.clone(), Some(format!("there is no type {native} here, so it becomes {own}"))),
        };
        types.insert(column.name.clone(), entry);
    }
    Ok(Types(types))
}

/// Everything about one target.
pub(crate) async fn plan(client: &Client, target: &Target) -> Result<TargetPlan> {
    let seen = see(client, target).await?;
    let types = types(client, target).await?;
    let mut plan = TargetPlan {
        existing: seen.table.as_ref().map(|table| Existing {
            has_rows: seen.has_rows,
            rows_estimate: table.listed.rows_estimate,
            ours: seen.ours,
        }),
        columns: vec![],
        before: vec![],
        publish: vec![],
        findings: vec![],
    };
    check_name(target, &mut plan);
    if seen.table.is_none() {
        check_name_is_free(client, target, &mut plan).await?;
    }
    check_rights(client, target, &seen, &mut plan).await?;
    check_decisions(target, &seen, &mut plan);
    check_columns(target, &seen, &types, &mut plan);
    check_key(target, &seen, &mut plan);
    check_key_types(target, &seen, &types, &mut plan);
    let way = seen.way(target);
    prepare(client, target, &seen, &types, way, &mut plan);
    publish(target, &seen, way, &mut plan);
    Ok(plan)
}

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}

/// The longest name that PostgreSQL keeps whole.
const NAME_BYTES_MAX: usize = 63;

/// PostgreSQL's own limit.
const COLUMNS_MAX: usize = 1_600;

/// Columns that every table has already.
const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

fn check_name(target: &Target, plan: &mut TargetPlan) {
    let columns = &target.schema.columns;
    let names = columns.iter().map(|column| &column.name).chain([&target.name.table]);
    let taken = |name: &str, reason: String| {
        Error::new(&codes::NAME_TAKEN, "use the name", format!("`{name}`"))
            .because(reason)
            .hint("Give it another one with `rename`, or the stream with `to`")
    };
    for name in names {
        if name.len() > NAME_BYTES_MAX || name.contains('\0') {
            let reason = format!("PostgreSQL keeps {NAME_BYTES_MAX} bytes of a name and would cut it");
            blocker(plan, taken(name, reason));
        } else if name.is_empty() {
            blocker(plan, taken(name, "PostgreSQL has no empty names".to_owned()));
        }
    }
    for column in columns.iter().filter(|column| SYSTEM_COLUMNS.contains(&column.name.as_str())) {
        let reason = "every table of PostgreSQL has a column of its own with that name";
        blocker(plan, taken(&column.name, reason.to_owned()));
    }
    if columns.len() > COLUMNS_MAX {
        let error =
            Error::new(&codes::UNSUPPORTED, "write to", format!("`{}`", target.name)).because(format!(
                "a table of PostgreSQL has at most {COLUMNS_MAX} columns, and these are {}",
                columns.len()
            ));
        blocker(plan, error.hint("Leave some out with a `drop` step"));
    }
    if bookkeeping::is_ours(&target.name.table) {
        blocker(
            plan,
            Error::new(&codes::NAME_TAKEN, "write to", format!("`{}`", target.name))
                .because("names that begin with `_syncline` are Syncline's own"),
        );
    }
}

/// A table shares its name with sequences, indexes and types of its schema.
async fn check_name_is_free(client: &Client, target: &Target, plan: &mut TargetPlan) -> Result<()> {
    let schema = target.name.namespace.as_deref().unwrap_or(&client.config.schema);
    let (schema, table) = (quote_text(schema), quote_text(&target.name.table));
    let sql = format!(
        "SELECT CASE c.relkind WHEN 'S' THEN 'a sequence' WHEN 'c' THEN 'a type' ELSE 'an index' END
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {table}
         UNION ALL SELECT 'a type' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE n.nspname = {schema} AND t.typname = {table} LIMIT 1"
    );
    if let Some(other) = client.text(&sql, "look for the name", &target.name.to_string()).await? {
        blocker(
            plan,
            Error::new(&codes::NAME_TAKEN, "create table", format!("`{}`", target.name))
                .because(format!("{other} has that name"))
                .hint("Name another target, as in --stream SRC=DST (to: DST)"),
        );
    }
    Ok(())
}

async fn check_rights(client: &Client, target: &Target, seen: &Seen, plan: &mut TargetPlan) -> Result<()> {
    let schema = target.name.namespace.as_deref().unwrap_or(&client.config.schema);
    let table = qualified(&target.name, &client.config.schema);
    let sql = format!(
        "SELECT current_user, to_regnamespace({0}) IS NOT NULL,
                coalesce(has_schema_privilege(to_regnamespace({0}), 'USAGE, CREATE'), false)
                AND coalesce(has_schema_privilege(to_regnamespace({0}), 'CREATE'), false)",
        quote_text(&Postgres.quote(schema))
    );
    let rows = client.texts(&sql, "look up the grants on schema", schema).await?;
    let Some([Some(user), Some(exists), Some(create)]) = rows.first().map(Vec::as_slice) else {
        return Ok(());
    };
    let user_quoted = Postgres.quote(user);
    if exists != "t" {
        blocker(
            plan,
            Error::new(&codes::STREAM_MISSING, "write to schema", format!("`{schema}`"))
                .because(format!("there is no such schema in {}", client.config.place()))
                .hint(format!("Run: CREATE SCHEMA {}", Postgres.quote(schema))),
        );
        return Ok(());
    }
    if create != "t" {
        let needs_staging = target.staged || seen.table.is_none();
        let grant = format!("GRANT USAGE, CREATE ON SCHEMA {} TO {user_quoted}", Postgres.quote(schema));
        if needs_staging {
            blocker(
                plan,
                Error::new(&codes::PERMISSION_DENIED, "create tables in schema", format!("`{schema}`"))
                    .because(format!("user `{user}` may not"))
                    .hint(format!("Run: {grant}")),
            );
        } else {
            plan.findings.push(Finding::warning(format!(
                "user `{user}` may not create tables in schema `{schema}`, so progress is not kept with the rows: \
                 after a crash some may arrive twice. To have each once, run: {grant}"
            )));
        }
    }
    if seen.table.is_some() {
        let mut wanted = vec!["INSERT"];
        wanted.extend(match seen.way(target) {
            Way::Rename | Way::Insert | Way::Direct => &[][..],
            Way::InPlace => &["DELETE"][..],
            Way::InPlaceByKey => &["SELECT", "UPDATE", "DELETE"][..],
            Way::Merge => &["SELECT", "UPDATE"][..],
        });
        for privilege in wanted {
            let sql = format!("SELECT has_table_privilege({}, '{privilege}')", quote_text(&table));
            let granted = client.text(&sql, "look up the grants on", &table).await?;
            if granted.as_deref() != Some("t") {
                blocker(
                    plan,
                    Error::new(&codes::PERMISSION_DENIED, "write to table", format!("`{}`", target.name))
                        .because(format!("user `{user}` lacks {privilege}"))
                        .hint(format!("Run: GRANT {privilege} ON {table} TO {user_quoted}")),
                );
            }
        }
    }
    Ok(())
}

/// What only the user can decide.
fn check_decisions(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let Some(table) = &seen.table else { return };
    if !matches!(table.listed.kind, 'r' | 'p') {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "write to", format!("`{}`", target.name))
                .because("it is a view or foreign table")
                .hint("Name another target with `to`"),
        );
    }
    if target.write == WriteMode::Overwrite && seen.has_rows && !seen.ours && !target.overwrite_said {
        blocker(
            plan,
            Error::new(&codes::NEEDS_DECISION, "overwrite table", format!("`{}`", target.name))
                .because("it has rows and was not made by Syncline")
                .hint(
                    "Say --write overwrite (write: overwrite) if they are to go, or choose append or merge",
                ),
        );
    }
    if matches!(seen.way(target), Way::InPlace | Way::InPlaceByKey) && !seen.attached.cascades.is_empty() {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "overwrite table", format!("`{}`", target.name))
                .because(format!(
                    "rows of other tables would be deleted or changed with its rows, by foreign key {}",
                    seen.attached.cascades.join(", ")
                ))
                .hint("Use --write merge, or change the foreign key to ON DELETE NO ACTION"),
        );
    }
}

/// Holds the stream's columns against the table's.
fn check_columns(target: &Target, seen: &Seen, types: &Types, plan: &mut TargetPlan) {
    let name = &target.name;
    let existing = seen.table.as_ref().filter(|_| !seen.new_shape(target));
    let Some(table) = existing else {
        for column in &target.schema.columns {
            let note = types.note(column);
            if let Some(note) = &note {
                plan.findings.push(Finding::warning(format!("column `{}` of `{name}`: {note}", column.name)));
            }
            plan.columns.push(column_plan(column, types.of(column).to_owned(), note));
        }
        return;
    };
    let there = table.schema();
    let reconciled = reconcile(&target.schema, &there);
    for (column, at_target, fit) in &reconciled.common {
        let fit = by_native(column, at_target, *fit);
        let target_type = at_target.native.clone().unwrap_or_default();
        let note = match fit {
            _ if at_target.generated => Some("computed by the target, not written".to_owned()),
            Fit::Exact => None,
            Fit::Widened => Some("widened".to_owned()),
            Fit::Narrowed | Fit::Foreign => Some("does not fit".to_owned()),
        };
        if matches!(fit, Fit::Narrowed | Fit::Foreign) && !at_target.generated {
            let source_type = column.native.clone().unwrap_or_else(|| column.logical.to_string());
            blocker(
                plan,
                Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{name}.{}`", column.name))
                    .because(format!(
                        "its values are {source_type}, and the target's column is {target_type}"
                    ))
                    .hint(format!(
                        "Add a step `cast: {{ {}: \"{target_type}\" }}`, or change the target",
                        column.name
                    )),
            );
        }
        plan.columns.push(column_plan(column, target_type, note));
    }
    for column in &reconciled.missing {
        let target_type = types.of(column).to_owned();
        if target.write == WriteMode::Overwrite {
            blocker(
                plan,
                Error::new(&codes::COLUMN_MISSING, "write column", format!("`{name}.{}`", column.name))
                    .because("the target has no such column, and the table is not one that Syncline made")
                    .hint(format!(
                        "Add the column to the target, or leave it out with `drop: [{}]`",
                        column.name
                    )),
            );
        }
        plan.columns.push(column_plan(column, target_type, Some("added".to_owned())));
    }
    for column in &reconciled.unfilled {
        blocker(
            plan,
            Error::new(&codes::COLUMN_MISSING, "fill column", format!("`{name}.{}`", column.name))
                .because("it may not be NULL, has no default, and the stream has no such column")
                .hint("Give it a default, or add it with `set`"),
        );
    }
}

/// Types that mean the same to us may still differ: two that we know only by their text, or an
/// enumeration that takes only some texts.
fn by_native(column: &Column, at_target: &Column, fit: Fit) -> Fit {
    let same = column.native == at_target.native;
    match (column.logical, at_target.logical) {
        (LogicalType::Opaque, LogicalType::Opaque) if !same => Fit::Foreign,
        (_, LogicalType::Opaque) if !same => Fit::Foreign,
        _ if at_target.labels.is_some() && !same => {
            let fits = column.labels.as_ref().zip(at_target.labels.as_ref());
            match fits.is_some_and(|(labels, allowed)| labels.iter().all(|label| allowed.contains(label))) {
                true => Fit::Widened,
                false => Fit::Narrowed,
            }
        }
        (LogicalType::Interval, LogicalType::Interval)
            if !same && at_target.native.as_deref() != Some("interval") =>
        {
            Fit::Narrowed
        }
        _ => fit,
    }
}

fn column_plan(column: &Column, target_type: String, note: Option<String>) -> ColumnPlan {
    ColumnPlan {
        name: column.name.clone(),
        logical: column.logical,
        source_type: column.native.clone(),
        target_type,
        note,
    }
}

fn check_key(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let missing = target.key.iter().find(|key| target.schema.column(key).is_none());
    if let Some(missing) = missing {
        return blocker(plan, target.schema.unknown_column(missing));
    }
    if target.write != WriteMode::Merge {
        return;
    }
    if target.key.is_empty() {
        return blocker(
            plan,
            Error::new(&codes::KEY_MISSING, "merge into", format!("`{}`", target.name))
                .because("the stream has no key")
                .hint("Name one with --key COL,... (key: [COL]), or use --write append"),
        );
    }
    if let Some(table) = &seen.table
        && !seen.is_key(table, &target.key)
    {
        blocker(
            plan,
            Error::new(&codes::KEY_MISSING, "merge into", format!("`{}`", target.name))
                .because(format!(
                    "{} is no primary key or unique, never NULL key there",
                    target.key.join(", ")
                ))
                .hint("Create a unique index over NOT NULL columns, or name another key"),
        );
    }
}

/// A table that is made has the stream's key, and values of `json` cannot be compared.
fn check_key_types(target: &Target, seen: &Seen, types: &Types, plan: &mut TargetPlan) {
    if seen.table.is_some() && !seen.new_shape(target) {
        return;
    }
    let keyed = target.key.iter().filter_map(|name| target.schema.column(name));
    for column in keyed.filter(|column| types.of(column) == "json") {
        blocker(
            plan,
            Error::new(&codes::UNMAPPED_TYPE, "create key of", format!("`{}`", target.name))
                .because(format!("`{}` becomes json, which PostgreSQL has no keys of", column.name))
                .hint(format!(
                    "Add a step `cast: {{ {}: text }}`, or name another key with --key",
                    column.name
                )),
        );
    }
}

/// What is done before the first row.
fn prepare(client: &Client, target: &Target, seen: &Seen, types: &Types, way: Way, plan: &mut TargetPlan) {
    let table = qualified(&target.name, &client.config.schema);
    let there = seen.table.as_ref().map(Table::schema);
    if let Some(there) = there.as_ref().filter(|_| target.write != WriteMode::Overwrite) {
        for column in reconcile(&target.schema, there).missing {
            plan.before.push(Action {
                verb: "alter",
                object: target.name.to_string(),
                detail: format!("add column `{}` {}", column.name, types.of(column)),
                statement: format!(
                    "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {} {}",
                    Postgres.quote(&column.name),
                    types.of(column)
                ),
            });
        }
    }
    if way == Way::Direct {
        if there.is_none() {
            plan.before.push(Action {
                verb: "create",
                object: target.name.to_string(),
                detail: format!("create table with {} columns", target.schema.columns.len()),
                statement: format!("CREATE TABLE IF NOT EXISTS {table} {}", definition(target, types, true)),
            });
        }
        return;
    }
    let (detail, statement) = match way {
        Way::Rename if seen.new_shape(target) => (
            "create staging in the stream's shape",
            format!("CREATE TABLE {{stage}} {}", definition(target, types, false)),
        ),
        Way::Rename => (
            "create staging like the target",
            format!(
                "CREATE TABLE {{stage}} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION)"
            ),
        ),
        _ => ("create staging for the target's columns", stage_for_rows(target, seen, &table)),
    };
    plan.before.push(Action { verb: "create", object: "staging".into(), detail: detail.into(), statement });
}

/// Staging for rows that go into a table which stays: its columns' types, and what it would refuse
/// of a single row.
fn stage_for_rows(target: &Target, seen: &Seen, table: &str) -> String {
    let there = seen.table.as_ref().map(Table::schema);
    let at_target = |column: &Column| there.as_ref().and_then(|there| there.column(&column.name)).cloned();
    let written: Vec<&Column> = target
        .schema
        .columns
        .iter()
        .filter(|column| at_target(column).is_none_or(|there| !there.generated))
        .collect();
    let list = written.iter().map(|column| Postgres.quote(&column.name)).collect::<Vec<_>>().join(", ");
    let mut statement = format!("CREATE TABLE {{stage}} AS SELECT {list} FROM {table} WITH NO DATA");
    for column in &written {
        if at_target(column).is_some_and(|there| !there.nullable) {
            let name = Postgres.quote(&column.name);
            statement.push_str(&format!("; ALTER TABLE {{stage}} ALTER COLUMN {name} SET NOT NULL"));
        }
    }
    let is_written = |name: &String| written.iter().any(|column| column.name == *name);
    for (columns, check) in &seen.checks {
        if columns.iter().all(is_written) {
            statement.push_str(&format!("; ALTER TABLE {{stage}} ADD {check}"));
        }
    }
    statement
}

/// `(columns[, key])` of a table in the stream's shape. Staging gets its key once it is loaded.
fn definition(target: &Target, types: &Types, with_key: bool) -> String {
    let mut parts: Vec<String> = target
        .schema
        .columns
        .iter()
        .map(|column| {
            let mut part = format!("{} {}", Postgres.quote(&column.name), types.of(column));
            if !column.nullable || target.key.contains(&column.name) {
                part.push_str(" NOT NULL");
            }
            if let Some(default) = default_sql(column, target.schema.dialect == NAME, types.of(column)) {
                part.push_str(&format!(" DEFAULT {default}"));
            }
            part
        })
        .collect();
    if with_key && !target.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", Postgres.list(&target.key)));
    }
    format!("({})", parts.join(", "))
}

/// What is done when all rows have arrived, in words.
fn publish(target: &Target, seen: &Seen, way: Way, plan: &mut TargetPlan) {
    let mut act = |verb, detail: String| {
        plan.publish.push(Action { verb, object: target.name.to_string(), detail, statement: String::new() });
    };
    let attached = || seen.attached.reasons.join(", ");
    match way {
        Way::Rename if seen.table.is_none() => act("create", "staging becomes the table".into()),
        Way::Rename => {
            act("replace", "staging takes the table's place; nothing is attached to the old one".into())
        }
        Way::InPlace | Way::InPlaceByKey if seen.attached.reasons.is_empty() => {
            act("delete", "all its rows are replaced in one transaction, as asked for".into());
        }
        Way::InPlace => {
            act("delete", format!("all its rows are replaced in one transaction, because of {}", attached()))
        }
        Way::InPlaceByKey => act(
            "update",
            format!(
                "rows are deleted, updated and inserted by key in one transaction, because of {}",
                attached()
            ),
        ),
        Way::Merge => act(
            "update",
            format!("rows are updated or inserted by ({}) in one transaction", target.key.join(", ")),
        ),
        Way::Insert => act("insert", "rows are added in one transaction".into()),
        Way::Direct => act("insert", "rows are added chunk by chunk, each in one transaction".into()),
    }
    let fires = matches!(way, Way::InPlace | Way::InPlaceByKey | Way::Merge | Way::Insert | Way::Direct);
    if fires && !seen.attached.triggers.is_empty() {
        plan.findings.push(Finding::warning(format!(
            "the triggers of `{}` will fire: {}",
            target.name,
            seen.attached.triggers.join(", ")
        )));
    }
}
