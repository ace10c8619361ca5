//! What is there: tables, their columns and keys, as the catalog tells.

use std::collections::BTreeMap;

use syncline_connect::{NameGlob, Selection, SplitOrder, Stream, nearest};
use syncline_sql::{bookkeeping::is_ours, quote_text};
use syncline_types::{Column, DefaultValue, Error, Result, StreamName, TableSchema, codes};

use crate::{client::Client, dialect::NAME, types::PgType};

/// A table as the catalog lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) oid: u32,
    pub(crate) name: StreamName,
    /// `r` table, `p` partitioned table, `v` view, `m` materialized view, `f` foreign table.
    pub(crate) kind: char,
    pub(crate) rows_estimate: Option<u64>,
    bytes_estimate: Option<u64>,
}

/// A column with what only PostgreSQL has to know of it.
#[derive(Clone, Debug)]
pub(crate) struct PgColumn {
    pub(crate) column: Column,
    pub(crate) pg_type: PgType,
    /// `a` or `d` for an identity column.
    pub(crate) identity: Option<char>,
    /// Whether it is a domain over an enumeration. The server has no operators between two of those.
    pub(crate) enum_domain: bool,
    /// Whether the default draws from a sequence that belongs to the column.
    pub(crate) serial: bool,
}

/// A key or unique constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) columns: Vec<String>,
    pub(crate) primary: bool,
    pub(crate) name: String,
}

/// All there is to know of a table for reading and writing it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) listed: Listed,
    pub(crate) columns: Vec<PgColumn>,
    /// Unique and never NULL, the primary key first.
    pub(crate) keys: Vec<Key>,
}

impl Table {
    pub(crate) fn schema(&self) -> TableSchema {
        let columns = self.columns.iter().map(|column| column.column.clone()).collect();
        let (primary, unique): (Vec<&Key>, Vec<&Key>) = self.keys.iter().partition(|key| key.primary);
        TableSchema {
            dialect: NAME.into(),
            columns,
            key: primary.first().map(|key| key.columns.clone()).unwrap_or_default(),
            unique: unique.into_iter().map(|key| key.columns.clone()).collect(),
        }
    }

    pub(crate) fn order(&self) -> SplitOrder {
        let compares =
            |name: &String| !self.columns.iter().any(|there| there.column.name == *name && there.enum_domain);
        let key = self.keys.iter().find(|key| key.columns.iter().all(compares));
        match (key, self.listed.kind) {
            (Some(key), _) => SplitOrder::Key(key.columns.clone()),
            (None, 'r' | 'p' | 'm') => SplitOrder::Place,
            (None, _) => SplitOrder::Whole,
        }
    }

    pub(crate) fn stream(&self, default_schema: &str) -> Stream {
        Stream {
            in_default_namespace: self.listed.name.namespace.as_deref() == Some(default_schema),
            name: self.listed.name.clone(),
            schema: self.schema(),
            order: self.order(),
            rows_estimate: self.listed.rows_estimate,
            bytes_estimate: self.listed.bytes_estimate,
        }
    }
}

/// Numbers count a partitioned table's partitions.
const LIST: &str = "
SELECT c.oid, n.nspname, c.relname, c.relkind,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT sum(greatest(l.reltuples, 0)) FROM pg_partition_tree(c.oid) p
                  JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf)
            ELSE nullif(c.reltuples, -1) END::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

const PARTITION: &str = "
SELECT c.oid, n.nspname, c.relname, c.relkind, nullif(c.reltuples, -1)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relispartition";

/// Bytes of a table, its partitions, and what is stored out of line. To measure a table is to lock it, and a lock
/// that somebody waits for to have it alone would be waited for too.
const SIZES: &str = "
SELECT c.oid, coalesce((SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(c.oid) p WHERE p.isleaf),
                       pg_table_size(c.oid))::bigint
FROM pg_class c WHERE c.oid IN ";

/// How long sizes are waited for.
const SIZES_WAIT: &str = "500ms";

