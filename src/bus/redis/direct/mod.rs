//! Direct connections between the nodes that share a Redis: a message goes from node to node, without Redis between.
//!
//! The nodes find each other in Redis (`registry`). Each dials every other, and publishes on that connection (`line`) what the
//! other end wants (`intake`); `frame` is what is said on it. What a node can't be reached with goes by Redis as ever, with the names
//! of those that have it already; where all are reached, Redis is not used for messages at all. Whichever way a message takes is
//! decided by who publishes it, once for each receiver, so nothing comes twice; and whoever changes the way of a receiver sees to
//! it that nothing is lost or overtaken by that:
//!
//! - From Redis to a line: Redis is told behind the last message that goes by it, and the other end listens to the line only then.
//! - From a line to Redis: what the other end has not said that it heard goes by Redis first.
//!
//! What was asked for is in force once every line that may be used heeds it. A line may be used only while the other end answers,
//! and Redis may be left out only by who has read the registry a moment ago ([`TRUST`]); a newcomer begins when all others have
//! seen it there. So no node that can't be reached, or was stopped, or goes on, leaves anybody out; only one on a machine that was
//! asleep, whose clock was, too, may leave out a newcomer of that time, for a second. Who finds itself forgotten in the registry may
//! have been left out: its link is over.
//!
//! A node's threads that hear by themselves ([`Bus::hear_on`](crate::bus::Bus::hear_on)) have a line each, their **lane**, and are
//! sent by it what they have asked for first; so what comes wakes one thread in place of two. All lanes of a node together are told
//! in one order (`order`), so that it is still as if they were one connection.
//!
//! All of this lives and dies with one link to Redis, and begins anew with the next one. In a Redis Cluster, where channels know no
//! order among each other, messages may be overtaken when their way changes; in one without sharded pub/sub there are no direct
//! connections.

mod frame;
mod hearing;
mod intake;
mod line;
mod meeting;
mod order;
mod registry;
mod routes;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::warn;

use self::hearing::Intakes;
pub(super) use self::hearing::sift;
use self::line::End;
use self::registry::Own;
use self::routes::Routes;
use super::DirectOptions;
use super::listener::Listener;
use super::over::Over;
use super::publishers::Publishers;
use crate::ids::random_bytes;

/// What a node is called for as long as its link to Redis lasts.
pub(super) type Id = u64;

/// What is read in one go, in bytes. 64 KiB.
const READ_BYTES: usize = 64 << 10;
/// For how long what was read there is trusted.
const TRUST: Duration = Duration::from_secs(3);
/// Who has not renewed its entry for so long does not trust what it has read. Longer than [`TRUST`], for clocks are not one.
const STALE: Duration = Duration::from_secs(4);
/// The pause before another attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long the others may take to hear what was sent before this node leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// The channel on which all are asked to look at the registry. Names that begin with it are nobody else's.
pub(super) const NUDGE: &str = "\0direct";

/// The channel of one node.
fn channel_of(id: Id) -> String {
    format!("{NUDGE}:{id:016x}")
}

/// What stands before a message in Redis, of one that nobody has yet.
pub(super) const FOR_ALL: &[u8] = &[0];

/// What a node is told on its channel: the rest of a line that has ended, that it has, or that it is used from now on.
const REST: u8 = b'R';
const ENDED: u8 = b'E';
const USED: u8 = b'U';

pub(super) struct Direct {
    channel: String,
    publishers: Arc<Publishers>,
    own: Own,
    /// Until it is served.
    socket: Mutex<Option<TcpListener>>,
    /// The last renewal whose answer counts; 0: it is not in the registry yet.
    seen: AtomicU64,
    routes: RwLock<Routes>,
    intakes: Mutex<Intakes>,
    last_peer: AtomicU64,
    /// Somebody asks to look at the registry.
    nudged: Notify,
    /// Something could not be sent by Redis after the end of a line.
    gap: Notify,
}

