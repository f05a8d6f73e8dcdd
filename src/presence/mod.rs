//! Presence: who is online on which node, and which nodes there are.
//!
//! A node holds a lease on its name. What it knows of its users stands under that lease, and is gone with it; so a node
//! that died leaves nobody online for longer than its lease, and one that was paused for longer knows, when it
//! goes on, that it was given up.
//!
//! Never decides who may see whom, and never pushes anything to a client: it tells a [`Watcher`].

#[cfg(test)]
mod contract;
mod desk;
mod local;
#[cfg(feature = "redis")]
pub mod redis;
mod users;
mod watches;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub use local::{LocalPresence, LocalPresenceOptions};

use crate::store::Timestamp;

/// What waits for presence: boxed, so that [`Presence`] works as `Arc<dyn Presence>`.
pub type PresenceFuture<T> = Pin<Box<dyn Future<Output = Result<T, PresenceError>> + Send>>;

/// The most users that one [`Presence::online`] returns, whatever limit it is asked for.
pub const MAX_ONLINE_PAGE: usize = 1000;

/// Who is where. The methods may be called from any thread, and none blocks.
///
/// User ids are from 1 to 2^53-1.
pub trait Presence: Send + Sync + 'static {
    /// A connection of a user has come to this node. Users are counted here: online with the first connection,
    /// offline with the last, after a grace in which a return goes unnoticed.
    fn enter(&self, user: u64, at: Timestamp);

    /// A connection of a user has gone from this node.
    fn leave(&self, user: u64, at: Timestamp);

    /// From now on the watcher is told when this user comes online or goes offline anywhere. Counted.
    fn watch(&self, user: u64);

    /// Not any more.
    fn unwatch(&self, user: u64);

    /// Where these users are online. Who is nowhere is not in the answer. While other nodes can't be seen, the answer is
    /// what this node knows: its own users.
    fn locate(&self, users: Vec<u64>) -> PresenceFuture<HashMap<u64, Vec<Device>>>;

    /// Users online anywhere, ascending, each once: those above `after`, at most `limit`, and never more than
    /// [`MAX_ONLINE_PAGE`]. While other nodes can't be seen, the answer is what this node knows: its own users.
    fn online(&self, after: Option<u64>, limit: usize) -> PresenceFuture<OnlinePage>;

    /// The nodes that hold a lease, by name. Fails while they can't be seen.
    fn nodes(&self) -> PresenceFuture<Vec<NodeStatus>>;

    /// What other nodes are told about this one with its next renewal.
    fn set_load(&self, load: Load);

    /// Gives up the lease and all users of this node, at once and everywhere. For a node that stops: nothing is told
    /// to its watcher any more, and what comes or goes afterwards is not counted.
    ///
    /// Other nodes tell their watchers after a grace, and only of users that have not come to another node by then.
    fn release(&self) -> PresenceFuture<()>;

    /// Whether other nodes can be seen now, and see this one.
    fn is_up(&self) -> bool;
}

/// What presence calls inward. It must not block.
pub trait Watcher: Send + Sync + 'static {
    /// A watched user has come online with the first connection anywhere, or gone offline with the last.
    fn changed(&self, user: u64, online: bool, at: Timestamp);

    /// This node had been given up: its lease ran out while it was paused or cut off. It has a new lease, under a new
    /// epoch, and its users are put back.
    fn reinstated(&self) {}

    /// Another process runs under this node's name, and holds its lease. This node must stop.
    fn replaced(&self) {}
}

/// Where a user is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The node.
    pub node_id: String,
    /// Connections of the user there. The last of them counts until the grace after it is over.
    pub connections: u32,
    /// Since when the user has been online there.
    pub since: Timestamp,
}

/// A run of users that are online.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnlinePage {
    /// Ascending, each once.
    pub users: Vec<u64>,
    /// Whether there are more above the last of them.
    pub has_more: bool,
}

impl OnlinePage {
    /// The first of these users, which are ascending. If there are more than the limit, the page has more.
    fn first(mut users: Vec<u64>, limit: usize) -> Self {
        let has_more = users.len() > limit;
        users.truncate(limit);
        Self { users, has_more }
    }
}

/// A node that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub node_id: String,
    /// Which lease of that name: grows with each start, and when a node comes back after it was given up.
    pub epoch: u64,
    /// Where its Socket.IO port is, as it says itself.
    pub socketio: String,
    /// Where its HTTP port is.
    pub http: String,
    /// When it took this lease.
    pub since: Timestamp,
    /// How long its lease still lasts if it is not renewed, in milliseconds; 0 where a node is alone, and needs none.
    pub lease_ms: u64,
    /// What it carries.
    #[serde(flatten)]
    pub load: Load,
}

/// What a node carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Load {
    /// TCP connections.
    pub connections: u64,
    /// Engine.IO sessions.
    pub sessions: u64,
    /// Users with at least one connection there.
    pub users: u64,
    /// Messages stored by the node since its start.
    pub messages: u64,
    /// Whether it is about to stop, and takes no new connections.
    pub draining: bool,
}

/// Why presence can't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// What keeps presence does not answer.
    #[error("presence is unavailable: {0}")]
    Unavailable(String),
}
