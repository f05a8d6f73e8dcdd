//! The embedded store: one SQLite file.

use std::path::Path;
use std::time::Duration;

use super::{Appended, Conversation, NewMessage, Store, StoreError, StoreFuture, SyncPage};

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Operations that may wait, appends and reads each; more are refused as [`StoreError::Overloaded`].
    pub queue_limit: usize,
    /// Messages committed together at most.
    pub max_batch: usize,
    /// How long to wait for another program (a backup, a shell) that has locked the database.
    pub busy_timeout: Duration,
    /// Threads that read.
    pub readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue_limit: 10_000, max_batch: 512, busy_timeout: Duration::from_secs(5), readers: 2 }
    }
}

/// What a [`SqliteStore`] has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqliteStats {
    /// Messages stored.
    pub appended: u64,
    /// Appends answered with a message stored before.
    pub duplicates: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Appends that failed.
    pub failed: u64,
}

/// Messages in one SQLite database file.
#[derive(Debug)]
pub struct SqliteStore {}

impl SqliteStore {
    /// Opens or creates the database file, and its directory.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let _ = (path, options);
        Err(StoreError::Unavailable("not written yet".into()))
    }

    /// Counters.
    pub fn stats(&self) -> SqliteStats {
        SqliteStats::default()
    }
}

impl Store for SqliteStore {
    fn append(&self, _: NewMessage) -> StoreFuture<Appended> {
        Box::pin(async { Err(StoreError::Unavailable("not written yet".into())) })
    }
    fn sync(&self, _: Conversation, _: u64, _: u32) -> StoreFuture<SyncPage> {
        Box::pin(async { Err(StoreError::Unavailable("not written yet".into())) })
    }
    fn close(&self) -> StoreFuture<()> {
        Box::pin(async { Ok(()) })
    }
}
