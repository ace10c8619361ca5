//! Cutting: by the key, by row numbers, or not at all. A chunk ends at the row that lies so many rows
//! behind the last one, so that skewed keys make even chunks; the last chunk is open at its end.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, types::ValueRef};
use syncline_connect::{Context, Read, SplitOrder, Splitter};
use syncline_sql::{cut_condition, quote_double};
use syncline_types::{Error, Extent, KeyRange, LogicalType, Result, Split, SplitId, codes};

use super::{
    key::{ChunkKey, garbled, is_canonical, text_form},
    pool::Pool,
    read_sql::Numbers,
    session::table_of,
};
use crate::{
    client::Database,
    dialect::{Sqlite, qualified},
    error::Explain,
    schema::{Key, has_null},
};

/// How a stream is cut, and how far that is.
pub(super) struct Plan {
    database: Database,
    read: Arc<Read>,
    /// The split before the next one; `None` before the first.
    last: Option<Extent>,
    next_id: u32,
}

/// Gives out splits one by one.
pub(super) struct SqliteSplitter {
    planner: Arc<Pool>,
    cx: Context,
    /// There while no call is under way.
    plan: Option<Plan>,
}

/// Begins to cut behind `last`.
pub(super) fn plan(
    connection: &Connection,
    database: &Database,
    read: &Arc<Read>,
    last: Option<&Split>,
) -> Result<Plan> {
    if matches!(read.stream.order, SplitOrder::Key(_)) {
        let table = table_of(connection, database, read)?;
        require(connection, read, ChunkKey::new(&table, read)?.key)?;
    }
    Ok(Plan {
        database: database.clone(),
        read: Arc::clone(read),
        last: last.map(|last| last.extent.clone()),
        next_id: last.map_or(0, |last| last.id.0 + 1),
    })
}

/// A row with a NULL in the key would be in no chunk.
fn require(connection: &Connection, read: &Read, key: &Key) -> Result<()> {
    let name = &read.stream.name;
    let found = has_null(connection, &name.table, key).explain("look at the key of", format!("`{name}`"))?;
    let Some(column) = found else { return Ok(()) };
    Err(Error::new(&codes::KEY_MISSING, "read table", format!("`{name}`"))
        .because(format!("its key column `{column}` holds NULLs since the run was planned"))
        .hint("Remove those rows or declare the column NOT NULL, or begin again to read it without a key"))
}

impl SqliteSplitter {
    pub(super) fn new(planner: Arc<Pool>, cx: Context, plan: Plan) -> Self {
        SqliteSplitter { planner, cx, plan: Some(plan) }
    }
}

#[async_trait]
impl Splitter for SqliteSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let lease = self.planner.lease().await?;
        let mut plan = self.plan.take().ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "cut into splits", "").because("a cut was broken off")
        })?;
        let (plan, split) = self
            .cx
            .blocking("cut into splits", move || {
                let split = plan.next(lease.connection());
                Ok((plan, split))
            })
            .await?;
        self.plan = Some(plan);
        split
    }
}

impl Plan {
    fn next(&mut self, connection: &Connection) -> Result<Option<Split>> {
        let read = Arc::clone(&self.read);
        let chunk = read.chunk_rows.max(1);
        let (extent, rows_estimate) = match (&read.stream.order, self.last.take()) {
            (SplitOrder::Whole | SplitOrder::Part, None) => (Extent::Whole, read.stream.rows_estimate),
            (SplitOrder::Whole | SplitOrder::Part, last @ Some(_)) => {
                self.last = last;
                return Ok(None);
            }
            (SplitOrder::Key(_), last) => {
                let after = match last {
                    None => None,
                    Some(Extent::Keys(KeyRange { upto: Some(upto), .. })) => Some(upto),
                    last => {
                        self.last = last;
                        return Ok(None);
                    }
                };
                let upto = self.key_bound(connection, after.as_ref(), chunk)?;
                let full = upto.is_some().then_some(chunk);
                (Extent::Keys(KeyRange { after, upto }), full)
            }
            (SplitOrder::Place, last) => {
                let after = match &last {
                    None => None,
                    Some(Extent::Own(spec)) => match Numbers::read(spec, &read)?.upto {
                        None => {
                            self.last = last;
                            return Ok(None);
                        }
                        upto => upto,
                    },
                    Some(_) => return Err(garbled(&read)),
                };
                let upto = self.number_bound(connection, after, chunk)?;
                (Extent::Own(Numbers { after, upto }.write()), upto.is_some().then_some(chunk))
            }
        };
        self.last = Some(extent.clone());
        let id = SplitId(self.next_id);
        self.next_id += 1;
        Ok(Some(Split { id, extent, rows_estimate }))
    }

    /// The key of the chunk's last row; `None` when fewer rows are left, or when it cannot be a
    /// bound.
    fn key_bound(
        &self,
        connection: &Connection,
        after: Option<&Vec<String>>,
        chunk: u64,
    ) -> Result<Option<Vec<String>>> {
        let table = table_of(connection, &self.database, &self.read)?;
        let by = ChunkKey::new(&table, &self.read)?;
        let logicals = by.logicals()?;
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1 OFFSET {}",
            by.list(),
            qualified(&table.name),
            self.counted(by.condition(&KeyRange { after: after.cloned(), upto: None })?)?,
            by.order(),
            chunk - 1
        );
        let found = connection.query_row(&sql, [], |row| {
            let values =
                logicals.iter().enumerate().map(|(place, logical)| Ok(bound(row.get_ref(place)?, *logical)));
            values.collect::<rusqlite::Result<Option<Vec<String>>>>()
        });
        let found =
            found.optional().explain("cut into chunks table", format!("`{}`", self.read.stream.name))?;
        Ok(found.flatten())
    }

    /// The condition for rows to be counted behind the last bound.
    fn counted(&self, behind: String) -> Result<String> {
        cut_condition(&Sqlite, &self.read, behind).ok_or_else(|| garbled(&self.read))
    }

    fn number_bound(&self, connection: &Connection, after: Option<i64>, chunk: u64) -> Result<Option<i64>> {
        let table = table_of(connection, &self.database, &self.read)?;
        let rowid = table.rowid().ok_or_else(|| garbled(&self.read))?;
        let sql = format!(
            "SELECT {0} FROM {1} WHERE {2} ORDER BY {0} LIMIT 1 OFFSET {3}",
            quote_double(rowid),
            qualified(&table.name),
            self.counted(Numbers { after, upto: None }.condition(rowid))?,
            chunk - 1
        );
        connection
            .query_row(&sql, [], |row| row.get(0))
            .optional()
            .explain("cut into chunks table", format!("`{}`", self.read.stream.name))
    }
}

fn bound(value: ValueRef<'_>, logical: LogicalType) -> Option<String> {
    text_form(value, logical).filter(|text| is_canonical(text, logical))
}
