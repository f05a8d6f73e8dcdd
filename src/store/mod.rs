//! The message store: where an accepted message becomes durable and gets its place in its conversation.
//!
//! [`Store`] is the boundary that the layers above know; [`SqliteStore`] is the embedded implementation, [`MysqlStore`]
//! the one that a cluster shares.
//! Every implementation promises, and passes the contract suite in `contract` to show it:
//!
//! - An append that resolved `Ok` is committed and synced to disk: it survives `kill -9` and power loss.
//! - `seq` starts at 1 in each conversation and grows by exactly 1, whoever appends concurrently.
//! - The same sender and `client_message_id` never store twice.
//!
//! Appending is the hot path, and each database has its own way of it. Everything else is functions on a transaction
//! ([`sql::Tx`]), written once for all databases: [`messages`], [`read_positions`], [`conversations`],
//! [`groups`], [`friends`], [`blocks`], [`users`]. They run in [`StoreExt::reading`] and
//! [`StoreExt::writing`], several in one transaction if need be.
//!
//! A store never pushes anything to anyone.

pub mod blocks;
#[cfg(test)]
mod contract;
pub mod conversations;
pub mod friends;
pub mod groups;
mod message;
pub mod messages;
mod mysql;
pub mod read_positions;
mod refused;
mod refusing;
pub mod sql;
mod sqlite;
mod stats;
mod tables;
pub mod users;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use self::sql::{SqlFuture, Tx, Work};

pub use crate::ids::MAX_ID;
pub use crate::timestamp::{ParseTimestampError, Timestamp};
pub use message::{
    Appended, Conversation, HistoryPage, MAX_CLIENT_MESSAGE_ID_BYTES, Message, MessageKey, MessageType,
    NewMessage, ParseConversationError, ParseMessageKeyError, SyncPage, Target, UnknownMessageType,
};
pub use mysql::{MysqlOptions, MysqlStore};
pub use refused::Refused;
pub use sqlite::{SqliteOptions, SqliteStore};
pub use stats::StoreStats;

/// What a store operation returns: boxed, so that [`Store`] works as `Arc<dyn Store>`.
///
/// The operation is queued when the method is called, not at the first poll. Dropping the future abandons
/// the answer, not the operation.
pub type StoreFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Who is told what became of an append.
pub type OnAppended = Box<dyn FnOnce(Result<Appended, StoreError>) + Send>;

/// Tells what became of an append. Whatever goes wrong in there is not to end a writer.
fn tell(then: OnAppended, appended: Result<Appended, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| then(appended))).is_err() {
        tracing::error!("what follows an append has panicked");
    }
}

/// The most messages that one query returns, whatever limit it is asked for.
pub const MAX_SYNC_LIMIT: u32 = 1000;

/// Durable storage of messages, in conversations, and of all that belongs to them. The methods may be called from any
/// thread. [`StoreExt`] makes it comfortable.
pub trait Store: Send + Sync + 'static {
    /// Stores a message as the next of its conversation.
    ///
    /// Durable when the future resolves `Ok`: committed and synced. Messages appended to one store from one
    /// thread take their `seq` in the order of the calls. After an error the message is normally not stored,
    /// but a failing disk or a dying process can leave it stored without an answer: repeat it with the same
    /// `client_message_id`, which is always safe.
    fn append(&self, message: NewMessage) -> StoreFuture<Appended> {
        let (tell, told) = oneshot::channel();
        // Who does not wait any more does not want to know.
        self.append_then(message, Box::new(move |appended| drop(tell.send(appended))));
        Box::pin(async move { told.await.unwrap_or_else(|_| Err(closed())) })
    }

    /// As [`Store::append`], and tells `then` the outcome. Calls for messages that are committed come one at a time and,
    /// within a conversation, in the order of `seq`, so what they pass on is passed on in that order. They must not
    /// block: the next commit waits for them.
    fn append_then(&self, message: NewMessage, then: OnAppended);

    /// Runs work that only reads, in a transaction. It sees everything that was answered before the call, and may
    /// run beside whatever is being written. Work that writes fails.
    fn read(&self, work: Work) -> StoreFuture<()>;

    /// Runs work in a transaction, which is then committed, and as durable as a message. When the work gives an error,
    /// nothing of it is stored and the error is the answer. It must not add messages or conversations: that is
    /// [`Store::append`]'s alone.
    ///
    /// Writes and appends of one thread take effect in the order of the calls on SQLite; elsewhere, what is to follow
    /// must wait for what it follows.
    fn write(&self, work: Work) -> StoreFuture<()>;

    /// Whether the last messages were stored, as far as is known: `false` while the database is there and takes none.
    fn takes_messages(&self) -> bool;

    /// What the store has done so far. Counts of one append become visible before its answer.
    fn stats(&self) -> StoreStats;

    /// Finishes what is queued, then releases the storage. Later calls fail with
    /// [`StoreError::Unavailable`]; closing twice is fine.
    fn close(&self) -> StoreFuture<()>;
}

