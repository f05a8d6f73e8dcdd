//! The embedded store: one SQLite file in write-ahead-log mode, one thread that writes and a few that read.
//!
//! Promises what [`Store`] promises; `synchronous = FULL` syncs the log at every commit. Both queues are bounded:
//! what does not fit is refused at once. Never used by two processes: the directory is locked.

mod errors;
mod lock;
#[cfg(test)]
mod plans;
mod reader;
mod schema;
mod tx;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use self::errors::store_error;
use self::lock::DirectoryLock;
use self::reader::{Read, Reader};
use self::writer::{Job, Writer};
use super::refusing::Refusing;
use super::sql::Work;
use super::stats::Counters;
use super::{NewMessage, OnAppended, Store, StoreError, StoreFuture, StoreStats, closed};

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Operations that may wait, writing and reading ones each; more are refused as [`StoreError::Overloaded`].
    pub queue_limit: usize,
    /// Messages and other writes committed together at most.
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

/// Messages in one SQLite database file.
///
/// Dropping it without [`Store::close`] is safe: what is queued is still stored, by threads that then end.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` when closed.
    queues: RwLock<Option<Queues>>,
    counters: Arc<Counters>,
    refusing: Arc<Refusing>,
    /// Says "no sender is left" when all threads have ended.
    threads: watch::Receiver<()>,
}

#[derive(Debug)]
struct Queues {
    writes: mpsc::Sender<Job>,
    reads: mpsc::Sender<Read>,
}

impl SqliteStore {
    /// Opens or creates the database file, and its directory. Blocks for as long as that takes.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let lock = Arc::new(DirectoryLock::acquire(directory)?);
        let connect = |flags, settings| connect(path, flags, &options, settings);
        let mut connection =
            connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, WRITER_SETTINGS)?;
        schema::migrate(&mut connection, path).map_err(|error| at(path, error))?;

        let (alive, threads) = watch::channel(());
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let until_end = (Arc::clone(&lock), alive.clone());
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    work();
                    drop(until_end);
                })
                .map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))
        };

        let (writes, queue) = mpsc::channel(options.queue_limit.max(1));
        let (counters, refusing) = (Arc::new(Counters::default()), Arc::new(Refusing::default()));
        let max_batch = options.max_batch.max(1);
        let (its_counters, its_refusing) = (Arc::clone(&counters), Arc::clone(&refusing));
        let writer = Writer { connection, queue, max_batch, counters: its_counters, refusing: its_refusing };
        spawn("store-writer", Box::new(move || writer.run()))?;

        let (reads, queue) = mpsc::channel(options.queue_limit.max(1));
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..options.readers.max(1) {
            let connection = connect(OpenFlags::SQLITE_OPEN_READ_ONLY, READER_SETTINGS)?;
            let reader = Reader { connection, queue: Arc::clone(&queue) };
            spawn("store-reader", Box::new(move || reader.run()))?;
        }
        Ok(Self { queues: RwLock::new(Some(Queues { writes, reads })), counters, refusing, threads })
    }

    /// Queues what `make` makes of the reply's sender, and waits for the reply.
    fn ask<J: Send + 'static, T: Send + 'static>(
        &self,
        queue: impl FnOnce(&Queues) -> &mpsc::Sender<J>,
        make: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> J,
    ) -> StoreFuture<T> {
        let (reply, answer) = oneshot::channel();
        let queued = self.enqueue(queue, make(reply)).map_err(|(error, _)| error);
        Box::pin(async move {
            queued?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    /// Queues a job. One that is not taken is given back.
    fn enqueue<J>(
        &self,
        queue: impl FnOnce(&Queues) -> &mpsc::Sender<J>,
        job: J,
    ) -> Result<(), (StoreError, J)> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let Some(queues) = queues.as_ref() else { return Err((closed(), job)) };
        queue(queues).try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(job) => (StoreError::Overloaded, job),
            mpsc::error::TrySendError::Closed(job) => (closed(), job),
        })
    }
}

impl Store for SqliteStore {
    fn append_then(&self, message: NewMessage, then: OnAppended) {
        if let Err(error) = message.validate() {
            return then(Err(error));
        }
        let queued = self.enqueue(|queues| &queues.writes, Job::Append { message, then });
        if let Err((error, Job::Append { then, .. })) = queued {
            then(Err(error));
        }
    }

    fn read(&self, work: Work) -> StoreFuture<()> {
        self.ask(|queues| &queues.reads, |reply| Read { work, reply })
    }

    fn write(&self, work: Work) -> StoreFuture<()> {
        self.ask(|queues| &queues.writes, |reply| Job::Write { work, reply })
    }

    fn takes_messages(&self) -> bool {
        !self.refusing.is_refusing()
    }

    fn stats(&self) -> StoreStats {
        self.counters.stats()
    }

    fn close(&self) -> StoreFuture<()> {
        // Without a sender the threads finish their queues and end.
        drop(self.queues.write().unwrap_or_else(PoisonError::into_inner).take());
        let mut threads = self.threads.clone();
        Box::pin(async move {
            while threads.changed().await.is_ok() {}
            Ok(())
        })
    }
}

/// FULL syncs the log at each commit; fullfsync is for macOS, where a plain sync stops at the disk's cache.
const WRITER_SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA foreign_keys = ON;
    PRAGMA cache_size = -16384;            -- KiB
    PRAGMA journal_size_limit = 67108864;  -- bytes of the log that are kept after a burst
";
const READER_SETTINGS: &str = "PRAGMA cache_size = -8192;";

fn connect(
    path: &Path,
    flags: OpenFlags,
    options: &SqliteOptions,
    settings: &str,
) -> Result<Connection, StoreError> {
    // Each connection stays on one thread at a time, so SQLite needs no mutex for it.
    let open = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(options.busy_timeout)?;
        connection.execute_batch(settings)?;
        connection.set_prepared_statement_cache_capacity(tx::PREPARED_STATEMENTS);
        Ok(connection)
    };
    open().map_err(|error| at(path, store_error(error)))
}

/// Names the file in an error of opening it.
fn at(path: &Path, error: StoreError) -> StoreError {
    let path = path.display();
    match error {
        StoreError::Corrupt(text) => StoreError::Corrupt(format!("{path}: {text}")),
        StoreError::Unavailable(text) => StoreError::Unavailable(format!("{path}: {text}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (SqliteStore, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("store.db"), SqliteOptions::default()).unwrap();
        (store, directory)
    }

    crate::store::contract::contract_tests!(open());
}
