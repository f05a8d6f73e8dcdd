//! Users' ties, read from the store for many at once: when all clients of a node that has died come to this one, each needs
//! its user's ties, and a query for each would keep them waiting. Who asks while others are being read for is read for
//! with all that ask meanwhile; who is alone is read for at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::roster::Ties;
use crate::store::{Store, StoreError, StoreExt as _, blocks, groups};

/// Users that are read for at once.
const BATCH: usize = 512;
/// Batches that are read at a time.
const AT_A_TIME: usize = 2;

/// The reader.
pub struct TieReader {
    store: Arc<dyn Store>,
    runtime: Handle,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    asked: Vec<Asked>,
    reading: usize,
}

struct Asked {
    user: u64,
    answer: oneshot::Sender<Result<Ties, StoreError>>,
}

impl TieReader {
    /// Reads from a store, on a runtime.
    pub fn new(store: Arc<dyn Store>, runtime: Handle) -> Arc<Self> {
        Arc::new(TieReader { store, runtime, queue: Mutex::default() })
    }

    /// A user's ties, as the store has them now or a moment later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read(self: &Arc<Self>, user: u64) -> Result<Ties, StoreError> {
        let (answer, answered) = oneshot::channel();
        let must_begin = {
            let mut queue = self.lock();
            queue.asked.push(Asked { user, answer });
            let must_begin = queue.reading < AT_A_TIME;
            queue.reading += usize::from(must_begin);
            must_begin
        };
        if must_begin {
            self.runtime.spawn(self.clone().read_asked());
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the node is stopping".to_owned())))
    }

    /// The ties of users, each in the map.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read_all(&self, users: Vec<u64>) -> Result<HashMap<u64, Ties>, StoreError> {
        self.store
            .reading(move |tx| {
                let users = users.clone();
                Box::pin(async move {
                    let mut ties: HashMap<_, Ties> =
                        users.iter().map(|user| (*user, Ties::default())).collect();
                    for (user, group) in groups::of_users(tx, users.clone()).await? {
                        ties.entry(user).or_default().groups.insert(group);
                    }
                    for (user, blocker) in blocks::blockers_of(tx, users).await? {
                        ties.entry(user).or_default().blocked_by.insert(blocker);
                    }
                    Ok(ties)
                })
            })
            .await
    }

    /// Reads for those who have asked, until nobody has.
    async fn read_asked(self: Arc<Self>) {
        while let Some(batch) = self.next() {
            let found = self.read_all(batch.iter().map(|asked| asked.user).collect()).await;
            for Asked { user, answer } in batch {
                let ties = found.as_ref().map(|found| found.get(&user).cloned().unwrap_or_default());
                // Who has gone meanwhile needs no answer.
                let _ = answer.send(ties.map_err(Clone::clone));
            }
        }
    }

    /// Those who have waited longest; `None`, and this reading is over.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut queue = self.lock();
        if queue.asked.is_empty() {
            queue.reading -= 1;
            return None;
        }
        let count = queue.asked.len().min(BATCH);
        Some(queue.asked.drain(..count).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SqliteOptions, SqliteStore, Timestamp};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everybody_who_asks_is_given_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
        let block = |by: u64, user: u64| {
            store.writing(move |tx| Box::pin(blocks::block(tx, by, user, Timestamp::from_unix_ms(0))))
        };
        for user in (10..2000).step_by(100) {
            block(user + 1, user).await.unwrap();
        }
        let reader = TieReader::new(store.clone(), Handle::current());
        let readings: Vec<_> = (1..2000).map(|user| (user, tokio::spawn(read(&reader, user)))).collect();
        for (user, reading) in readings {
            let blockers = reading.await.unwrap().unwrap().blocked_by;
            let is_blocked = user % 100 == 10;
            assert_eq!(blockers.into_iter().collect::<Vec<_>>(), vec![user + 1; usize::from(is_blocked)]);
        }
        store.close().await.unwrap();
        assert!(reader.read(1).await.is_err());
    }

    fn read(reader: &Arc<TieReader>, user: u64) -> impl Future<Output = Result<Ties, StoreError>> + use<> {
        let reader = reader.clone();
        async move { reader.read(user).await }
    }
}