/// Transactions with results, on every [`Store`].
///
/// ```no_run
/// # use tokio_socketio::store::{messages, MessageKey, Store, StoreError, StoreExt};
/// # async fn example(store: &dyn Store) -> Result<(), StoreError> {
/// let last = store
///     .reading(|tx| {
///         Box::pin(async move {
///             let id = messages::last_id(tx).await?;
///             messages::get(tx, MessageKey::Id(id)).await
///         })
///     })
///     .await?;
/// # Ok(()) }
/// ```
pub trait StoreExt: Store {
    /// [`Store::read`], with a result.
    fn reading<T, F>(&self, work: F) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, T> + Send + Sync + 'static,
    {
        carry(work, |work| self.read(work))
    }

    /// [`Store::write`], with a result.
    fn writing<T, F>(&self, work: F) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, T> + Send + Sync + 'static,
    {
        carry(work, |work| self.write(work))
    }

    /// [`messages::sync`] in a transaction of its own.
    fn sync(&self, conversation: Conversation, after_seq: u64, limit: u32) -> StoreFuture<SyncPage> {
        self.reading(move |tx| Box::pin(messages::sync(tx, conversation, after_seq, limit)))
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

/// Carries the result of work out of the transaction.
fn carry<T, F>(work: F, run: impl FnOnce(Work) -> StoreFuture<()>) -> StoreFuture<T>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut dyn Tx) -> SqlFuture<'t, T> + Send + Sync + 'static,
{
    let carried = Arc::new(Mutex::new(None));
    let carrier = Arc::clone(&carried);
    let done = run(Box::new(move |tx| {
        let (result, carrier) = (work(tx), Arc::clone(&carrier));
        Box::pin(async move {
            let result = result.await?;
            *carrier.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            Ok(())
        })
    }));
    Box::pin(async move {
        done.await?;
        let result = carried.lock().unwrap_or_else(PoisonError::into_inner).take();
        result
            .ok_or_else(|| StoreError::Unavailable("a transaction was committed without a result".to_owned()))
    })
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

/// Why a store operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The storage does not work now: closed, disk full, I/O error. Repeating later may help.
    #[error("the message store is unavailable: {0}")]
    Unavailable(String),
    /// The bounded queue is full. Nothing was stored; repeat after a while.
    #[error("the message store is overloaded: its queue is full")]
    Overloaded,
    /// The message breaks a rule of the store (an id out of range, …). Repeating does not help.
    #[error("the message cannot be stored: {0}")]
    Invalid(String),
    /// A row with the same unique key exists. Repeating does not help.
    #[error("there is such a row already: {0}")]
    Conflict(String),
    /// A rule forbids it. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The stored data is damaged or not what this program wrote.
    #[error("the message store is corrupt: {0}")]
    Corrupt(String),
    /// Another process (or another store in this one) works on the same data directory.
    #[error(
        "the data directory is in use by {holder}: {} is locked. Stop that process, or give this node its own \
         directory with --data DIR",
        lock_file.display()
    )]
    InUse {
        /// The file whose lock is held.
        lock_file: PathBuf,
        /// Who holds it, as far as the file tells.
        holder: String,
    },
    /// The database was written by a newer version of this program. It was left untouched.
    #[error(
        "{database} has schema version {found}, and this program knows versions up to {known}: it was written by a \
         newer tokio-socketio. Start that version, or give this node another database"
    )]
    Newer {
        /// The database: its file, or its address and name.
        database: String,
        /// Its schema version.
        found: u32,
        /// The newest schema version that this program knows.
        known: u32,
    },
}

impl StoreError {
    /// The machine-readable code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::InUse { .. } | Self::Newer { .. } => "store_unavailable",
            Self::Overloaded => "store_overloaded",
            Self::Invalid(_) => "invalid_message",
            Self::Refused(refused) => refused.code(),
            Self::Conflict(_) => "conflict",
            Self::Corrupt(_) => "store_corrupt",
        }
    }
}
