//! A table as it is read, in texts.

use std::{sync::Arc, time::Duration};

use syncline_connect::{Connector, Context, Memory, Next, Read, Reject, Selection, Session, Source, Stream};
use syncline_mysql::{Mysql, MysqlConfig};
use syncline_testkit::servers::{
    left_out,
    mysql::{self, Options, Product},
};
use syncline_types::{Result, Split, StreamName, text::Values};

/// The products that are not left out.
pub(crate) fn products() -> impl Iterator<Item = Product> {
    Product::ALL.into_iter().filter(|product| !left_out(product.name()))
}

/// A server whose settings are none of ours: another time zone, another SQL, short patience.
pub(crate) fn odd_server(product: Product) -> mysql::Mysql {
    let options = Options::new()
        .binlog()
        .setting("default-time-zone", "-07:30")
        .setting("sql-mode", "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES")
        .setting("net-write-timeout", "2")
        .setting("character-set-server", "latin1")
        .setting("max-allowed-packet", "256M");
    mysql::Mysql::start(product, options)
}

/// Options for a connection as `root`, with more of them as JSON's members.
pub(crate) fn config(port: u16, database: &str, more: &str) -> MysqlConfig {
    let user = if more.contains("\"user\"") { "" } else { r#""user": "root","# };
    let json = format!(r#"{{{user} "host": "127.0.0.1", "port": {port}, "path": "{database}" {more}}}"#);
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

pub(crate) fn context(memory_bytes: u64, idle_max: Duration) -> Context {
    Context::new(Memory::new(memory_bytes), idle_max)
}

pub(crate) async fn open(config: MysqlConfig) -> Box<dyn Source> {
    Mysql::source(config, context(32 << 20, Duration::from_secs(20))).await.expect("the server can be read")
}

pub(crate) async fn discover(source: &dyn Source, table: &str) -> Stream {
    let found = source.discover(&Selection::Name(StreamName::bare(table))).await;
    found.expect("the table is there").pop().expect("it is found")
}

pub(crate) fn read(stream: Stream, chunk_rows: u64) -> Arc<Read> {
    let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
    Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows })
}

pub(crate) async fn splits(session: &dyn Session, read: &Arc<Read>) -> Result<Vec<Split>> {
    let mut splitter = session.splitter(read, None).await?;
    let mut splits = vec![];
    while let Some(split) = splitter.next().await? {
        splits.push(split);
    }
    Ok(splits)
}

/// What was read: rows of texts, and what was refused.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) rejects: Vec<Reject>,
}

/// One split to its end.
pub(crate) async fn rows_of(session: &dyn Session, read: &Arc<Read>, split: &Split) -> Result<Rows> {
    let schema = read.schema();
    let mut reader = session.open(read, split, None).await?;
    let mut all = Rows::default();
    while let Next::Batch(batch) = reader.next().await? {
        let columns: Vec<Values<'_>> = schema
            .columns
            .iter()
            .zip(batch.rows.columns())
            .map(|(column, array)| Values::new(array, column.logical).expect("it is carried as its type"))
            .collect();
        let row = |row| columns.iter().map(|column| column.text(row)).collect();
        all.rows.extend((0..batch.rows.num_rows()).map(row));
        all.rejects.extend(batch.rejects);
    }
    Ok(all)
}

/// A whole table, split by split.
pub(crate) async fn read_all(source: &dyn Source, read: &Arc<Read>) -> Result<Rows> {
    let session = source.begin(std::slice::from_ref(read), 2).await?;
    let mut all = Rows::default();
    for split in splits(session.as_ref(), read).await? {
        let part = rows_of(session.as_ref(), read, &split).await?;
        all.rows.extend(part.rows);
        all.rejects.extend(part.rejects);
    }
    Ok(all)
}

/// Discovers and reads a table.
pub(crate) async fn table(config: MysqlConfig, name: &str) -> Rows {
    let source = open(config).await;
    let read = read(discover(source.as_ref(), name).await, 1_000);
    read_all(source.as_ref(), &read).await.expect("the table is read")
}
