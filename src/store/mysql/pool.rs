//! A few sessions for everything but appends, each lent to one piece of work at a time.
//!
//! A session that has failed is not taken back; in its place a new one is made when it is needed. So a pool recovers
//! by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::fault::Fault;
use super::health::Health;
use super::session::{Access, Database, PING_INTERVAL, Session};
use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Pool {
    database: Arc<Database>,
    access: Access,
    /// One permit for each session that may exist.
    places: Semaphore,
    idle: Mutex<Vec<(Session, Instant)>>,
}

/// A session on loan. It is closed when it is not given back.
#[derive(Debug)]
pub(super) struct Lent<'p> {
    pub session: Session,
    /// It was made just now. Otherwise the server may have closed it without our knowing yet.
    pub new: bool,
    pool: &'p Pool,
    _place: SemaphorePermit<'p>,
}

impl Pool {
    /// Of so many sessions at most.
    pub fn new(database: Arc<Database>, access: Access, size: usize) -> Self {
        Self { database, access, places: Semaphore::new(size.max(1)), idle: Mutex::default() }
    }

    /// Lends a session as soon as there is one; not while the database is away.
    pub async fn lend(&self, health: &Health) -> Result<Lent<'_>, StoreError> {
        let place = self.places.acquire().await.map_err(|error| Fault::Lost(error.to_string()))?;
        health.check()?;
        while let Some((mut session, since)) = { self.idle().pop() } {
            if since.elapsed() < PING_INTERVAL || session.ping().await.is_ok() {
                return Ok(Lent { session, new: false, pool: self, _place: place });
            }
        }
        let session = self.database.connect(self.access).await?;
        Ok(Lent { session, new: true, pool: self, _place: place })
    }

    /// Lends a new session in place of one that was lost. Whatever else is idle will have been lost too.
    pub async fn replace<'p>(&'p self, lost: Lent<'p>) -> Result<Lent<'p>, Fault> {
        self.idle().clear();
        let Lent { session, _place: place, .. } = lost;
        drop(session);
        let session = self.database.connect(self.access).await?;
        Ok(Lent { session, new: true, pool: self, _place: place })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent<'_> {
    /// Gives the session back. Only when it is in no transaction, and no answer of the server is outstanding.
    pub fn give_back(self) {
        self.pool.idle().push((self.session, Instant::now()));
    }
}
