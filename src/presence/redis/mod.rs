//! Presence over Redis.
//!
//! **Leases.** One hash has the lease of every node: its epoch, its deadline by Redis' clock, and which process holds it.
//! A node renews its own in a script that also removes those that have run out, so each dead node is removed once, by
//! one reaper, and every node sees who is there. A node whose lease is gone, or is not what it remembers, begins a new
//! epoch.
//!
//! **Users.** Each node writes its own users, and nobody else's, under a key that bears its epoch, in batches. They count
//! as long as a lease with that epoch stands. So there is nothing to clean up for others: a paused node that
//! still writes writes where nobody reads, a dead node's users vanish with its lease, and a node in doubt about what it
//! has written begins another epoch and writes all anew. No user can be there twice, and none stays behind.
//!
//! **Watching.** After it has written, a node announces on the bus who came and who went. "Came" is believed; on "went" those
//! who watch look for themselves whether the user is elsewhere, and each tells its own watcher. That is so whether one user
//! goes, a node is drained, or one dies: an announcement may be lost or come twice without harm, and
//! whatever may have lost some (an outage of the bus, of Redis, of a node) ends with everybody looking at all whom they watch.
//! A node that watches nobody listens to nothing.
//!
//! A connect costs Redis one write and one PUBLISH, or its share of a batch of them. All keys live three leases at most
//! if nobody renews them. While Redis is away, the node goes on with its own users, never waits, and forgets nothing.
//!
//! | file | what it is |
//! |---|---|
//! | `keeper` | the task that does all of it, one thing at a time |
//! | `scripts`, `lua/` | what is asked of Redis |
//! | `ledger` | what is written of this node's users, and what is to be |
//! | `roster` | the other nodes, and what their coming and going means |
//! | `announcement` | what is said on the bus |
//! | `connect` | connections, by URL |

mod announcement;
mod keeper;
mod ledger;
mod roster;
mod scripts;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::RedisError;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::announcement::Announcement;
use self::keeper::Keeper;
use self::scripts::Scripts;
use super::desk::Desk;
use super::{
    Device, Load, MAX_ONLINE_PAGE, NodeStatus, OnlinePage, Presence, PresenceError, PresenceFuture, Watcher,
};
use crate::bus::Bus;
use crate::bus::redis::keys::Connection;
use crate::bus::redis::{Target, UrlError};
use crate::store::Timestamp;

/// The channel of the bus that presence announces on. Whoever runs the bus passes its messages to
/// [`RedisPresence::heard`].
pub const CHANNEL: &str = "presence";

/// Users that one script looks for at most: others wait for it.
const USERS_PER_LOOK: usize = 256;

/// Who this node is, and how it meets the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPresenceOptions {
    /// Where Redis is: `redis://HOST:PORT`, `redis-cluster://HOST:PORT,…` or `redis-sentinel://HOST:PORT,…/MASTER`.
    pub url: String,
    /// Name of this node, without spaces, unique in its cluster. A process that starts under the name of another takes it
    /// over.
    pub node_id: String,
    /// Where its Socket.IO port is.
    pub socketio: String,
    /// Where its HTTP port is.
    pub http: String,
    /// How long a node counts as alive after it last renewed its lease.
    pub lease: Duration,
    /// How often it renews it. At most half of that, so that one late renewal is not the end.
    pub renewal: Duration,
    /// How long a user whose last connection is gone still counts as online.
    pub grace: Duration,
    /// The least time between two batches of changes. The first change after a quiet time is written at once.
    pub batch_interval: Duration,
    /// How long Redis may take to answer before it counts as away.
    pub timeout: Duration,
    /// What all keys begin with.
    pub prefix: String,
}

impl Default for RedisPresenceOptions {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            node_id: "node-1".to_owned(),
            socketio: String::new(),
            http: String::new(),
            lease: Duration::from_secs(10),
            renewal: Duration::from_secs(3),
            grace: Duration::from_secs(3),
            batch_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            prefix: DEFAULT_PREFIX.to_owned(),
        }
    }
}

const DEFAULT_PREFIX: &str = "socketio:";

/// What a [`RedisPresence`] has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisPresenceStats {
    /// Leases taken, the first one included.
    pub epochs: u64,
    /// Dead nodes that were removed by this one.
    pub reaped: u64,
    /// Batches of changes written.
    pub batches: u64,
    /// Times that Redis was lost.
    pub outages: u64,
}

/// Presence of a node that meets others at a Redis. Dropping it without [`Presence::release`] is what a crash would be:
/// its lease stands until it runs out.
pub struct RedisPresence {
    shared: Arc<Shared>,
    runtime: Handle,
}