/// The tables that match, ours left out.
pub(crate) async fn list(client: &Client, selection: &Selection) -> Result<Vec<Listed>> {
    let default_schema = &client.config.schema;
    match selection {
        Selection::Name(name) => {
            let name = name.within(default_schema);
            match find(client, &name).await?.filter(|found| !is_ours(&found.name.table)) {
                Some(found) => measured(client, vec![found]).await,
                None => Err(missing(client, &name).await?),
            }
        }
        Selection::Default | Selection::Glob(_) => {
            let glob = match selection {
                Selection::Glob(glob) => Some(NameGlob::new(glob)?),
                _ => None,
            };
            let sql = format!("{LIST} AND c.relkind IN ('r', 'p') ORDER BY n.nspname, c.relname");
            let listed = listed(client, &sql).await?.into_iter();
            let found = listed.filter(|table| !is_ours(&table.name.table)).filter(|table| {
                let in_default = table.name.namespace.as_deref() == Some(default_schema);
                glob.as_ref().map_or(in_default, |glob| glob.matches(&table.name, in_default))
            });
            measured(client, found.collect()).await
        }
    }
}

/// The same tables with their sizes, unless one of them is locked, in which case they all have none: they are
/// only there to tell how long a copy may take.
async fn measured(client: &Client, mut tables: Vec<Listed>) -> Result<Vec<Listed>> {
    if tables.is_empty() {
        return Ok(tables);
    }
    let oids: Vec<String> = tables.iter().map(|table| table.oid.to_string()).collect();
    let sql =
        format!("SET lock_timeout = '{SIZES_WAIT}'; {SIZES} ({}); SET lock_timeout = 0", oids.join(", "));
    let rows = match client.texts(&sql, "measure tables in", &client.config.place()).await {
        Err(error) if error.code() == &codes::LOCKED => return Ok(tables),
        rows => rows?,
    };
    let sizes: BTreeMap<u32, u64> = rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(oid), Some(bytes)] => Some((oid.parse().ok()?, bytes.parse().ok()?)),
            _ => None,
        })
        .collect();
    for table in &mut tables {
        table.bytes_estimate = sizes.get(&table.oid).copied();
    }
    Ok(tables)
}

async fn missing(client: &Client, name: &StreamName) -> Result<Error> {
    let all = listed(client, LIST).await?;
    let names: Vec<String> = all.iter().map(|table| table.name.to_string()).collect();
    let near = nearest(&name.to_string(), names.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("Did you mean `{near}`?"),
        None => "Check the name, and that the user may see the schema".to_owned(),
    };
    Ok(Error::new(&codes::STREAM_MISSING, "find table", format!("`{name}`"))
        .because(format!("there is no such table in {}", client.config.place()))
        .hint(hint))
}

/// A table, view or partition by its full name.
pub(crate) async fn find(client: &Client, name: &StreamName) -> Result<Option<Listed>> {
    Ok(find_all(client, [name]).await?.pop())
}

/// Those of several tables, views and partitions that are there, each once.
pub(crate) async fn find_all(
    client: &Client,
    names: impl IntoIterator<Item = &StreamName>,
) -> Result<Vec<Listed>> {
    let pair = |name: &StreamName| {
        let schema = name.namespace.as_deref().unwrap_or(&client.config.schema);
        format!("({}, {})", quote_text(schema), quote_text(&name.table))
    };
    let pairs: Vec<String> = names.into_iter().map(pair).collect();
    if pairs.is_empty() {
        return Ok(vec![]);
    }
    let some = format!(" AND (n.nspname, c.relname) IN ({})", pairs.join(", "));
    listed(client, &format!("{LIST}{some} UNION ALL {PARTITION}{some}")).await
}

async fn listed(client: &Client, sql: &str) -> Result<Vec<Listed>> {
    let rows = client.texts(sql, "list tables in", &client.config.place()).await?;
    let tables = rows.into_iter().filter_map(|row| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (oid, schema, table, kind) = (next()?, next()?, next()?, next()?);
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Some(Listed {
            oid: oid.parse().ok()?,
            name: StreamName::new(schema, table),
            kind: kind.chars().next()?,
            rows_estimate: number(next()),
            bytes_estimate: None,
        })
    });
    Ok(tables.collect())
}