// Nothing that can panic runs under these locks.
impl Direct {
    /// Of a link that begins. The others may reach this node by the address by which it reaches Redis.
    pub async fn new(publishers: Arc<Publishers>, options: &DirectOptions) -> Self {
        let id = Id::from_ne_bytes(random_bytes());
        let socket = if options.listen { listen(&publishers, options).await } else { None };
        let address = socket.as_ref().and_then(|socket| options.advertise.or(socket.local_addr().ok()));
        let name = frame::hash(&options.node);
        Self {
            channel: channel_of(id),
            publishers,
            own: Own { id, name, address, token: random_bytes() },
            socket: Mutex::new(socket),
            seen: AtomicU64::new(0),
            routes: RwLock::new(Routes::new()),
            intakes: Mutex::default(),
            last_peer: AtomicU64::new(0),
            nudged: Notify::new(),
            gap: Notify::new(),
        }
    }

    /// The channels that it needs in Redis.
    pub fn channels(&self) -> [Arc<str>; 2] {
        [NUDGE.into(), self.channel.as_str().into()]
    }

    fn routes(&self) -> RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn routes_mut(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn intakes(&self) -> MutexGuard<'_, Intakes> {
        self.intakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> &Listener {
        &self.publishers.listener
    }

    /// How many other nodes are reached.
    pub fn reached(&self) -> usize {
        self.routes().peers.len()
    }

    /// Waits until the others have heard all that was sent to them before, and this node all that they had sent.
    pub async fn settle(&self) {
        let lines = self.lines();
        for line in lines {
            line.all_heard().await;
        }
        let wishes: Vec<_> =
            self.intakes().all.iter().map(|it| (Arc::clone(it), it.want(Vec::new()))).collect();
        for (intake, wish) in &wishes {
            intake.heeds(*wish).await;
        }
        // What came by one lane may wait for what another has brought by now.
        for (intake, _) in &wishes {
            intake.order.settle().await;
        }
    }

    /// Keeps its entry, its lines and its intakes, until it fails.
    pub async fn run(self: Arc<Self>) -> Over {
        tokio::select! {
            over = self.keep_peers() => over,
            () = self.keep_intakes() => Over::Closed,
            () = self.tell_of_gaps() => Over::Closed,
        }
    }

    /// The link is over: nobody waits for anything here, and the sink is told nothing more.
    pub fn end(&self) {
        let peers = {
            let mut routes = self.routes_mut();
            routes.closed = true;
            std::mem::take(&mut routes.peers)
        };
        peers.iter().flat_map(|reached| reached.lines.values()).for_each(|line| drop(line.end()));
        let intakes = self.intakes().all.clone();
        for intake in intakes {
            intake.order.end();
            intake.close();
        }
    }

    async fn tell_of_gaps(&self) {
        loop {
            self.gap.notified().await;
            self.listener().sink.lost();
            self.listener().sink.restored();
        }
    }

    /// Says farewell, once the others have heard what was sent.
    pub async fn leave(&self) {
        self.routes_mut().closed = true;
        let lines = self.lines();
        let remove = self.own.remove(&self.publishers.full(registry::KEY));
        let remove: Vec<_> = remove.iter().map(String::as_str).collect();
        let _ = self.publishers.server_of(registry::KEY).ask(&remove).await;
        let heard = async {
            for line in &lines {
                line.all_heard().await;
            }
        };
        let are_heard = timeout(LEAVE_TIMEOUT, heard).await.is_ok();
        lines.iter().for_each(|line| line.leave());
        if !are_heard {
            let peers: Vec<_> = self.routes().peers.iter().map(|reached| Arc::clone(&reached.peer)).collect();
            peers.iter().for_each(|peer| self.cut(peer, End::Broken));
        }
        let intakes = self.intakes().all.clone();
        intakes.iter().for_each(|intake| intake.leave());
        let left = async {
            for intake in &intakes {
                intake.ended().await;
            }
        };
        let _ = timeout(LEAVE_TIMEOUT, left).await;
    }
}

async fn listen(publishers: &Publishers, options: &DirectOptions) -> Option<TcpListener> {
    let local = publishers.connections.first().and_then(|connection| connection.local_ip())?;
    let address = match options.advertise {
        None => local,
        Some(SocketAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        Some(SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    };
    TcpListener::bind((address, options.port))
        .await
        .inspect_err(|error| {
            let port = options.port;
            warn!(%address, port, %error, "can't listen for other nodes: what they tell this one goes by Redis");
        })
        .ok()
}
