//! A client's connection to one namespace, as handlers hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::ack::request;
use super::broadcast::Broadcast;
use super::encode::Body;
use super::extensions::Extensions;
use super::handler::{Handler, erase};
use super::io::IoInner;
use super::namespace::{DisconnectHandler, erase_disconnect, warn_if_never};
use super::op::{Op, Target, Which};
use super::{AckError, FromArgs, Handshake, Payload};
use crate::close::CloseReason;
use crate::ids::{ShardId, SocketId};
use crate::proto::sio::Kind;

/// A client in a namespace. A handle: cheap to clone, and good on any thread, for as long as one likes; once the
/// client has gone, what is sent goes nowhere. Where a client that was cut off has come back to what it had, what is
/// asked of the handle from before is asked of the one that it has now; only [`Socket::is_connected`] stays `false`.
#[derive(Clone)]
pub struct Socket(Arc<Inner>);

struct Inner {
    id: SocketId,
    namespace: Arc<str>,
    io: Arc<IoInner>,
    handshake: Handshake,
    extensions: Extensions,
    connected: AtomicBool,
    /// The client has come back to it.
    recovered: bool,
    /// Where it is. Its id may name another shard, if its client has come back.
    shard: ShardId,
}

/// Bytes of a socket behind its handles.
#[cfg(test)]
pub(super) const INNER_BYTES: usize = size_of::<Inner>();

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).field("namespace", &self.0.namespace).finish()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Socket {}

impl std::hash::Hash for Socket {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl Socket {
    pub(super) fn new(id: SocketId, namespace: Arc<str>, io: Arc<IoInner>, handshake: Handshake) -> Self {
        let (extensions, connected) = (Extensions::default(), AtomicBool::new(false));
        let (recovered, shard) = (false, id.shard);
        Socket(Arc::new(Inner { id, namespace, io, handshake, extensions, connected, recovered, shard }))
    }

    /// A socket that a client has come back to, on this shard.
    pub(super) fn recovered_on(
        shard: ShardId,
        id: SocketId,
        namespace: Arc<str>,
        io: Arc<IoInner>,
        handshake: Handshake,
        extensions: Extensions,
    ) -> Self {
        let (connected, recovered) = (AtomicBool::new(false), true);
        Socket(Arc::new(Inner { id, namespace, io, handshake, extensions, connected, recovered, shard }))
    }

    /// Asks the shard that it is on.
    pub(super) fn ask(&self, op: Op) {
        self.io().post_to(self.0.shard, op);
    }

    pub(super) fn io(&self) -> &Arc<IoInner> {
        &self.0.io
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Release);
    }

    /// Its id. Also the name of a room that only it is in.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The name of its namespace.
    pub fn namespace_name(&self) -> &str {
        &self.0.namespace
    }

    /// Everybody in its namespace, this socket included.
    pub fn namespace(&self) -> Broadcast {
        Broadcast::new(self.io().clone(), Which::Named(self.0.namespace.clone()), None)
    }

    /// How the client came.
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// What the program keeps with it.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Whether it is in its namespace: not before middleware has let it in, not after it has left.
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Whether its client was cut off, and has come back to it: with its former id, rooms and
    /// [`extensions`](Socket::extensions), and with what it has missed. Handlers of its own ([`Socket::on`]) are to be
    /// given to it anew.
    pub fn recovered(&self) -> bool {
        self.0.recovered
    }

    /// Handles an event of this socket, in place of the namespace's handler for it and of one that was added before; see
    /// [`Handler`].
    pub fn on<P>(&self, event: impl Into<Box<str>>, handler: impl Handler<P>) {
        let (socket, event, handler) = (self.id(), event.into(), erase(handler));
        warn_if_never(&event);
        self.ask(Op::On { socket, event, handler });
    }

    /// Called with the socket, the reason and its rooms when it has left, beside the namespace's handlers for that and those
    /// that were added before.
    pub fn on_disconnect<P>(&self, handler: impl DisconnectHandler<P>) {
        let (socket, handler) = (self.id(), erase_disconnect(handler));
        self.ask(Op::OnDisconnect { socket, handler });
    }

