//! Tells the rows of a stream that records are about, as they are in the snapshot of a look.

use std::sync::Arc;

use syncline_connect::{Logged, LookedBatch, Origin, Read};
use syncline_sql::Dialect;
use syncline_types::{Column, Error, Result, codes};
use tokio::sync::mpsc;

use super::{
    batch::{Gathered, OPS, emptied},
    install::{UPDATED, is_loose, key_column},
    news::Recorded,
};
use crate::{
    client::{Client, Family, Front, Patience},
    config::ZeroDates,
    dialect::{Mysql, qualified, text_constant},
    error::from_io,
    types::expression,
};

const OPERATION: &str = "read changes of table";

/// Where what was found goes to.
pub(super) type Out = mpsc::Sender<Result<Logged>>;

pub(super) async fn give(out: &Out, logged: Logged) {
    // Whoever has gone wants nothing any more, and the task ends with them.
    let _ = out.send(Ok(logged)).await;
}

/// Which rows of a stream are told.
pub(super) enum Which<'a> {
    /// Those of its records, and all that are there.
    All,
    /// Those of its records.
    Recorded,
    /// Those of its records but these origins', and of which this one is the first: who was changed here and
    /// elsewhere was changed here.
    Of { origin: &'a str, passed: &'a [String] },
}

/// The statements that read a stream's changes.
pub(super) struct Sql {
    pub(super) gone: String,
    pub(super) there: String,
}

impl Sql {
    pub(super) fn new(recorded: &Recorded<'_>, read: &Read, family: Family, which: &Which<'_>) -> Self {
        let schema = read.schema();
        let own = qualified(&read.stream.name, "");
        let columns: Vec<String> = schema.columns.iter().map(|column| expression(column, family)).collect();
        let columns = columns.join(", ");
        let (mut keys, mut groups, mut same, mut told) = (vec![], vec![], vec![], vec![]);
        for (place, name) in recorded.key.iter().enumerate() {
            let (kept, recorded, own) = (key_column(place), own_name(place), Mysql.quote(name));
            keys.push(format!("{kept} AS {recorded}"));
            groups.push(kept.clone());
            same.push(format!("t.{own} = r.{recorded}"));
            let Some(column) = schema.column(name) else { continue };
            // What is equal and not the same are two keys.
            if is_loose(column) {
                groups.push(format!("CAST({kept} AS BINARY)"));
                same.push(format!("CAST(t.{own} AS BINARY) = CAST(r.{recorded} AS BINARY)"));
            }
            told.push(expression(&Column { name: recorded, ..column.clone() }, family));
        }
        let (meant, first_of) = which.conditions();
        let records = format!(
            "(SELECT {}, MIN(number * {OPS} + op) AS {} FROM {} WHERE {}{meant} GROUP BY {}{first_of}) r",
            keys.join(", "),
            first_name(),
            recorded.changes(),
            recorded.untold,
            groups.join(", ")
        );
        let (same, first) = (same.join(" AND "), first_name());
        let there = match which {
            // Larger than any, it says that the row is not new.
            Which::All => format!("SELECT {}, {columns} FROM {own}", u64::MAX - 3 + u64::from(UPDATED)),
            Which::Recorded | Which::Of { .. } => {
                format!("SELECT STRAIGHT_JOIN r.{first}, {columns} FROM {records} JOIN {own} t ON {same}")
            }
        };
        // By `<=>`, since to these servers a day that is none is NULL where its column is never NULL.
        let missing = recorded.key.first().map(|name| format!("t.{} <=> NULL", Mysql.quote(name)));
        let gone = format!(
            "SELECT r.{first}, {} FROM {records} LEFT JOIN {own} t ON {same} WHERE {}",
            told.join(", "),
            missing.unwrap_or_default()
        );
        Sql { gone, there }
    }
}

impl Which<'_> {
    /// Of records, and of those of one key together.
    fn conditions(&self) -> (String, String) {
        let Which::Of { origin, passed } = self else { return (String::new(), String::new()) };
        let list: Vec<String> = passed.iter().map(|text| text_constant(text)).collect();
        let meant = match list.is_empty() {
            true => String::new(),
            false => format!(" AND COALESCE(origin, '') NOT IN ({})", list.join(", ")),
        };
        (meant, format!(" HAVING MIN(COALESCE(origin, '')) = {}", text_constant(origin)))
    }
}

