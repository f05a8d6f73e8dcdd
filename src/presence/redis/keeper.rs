//! The task that keeps a node's lease and users in Redis, and looks for those whom it watches.
//!
//! It does one thing at a time over one connection, so what it has written is in order, and it always knows what that is,
//! or that it does not know. The lease comes first, then what has changed, then questions, in
//! portions, so that nothing of that keeps the lease waiting. Whatever fails ends the connection; then all begins with a tick again.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult};

use super::announcement::Announcement;
use super::ledger::Ledger;
use super::roster::Roster;
use super::scripts::{About, Lease, Outcome, Renewal, Tick, Written};
use super::{CHANNEL, Shared, USERS_PER_LOOK};
use crate::bus::redis::keys::Connection;
use crate::presence::PresenceError;
use crate::presence::desk::{News, State, wait};
use crate::presence::watches::Seen;
use crate::store::Timestamp;

/// Users that are written at once at most.
const USERS_PER_BATCH: usize = 1000;
/// The first pause between two attempts to connect; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// Name of this process, as different from others under the same node's name.
    run: String,
    connection: Option<Connection>,
    /// When to try to connect, if there is no connection.
    retry_at: Instant,
    pause: Duration,
    attempts: usize,
    /// Failing, and the log knows.
    failing: bool,
    /// The epoch of the lease; 0 before the first.
    epoch: u64,
    /// The one before; 0 before the second.
    former: u64,
    /// When the lease runs out, at the earliest.
    lapse: Instant,
    tick_at: Instant,
    ledger: Ledger,
    /// A write failed, so what is written may not be what the ledger says.
    unsure: bool,
    write_at: Instant,
    /// Redis is there and takes no users, and the log knows: not to be asked again before this.
    refused_until: Option<Instant>,
    /// The users are being written under a new epoch.
    restoring: Option<Restoring>,
    roster: Roster,
    /// Others must be told to look at everybody, and to wait so long with those whom they don't find.
    owed: Option<Duration>,
    replaced: bool,
}