/// What the calls and the [`Keeper`] have in common.
struct Shared {
    options: RedisPresenceOptions,
    target: Target,
    desk: Arc<Desk>,
    bus: Arc<dyn Bus>,
    scripts: Scripts,
    /// `None` while Redis is away.
    connection: Mutex<Option<Connection>>,
    /// Whether the lease stands, as far as known.
    up: watch::Sender<bool>,
    /// The bus was away, so announcements may be lost.
    bus_restored: AtomicBool,
    /// The keeper is to give the lease up before it ends.
    releasing: AtomicBool,
    /// How the keeper ended.
    over: watch::Sender<Option<Result<(), PresenceError>>>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    epochs: AtomicU64,
    reaped: AtomicU64,
    batches: AtomicU64,
    outages: AtomicU64,
}

impl RedisPresence {
    /// Starts it, on the current tokio runtime, and returns at once. Redis may be away. Fails only if the URL is none.
    pub fn start(
        options: RedisPresenceOptions,
        bus: Arc<dyn Bus>,
        watcher: Arc<dyn Watcher>,
    ) -> Result<Self, UrlError> {
        let shared = Arc::new(Shared {
            target: Target::parse(&options.url)?,
            desk: Desk::start(options.node_id.clone(), options.grace, false, watcher),
            bus,
            scripts: Scripts::new(&options.prefix),
            connection: Mutex::new(None),
            up: watch::Sender::new(false),
            bus_restored: AtomicBool::new(false),
            releasing: AtomicBool::new(false),
            over: watch::Sender::new(None),
            counters: Counters::default(),
            options,
        });
        tokio::spawn(Keeper::new(Arc::clone(&shared)).run());
        Ok(Self { shared, runtime: Handle::current() })
    }

    /// Waits until this node holds a lease, and others can see it.
    pub async fn wait_until_up(&self) {
        let mut up = self.shared.up.subscribe();
        // The sender is part of `self`.
        let _ = up.wait_for(|up| *up).await;
    }

    /// A message came on [`CHANNEL`]. Does not block.
    pub fn heard(&self, message: &Bytes) {
        let Some(announcement) = Announcement::decode(message) else {
            tracing::debug!(bytes = message.len(), "presence: a message that is not understood");
            return;
        };
        let now = Instant::now();
        self.shared.desk.with(|state| {
            for (user, at) in announcement.here() {
                state.watches.here(user, at);
            }
            for (user, at) in announcement.gone() {
                state.watches.gone(user, at, now);
            }
            if let Some(hold) = announcement.hold(self.shared.options.lease) {
                state.watches.hold_until(now + hold);
                state.watches.look_at_all(now);
            }
        });
    }

    /// The bus is back after an outage in which messages may have been lost. Does not block.
    pub fn bus_restored(&self) {
        self.shared.bus_restored.store(true, SeqCst);
        self.shared.desk.with(|state| state.watches.look_at_all(Instant::now()));
    }

    /// What it has done so far.
    pub fn stats(&self) -> RedisPresenceStats {
        let Counters { epochs, reaped, batches, outages } = &self.shared.counters;
        RedisPresenceStats {
            epochs: epochs.load(Relaxed),
            reaped: reaped.load(Relaxed),
            batches: batches.load(Relaxed),
            outages: outages.load(Relaxed),
        }
    }
}

/// The users that a message on [`CHANNEL`] says have come to the node that sends it. `None`: anybody may have.
pub fn arrivals(message: &Bytes) -> Option<Vec<u64>> {
    let announcement = Announcement::decode(message)?;
    let is_sure = announcement.hold(Duration::MAX).is_none();
    is_sure.then(|| announcement.here().map(|(user, _)| user).collect())
}

/// The nodes of the cluster that meets at this Redis, by name. For a program that is none of them.
pub async fn status(url: &str) -> Result<Vec<NodeStatus>, PresenceError> {
    let RedisPresenceOptions { timeout, prefix, .. } = RedisPresenceOptions::default();
    let target = Target::parse(url).map_err(|error| PresenceError::Unavailable(error.to_string()))?;
    let mut connection = Connection::open(&target, timeout, 0).await?;
    Scripts::new(&prefix).nodes(&mut connection).await.map_err(PresenceError::from)
}

impl Shared {
    fn connection(&self) -> Option<Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_connection(&self, connection: Option<Connection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// Where users are on other nodes; empty while those can't be seen.
    async fn locate_elsewhere(&self, users: &[u64]) -> Vec<scripts::Found> {
        let Some(mut connection) = self.connection() else { return Vec::new() };
        let mut found = Vec::new();
        for users in users.chunks(USERS_PER_LOOK) {
            match self.scripts.look(&mut connection, self.desk.node_id(), users).await {
                Ok((_, more)) => found.extend(more),
                Err(error) => {
                    tracing::debug!(%error, "presence: answered with this node's users alone");
                    break;
                }
            }
        }
        found
    }
}

impl Presence for RedisPresence {
    fn enter(&self, user: u64, at: Timestamp) {
        self.shared.desk.enter(user, at);
    }

