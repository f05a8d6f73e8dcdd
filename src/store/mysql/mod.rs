//! The store of a cluster: a MySQL or MariaDB database that all nodes share.
//!
//! Promises what [`Store`] promises, with writers on all nodes at once, and that an append that was answered is stored
//! exactly once, whatever happened to the connection meanwhile. One task writes and commits whatever has arrived
//! together; everything else runs on a few other connections.
//!
//! While the database is away the node goes on: what is asked of the store is refused at once, and what had been queued
//! before waits a while for the database. It never blocks a thread, and never creates or drops a database.

mod backoff;
mod batch;
mod fault;
mod health;
mod ids;
mod literal;
mod pool;
mod rows;
mod schema;
mod session;
mod tx;
mod writer;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use self::backoff::Backoff;
use self::batch::Append;
use self::fault::Fault;
use self::health::Health;
use self::ids::Ids;
use self::pool::Pool;
use self::session::{Access, Database};
use self::writer::Writer;
use super::sql::Work;
use super::stats::Counters;
use super::{NewMessage, OnAppended, Store, StoreError, StoreFuture, StoreStats, closed};

/// Connections for work that writes. There is little of it.
const WRITE_CONNECTIONS: usize = 4;

/// The longest `TEXT`, and the longest `MEDIUMTEXT`, in bytes.
const MAX_TEXT_BYTES: usize = (1 << 16) - 1;
const MAX_MEDIUMTEXT_BYTES: usize = (1 << 24) - 1;

/// How a [`MysqlStore`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlOptions {
    /// The database: `mysql://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: String,
    /// The name of this node, which the server shows for its connections.
    pub node: String,
    /// Operations that may wait, appends and others each; more are refused as [`StoreError::Overloaded`].
    pub queue_limit: usize,
    /// Messages committed together at most.
    pub max_batch: usize,
    /// Connections for reading at most. A few more are for writing.
    pub connections: usize,
    /// How long a queued append may wait for the database, or for the locks of other nodes, before it is given up as
    /// [`StoreError::Unavailable`]. A node that stops in the middle of a transaction keeps its locks for up to 8 s.
    pub give_up: Duration,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self {
            url: "mysql://127.0.0.1:3306/im".to_owned(),
            node: "node-1".to_owned(),
            queue_limit: 10_000,
            max_batch: 512,
            connections: 8,
            give_up: Duration::from_secs(10),
        }
    }
}

/// Messages in a MySQL or MariaDB database.
///
/// Dropping it without [`Store::close`] is safe: what is queued is still stored, by a task that then ends.
#[derive(Debug)]
pub struct MysqlStore {
    /// `None` when closed.
    open: RwLock<Option<Open>>,
    runtime: Handle,
    give_up: Duration,
    counters: Arc<Counters>,
    health: Arc<Health>,
    /// Says "no sender is left" when all tasks have ended.
    tasks: watch::Receiver<()>,
}

/// What an open store takes operations with.
#[derive(Debug)]
struct Open {
    appends: mpsc::Sender<Append>,
    others: Arc<Others>,
    alive: watch::Sender<()>,
}

/// For everything but appends.
#[derive(Debug)]
struct Others {
    reads: Pool,
    writes: Pool,
    /// A permit for each operation that may wait.
    queue: Arc<Semaphore>,
}

impl MysqlStore {
    /// Opens the database, and creates or migrates its schema. Its tasks run on the runtime that this is called on.
    ///
    /// A database that does not answer, or refuses, is no error: the store keeps trying.
    ///
    /// # Errors
    /// The URL is none, or the database was written by a newer version of this program, or is another program's.
    pub async fn open(options: MysqlOptions) -> Result<Self, StoreError> {
        let database = Arc::new(Database::new(&options.url, &options.node)?);
        let health = Arc::new(Health::default());
        let session = match writer::connect(&database).await {
            Ok(session) => {
                health.connected();
                Some(session)
            }
            Err(fault @ (Fault::Newer { .. } | Fault::Corrupt(_))) => return Err(database.refusal(fault)),
            Err(fault) => {
                health.failed(&fault);
                None
            }
        };
        let counters = Arc::new(Counters::default());
        let (alive, tasks) = watch::channel(());
        let (appends, queue) = mpsc::channel(options.queue_limit.max(1));
        let writer = Writer {
            database: Arc::clone(&database),
            health: Arc::clone(&health),
            counters: Arc::clone(&counters),
            queue,
            max_batch: options.max_batch.max(1),
            pending: Vec::new(),
            ids: Ids::default(),
            backoff: Backoff::default(),
            trouble: None,
        };
        let runtime = Handle::current();
        let until_end = alive.clone();
        runtime.spawn(async move {
            writer.run(session).await;
            drop(until_end);
        });
        let others = Arc::new(Others {
            reads: Pool::new(Arc::clone(&database), Access::Read, options.connections),
            writes: Pool::new(database, Access::Write, WRITE_CONNECTIONS),
            queue: Arc::new(Semaphore::new(options.queue_limit.clamp(1, Semaphore::MAX_PERMITS))),
        });
        let open = RwLock::new(Some(Open { appends, others, alive }));
        Ok(Self { open, runtime, give_up: options.give_up, counters, health, tasks })
    }

