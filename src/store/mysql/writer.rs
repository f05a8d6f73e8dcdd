//! The task that writes: takes what has arrived, stores it in one transaction, then answers.
//!
//! While a commit is under way, further messages queue up; they are the next batch. So the more load, the more messages
//! share a commit. A message that the database refuses fails alone. Conflicts with other nodes and lost connections only
//! cost time: the messages stay here, in their order, until they are stored or their time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::backoff::{Backoff, jittered};
use super::batch::{self, Append, Locking, Outcome};
use super::fault::Fault;
use super::health::Health;
use super::ids::Ids;
use super::schema;
use super::session::{Access, Database, PING_INTERVAL, Session};
use crate::store::stats::Counters;
use crate::store::{Appended, StoreError, tell};

/// How long to let the others go first after a conflict, at most.
const CONFLICT_PAUSE: Duration = Duration::from_millis(10);

/// Of a script, so much is not the messages'.
const SCRIPT_OVERHEAD: usize = 4096;

pub(super) struct Writer {
    pub database: Arc<Database>,
    pub health: Arc<Health>,
    pub counters: Arc<Counters>,
    pub queue: mpsc::Receiver<Append>,
    pub max_batch: usize,
    /// Taken from the queue and not answered yet, in the order of arrival.
    pub pending: Vec<Append>,
    pub ids: Ids,
    pub backoff: Backoff,
    /// What has kept the first of the pending messages from being stored.
    pub trouble: Option<Fault>,
}

/// What there is to do.
enum Next {
    /// Messages.
    Store,
    /// Nothing for a while.
    Idle,
    /// Nothing more.
    End,
}

/// A session for the writer, on a database whose schema is as it should be.
pub(super) async fn connect(database: &Database) -> Result<Session, Fault> {
    let mut session = database.connect(Access::Append).await?;
    schema::migrate(&mut session).await?;
    Ok(session)
}

impl Writer {
    /// Works until the queue is closed and empty. Begins with that session if there is one.
    pub async fn run(mut self, first: Option<Session>) {
        let mut session = first;
        loop {
            if session.is_none() {
                session = self.reconnect().await;
            }
            let Some(mut connected) = session.take() else { return };
            match self.serve(&mut connected).await {
                Ok(()) => return connected.close().await,
                Err(fault) => self.trouble = Some(fault),
            }
        }
    }

    /// A new session, whenever that succeeds. `None` when nothing is left to be done.
    async fn reconnect(&mut self) -> Option<Session> {
        loop {
            let next_try = Instant::now() + self.backoff.delay();
            // The queue holds what came before the outage was noticed; since then new messages are refused.
            while Instant::now() < next_try {
                let wake = self.pending.first().map_or(next_try, |append| append.deadline.min(next_try));
                match timeout_at(wake, self.queue.recv()).await {
                    Ok(Some(append)) => self.pending.push(append),
                    Ok(None) if self.pending.is_empty() => return None,
                    Ok(None) => sleep_until(wake).await,
                    Err(_) => (),
                }
                self.expire();
            }
            match connect(&self.database).await {
                Ok(session) => {
                    self.health.connected();
                    // The database may have been set back to a backup meanwhile.
                    self.ids.clear();
                    return Some(session);
                }
                Err(fault) => self.health.failed(&fault),
            }
            self.expire();
        }
    }