/// Names that no column of a table has.
fn own_name(place: usize) -> String {
    format!("_syncline_{}", key_column(place))
}

fn first_name() -> &'static str {
    "_syncline_first"
}

/// A stream that is told of.
pub(super) struct Teller<'a> {
    pub(super) client: &'a mut Client,
    pub(super) read: &'a Arc<Read>,
    pub(super) stream: usize,
    /// The place of the last row in the order of all that was told.
    pub(super) sequence: &'a mut u64,
    pub(super) batch: &'a mut LookedBatch,
    pub(super) out: &'a Out,
    /// Whether something was given out before the end.
    pub(super) has_given: &'a mut bool,
}

impl Teller<'_> {
    /// What is told from here on has come through these.
    pub(super) async fn begin(&mut self, origin: Origin) {
        if self.batch.origin != origin && !self.batch.changes.is_empty() {
            self.give_all().await;
        }
        self.batch.origin = origin;
    }

    /// All rows were removed at once.
    pub(super) fn empty(&mut self) {
        *self.sequence += 1;
        self.batch.changes.push(emptied(self.read, self.stream, *self.sequence));
    }

    /// First the rows that are gone, then those that are there.
    pub(super) async fn tell(&mut self, sql: &Sql) -> Result<()> {
        self.rows(&sql.gone, true).await?;
        self.rows(&sql.there, false).await
    }

    fn gathered(&self, is_gone: bool) -> Gathered {
        let zero_dates_null = self.client.config().zero_dates == ZeroDates::Null;
        Gathered::new(self.read, is_gone, zero_dates_null)
    }

    async fn rows(&mut self, sql: &str, is_gone: bool) -> Result<()> {
        let name = self.read.stream.name.to_string();
        let statement = self.client.prepare(sql, OPERATION, &name).await?;
        let columns = self.client.open_rows(&statement, OPERATION, &name).await?;
        let mut gathered = self.gathered(is_gone);
        if let Err(column) = gathered.fits(&columns) {
            return Err(Error::new(&codes::SCHEMA_CHANGED, OPERATION, format!("`{name}`"))
                .because(format!("column `{column}` is not of the type it was planned with"))
                .hint("Begin again, so that it is planned with the table as it is now"));
        }
        loop {
            let front = self.client.incoming().front().map_err(|error| from_io(&error, OPERATION, &name))?;
            let (bytes, is_large) = match front {
                Front::Nothing => {
                    self.client.fill(Patience::Rows, OPERATION, &name).await?;
                    continue;
                }
                // While it is decoded it is there twice. Where it is not known how long it is, it has all the
                // memory there is to itself.
                Front::Large(length) => (length.map_or(u64::MAX / 2, |length| 2 * length as u64), true),
                Front::Payload => {
                    if self.client.incoming().payload().first() != Some(&0)
                        && let Some(ended) = self.client.end_rows(OPERATION, &name)
                    {
                        ended?;
                        break;
                    }
                    (self.client.incoming().payload().len() as u64, false)
                }
            };
            if !self.batch.has_room(bytes) {
                let full = std::mem::replace(&mut gathered, self.gathered(is_gone));
                self.give(full).await?;
            }
            self.batch.reserve(self.client.cx().memory(), bytes).await;
            if is_large {
                self.client.incoming().take_large();
                continue;
            }
            *self.sequence += 1;
            gathered.take(self.client.incoming().payload(), *self.sequence)?;
            self.client.incoming().advance();
            self.batch.add(bytes);
        }
        if !gathered.is_empty() {
            self.batch.changes.push(gathered.finish(self.stream)?);
        }
        self.client.close(statement, OPERATION, &name).await
    }

    /// Gives out what there is, as a part.
    async fn give(&mut self, gathered: Gathered) -> Result<()> {
        if !gathered.is_empty() {
            self.batch.changes.push(gathered.finish(self.stream)?);
        }
        self.give_all().await;
        Ok(())
    }

    async fn give_all(&mut self) {
        *self.has_given = true;
        give(self.out, self.batch.take_part()).await;
    }
}