    /// Whether the database was there when it was last asked, at most some seconds ago.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// How often the connection for appends had to be replaced.
    pub fn reconnects(&self) -> u64 {
        self.health.reconnects()
    }

    /// A place in the queue, for a message that may have it.
    fn place(&self, message: &NewMessage) -> Result<mpsc::OwnedPermit<Append>, StoreError> {
        message.validate()?;
        check_lengths(message)?;
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().ok_or_else(closed)?;
        self.health.check()?;
        open.appends.clone().try_reserve_owned().map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }

    /// Starts work, unless too much is under way.
    fn start<F>(
        &self,
        work: impl FnOnce(Arc<Others>, Arc<Health>) -> F,
    ) -> Result<JoinHandle<F::Output>, StoreError>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Open { others, alive, .. } = open.as_ref().ok_or_else(closed)?;
        self.health.check()?;
        let permit = Arc::clone(&others.queue).try_acquire_owned().map_err(|_| StoreError::Overloaded)?;
        let until_end = (permit, alive.clone());
        let work = work(Arc::clone(others), Arc::clone(&self.health));
        Ok(self.runtime.spawn(async move {
            let result = work.await;
            drop(until_end);
            result
        }))
    }

    fn run<F>(&self, work: impl FnOnce(Arc<Others>, Arc<Health>) -> F) -> StoreFuture<()>
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        let started = self.start(work);
        Box::pin(async move {
            started?.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a transaction was given up");
                Err(StoreError::Unavailable(format!("the transaction was given up: {error}")))
            })
        })
    }
}

impl Store for MysqlStore {
    fn append_then(&self, message: NewMessage, then: OnAppended) {
        match self.place(&message) {
            Ok(place) => {
                let (message_id, deadline) = (Uuid::now_v7(), Instant::now() + self.give_up);
                place.send(Append { message, message_id, maybe_stored: false, deadline, then });
            }
            Err(error) => then(Err(error)),
        }
    }

    fn read(&self, work: Work) -> StoreFuture<()> {
        self.run(|others, health| async move { tx::read(&others.reads, &health, &work).await })
    }

    fn write(&self, work: Work) -> StoreFuture<()> {
        self.run(|others, health| async move { tx::write(&others.writes, &health, &work).await })
    }

    fn takes_messages(&self) -> bool {
        !self.health.refusing.is_refusing()
    }

    fn stats(&self) -> StoreStats {
        self.counters.stats()
    }

    fn close(&self) -> StoreFuture<()> {
        // Without a sender the writer finishes its queue and ends.
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
        let mut tasks = self.tasks.clone();
        Box::pin(async move {
            while tasks.changed().await.is_ok() {}
            Ok(())
        })
    }
}

/// What the columns take. It is checked here, as a row that is refused spoils its batch.
fn check_lengths(message: &NewMessage) -> Result<(), StoreError> {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    for (name, bytes, limit) in [
        ("content", message.content.len(), MAX_MEDIUMTEXT_BYTES),
        ("file URL", optional(&message.file_url), MAX_TEXT_BYTES),
        ("file name", optional(&message.file_name), MAX_TEXT_BYTES),
        ("name of the message replied to", optional(&message.reply_to_message_id), MAX_TEXT_BYTES),
    ] {
        if bytes > limit {
            return Err(StoreError::Invalid(format!("its {name} has {bytes} bytes, allowed are {limit}")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "../../../tests/support/mysql.rs"]
mod server;

#[cfg(test)]
mod tests {
    use super::server::MysqlServer;
    use super::*;

    async fn open() -> (MysqlStore, ()) {
        let server = MysqlServer::shared();
        let url = server.url(&server.database().await);
        (MysqlStore::open(MysqlOptions { url, ..MysqlOptions::default() }).await.unwrap(), ())
    }

    crate::store::contract::contract_tests!(open().await);
}
