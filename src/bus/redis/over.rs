//! Every way in which a link ends, or does not come up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use tokio::task::JoinError;

use super::resp::Malformed;

/// How long a server may take for a new connection, and for what it is asked before the link is up.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that has said nothing at all for so long, though it was asked, is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(3);

/// Why a link is over, or did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Over {
    #[error("{server}: {error}")]
    Redis { server: Arc<str>, error: RedisError },
    #[error("{server}: {error}")]
    Io { server: Arc<str>, error: io::Error },
    #[error("{server} refuses: {error}")]
    Refused { server: Arc<str>, error: String },
    #[error("{server} has closed the connection")]
    Disconnected { server: Arc<str> },
    #[error("{server} has not answered for {SILENCE:?}")]
    Silent { server: Arc<str> },
    #[error("{server} has not answered within {CONNECT_TIMEOUT:?}")]
    Timeout { server: Arc<str> },
    #[error("{server} answers {command} with something else than it should")]
    Nonsense { server: Arc<str>, command: &'static str },
    #[error("{server} says what nobody has asked for")]
    Unasked { server: Arc<str> },
    #[error("{server}: {error}")]
    Malformed { server: Arc<str>, error: Malformed },
    #[error("{server} is not the master any more")]
    NotMaster { server: Arc<str> },
    #[error("{server} does not serve a channel any more: the cluster's slots have moved")]
    Moved { server: Arc<str> },
    #[error("{server} knows no master {master}")]
    UnknownMaster { server: Arc<str>, master: String },
    #[error("some of the cluster's slots are served by nobody")]
    Uncovered,
    #[error("{server} says that its cluster does not work")]
    ClusterDown { server: Arc<str> },
    #[error("the URL names no server")]
    NoServer,
    #[error("a task of the bus has failed: {error}")]
    Panic { error: JoinError },
    #[error("Redis has forgotten this node, so that others may have left it out")]
    Forgotten,
    #[error("it was closed")]
    Closed,
}