    /// Sends an event. It is queued where the client is slow; once more than `outbox_hard` of the [`Settings`](crate::session::Settings)
    /// waits, what was just sent included, the client is closed as a slow reader. What is larger goes in pieces.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        self.emit_with(event, &payload, false);
    }

    fn emit_with(&self, event: &str, payload: &impl Payload, volatile: bool) {
        match Body::event(event, payload) {
            Ok(body) => {
                let body = body.with_offset(self.io().offset(volatile));
                self.send_frames(Kind::Event, None, &body, volatile);
            }
            Err(error) => tracing::error!(socket = %self.id(), event, %error, "an event can't be encoded"),
        }
    }

    pub(super) fn send_frames(&self, kind: Kind, ack: Option<u64>, body: &Body, volatile: bool) {
        self.io().send(self.0.shard, Target::Socket(self.id()), volatile, body.offset(), |out| {
            body.write(out, kind, self.namespace_name(), ack)
        });
    }

    /// Sends an event, and waits for the answer: its first argument, or all as [`Args`](super::Args).
    ///
    /// # Errors
    /// The answer did not come in time (the server's `ack_timeout`; see [`Socket::timeout`] for another), or is
    /// not of this type.
    pub async fn emit_with_ack<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<T, AckError> {
        request(self, event, &payload, self.io().options.ack_timeout).await
    }

    /// For one event: how long to wait for its answer.
    pub fn timeout(&self, timeout: Duration) -> Patient<'_> {
        Patient { socket: self, timeout }
    }

    /// For one event: it is dropped rather than queued where the client is not ready for it.
    pub fn volatile(&self) -> Volatile<'_> {
        Volatile(self)
    }

    /// Joins a room. One that is in [as many as it may be](super::IoBuilder::max_rooms_per_socket) does not, which is logged.
    pub fn join(&self, room: impl AsRef<str>) {
        self.rooms_op([room.as_ref().into()].into(), [].into());
    }

    /// Leaves a room.
    pub fn leave(&self, room: impl AsRef<str>) {
        self.rooms_op([].into(), [room.as_ref().into()].into());
    }

    fn rooms_op(&self, join: Arc<[Arc<str>]>, leave: Arc<[Arc<str>]>) {
        self.ask(Op::Rooms { target: Target::Socket(self.id()), join, leave });
    }

    /// The rooms that it is in, without that of its id. In middleware, those that a client which has come back is about to
    /// be in again, unless [`Socket::leave`] takes it out of them.
    pub async fn rooms(&self) -> Vec<Arc<str>> {
        let (socket, (rooms, answer)) = (self.id(), oneshot::channel());
        self.ask(Op::RoomsOf { socket, rooms });
        answer.await.unwrap_or_default()
    }

    /// Everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::new(self.io().clone(), Which::Named(self.0.namespace.clone()), Some(self.id()))
    }

    /// Everybody in a room but this socket.
    pub fn to(&self, room: impl AsRef<str>) -> Broadcast {
        self.broadcast().to(room)
    }

    /// Everybody in the namespace but this socket, and those in a room.
    pub fn except(&self, room: impl AsRef<str>) -> Broadcast {
        self.broadcast().except(room)
    }

    /// Takes the client out of the namespace. Its connection goes on.
    pub fn disconnect(&self) {
        self.put_out(None);
    }

    /// Closes the client's connection, and so all its sockets. The client is told that this is meant, and does not
    /// come back by itself.
    pub fn close(&self) {
        self.put_out(Some(CloseReason::ForcedClose));
    }

    /// Closes the client's connection once what was sent has left, because this node is going away. To the client it
    /// is a connection that has ended, so it comes back by itself, to whichever node takes it.
    pub fn close_for_shutdown(&self) {
        self.put_out(Some(CloseReason::ShuttingDown));
    }

    fn put_out(&self, close: Option<CloseReason>) {
        self.ask(Op::Disconnect { target: Target::Socket(self.id()), close });
    }
}

/// A socket, and how long to wait for its answer.
#[derive(Debug)]
pub struct Patient<'a> {
    socket: &'a Socket,
    timeout: Duration,
}

impl Patient<'_> {
    /// As [`Socket::emit_with_ack`], with this time-out.
    ///
    /// # Errors
    /// The answer did not come in time, or is not of this type.
    pub async fn emit_with_ack<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<T, AckError> {
        request(self.socket, event, &payload, self.timeout).await
    }
}

/// A socket that events are sent to if it is ready for them.
#[derive(Debug)]
pub struct Volatile<'a>(&'a Socket);

impl Volatile<'_> {
    /// As [`Socket::emit`], but dropped where the client is not ready.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        self.0.emit_with(event, &payload, true);
    }
}
