//! The tables that the log describes, and whether they are those that streams know.

use std::sync::Arc;

use syncline_types::{Error, Result};

use super::{Described, Intake, TABLES_MAX, origins::mark};
use crate::log::{
    gather::Shape,
    rows::{self, Layouts},
    table_map::{table_map, table_name},
};

impl Intake {
    /// The streams of a table that has to be looked at before its rows can be read.
    pub(super) fn doubtful(&self, body: &[u8]) -> Result<Option<Vec<usize>>> {
        let (id, database, table) = table_name(body)?;
        if self.suspects.is_empty()
            && self.doubted.is_empty()
            && self.tables.get(&id).is_some_and(|known| known.body == body)
        {
            return Ok(None);
        }
        let mut streams = self.read_of(self.names.of(database, table));
        streams.retain(|stream| self.suspects.contains_key(stream) || !self.unread.contains(stream));
        if streams.is_empty() || self.transaction.is_some_and(|transaction| transaction.is_known) {
            return Ok(None);
        }
        let altered = streams
            .iter()
            .any(|stream| self.suspects.contains_key(stream) || self.doubted.contains_key(stream));
        let unknown = || Ok::<bool, Error>(self.layouts(body)?.is_none() && !self.is_settled(&streams));
        Ok((altered || unknown()?).then_some(streams))
    }

    fn is_settled(&self, streams: &[usize]) -> bool {
        streams.iter().all(|stream| self.settled.contains(stream))
    }

    /// A stream's table is as it is known, or as `shape` says. True when it was not read before.
    pub(in crate::log) fn settle(&mut self, stream: usize, shape: Option<Shape>) -> bool {
        if let Some(shape) = shape {
            self.shapes[stream] = shape;
        }
        self.suspects.remove(&stream);
        self.doubted.remove(&stream);
        self.settled.insert(stream);
        self.tables.clear();
        self.unread.remove(&stream)
    }

    /// A stream is not read until its table is altered once more. False when it was not read anyway.
    pub(in crate::log) fn leave_unread(&mut self, stream: usize) -> bool {
        self.suspects.remove(&stream);
        self.doubted.remove(&stream);
        self.tables.clear();
        self.unread.insert(stream)
    }

    /// Streams that are not read, and whose table has just been altered once more: perhaps they can be from here on.
    /// That is said before anything else comes to pass.
    pub(in crate::log) fn altered_again(&self) -> Option<Vec<usize>> {
        let streams: Vec<usize> =
            self.unread.iter().filter(|stream| self.suspects.contains_key(stream)).copied().collect();
        (!streams.is_empty()).then_some(streams)
    }

    /// Where the streams of a table have their values; `None` when it is not the table that they know.
    fn layouts(&self, body: &[u8]) -> Result<Option<Layouts>> {
        let (id, database, table) = table_name(body)?;
        if let Some(known) = self.tables.get(&id).filter(|known| known.body == body) {
            return Ok(Some(known.layouts.clone()));
        }
        let mut streams = self.read_of(self.names.of(database, table));
        streams.retain(|stream| !self.unread.contains(stream));
        if streams.is_empty() {
            return Ok(Some(vec![]));
        }
        let map = table_map(body)?;
        let forms = Arc::from(map.columns.as_slice());
        let layout = |stream: &usize| {
            let shape = self.shapes.get(*stream)?;
            let layout = shape.layout(&forms, map.names.as_deref(), map.unsigned.as_deref())?;
            Some((*stream, layout))
        };
        Ok(streams.iter().map(layout).collect())
    }

    pub(super) fn table(&mut self, body: &[u8]) -> Result<()> {
        let id = rows::table_id(body)?;
        if self.tables.get(&id).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let layouts = match self.layouts(body)? {
            Some(layouts) => layouts,
            None if self.transaction.is_some_and(|transaction| transaction.is_known) => vec![],
            None => {
                let (_, database, table) = table_name(body)?;
                let streams = self.read_of(self.names.of(database, table));
                self.refuse(streams, "its columns in the log are not those that it has, nor those that it had when it was copied")?;
                vec![]
            }
        };
        if self.tables.len() >= TABLES_MAX {
            self.tables.clear();
        }
        let mark = mark(body)?;
        self.tables.insert(id, Described { body: body.to_vec(), layouts, mark });
        Ok(())
    }
}
