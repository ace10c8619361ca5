//! Reading: one state of the file for all connections, splits by ranges of the key or of row
//! numbers, rows by value.

mod edge;
mod key;
mod pool;
mod read_sql;
mod reader;
mod session;
mod splitter;

use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::{Context, Edge, Finding, Log, Read, Selection, Session, Source, SplitOrder, Stream};
use syncline_types::{LogicalType, Predicate, Result};

pub(crate) use self::{key::known_collation, session::begin_asking};

use crate::{
    client::{Database, journal_mode},
    log::SqliteLog,
    origin,
    schema::{Look, describe, find_table, list},
};

/// SQLite as a source.
pub(crate) struct SqliteSource {
    database: Database,
    cx: Context,
}

impl SqliteSource {
    pub(crate) async fn open(database: Database, cx: Context) -> Result<Self> {
        let source = SqliteSource { database, cx };
        // Whether it is a database shows now, and not when the first table is asked for.
        source
            .looking("open the database", |database| {
                database.must_exist()?;
                database.look().map(drop)
            })
            .await?;
        Ok(source)
    }

    async fn looking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.database.clone();
        self.cx.blocking(name, move || work(&database)).await
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        let selection = selection.clone();
        self.looking("discover tables", move |database| {
            let connection = database.look()?;
            list(&connection, database, &selection)?
                .iter()
                .map(|listed| {
                    let table = describe(&connection, listed, database.dates, Look::Values)?;
                    Ok(table.stream(&connection))
                })
                .collect()
        })
        .await
    }

    /// Integers against integers, and whether there is a value. In such a column SQLite may hold
    /// something else, which it would compare by its class; those rows are read whatever the
    /// condition says ([`read_sql`]), so that they are refused here as they would be without one.
    /// Nothing else is alike: texts compare by a collation, what stands for a date or a decimal
    /// compares as the text or float that it is kept as, and a constant in a column with another
    /// affinity is converted first.
    fn evaluates(&self, stream: &Stream, filter: &Predicate) -> bool {
        match filter {
            Predicate::And(parts) | Predicate::Or(parts) => {
                !parts.is_empty() && parts.iter().all(|part| self.evaluates(stream, part))
            }
            Predicate::Compare { column, constant, .. } => {
                is_integer(stream, column) && constant.parse::<i64>().is_ok()
            }
            Predicate::IsNull { column, .. } => is_integer(stream, column),
        }
    }

    async fn inspect(&self, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
        let reads = reads.to_vec();
        self.looking("inspect tables", move |database| inspect(database, &reads)).await
    }

    async fn databases(&self, _: &[Arc<Read>]) -> Result<Vec<String>> {
        self.looking("look who the file is", |database| origin::databases(&database.look()?)).await
    }

    async fn begin(&self, _: &[Arc<Read>], parallel: usize) -> Result<Box<dyn Session>> {
        session::begin(&self.database, &self.cx, parallel).await.map(|session| Box::new(session) as _)
    }

    async fn edge(&self, stream: &Stream, column: &str) -> Result<Edge> {
        let (name, column) = (stream.name.clone(), column.to_owned());
        self.looking("find how far a column goes", move |database| edge::find(database, &name, &column)).await
    }

    async fn log(&self, pipeline: &str) -> Result<Box<dyn Log>> {
        Ok(Box::new(SqliteLog::new(&self.database, &self.cx, pipeline)))
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

fn is_integer(stream: &Stream, column: &str) -> bool {
    // A view's column may be an expression, which compares without an affinity.
    stream.order != SplitOrder::Whole
        && stream.schema.column(column).is_some_and(|column| column.logical == LogicalType::Int64)
}

fn inspect(database: &Database, reads: &[Arc<Read>]) -> Result<Vec<Finding>> {
    let connection = database.look()?;
    let mut findings = vec![];
    let mode = journal_mode(&connection, database)?;
    if mode != "wal" && !reads.is_empty() {
        findings.push(Finding::note(format!(
            "the journal mode of {} is `{mode}`: nobody can commit to it while it is read; \
             `PRAGMA journal_mode = WAL` lets them",
            database.place()
        )));
    }
    for read in reads {
        let name = &read.stream.name;
        let Some(table) = find_table(&connection, database, &name.table, Look::Values)? else { continue };
        for column in table.columns.iter().filter(|column| column.mixed) {
            if read.columns.contains(&column.column.name) {
                let warning = Finding::warning(format!(
                    "column `{}` of `{name}` has no type and holds values of several kinds: it is read as text, \
                     and rows with another kind of value in it are rejected",
                    column.column.name
                ));
                findings.push(warning.of(name));
            }
        }
        if let Some(key) = table.keys.iter().find(|key| key.primary && !key.required) {
            let warning = Finding::warning(format!(
                "the primary key ({}) of `{name}` holds NULLs, so it is read without a key",
                key.columns.join(", ")
            ));
            findings.push(warning.of(name));
        }
    }
    Ok(findings)
}
