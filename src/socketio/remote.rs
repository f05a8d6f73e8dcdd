//! Sockets as they are found anywhere in the cluster.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use super::io::IoInner;
use super::op::Which;
use super::{AckError, ArgsError, Broadcast, FromArgs, Payload, Socket};
use crate::bus::wire;
use crate::ids::SocketId;
use crate::proto::sio;

/// A socket on this node or another one: what was known of it when it was found, and a way to speak to it.
#[derive(Clone, Debug)]
pub struct RemoteSocket {
    io: Arc<IoInner>,
    node: Option<Arc<str>>,
    id: SocketId,
    namespace: Arc<str>,
    rooms: Vec<Arc<str>>,
    url: String,
    address: String,
    auth: String,
    time: SystemTime,
}

impl RemoteSocket {
    /// A socket of this node.
    pub(super) fn here(socket: &Socket, rooms: Vec<Arc<str>>) -> Self {
        let handshake = socket.handshake();
        RemoteSocket {
            io: socket.io().clone(),
            node: None,
            id: socket.id(),
            namespace: socket.namespace_name().into(),
            rooms,
            url: handshake.url().into(),
            address: handshake.address().to_string(),
            auth: handshake.auth_json().into(),
            time: handshake.time(),
        }
    }

    pub(super) fn of_wire(io: &Arc<IoInner>, node: Arc<str>, socket: &wire::Socket<'_>) -> Option<Self> {
        Some(RemoteSocket {
            io: io.clone(),
            node: Some(node),
            id: socket.id.parse().ok()?,
            namespace: (*socket.namespace).into(),
            rooms: socket.rooms.iter().map(|room| Arc::from(&**room)).collect(),
            url: socket.url.clone().into_owned(),
            address: socket.address.clone().into_owned(),
            auth: socket.auth.clone().into_owned(),
            time: UNIX_EPOCH + Duration::from_millis(socket.time_ms.min(MAX_TIME_MS)),
        })
    }

    /// The node that it is on; `None` for this one.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Its id.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The name of its namespace.
    pub fn namespace_name(&self) -> &str {
        &self.namespace
    }

    /// The rooms that it was in, without that of its id.
    pub fn rooms(&self) -> &[Arc<str>] {
        &self.rooms
    }

    /// Path and query of the request that it came with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it came from: address and port, of the client or a proxy.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// When it came.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// What the client gave as `auth`.
    ///
    /// # Errors
    /// It is not of this type.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        Ok(serde_json::from_str(&sio::well_formed(&self.auth))?)
    }

    fn itself(&self) -> Broadcast {
        let which = Which::Named(self.namespace.clone());
        Broadcast::new(self.io.clone(), which, None).to(self.id.to_string()).at(self.node.clone())
    }

    /// Sends an event to it.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        self.itself().emit(event, payload);
    }

    /// Sends an event to it, and waits for the answer.
    ///
    /// # Errors
    /// The answer did not come in time (the server's `ack_timeout`), or is not of this type, or the socket has gone.
    pub async fn emit_with_ack<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<T, AckError> {
        let mut answers = self.itself().emit_with_acks(event, payload).await?;
        match (answers.received.pop(), answers.missing.pop()) {
            (Some((_, answer)), _) => Ok(answer),
            (_, Some((_, error))) => Err(error),
            // Its node did not even say that it has no such socket.
            (None, None) if !answers.silent.is_empty() => Err(AckError::Timeout),
            (None, None) => Err(AckError::Disconnected),
        }
    }

    /// Makes it join a room.
    pub fn join(&self, room: impl AsRef<str>) {
        self.itself().join(room);
    }

    /// Makes it leave a room.
    pub fn leave(&self, room: impl AsRef<str>) {
        self.itself().leave(room);
    }

    /// Takes it out of its namespace; with `close`, closes its connection.
    pub fn disconnect(&self, close: bool) {
        self.itself().disconnect_sockets(close);
    }
}

/// 9999-12-31: a time that every platform can count to.
pub(super) const MAX_TIME_MS: u64 = 253_402_300_799_999;

impl Socket {
    pub(super) fn to_wire<'a>(&'a self, rooms: &'a [Arc<str>]) -> wire::Socket<'a> {
        let handshake = self.handshake();
        let since_1970 = handshake.time().duration_since(UNIX_EPOCH).unwrap_or_default();
        wire::Socket {
            id: Cow::Owned(self.id().to_string()),
            namespace: Cow::Borrowed(self.namespace_name()),
            rooms: rooms.iter().map(|room| Cow::Borrowed(&**room)).collect(),
            url: Cow::Borrowed(handshake.url()),
            address: Cow::Owned(handshake.address().to_string()),
            auth: Cow::Borrowed(handshake.auth_json()),
            time_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The sockets that were found, and who said nothing.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The sockets.
    pub sockets: Vec<RemoteSocket>,
    /// The names of the nodes that did not answer in time. What they have is not among the sockets.
    pub silent: Vec<String>,
}

impl Deref for Found {
    type Target = [RemoteSocket];

    fn deref(&self) -> &[RemoteSocket] {
        &self.sockets
    }
}

impl IntoIterator for Found {
    type Item = RemoteSocket;
    type IntoIter = std::vec::IntoIter<RemoteSocket>;

    fn into_iter(self) -> Self::IntoIter {
        self.sockets.into_iter()
    }
}

impl<'a> IntoIterator for &'a Found {
    type Item = &'a RemoteSocket;
    type IntoIter = std::slice::Iter<'a, RemoteSocket>;

    fn into_iter(self) -> Self::IntoIter {
        self.sockets.iter()
    }
}
