//! A server that listens: where, how much it carries, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::shard::{Node, Shards};
use crate::socketio::hub::Hub;
use crate::socketio::hub::run::WaitsForTheEnd;

/// A server that listens, until it is [stopped](Server::stop): dropped, it goes on for as long as the program runs.
#[must_use = "without it the server can't be stopped"]
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

    /// Takes no new sessions, closes those that there are once their output has left, waits for handlers that have begun,
    /// those of [`on_disconnect`](super::Namespace::on_disconnect) among them, and ends; at the latest after `patience`. Until
    /// then it goes on accepting connections, for clients that fetch what is left by their next poll.
    ///
    /// A handler of this server may call it, and is then itself not waited for: it ends where it waits for this, as the
    /// thread that it runs on does. A handler that never ends makes it last for the whole of `patience`.
    pub async fn stop(self, patience: Duration) {
        let _waiting = WaitsForTheEnd::begin();
        let (end, ended) = oneshot::channel();
        // A thread of its own: the runtime's blocking ones are waited for by a shard that ends, if it is the shard's runtime.
        let stop = std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
            self.shards.stop(patience);
            // Nobody may be waiting any more, which is fine.
            let _ = end.send(());
        });
        match stop {
            // It ends without a word where it panics, which the shards' threads have logged.
            Ok(_) => _ = ended.await,
            Err(error) => tracing::error!(%error, "the server does not stop: there is no thread for that"),
        }
    }
}
