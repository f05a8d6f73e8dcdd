//! A server that listens: where, how much it carries, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::shard::{Node, Shards};
use crate::socketio::hub::Hub;

/// A server that listens.
pub struct Server {
    pub(super) shards: Shards<Hub>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.addresses()).finish()
    }
}

impl Server {
    /// Where it listens, ports known.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.shards.addresses()
    }

    /// Counts of connections and sessions.
    pub fn node(&self) -> &Arc<Node> {
        self.shards.node()
    }

    /// The first step of a drain: from now on nobody gets a new session. A handshake is answered with 503 and
    /// `Retry-After`, on a connection that ends with it, so that the next try may reach another node. The sessions
    /// that there are go on, and are to be told with [`Socket::close_for_shutdown`](super::Socket::close_for_shutdown).
    pub fn refuse_new(&self) {
        self.shards.refuse_new();
    }

    /// Takes no new sessions, closes those that there are once their output has left, and ends; at the latest after
    /// `patience`. Until then it goes on accepting connections, for clients that fetch what is left by their next poll.
    pub async fn stop(self, patience: Duration) {
        let stopped = tokio::task::spawn_blocking(move || self.shards.stop(patience)).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "the server did not stop cleanly");
        }
    }
}