/// Columns, domains followed to their base, of these tables.
fn columns_sql(oids: &str) -> String {
    format!(
        "WITH RECURSIVE chain(id, oid, modifier, not_null) AS (
           SELECT oid, oid, -1, typnotnull FROM pg_type WHERE typtype = 'd'
           UNION ALL
           SELECT chain.id, t.typbasetype, t.typtypmod, chain.not_null OR t.typnotnull
           FROM chain JOIN pg_type t ON t.oid = chain.oid WHERE t.typtype = 'd')
         SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod),
                coalesce(base.oid, a.atttypid),
                CASE WHEN base.oid IS NULL THEN a.atttypmod ELSE base.modifier END,
                a.attnotnull OR coalesce(base.not_null, false),
                a.attgenerated, a.attidentity, pg_get_expr(d.adbin, d.adrelid),
                t.typtype = 'e', base.oid IS NOT NULL,
                (SELECT string_agg(e.enumlabel, E'\\x01' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
                pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) IS NOT NULL,
                (SELECT collname FROM pg_collation WHERE oid = a.attcollation AND collname <> 'default'),
                a.attnum
         FROM pg_attribute a
         LEFT JOIN (SELECT c.* FROM chain c JOIN pg_type b ON b.oid = c.oid WHERE b.typtype <> 'd') base
                ON base.id = a.atttypid
         JOIN pg_type t ON t.oid = coalesce(base.oid, a.atttypid)
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid IN ({oids}) AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attrelid, a.attnum"
    )
}