    fn leave(&self, user: u64, at: Timestamp) {
        self.shared.desk.leave(user, at);
    }

    fn watch(&self, user: u64) {
        let Shared { desk, bus, .. } = &*self.shared;
        // Subscribed under the lock, so that a concurrent `unwatch` does not overtake it.
        let subscribed = desk.with(|state| {
            let first = state.watches.is_empty();
            state.watch(user, Instant::now());
            first.then(|| bus.subscribe(CHANNEL))
        });
        if let Some(subscribed) = subscribed {
            let desk = Arc::clone(desk);
            self.runtime.spawn(async move {
                // After an error the bus says when it is back.
                let _ = subscribed.await;
                // What happened until now was not heard.
                desk.with(|state| state.watches.look_at_all(Instant::now()));
            });
        }
    }

    fn unwatch(&self, user: u64) {
        self.shared.desk.with(|state| {
            let any = !state.watches.is_empty();
            state.watches.unwatch(user);
            if any && state.watches.is_empty() {
                self.shared.bus.unsubscribe(CHANNEL);
            }
        });
    }

    fn locate(&self, users: Vec<u64>) -> PresenceFuture<HashMap<u64, Vec<Device>>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let elsewhere = shared.locate_elsewhere(&users).await;
            let mut devices = shared.desk.locate(&users);
            for scripts::Found { node, user, entry } in elsewhere {
                let device = Device { node_id: node, connections: entry.connections, since: entry.since };
                devices.entry(user).or_default().push(device);
            }
            for devices in devices.values_mut() {
                devices.sort_by(|a, b| a.node_id.cmp(&b.node_id));
                // While an entry is replaced, the new one and the old one are both there.
                devices.dedup_by(|a, b| a.node_id == b.node_id);
            }
            Ok(devices)
        })
    }

    fn online(&self, after: Option<u64>, limit: usize) -> PresenceFuture<OnlinePage> {
        let shared = Arc::clone(&self.shared);
        let limit = limit.min(MAX_ONLINE_PAGE);
        Box::pin(async move {
            let mut users = BTreeSet::new();
            if let Some(mut connection) = shared.connection() {
                let after = after.unwrap_or(0);
                match shared.scripts.page(&mut connection, shared.desk.node_id(), after, limit + 1).await {
                    Ok(found) => users.extend(found),
                    Err(error) => {
                        tracing::debug!(%error, "presence: answered with this node's users alone");
                    }
                }
            }
            users.extend(shared.desk.online(after, limit + 1));
            Ok(OnlinePage::first(users.into_iter().collect(), limit))
        })
    }

    fn nodes(&self) -> PresenceFuture<Vec<NodeStatus>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let away = || PresenceError::Unavailable("Redis is away".to_owned());
            let mut connection = shared.connection().ok_or_else(away)?;
            shared.scripts.nodes(&mut connection).await.map_err(PresenceError::from)
        })
    }

    fn set_load(&self, load: Load) {
        self.shared.desk.state().load = load;
    }

    fn release(&self) -> PresenceFuture<()> {
        self.shared.releasing.store(true, SeqCst);
        self.shared.desk.close();
        let mut over = self.shared.over.subscribe();
        Box::pin(async move {
            match over.wait_for(Option::is_some).await.map(|over| over.clone()) {
                Ok(Some(result)) => result,
                _ => Err(PresenceError::Unavailable("the runtime of presence has ended".to_owned())),
            }
        })
    }

    fn is_up(&self) -> bool {
        *self.shared.up.borrow()
    }
}

impl Drop for RedisPresence {
    fn drop(&mut self) {
        self.shared.desk.close();
    }
}

impl From<RedisError> for PresenceError {
    fn from(error: RedisError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
#[path = "../../../tests/support/redis.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod server;

#[cfg(test)]
mod tests {
    use super::server::RedisServer;
    use super::*;
    use crate::bus::{LocalExchange, Sink};
    use crate::presence::contract::{GRACE, NODE, contract_tests};

    struct Deaf;

    impl Sink for Deaf {
        fn message(&self, _: &str, _: Bytes) {}
    }

    async fn open(watcher: Arc<dyn Watcher>) -> (RedisPresence, RedisServer) {
        let server = RedisServer::start();
        let options = RedisPresenceOptions {
            url: server.url(),
            node_id: NODE.to_owned(),
            socketio: "s:1".to_owned(),
            http: "h:2".to_owned(),
            renewal: Duration::from_millis(200),
            grace: GRACE,
            ..RedisPresenceOptions::default()
        };
        let bus = LocalExchange::default().join(Arc::new(Deaf));
        let presence = RedisPresence::start(options, Arc::new(bus), watcher).unwrap();
        presence.wait_until_up().await;
        (presence, server)
    }

    contract_tests!(open);
}
