//! Memory bounded by bytes: rows are read only while there is room for them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One unit of the semaphore, whose permits are counted in 32 bits.
const UNIT_BYTES: u64 = 1024;

/// The bytes that batches may hold between being read and being written, for a whole process.
#[derive(Clone, Debug)]
pub struct Memory {
    semaphore: Arc<Semaphore>,
    units: u32,
}

/// Bytes that are taken; given back when it is dropped.
#[derive(Debug)]
pub struct Reservation(OwnedSemaphorePermit);

impl Memory {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let units = units(bytes);
        Memory { semaphore: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits until `bytes` are free. More than the whole budget waits for the whole budget, so that
    /// one row larger than it still passes, alone.
    ///
    /// A reader that already holds a part of a batch must not wait for more: all could hold a part
    /// and none go on. It calls [`Memory::try_reserve`] and ends its batch when there is no room.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        let permit = Arc::clone(&self.semaphore).acquire_many_owned(units(bytes).min(self.units)).await;
        Reservation(permit.expect("the semaphore is never closed"))
    }

    /// Takes `bytes` if they are free now.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        Arc::clone(&self.semaphore).try_acquire_many_owned(units(bytes)).ok().map(Reservation)
    }

    /// Bytes free now.
    pub fn free_bytes(&self) -> u64 {
        self.semaphore.available_permits() as u64 * UNIT_BYTES
    }
}

impl Reservation {
    /// Joins two reservations of one budget.
    pub fn merge(&mut self, other: Reservation) {
        self.0.merge(other.0);
    }

    /// Gives back what it has beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(surplus));
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_larger_than_the_budget_passes_alone() {
        let memory = Memory::new(10_240);
        let all = memory.reserve(1 << 40).await;
        assert!(memory.try_reserve(1).is_none());
        drop(all);
        let mut part = memory.try_reserve(4_096).expect("the budget is free");
        part.merge(memory.try_reserve(4_096).expect("there is room for both"));
        assert_eq!(memory.free_bytes(), 2_048);
        part.shrink_to(1 << 40);
        part.shrink_to(3_500);
        assert_eq!(memory.free_bytes(), 6_144);
        drop(part);
        assert_eq!(memory.free_bytes(), 10_240);
    }
}
