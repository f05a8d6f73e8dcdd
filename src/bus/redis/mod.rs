//! The bus over Redis pub/sub: one server, Sentinel, or Redis Cluster.
//!
//! The bus lives in **links**, one after the other (`link`). A link is a set of connections to all servers that are
//! needed. They have one fate: when any of them breaks, falls silent or says that the servers' roles have changed, the link
//! is over. The sink is told that messages may be lost, and the next link begins with a fresh look at who is there
//! (`topology`); it is up when everything that is wanted is subscribed again. So there is no state of being half connected,
//! and no repair that is not also the normal way to start.
//!
//! To each server go two connections: one publishes, one listens. Whoever publishes writes by itself (`connection`, over what
//! waits and what is to come back, `outgoing`); what comes is read by the bus's thread: messages at once, answers now and then
//! (`stream`). What is subscribed is a table without I/O (`channels`); the link carries out what it says.
//!
//! Where nodes reach each other, messages go past Redis (`direct`), and Redis holds one key for that: who is there. Otherwise pub/sub
//! is all that the bus uses. It never blocks a caller, and never gives up.
//!
//! Beside it stand the sessions that nodes leave to each other (`sessions`), which are keys.

mod channels;
mod connection;
mod direct;
mod duty;
pub(crate) mod keys;
mod link;
mod listener;
mod outgoing;
mod over;
mod pending;
mod probe;
mod publishers;
mod resp;
mod sessions;
mod stream;
mod target;
mod topology;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, oneshot, watch};

use self::channels::{Answer, Channels};
use self::link::Link;
use self::listener::Listener;
pub use self::sessions::{RedisSessions, RedisSessionsOptions};
pub(crate) use self::target::Target;
pub use self::target::UrlError;
use self::topology::Finder;
use super::{Bus, BusError, BusFuture, Sink};
use crate::busy_poll::BusyPoll;
use crate::ids::random_bytes;
use crate::turns;

/// Which of Redis' two kinds of pub/sub is used. All nodes of a cluster must use the same: they do not hear each other
/// otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PubSubMode {
    /// Sharded in Redis Cluster from 7.0 on, where it saves every message's way through all of its servers. Classic
    /// elsewhere: on a single server, sharded pub/sub gains nothing.
    ///
    /// Decided at each connect by the version of the server that answers first, so while a Redis Cluster is upgraded from
    /// 6 to 7, say [`PubSubMode::Classic`].
    #[default]
    Auto,
    /// PUBLISH and SUBSCRIBE.
    Classic,
    /// SPUBLISH and SSUBSCRIBE (Redis 7.0).
    Sharded,
}

/// How a [`RedisBus`] is to work.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DB]`, `redis-cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT,…` or
    /// `redis-sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT,…/MASTER`.
    pub url: String,
    /// Which kind of pub/sub.
    pub pubsub: PubSubMode,
    /// How long a channel is kept after it was given up.
    pub linger: Duration,
    /// How many messages may be on their way to a server that has not answered for them. Whatever the number, those that the
    /// system has not taken yet may have 256 MiB together.
    pub queue_limit: usize,
    /// What stands before each channel's name in Redis.
    pub prefix: String,
    /// How the connections are named in `CLIENT LIST`.
    pub name: String,
    /// Direct connections between the nodes; `None`: all messages go by Redis. Either all nodes that share a Redis have them, or
    /// none: who has them leaves out whom it does not know.
    pub direct: Option<DirectOptions>,
    /// How long the bus's thread stays awake after something came, in place of sleeping until more does: what comes then is
    /// heard sooner, at the price of the core's time. Zero: not at all.
    pub busy_poll: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            pubsub: PubSubMode::default(),
            linger: Duration::from_secs(5),
            queue_limit: 100_000,
            prefix: "socketio:".into(),
            name: "tokio-socketio".into(),
            direct: None,
            busy_poll: Duration::ZERO,
        }
    }
}

/// How a node takes part in direct connections. Where two nodes can't reach each other, what they tell each other goes by Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectOptions {
    /// This node's name, unique among the nodes.
    pub node: String,
    /// Whether others may connect to this node. It listens on the address by which it reaches Redis, and others are told that;
    /// where they reach it otherwise, see `advertise`.
    pub listen: bool,
    /// On which port; 0 for any.
    pub port: u16,
    /// By which address others reach this node, where it is another one than that by which this node reaches Redis. It then
    /// listens on all its addresses.
    pub advertise: Option<SocketAddr>,
}

