//! The simulated target as a source: what everybody sees in its tables.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{
    Batch, Digest, Edge, Finding, Next, Read, Reader, Selection, Session, Source, Splitter, Stream,
};
use syncline_engine::shell::Reopen;
use syncline_testkit::conformance::Row;
use syncline_types::{Error, Extent, Position, Predicate, Result, Split, codes};

use super::{
    source::{batch, stream},
    world::{Shared, stream_of},
};

#[derive(Clone)]
pub(crate) struct SimBack(pub(crate) Shared);

#[async_trait]
impl Reopen for SimBack {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        self.0.shake("open the target for reading")?;
        Ok(Arc::new(self.clone()))
    }
}

fn not_asked() -> Error {
    Error::new(&codes::UNSUPPORTED, "ask", "the simulated target")
}

#[async_trait]
impl Source for SimBack {
    async fn discover(&self, selection: &Selection) -> Result<Vec<Stream>> {
        match selection {
            Selection::Name(name) => Ok(vec![stream(stream_of(&name.table), true)]),
            _ => Err(not_asked()),
        }
    }

    fn evaluates(&self, _: &Stream, _: &Predicate) -> bool {
        false
    }

    async fn inspect(&self, _: &[Arc<Read>]) -> Result<Vec<Finding>> {
        Ok(vec![])
    }

    async fn begin(&self, _: &[Arc<Read>], _: usize) -> Result<Box<dyn Session>> {
        self.0.shake("begin to read the target")?;
        let world = self.0.get();
        let tables = world.target.tables.iter().map(|(name, table)| (name.clone(), table.rows.clone()));
        Ok(Box::new(BackSession { world: self.0.clone(), tables: tables.collect() }))
    }

    async fn edge(&self, _: &Stream, _: &str) -> Result<Edge> {
        Err(not_asked())
    }

    fn digest_method(&self, _: &Read) -> Option<String> {
        None
    }
}

struct BackSession {
    world: Shared,
    tables: BTreeMap<String, Vec<Row>>,
}

#[async_trait]
impl Session for BackSession {
    fn describe(&self) -> String {
        "what everybody sees".into()
    }

    async fn splitter(&self, _: &Arc<Read>, _: Option<&Split>) -> Result<Box<dyn Splitter>> {
        Err(not_asked())
    }

    async fn open(&self, read: &Arc<Read>, split: &Split, _: Option<&Position>) -> Result<Box<dyn Reader>> {
        self.world.shake("read the target")?;
        let Extent::Keys(range) = &split.extent else { return Err(not_asked()) };
        let bound = |bound: &Option<Vec<String>>| bound.as_ref().map(|key| key[0].parse::<i64>().unwrap());
        let (after, upto) = (bound(&range.after), bound(&range.upto));
        let within = |key: i64| after.is_none_or(|after| key > after) && upto.is_none_or(|upto| key <= upto);
        let rows = self.tables[&read.stream.name.table].iter().filter(|(key, _)| within(*key));
        Ok(Box::new(BackReader(Some(rows.copied().collect()))))
    }

    async fn digest(&self, _: &Arc<Read>, _: &Split) -> Result<Digest> {
        Err(not_asked())
    }
}

struct BackReader(Option<Vec<Row>>);

#[async_trait]
impl Reader for BackReader {
    async fn next(&mut self) -> Result<Next> {
        let Some(rows) = self.0.take() else { return Ok(Next::End) };
        // Nobody asks for more than the key.
        let rows = batch(&rows).project(&[0]).unwrap();
        Ok(Next::Batch(Batch { rows, bytes: 0, position: None, rejects: vec![], memory: None }))
    }

    async fn confirm(&mut self, _: &Position) -> Result<()> {
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }
}