    /// Stores messages, until the session is of no more use (`Err`) or nothing is left to be done.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Fault> {
        let mut locking = Locking::Wait;
        // So many messages are yet to be stored each for itself, as one of them was refused.
        let mut alone: usize = 0;
        loop {
            match self.next().await {
                Next::Store => (),
                Next::Idle => {
                    session.ping().await?;
                    self.backoff = Backoff::default();
                    continue;
                }
                Next::End => return Ok(()),
            }
            let size = if alone > 0 { 1 } else { self.batch_size(session.max_statement, locking) };
            alone = alone.saturating_sub(1);
            if size == 0 {
                let text = format!("it is longer than the database takes: {} bytes", session.max_statement);
                self.fail(1, &StoreError::Invalid(text));
                continue;
            }
            match batch::store(session, &mut self.ids, &mut self.pending[..size], locking).await {
                Ok(outcomes) => {
                    (self.backoff, self.trouble) = (Backoff::default(), None);
                    self.health.refusing.stored();
                    self.answer(outcomes);
                    locking = Locking::Wait;
                }
                Err(fault @ Fault::Lost(_)) => return Err(fault),
                Err(fault @ (Fault::Conflict(_) | Fault::Duplicate(_))) => {
                    session.run("ROLLBACK").await?;
                    self.trouble = Some(fault);
                    // Somebody may keep a lock for long. In every other attempt the others need not wait for it.
                    locking = if locking == Locking::Wait { Locking::Skip } else { Locking::Wait };
                    sleep(jittered(CONFLICT_PAUSE)).await;
                }
                Err(Fault::Refused(_)) if size > 1 => {
                    session.run("ROLLBACK").await?;
                    alone = size;
                }
                Err(fault @ Fault::Refused(_)) => {
                    session.run("ROLLBACK").await?;
                    self.fail(size, &fault.into());
                }
                Err(fault) => {
                    self.health.refusing.refused(&fault);
                    self.fail(size, &fault.clone().into());
                    return Err(fault);
                }
            }
            self.expire();
        }
    }

    /// Takes what has arrived. Waits a while for it if nothing is pending.
    async fn next(&mut self) -> Next {
        if !self.pending.is_empty() {
            while self.pending.len() < 2 * self.max_batch
                && let Ok(append) = self.queue.try_recv()
            {
                self.pending.push(append);
            }
            return Next::Store;
        }
        match timeout(PING_INTERVAL, self.queue.recv_many(&mut self.pending, self.max_batch)).await {
            Ok(0) => Next::End,
            Ok(_) => Next::Store,
            Err(_) => Next::Idle,
        }
    }

    /// How many of the pending messages go into the next transaction: 0 when already the first one is too long. Where
    /// locked ones are left out, there may be twice as many.
    fn batch_size(&self, max_statement: usize, locking: Locking) -> usize {
        let limit = if locking == Locking::Wait { self.max_batch } else { 2 * self.max_batch };
        let mut room = max_statement.saturating_sub(SCRIPT_OVERHEAD);
        let fits = |append: &&Append| {
            let rest = room.checked_sub(batch::cost(&append.message));
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        self.pending.iter().take(limit).take_while(fits).count()
    }

    /// Tells whoever waits what became of the first messages. Those that were left out stay pending.
    fn answer(&mut self, outcomes: Vec<Outcome>) {
        self.count(&outcomes);
        let rest = self.pending.split_off(outcomes.len());
        let done = std::mem::take(&mut self.pending);
        for (append, outcome) in done.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done(appended) => tell(append.then, Ok(appended)),
                Outcome::Locked => self.pending.push(append),
            }
        }
        self.pending.extend(rest);
    }

    fn count(&self, outcomes: &[Outcome]) {
        let done = |outcome: &Outcome| match outcome {
            Outcome::Done(Appended { duplicate, .. }) => Some(*duplicate),
            Outcome::Locked => None,
        };
        let count = |wanted| outcomes.iter().filter(|outcome| done(outcome) == Some(wanted)).count() as u64;
        let stored = count(false);
        self.counters.appended.fetch_add(stored, Relaxed);
        self.counters.duplicates.fetch_add(count(true), Relaxed);
        self.counters.commits.fetch_add(u64::from(stored > 0), Relaxed);
    }

    /// Gives up the first messages.
    fn fail(&mut self, count: usize, error: &StoreError) {
        self.counters.failed.fetch_add(count as u64, Relaxed);
        for append in self.pending.drain(..count) {
            tell(append.then, Err(error.clone()));
        }
    }

    /// Gives up the messages whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let over = self.pending.iter().take_while(|append| append.deadline <= now).count();
        if over == 0 {
            return;
        }
        let trouble = self.trouble.as_ref().map_or_else(String::new, ToString::to_string);
        tracing::warn!(messages = over, error = trouble, "messages that had waited too long were given up");
        for _ in 0..over {
            let uncertain = self.pending.first().is_some_and(|append| append.maybe_stored);
            let stored = if uncertain { "may be stored or not" } else { "is not stored" };
            let text = format!("the database has not taken the message in time, it {stored}: {trouble}");
            self.fail(1, &StoreError::Unavailable(text));
        }
    }
}
