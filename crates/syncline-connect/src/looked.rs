//! A batch of changes under construction, for readers that look at tables in which triggers record changes.

use syncline_types::Position;

use crate::{Changes, LogBatch, Logged, Memory, Origin, Reservation};

/// A batch ends after so many rows or bytes, whichever comes first.
const ROWS_MAX: usize = 8_192;
const BYTES_MAX: u64 = 1 << 20;

/// What a look has found, all of one origin, that was not given out yet.
#[derive(Debug, Default)]
pub struct LookedBatch {
    /// One for each stream, or more where that had parts.
    pub changes: Vec<Changes>,
    /// What they have come through.
    pub origin: Origin,
    /// When the last of them was made, in microseconds since 1970.
    pub micros: Option<i64>,
    memory: Option<Reservation>,
    reserved: u64,
    rows: usize,
    bytes: u64,
}

impl LookedBatch {
    /// Whether a row of so many bytes goes into it. An empty one takes any.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.memory.is_none() || self.rows < ROWS_MAX && self.bytes + bytes <= self.reserved
    }

    /// Waits until there is memory for what it is to hold, of which one row has so many bytes.
    pub async fn reserve(&mut self, memory: &Memory, bytes: u64) {
        if self.memory.is_none() {
            self.reserved = bytes.max(BYTES_MAX);
            self.memory = Some(memory.reserve(self.reserved).await);
        }
    }

    /// Counts a row.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.rows += 1;
    }

    /// What there is, as a part of the look, of which more of the same origin follows.
    pub fn take_part(&mut self) -> Logged {
        let rest = LookedBatch { micros: self.micros, origin: self.origin.clone(), ..LookedBatch::default() };
        std::mem::replace(self, rest).finish(None)
    }

    /// What there is; with a position, it is the last of a look.
    pub fn finish(mut self, position: Option<Position>) -> Logged {
        if let Some(memory) = &mut self.memory {
            memory.shrink_to(self.bytes);
        }
        Logged::Changes(LogBatch {
            changes: self.changes,
            origin: self.origin,
            transactions: u64::from(position.is_some()),
            position,
            committed_micros: self.micros,
            bytes: self.bytes,
            memory: self.memory,
        })
    }
}
