//! Tables as the log describes them, and as the catalogue has them.

use std::{collections::HashMap, sync::Arc};

use syncline_connect::Read;
use syncline_types::{Column, Error, Result, StreamName, TableSchema, codes};

use super::message::Relation;
use crate::{
    client::Client,
    schema::{Table, describe, find, find_all},
    types::PgType,
};

/// A column, as both the log and the catalogue name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) modifier: i32,
}

/// A table that is followed.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) table: Table,
    /// The columns that the log tells, as they are now.
    pub(super) described: Vec<Described>,
}

impl Followed {
    pub(crate) fn oid(&self) -> u32 {
        self.table.listed.oid
    }
}

/// The columns that a message describes, and which of them old rows tell.
pub(super) fn described(relation: &Relation<'_>) -> (Vec<Described>, Vec<bool>) {
    let columns = relation.columns.iter().map(|column| Described {
        name: String::from_utf8_lossy(column.name).into_owned(),
        type_oid: column.type_oid,
        modifier: column.modifier,
    });
    (columns.collect(), relation.columns.iter().map(|column| column.identity).collect())
}

/// The tables that streams are read from, in the streams' order.
///
/// # Errors
/// [`codes::STREAM_MISSING`] when one is not there.
pub(crate) async fn followed(client: &Client, reads: &[Arc<Read>]) -> Result<Vec<Followed>> {
    // A table that two streams are read from is described once.
    let found = find_all(client, reads.iter().map(|read| &read.stream.name)).await?;
    let oids: Vec<u32> = found.iter().map(|table| table.oid).collect();
    let mut described = columns(client, &oids).await?;
    let mut tables: HashMap<StreamName, Followed> = HashMap::new();
    for table in describe(client, found).await? {
        let described = described.remove(&table.listed.oid).unwrap_or_default();
        tables.insert(table.listed.name.clone(), Followed { table, described });
    }
    let of = |read: &Arc<Read>| {
        let name = &read.stream.name;
        tables.get(&name.within(&client.config.schema)).cloned().ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, "follow table", format!("`{name}`"))
                .because("it was there when the run was planned, and is no more")
        })
    };
    reads.iter().map(of).collect()
}

/// Columns of tables in their order, without those that are computed, which the log does not tell.
async fn columns(client: &Client, oids: &[u32]) -> Result<HashMap<u32, Vec<Described>>> {
    let mut columns: HashMap<u32, Vec<Described>> = HashMap::new();
    if oids.is_empty() {
        return Ok(columns);
    }
    let oids = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT attrelid, attname, atttypid, atttypmod FROM pg_attribute
         WHERE attrelid IN ({oids}) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
         ORDER BY attrelid, attnum"
    );
    let place = client.config.place();
    for row in client.texts(&sql, "read the columns of tables in", &place).await? {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (table, name, type_oid, modifier) = (next(), next(), next(), next());
        let (Ok(table), Ok(type_oid), Ok(modifier)) = (table.parse(), type_oid.parse(), modifier.parse())
        else {
            return Err(garbled(&place));
        };
        columns.entry(table).or_default().push(Described { name, type_oid, modifier });
    }
    Ok(columns)
}

/// What a table's schema was at the place of the log that describes it so. What the log does not tell
/// (defaults, keys, NOT NULL) is as it is now, where the column is still the same.
///
/// # Errors
/// When the catalogue cannot be read.
pub(super) async fn schema_of(
    client: &Client,
    read: &Arc<Read>,
    described: &[Described],
    identity: &[bool],
) -> Result<TableSchema> {
    let now = match find(client, &read.stream.name).await? {
        Some(_) => followed(client, std::slice::from_ref(read)).await?.pop(),
        None => None,
    };
    if let Some(now) = now.as_ref().filter(|now| now.described == described) {
        return Ok(now.table.schema());
    }
    let named = columns_of(client, described).await?;
    let columns = named.into_iter().zip(described).map(|(column, described)| {
        let Some(now) = now.as_ref().filter(|now| now.described.contains(described)) else { return column };
        now.table.schema().column(&column.name).cloned().unwrap_or(column)
    });
    let mut schema = TableSchema { columns: columns.collect(), ..read.stream.schema.clone() };
    let is_there = |key: &[String]| key.iter().all(|name| schema.index(name).is_some());
    // A column of the key may have another name: then what old rows tell is the key, unless that is all.
    let told = described.iter().zip(identity).filter(|(_, told)| **told);
    let told: Vec<String> = told.map(|(column, _)| column.name.clone()).collect();
    let now_key = now.map(|now| now.table.schema().key).unwrap_or_default();
    let key = match &schema.key {
        none if none.is_empty() => vec![],
        key if is_there(key) => key.clone(),
        _ if !now_key.is_empty() && is_there(&now_key) => now_key,
        _ if told.len() < described.len() => told,
        _ => vec![],
    };
    let unique = schema.unique.iter().filter(|key| is_there(key)).cloned().collect();
    (schema.key, schema.unique) = (key, unique);
    Ok(schema)
}

/// Columns by the types that the log names, domains followed to their base.
async fn columns_of(client: &Client, described: &[Described]) -> Result<Vec<Column>> {
    if described.is_empty() {
        return Ok(vec![]);
    }
    let wanted: Vec<String> = described
        .iter()
        .enumerate()
        .map(|(place, column)| format!("({place}, {}::oid, {})", column.type_oid, column.modifier))
        .collect();
    let sql = format!(
        "WITH RECURSIVE wanted(place, type, modifier) AS (VALUES {}),
         chain(place, type, modifier) AS (
           SELECT place, type, modifier FROM wanted
           UNION ALL
           SELECT chain.place, t.typbasetype, t.typtypmod
           FROM chain JOIN pg_type t ON t.oid = chain.type WHERE t.typtype = 'd')
         SELECT format_type(w.type, w.modifier), c.type, c.modifier, coalesce(t.typtype = 'e', false),
                (SELECT string_agg(e.enumlabel, E'\\x01' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
         FROM wanted w JOIN chain c ON c.place = w.place LEFT JOIN pg_type t ON t.oid = c.type
         WHERE t.typtype IS DISTINCT FROM 'd' ORDER BY w.place",
        wanted.join(", ")
    );
    let place = client.config.place();
    let rows = client.texts(&sql, "read the types of columns in", &place).await?;
    if rows.len() != described.len() {
        return Err(garbled(&place));
    }
    let column = |(row, described): (Vec<Option<String>>, &Described)| {
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let (native, oid, modifier, is_enum) = (next()?, next()?, next()?, next()? == "t");
        let pg_type = PgType { oid: oid.parse().ok()?, modifier: modifier.parse().ok()?, is_enum };
        let labels = next().map(|labels| labels.split('\u{1}').map(str::to_owned).collect());
        Some(Column { labels, ..Column::new(described.name.clone(), pg_type.logical()).native(native) })
    };
    rows.into_iter().zip(described).map(column).collect::<Option<_>>().ok_or_else(|| garbled(&place))
}

fn garbled(place: &str) -> Error {
    Error::new(&codes::BAD_BYTES, "read the catalog of", place)
        .because("an answer is not of the form asked for")
}
