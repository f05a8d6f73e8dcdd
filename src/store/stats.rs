//! What a store has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a store has done since it was opened. Counts of one append become visible before its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Messages stored.
    pub appended: u64,
    /// Appends answered with a message stored before.
    pub duplicates: u64,
    /// Transactions committed that stored a message.
    pub commits: u64,
    /// Appends that failed after they were queued.
    pub failed: u64,
}

/// The numbers as they grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub appended: AtomicU64,
    pub duplicates: AtomicU64,
    pub commits: AtomicU64,
    pub failed: AtomicU64,
}

impl Counters {
    /// The numbers now.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            appended: self.appended.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            commits: self.commits.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }
}
