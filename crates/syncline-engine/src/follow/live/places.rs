//! How far everybody is: the streams that are followed together, those that are behind, and the target.

use syncline_types::{Position, Result};

use super::{Live, Reading};
use crate::follow::mark::FollowMark;

impl Live {
    pub(super) fn reached(&self, upto: Option<&Position>) -> Result<bool> {
        match upto {
            Some(upto) => Ok(self.log.compare(&self.reached_by_all()?, upto)?.is_ge()),
            None => Ok(false),
        }
    }

    /// Up to where everything is applied of all streams that are followed here.
    pub(super) fn reached_by_all(&self) -> Result<Position> {
        let mut least = &self.mark.position;
        for behind in self.catching_up().filter_map(|name| self.mark.behind.get(&name)) {
            if self.log.compare(&behind.position, least)?.is_lt() {
                least = &behind.position;
            }
        }
        Ok(least.clone())
    }

    /// Streams that are followed here, and are not as far as the others.
    pub(super) fn catching_up(&self) -> impl Iterator<Item = String> {
        let all = self.streams.iter().filter(|_| !self.mark.behind.is_empty());
        let names = all.map(|stream| stream.target.source.to_string());
        names.filter(|name| self.mark.behind.contains_key(name))
    }

    /// What the mark is once everything up to a position is applied, and who has caught up by it.
    pub(super) fn gone_on(&self, position: &Position, changes: u64) -> Result<(FollowMark, Vec<String>)> {
        let mut mark = FollowMark { changes, ..self.mark.clone() };
        let mut joined = vec![];
        let has_caught_up = self.log.compare(position, &self.mark.position)?.is_ge();
        for name in self.catching_up() {
            let Some(behind) = mark.behind.get_mut(&name) else { continue };
            if has_caught_up {
                mark.behind.remove(&name);
                joined.push(name);
            } else if self.log.compare(position, &behind.position)?.is_gt() {
                behind.position.clone_from(position);
            }
        }
        if has_caught_up {
            mark.position.clone_from(position);
        }
        Ok((mark, joined))
    }

    /// A stream whose copy is of a time before this position, but whose columns are not those that it was copied
    /// with: they have changed just before that. What the log has told of it was passed over, and is in no copy;
    /// neither are rows of a stream of which only a part was copied.
    pub(super) fn is_late(&self, reading: &Reading, position: &Position) -> Result<Option<usize>> {
        for (number, stream) in self.streams.iter().enumerate() {
            let name = stream.target.source.to_string();
            if let Some(since) = self.mark.since.get(&name)
                && reading.foreign[number]
                && (self.mark.parts.contains(&name) || self.log.compare(position, since)?.is_ge())
            {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Streams whose copy is of a time before this position are as the log tells of them.
    pub(super) fn passed(&mut self, position: &Position) -> Result<()> {
        for stream in &self.streams {
            let name = stream.target.source.to_string();
            if let Some(since) = self.mark.since.get(&name)
                && self.log.compare(position, since)?.is_ge()
            {
                self.mark.since.remove(&name);
                self.mark.parts.remove(&name);
            }
        }
        Ok(())
    }

    /// Whether the mark goes forward by it.
    pub(super) fn moves(&self, position: &Position) -> Result<bool> {
        Ok(self.log.compare(position, &self.reached_by_all()?)?.is_gt())
    }

    /// Whether the target may be shown as the source was at this position: never while some streams are behind.
    pub(super) fn is_steady(&self, position: &Position) -> Result<bool> {
        if self.catching_up().next().is_some() && self.log.compare(position, &self.mark.position)?.is_lt() {
            return Ok(false);
        }
        match &self.mark.steady_from {
            Some(steady) => Ok(self.log.compare(position, steady)?.is_ge()),
            None => Ok(true),
        }
    }
}