impl DirectOptions {
    /// Defaults for a node of this name: others may connect, on any port.
    pub fn new(node: impl Into<String>) -> Self {
        Self { node: node.into(), listen: true, port: 0, advertise: None }
    }
}

/// What a [`RedisBus`] has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisBusStats {
    /// Whether messages pass now.
    pub up: bool,
    /// Commands sent to Redis.
    pub commands: u64,
    /// Messages that Redis took.
    pub published: u64,
    /// Messages that were sent directly, once for each node.
    pub sent_directly: u64,
    /// Messages of others that came.
    pub received: u64,
    /// Those of them that came directly.
    pub received_directly: u64,
    /// Other nodes that are reached directly now.
    pub reached_directly: usize,
    /// Messages that were refused or lost because the link was down, or broke while they waited.
    pub dropped_down: u64,
    /// Messages that were refused because the queue was full.
    pub dropped_overloaded: u64,
    /// Messages that Redis refused.
    pub dropped_refused: u64,
    /// How often the link was lost and came back.
    pub reconnects: u64,
}

/// One node's bus over Redis. Dropping it closes it.
///
/// The sink is told by a thread of the bus, and of what comes directly ([`RedisOptions::direct`]) by those that hear by
/// themselves ([`Bus::hear_on`]). Messages may be told already before it is told that the link is restored. With classic
/// pub/sub in a Redis Cluster, [`Bus::settle`] does not wait for what its servers have not told each other yet.
pub struct RedisBus {
    shared: Arc<Shared>,
}

/// What the bus and its link share.
struct Shared {
    queue_limit: usize,
    publishing: RwLock<Publishing>,
    /// Where the bus was started: what is said on no shard is written there.
    runtime: Handle,
    channels: Mutex<Channels>,
    /// Threads that may hear what they ask for by themselves.
    threads: Mutex<Vec<(u16, Handle)>>,
    /// The channels have work for the link.
    work: Notify,
    counters: Counters,
    /// The bus was closed: nothing new is taken.
    closing: watch::Sender<bool>,
    /// The link's task is over.
    closed: watch::Sender<bool>,
}

/// Where messages go.
enum Publishing {
    Down,
    Up(Arc<Link>),
    Closed,
}

#[derive(Default)]
struct Counters {
    commands: AtomicU64,
    published: AtomicU64,
    sent_directly: AtomicU64,
    received: AtomicU64,
    received_directly: AtomicU64,
    dropped_down: AtomicU64,
    dropped_overloaded: AtomicU64,
    dropped_refused: AtomicU64,
    reconnects: AtomicU64,
}

fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

// Nothing that can panic runs under these locks.
impl Shared {
    /// Of a bus that is down. To be called on the runtime that it is started on.
    fn new(queue_limit: usize, linger: Duration) -> Self {
        Self {
            queue_limit,
            publishing: RwLock::new(Publishing::Down),
            runtime: Handle::current(),
            channels: Mutex::new(Channels::new(linger)),
            threads: Mutex::default(),
            work: Notify::new(),
            counters: Counters::default(),
            closing: watch::channel(false).0,
            closed: watch::channel(false).0,
        }
    }

    fn link(&self) -> RwLockReadGuard<'_, Publishing> {
        self.publishing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn link_mut(&self) -> RwLockWriteGuard<'_, Publishing> {
        self.publishing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_up(&self, link: &Arc<Link>) {
        let mut publishing = self.link_mut();
        if let Publishing::Down = *publishing {
            *publishing = Publishing::Up(Arc::clone(link));
        }
    }