/// Why users are written anew.
struct Restoring {
    /// The node had been given up.
    given_up: bool,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        // Without randomness the time must do.
        let run = getrandom::u64().unwrap_or_else(|_| Timestamp::now().unix_ms().unsigned_abs());
        Self {
            shared,
            run: format!("{run:016x}"),
            connection: None,
            retry_at: now,
            pause: FIRST_PAUSE,
            attempts: 0,
            failing: false,
            epoch: 0,
            former: 0,
            lapse: now,
            tick_at: now,
            ledger: Ledger::default(),
            unsure: false,
            write_at: now,
            refused_until: None,
            restoring: None,
            roster: Roster::default(),
            owed: None,
            replaced: false,
        }
    }

    /// Runs until the presence is released or dropped.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.desk.is_closed() {
            if !self.replaced
                && let Err(error) = self.step().await
            {
                self.lose(&error);
            }
            wait(&shared.desk.keeper, self.poll_timeout()).await;
        }
        let result = if shared.releasing.load(SeqCst) { self.release().await } else { Ok(()) };
        shared.set_connection(None);
        shared.up.send_replace(false);
        shared.over.send_replace(Some(result));
    }

    /// When there is something to do; `None` if never unless woken.
    fn poll_timeout(&self) -> Option<Instant> {
        if self.replaced {
            return None;
        }
        if self.connection.is_none() {
            return Some(self.retry_at);
        }
        let state = self.shared.desk.state();
        let refused_until = self.refused_until.unwrap_or(self.write_at);
        let is_due = !state.changed.is_empty() || self.restoring.is_some();
        let write_at = is_due.then_some(self.write_at.max(refused_until));
        let times = [Some(self.tick_at), self.roster.poll_timeout(), state.watches.poll_timeout(), write_at];
        times.into_iter().flatten().min()
    }

    /// Does a portion of everything that is due.
    async fn step(&mut self) -> RedisResult<()> {
        let Some(mut connection) = self.connect().await? else { return Ok(()) };
        if self.shared.bus_restored.swap(false, SeqCst) {
            self.owe(Duration::ZERO);
        }
        let tick_at = self.roster.poll_timeout().map_or(self.tick_at, |lapse| lapse.min(self.tick_at));
        if tick_at <= Instant::now() {
            self.tick(&mut connection).await?;
        }
        if !self.replaced {
            self.write(&mut connection).await?;
            self.look(&mut connection).await?;
            self.pay();
        }
        Ok(())
    }

    async fn connect(&mut self) -> RedisResult<Option<Connection>> {
        if self.connection.is_none() && self.retry_at <= Instant::now() {
            self.attempts = self.attempts.wrapping_add(1);
            let Shared { target, options, .. } = &*self.shared;
            self.connection = Some(Connection::open(target, options.timeout, self.attempts).await?);
            // The lease first: what else is due depends on it.
            self.tick_at = Instant::now();
        }
        Ok(self.connection.clone())
    }

    fn lose(&mut self, error: &RedisError) {
        self.connection = None;
        self.shared.set_connection(None);
        self.shared.up.send_replace(false);
        if !self.failing {
            self.failing = true;
            self.shared.counters.outages.fetch_add(1, Relaxed);
            tracing::warn!(%error, "presence has lost Redis: it goes on with this node's users, and tries again");
        }
        let now = Instant::now();
        self.retry_at = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let patience = self.shared.options.lease;
        self.shared.desk.keep(|State { users, watches, .. }| {
            watches.handle_blindness(now, patience, |user| users.get(user).is_some());
        });
    }

    /// Renews the lease, and sees who is there.
    async fn tick(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let load = shared.desk.state().load;
        let about = About { socketio: options.socketio.clone(), http: options.http.clone(), load };
        let renewal = Renewal {
            node: &options.node_id,
            run: &self.run,
            epoch: self.epoch,
            former: self.former,
            written: (!self.unsure).then_some(self.ledger.len()),
            lease: options.lease,
            about: &about,
        };
        let begun = Instant::now();
        let Tick { outcome, epoch, removed, others } = shared.scripts.tick(connection, renewal).await?;
        let lapsed = self.lapse <= begun;
        (self.tick_at, self.lapse) = (begun + options.renewal, begun + options.lease);
        let outcome = match outcome {
            // A tick that took a new lease after this one had run out was never answered.
            Outcome::Unsure if lapsed => Outcome::Lost,
            outcome => outcome,
        };
        if self.failing || outcome == Outcome::Lost {
            // If Redis was away for all, or has lost everything, others are about to put their users back, too.
            shared.desk.keep(|state| {
                state.watches.hold_until(begun + options.lease);
                state.watches.look_at_all(begun);
            });
        }

        let node = &options.node_id;
        match outcome {
            Outcome::Kept => (),
            Outcome::Replaced => {
                tracing::error!(node, "another process has taken this node's name and lease");
                self.replaced = true;
                shared.up.send_replace(false);
                shared.desk.keep(|state| state.news.push_back(News::Replaced));
            }
            _ => self.begin_epoch(epoch, outcome),
        }
        for dead in &removed {
            tracing::warn!(node = dead, "a node's lease has run out: removed it with its users");
        }
        shared.counters.reaped.fetch_add(removed.len() as u64, Relaxed);
        if !removed.is_empty() {
            self.owe(Duration::ZERO);
        }
        self.see(&others, !removed.is_empty());
        if !self.replaced {
            self.pause = FIRST_PAUSE;
            if std::mem::take(&mut self.failing) {
                tracing::info!("presence has Redis again");
            }
            shared.set_connection(Some(connection.clone()));
            shared.up.send_replace(true);
        }
        Ok(())
    }

    /// A new lease: nothing is written under its epoch yet.
    fn begin_epoch(&mut self, epoch: u64, outcome: Outcome) {
        let shared = Arc::clone(&self.shared);
        let Shared { options, desk, counters, .. } = &*shared;
        let (node, given_up) = (&options.node_id, outcome == Outcome::Lost);
        match outcome {
            Outcome::Lost => {
                tracing::warn!(node, epoch, "this node had been given up: it puts its users back")
            }
            Outcome::Unsure => tracing::info!(node, epoch, "presence writes this node's users anew"),
            _ => tracing::info!(node, epoch, "presence has a lease"),
        }
        counters.epochs.fetch_add(1, Relaxed);
        self.former = std::mem::replace(&mut self.epoch, epoch);
        self.unsure = false;
        self.ledger.clear();
        let given_up = given_up || self.restoring.take().is_some_and(|restoring| restoring.given_up);
        self.restoring = Some(Restoring { given_up });
        // Users of the process before this one are likely on their way here.
        self.owe(if outcome == Outcome::Succeeded { options.grace } else { Duration::ZERO });
        let at = Timestamp::now();
        desk.keep(|state| state.changed = state.users.after(None).map(|user| (user, at)).collect());
    }

    /// Draws the conclusions from who is there.
    fn see(&mut self, others: &[Lease], reaped: bool) {
        let now = Instant::now();
        let news = self.roster.update(others, now);
        for node in &news.came {
            tracing::info!(node, "a node is there");
        }
        for node in &news.left {
            tracing::info!(node, "a node has left, or begun anew");
        }
        for node in &news.died {
            tracing::info!(node, "a node is gone: its lease has run out");
        }
        if reaped || !news.left.is_empty() || !news.died.is_empty() {
            self.shared.desk.keep(|state| {
                if !news.left.is_empty() {
                    state.watches.hold_until(now + self.shared.options.grace);
                }
                state.watches.look_at_all(now);
            });
        }
    }

    /// Writes a batch of what has changed, and announces it.
    async fn write(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let (mut batch, more) = {
            let mut state = shared.desk.state();
            let is_refused = self.refused_until.is_some_and(|until| now < until);
            let is_due = !state.changed.is_empty() && self.write_at <= now;
            if is_refused || (self.restoring.is_none() && !is_due) {
                return Ok(());
            }
            let State { changed, users, .. } = &mut *state;
            (self.ledger.batch(changed, users, USERS_PER_BATCH), !changed.is_empty())
        };
        self.write_at = if more { now } else { now + shared.options.batch_interval };
        let mut is_refused = false;
        if !batch.is_empty() {
            self.unsure = true;
            let (node, scripts) = (&shared.options.node_id, &shared.scripts);
            match scripts.add(connection, node, self.epoch, &batch.add).await? {
                Written::Refused(error) => {
                    is_refused = true;
                    self.ledger.refuse(&mut batch, &mut shared.desk.state().changed);
                    if self.refused_until.replace(now + LONGEST_PAUSE).is_none() {
                        tracing::error!(%error, "Redis does not take who is online here: other nodes don't see who comes. Trying again");
                    }
                }
                Written::All if !batch.add.is_empty() && self.refused_until.take().is_some() => {
                    tracing::info!("Redis takes again who is online here");
                }
                Written::All => (),
            }
            scripts.remove(connection, node, self.epoch, &batch.remove).await?;
            self.unsure = false;
            shared.counters.batches.fetch_add(1, Relaxed);
        }
        match &self.restoring {
            // Everybody looks when all is written.
            Some(_) if more || is_refused => (),
            Some(restoring) => {
                if restoring.given_up {
                    shared.desk.keep(|state| state.news.push_back(News::Reinstated));
                }
                self.restoring = None;
            }
            None if batch.here.is_empty() && batch.gone.is_empty() => (),
            None => {
                if !self.announce(&Announcement::of_users(&shared.options.node_id, &batch)) {
                    self.owe(Duration::ZERO);
                }
            }
        }
        Ok(())
    }

    /// Answers a portion of the questions that are due.
    async fn look(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let shared = Arc::clone(&self.shared);
        let questions = shared.desk.state().watches.questions(Instant::now(), USERS_PER_LOOK);
        if questions.is_empty() {
            return Ok(());
        }
        let users: Vec<u64> = {
            let state = shared.desk.state();
            let elsewhere = questions.iter().filter(|question| state.seen_here(**question).is_none());
            elsewhere.map(|question| question.user).collect()
        };
        let mut since = std::collections::HashMap::new();
        if !users.is_empty() {
            let (others, found) = match shared.scripts.look(connection, &shared.options.node_id, &users).await
            {
                Ok(seen) => seen,
                Err(error) => {
                    shared.desk.keep(|state| state.watches.unanswered(&questions, Instant::now()));
                    return Err(error);
                }
            };
            // Before the answers: a node that has just gone may hold them back.
            self.see(&others, false);
            for found in found {
                let first = since.entry(found.user).or_insert(found.entry.since);
                *first = found.entry.since.min(*first);
            }
        }
        let (now, at) = (Instant::now(), Timestamp::now());
        shared.desk.keep(|state| {
            for question in questions {
                let elsewhere = since.get(&question.user).map(|since| Seen::Online { since: *since });
                let seen = state.seen_here(question).or(elsewhere).unwrap_or(Seen::Nowhere { at });
                state.watches.answer(question, seen, now);
            }
        });
        Ok(())
    }

    fn owe(&mut self, hold: Duration) {
        self.owed = self.owed.max(Some(hold));
    }

    /// Has others look, once what they should see is written.
    fn pay(&mut self) {
        if let Some(hold) = self.owed
            && self.restoring.is_none()
            && self.announce(&Announcement::look(&self.shared.options.node_id, hold))
        {
            self.owed = None;
        }
    }

    /// Whether the bus has taken it.
    fn announce(&self, announcement: &Announcement) -> bool {
        self.shared.bus.publish(CHANNEL, announcement.encode()).is_ok()
    }

    async fn release(&mut self) -> Result<(), PresenceError> {
        if self.replaced || self.epoch == 0 {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let Some(connection) = &mut self.connection else {
            return Err(PresenceError::Unavailable("Redis is away: the lease will run out".to_owned()));
        };
        shared.scripts.release(connection, &shared.options.node_id, &self.run, self.epoch).await?;
        self.announce(&Announcement::look(&shared.options.node_id, shared.options.grace));
        Ok(())
    }
}