/// Unique keys over plain columns that are never NULL, and that are checked at once.
fn keys_sql(oids: &str) -> String {
    format!(
        "SELECT i.indrelid, i.indisprimary, ic.relname,
                (SELECT string_agg(a.attname, E'\\x01' ORDER BY k.place)
                 FROM unnest(i.indkey::int[]) WITH ORDINALITY k(attnum, place)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                 WHERE k.place <= i.indnkeyatts)
         FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
         WHERE i.indrelid IN ({oids}) AND i.indisunique AND i.indimmediate AND i.indisvalid
           AND i.indpred IS NULL AND i.indexprs IS NULL
           AND NOT EXISTS (
             SELECT 1 FROM unnest(i.indkey::int[]) WITH ORDINALITY k(attnum, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)
         ORDER BY i.indrelid, NOT i.indisprimary, i.indnkeyatts, ic.relname"
    )
}

/// Columns and keys of the tables listed, in their order.
pub(crate) async fn describe(client: &Client, listed: Vec<Listed>) -> Result<Vec<Table>> {
    if listed.is_empty() {
        return Ok(vec![]);
    }
    let oids = listed.iter().map(|table| table.oid.to_string()).collect::<Vec<_>>().join(", ");
    let place = client.config.place();
    // `regclass` and types of the user are named in full, whatever the search path.
    let mut columns: BTreeMap<u32, Vec<PgColumn>> = BTreeMap::new();
    for row in client.texts(&columns_sql(&oids), "read the columns of tables in", &place).await? {
        let (oid, column) = read_column(row).ok_or_else(|| garbled(&place))?;
        columns.entry(oid).or_default().push(column);
    }
    let mut keys: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
    for row in client.texts(&keys_sql(&oids), "read the keys of tables in", &place).await? {
        let (oid, key) = read_key(row).ok_or_else(|| garbled(&place))?;
        keys.entry(oid).or_default().push(key);
    }
    Ok(listed
        .into_iter()
        .map(|listed| Table {
            columns: columns.remove(&listed.oid).unwrap_or_default(),
            keys: keys.remove(&listed.oid).unwrap_or_default(),
            listed,
        })
        .collect())
}

fn garbled(place: &str) -> Error {
    Error::new(&codes::BAD_BYTES, "read the catalog of", place)
        .because("an answer is not of the form asked for")
}

fn read_column(row: Vec<Option<String>>) -> Option<(u32, PgColumn)> {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten();
    let (table, name, native) = (next()?, next()?, next()?);
    let (base, modifier, required) = (next()?, next()?, next()? == "t");
    let (generated, identity, default) = (next().unwrap_or_default(), next().unwrap_or_default(), next());
    let (is_enum, is_domain, labels) = (next()? == "t", next()? == "t", next());
    let (owns_sequence, collation, id) = (next()? == "t", next(), next()?.parse().ok());
    let pg_type = PgType { oid: base.parse().ok()?, modifier: modifier.parse().ok()?, is_enum };
    let identity = identity.chars().next();
    let serial = owns_sequence && identity.is_none();
    let column = Column {
        name,
        logical: pg_type.logical(),
        native: Some(native),
        nullable: !required,
        default: default.as_deref().and_then(constant_default),
        generated: !generated.is_empty(),
        identity: identity.is_some() || serial,
        labels: labels.map(|labels| labels.split('\u{1}').map(str::to_owned).collect()),
        collation,
        id,
    };
    Some((
        table.parse().ok()?,
        PgColumn { column, enum_domain: is_enum && is_domain, pg_type, identity, serial },
    ))
}

fn read_key(row: Vec<Option<String>>) -> Option<(u32, Key)> {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten();
    let (table, primary, name, columns) = (next()?, next()? == "t", next()?, next()?);
    let columns = columns.split('\u{1}').map(str::to_owned).collect();
    Some((table.parse().ok()?, Key { columns, primary, name }))
}

/// A default that is a constant: `0`, `'x'::text`, `true`. Anything computed is none.
fn constant_default(expression: &str) -> Option<DefaultValue> {
    let bare = expression.trim();
    if bare == "true" || bare == "false" {
        return Some(DefaultValue::Bool(bare == "true"));
    }
    if let Some(rest) = bare.strip_prefix('\'') {
        // The text ends at the first quote that is not doubled; only a cast may follow.
        let mut text = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\'' {
                text.push(c);
            } else if chars.next_if_eq(&'\'').is_some() {
                text.push('\'');
            } else {
                break;
            }
        }
        let after: String = chars.collect();
        let cast = after.strip_prefix("::");
        let only_cast =
            after.is_empty() || cast.is_some_and(|name| !name.contains(['(', '\'']) || is_sized(name));
        return only_cast.then_some(DefaultValue::Text(text));
    }
    let number = bare.trim_start_matches('(').split([')', ':']).next().unwrap_or(bare);
    let is_number = syncline_types::decimal::Digits::parse(number).is_some();
    let plain = bare.chars().all(|c| c.is_ascii_alphanumeric() || "-+.():_ ".contains(c))
        && !bare.contains("::regclass");
    (is_number && plain).then(|| DefaultValue::Number(number.to_owned()))
}

/// Whether a cast is to a type with a size, such as `numeric(10,2)`.
fn is_sized(name: &str) -> bool {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.is_some_and(|(digits, rest)| {
        digits.chars().all(|c| c.is_ascii_digit() || c == ',') && !rest.contains(['(', '\''])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constants_are_defaults() {
        let text = |text: &str| Some(DefaultValue::Text(text.into()));
        let number = |text: &str| Some(DefaultValue::Number(text.into()));
        for (expression, expected) in [
            ("0", number("0")),
            ("'-1'::integer", text("-1")),
            ("'-1.50'::numeric(10,2)", text("-1.50")),
            ("1.50", number("1.50")),
            ("(0)::numeric", number("0")),
            ("true", Some(DefaultValue::Bool(true))),
            ("'it''s'::text", text("it's")),
            ("''::character varying", text("")),
            ("now()", None),
            ("nextval('a_id_seq'::regclass)", None),
            ("('a'::text || 'b'::text)", None),
            ("'a'::text || 'b'::text", None),
            ("(1 + 2)", None),
            ("CURRENT_TIMESTAMP", None),
        ] {
            assert_eq!(constant_default(expression), expected, "{expression}");
        }
    }
}