    fn go_down(&self) {
        let mut publishing = self.link_mut();
        if let Publishing::Up(_) = *publishing {
            *publishing = Publishing::Down;
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<(u16, Handle)>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisBus {
    /// Starts a bus, with a thread of its own on which the sink is told. Resolves when the link is up, or the first attempt has
    /// failed: the bus then keeps trying, and tells the sink that it is lost, and when it is restored.
    ///
    /// # Panics
    /// Outside a tokio runtime, and if the system gives no thread or no random bytes.
    pub async fn connect(options: RedisOptions, sink: Arc<dyn Sink>) -> Result<Arc<Self>, UrlError> {
        let target = Target::parse(&options.url)?;
        let shared = Arc::new(Shared::new(options.queue_limit, options.linger));
        let bus = Arc::new(Self { shared: Arc::clone(&shared) });
        // Of its own, so that what comes is heard at once, whatever else the program is at, and by one thread: a runtime of
        // several wakes another for each.
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has no room for a runtime");
        let busy_poll = {
            let _on = runtime.enter();
            BusyPoll::start(options.busy_poll)
        };
        let listener = Listener {
            shared,
            sink,
            prefix: options.prefix.into(),
            origin: random_bytes(),
            busy_poll,
            direct_options: options.direct,
            direct: None,
        };
        let (tried, first) = oneshot::channel();
        let keeping = link::keep(listener, Finder::new(target, options.pubsub), options.name, tried);
        thread::Builder::new()
            .name("bus".into())
            .spawn(move || runtime.block_on(keeping))
            .expect("the system has no thread for the bus");
        // It is dropped when the first attempt is over.
        let _ = first.await;
        Ok(bus)
    }

    /// What it has done so far.
    pub fn stats(&self) -> RedisBusStats {
        let Counters {
            commands,
            published,
            sent_directly,
            received,
            received_directly,
            dropped_down,
            dropped_overloaded,
            dropped_refused,
            reconnects,
        } = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisBusStats {
            up: self.is_up(),
            commands: get(commands),
            published: get(published),
            sent_directly: get(sent_directly),
            received: get(received),
            received_directly: get(received_directly),
            reached_directly: match &*self.shared.link() {
                Publishing::Up(link) => link.reached_directly(),
                _ => 0,
            },
            dropped_down: get(dropped_down),
            dropped_overloaded: get(dropped_overloaded),
            dropped_refused: get(dropped_refused),
            reconnects: get(reconnects),
        }
    }

    fn begin_close(&self) {
        self.shared.closing.send_replace(true);
        *self.shared.link_mut() = Publishing::Closed;
        self.shared.channels().close();
    }
}

impl Bus for RedisBus {
    fn publish(&self, channel: &str, message: Bytes) -> Result<(), BusError> {
        let result = match &*self.shared.link() {
            Publishing::Up(link) => link.publish(channel, &message),
            Publishing::Down => Err(BusError::Down),
            Publishing::Closed => Err(BusError::Closed),
        };
        match result {
            Err(BusError::Down) => add(&self.shared.counters.dropped_down, 1),
            Err(BusError::Overloaded) => add(&self.shared.counters.dropped_overloaded, 1),
            Err(BusError::Closed) | Ok(()) => (),
        }
        result
    }

    fn subscribe(&self, channel: &str) -> BusFuture<Result<(), BusError>> {
        let answer = self.shared.channels().subscribe(channel, turns::here());
        match answer {
            Answer::Now(result) => Box::pin(std::future::ready(result)),
            Answer::Later(answer) => {
                self.shared.work.notify_one();
                // Nobody answers for a channel that was given up before it was in force.
                Box::pin(async { answer.await.unwrap_or(Err(BusError::Down)) })
            }
        }
    }

    fn hear_on(&self, thread: u16, runtime: Handle) {
        self.shared.threads().push((thread, runtime));
        if let Publishing::Up(link) = &*self.shared.link() {
            link.tell_lanes();
        }
    }

    fn unsubscribe(&self, channel: &str) {
        if self.shared.channels().unsubscribe(channel, Instant::now()) {
            self.shared.work.notify_one();
        }
    }

    fn is_up(&self) -> bool {
        matches!(*self.shared.link(), Publishing::Up(_))
    }

    fn settle(&self) -> BusFuture<()> {
        let link = match &*self.shared.link() {
            Publishing::Up(link) => Arc::clone(link),
            _ => return Box::pin(std::future::ready(())),
        };
        Box::pin(async move { link.settle().await })
    }

    fn close(&self) -> BusFuture<()> {
        self.begin_close();
        let mut closed = self.shared.closed.subscribe();
        Box::pin(async move {
            // An error means that the sender is gone, and the task with it.
            let _ = closed.wait_for(|closed| *closed).await;
        })
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.begin_close();
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
