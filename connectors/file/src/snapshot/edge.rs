//! How far a column goes, by reading all of it.

use arrow_array::Array;
use syncline_connect::{Context, Edge, Stream};
use syncline_types::{Error, Result, TableSchema, codes, text::Values};
use tokio::runtime::Handle;

use crate::{
    decode::{Chunk, Opened},
    publish::order,
    schema::FileSet,
};

pub(super) fn edge(cx: &Context, stream: &Stream, set: &FileSet, column: &str) -> Result<Edge> {
    let schema = &stream.schema;
    let wanted = schema.column(column).ok_or_else(|| schema.unknown_column(column))?;
    let unsupported = || {
        Error::new(&codes::UNSUPPORTED, "read from a mark on", format!("`{}.{column}`", stream.name))
            .because(format!("{} is no number and no time that has an order everywhere", wanted.logical))
            .hint("Name a column of whole numbers, dates or times with --cursor")
    };
    let schema = TableSchema { columns: vec![wanted.clone()], ..schema.clone() };
    let mut edge = Edge::default();
    let mut highest: Option<i128> = None;
    let mut reserve = |bytes| Some(Handle::current().block_on(cx.memory().reserve(bytes)));
    for spec in &set.files {
        let mut opened = Opened::begin(spec, spec.open()?, &schema)?;
        while let Chunk::Rows(rows, _memory) = opened.next(&mut reserve)? {
            let Some(array) = rows.batch.columns().first() else { continue };
            edge.nulls += array.null_count() as u64;
            let values = Values::new(array, wanted.logical)?;
            for row in 0..array.len() {
                let value = order(array, row).map_err(|()| unsupported())?;
                if value > highest {
                    highest = value;
                    edge.highest = values.text(row);
                }
            }
            if cx.stop().is_cancelled() {
                return Err(Error::new(&codes::INTERRUPTED, "look through", format!("`{}`", stream.name))
                    .because("the run ends"));
            }
        }
    }
    Ok(edge)
}
