//! Namespaces: what happens when a client joins one, and when it speaks.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use serde::Serialize;
use serde_json::Value;

use super::handler::{BoxFuture, Erased, Handler, erase};
use super::io::IoInner;
use super::op::Which;
use super::{Ack, AckError, Answers, Args, Broadcast, Found, FromArgs, Payload, Socket};
use crate::close::CloseReason;

/// A namespace, or a pattern that makes namespaces as clients ask for them.
#[derive(Clone)]
pub struct Namespace {
    pub(super) io: Arc<IoInner>,
    pub(super) which: Which,
}

/// Why a client is not let into a namespace; it gets a `connect_error` with this.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refused {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Refused {
    /// With a message for humans.
    pub fn new(message: impl Into<String>) -> Self {
        Refused { message: message.into(), data: None }
    }

    /// And data for programs.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The data.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }
}

impl<T: Into<String>> From<T> for Refused {
    fn from(message: T) -> Self {
        Refused::new(message)
    }
}

/// An event that no handler was there for.
#[derive(Debug)]
pub struct AnyEvent {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Args,
    /// The way to answer it.
    pub ack: Ack,
}

type Middleware =
    Arc<dyn Fn(Socket) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>> + Send + Sync>;
type OnConnect = Arc<dyn Fn(Socket) -> BoxFuture + Send + Sync>;
type OnAny = Arc<dyn Fn(Socket, AnyEvent) -> BoxFuture + Send + Sync>;
pub(super) type OnDisconnect = Arc<dyn Fn(Socket, CloseReason, Vec<Arc<str>>) -> BoxFuture + Send + Sync>;

/// What a namespace does, for its handle and all shards.
#[derive(Default)]
pub(super) struct Definition {
    handlers: RwLock<Arc<Handlers>>,
    version: AtomicU64,
    /// The pattern that it was made after, where it has become one of its own since.
    pattern: Option<Arc<Definition>>,
}

/// The handlers of a namespace. Shards hold a snapshot, and look at the version to see whether it still holds.
#[derive(Clone, Default)]
pub(super) struct Handlers {
    pub middleware: Vec<Middleware>,
    pub on_connect: Vec<OnConnect>,
    pub events: HashMap<Box<str>, Erased, RandomState>,
    pub on_any: Option<OnAny>,
    pub on_disconnect: Vec<OnDisconnect>,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Definition")
    }
}

impl Definition {
    /// Of a namespace that a pattern has made: it begins with what the pattern has now.
    pub fn after(pattern: &Arc<Definition>) -> Self {
        Definition {
            handlers: RwLock::new(pattern.handlers()),
            version: AtomicU64::new(0),
            pattern: Some(pattern.clone()),
        }
    }

    /// Whether it is this one, or was made after it.
    pub fn is_of(self: &Arc<Self>, other: &Arc<Definition>) -> bool {
        Arc::ptr_eq(self, other) || self.pattern.as_ref().is_some_and(|pattern| Arc::ptr_eq(pattern, other))
    }

    /// The pattern that it was made after.
    pub fn pattern(&self) -> Option<&Arc<Definition>> {
        self.pattern.as_ref()
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn handlers(&self) -> Arc<Handlers> {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut Handlers)) {
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut handlers));
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Namespace").field(&self.which).finish()
    }
}

/// A function that is called when a socket has left: async, of nothing, the [`Socket`], the socket and the
/// [`CloseReason`], or these and the rooms that it was in.
pub trait DisconnectHandler<P>: Send + Sync + 'static {
    /// Begins.
    #[doc(hidden)]
    fn call(&self, socket: Socket, reason: CloseReason, rooms: Vec<Arc<str>>) -> BoxFuture;
}

impl<F, Fut> DisconnectHandler<()> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, _: Socket, _: CloseReason, _: Vec<Arc<str>>) -> BoxFuture {
        Box::pin(self())
    }
}

impl<F, Fut> DisconnectHandler<(Socket,)> for F
where
    F: Fn(Socket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, socket: Socket, _: CloseReason, _: Vec<Arc<str>>) -> BoxFuture {
        Box::pin(self(socket))
    }
}

impl<F, Fut> DisconnectHandler<(Socket, CloseReason)> for F
where
    F: Fn(Socket, CloseReason) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, socket: Socket, reason: CloseReason, _: Vec<Arc<str>>) -> BoxFuture {
        Box::pin(self(socket, reason))
    }
}

impl<F, Fut> DisconnectHandler<(Socket, CloseReason, Vec<Arc<str>>)> for F
where
    F: Fn(Socket, CloseReason, Vec<Arc<str>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn call(&self, socket: Socket, reason: CloseReason, rooms: Vec<Arc<str>>) -> BoxFuture {
        Box::pin(self(socket, reason, rooms))
    }
}

/// Says that a handler likely waits in vain: in Node's API these are no events of clients.
pub(super) fn warn_if_never(event: &str) {
    let instead = match event {
        "connection" | "connect" => "on_connect",
        "disconnect" | "disconnecting" => "on_disconnect",
        _ => return,
    };
    tracing::warn!(event, instead, "a handler for what a client says, not for its coming or going");
}

pub(super) fn erase_disconnect<P>(handler: impl DisconnectHandler<P>) -> OnDisconnect {
    Arc::new(move |socket, reason, rooms| handler.call(socket, reason, rooms))
}

impl Namespace {
    /// Its name; `None` for a pattern.
    pub fn name(&self) -> Option<&str> {
        match &self.which {
            Which::Named(name) => Some(name),
            Which::Of(_) => None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Handlers)) {
        match &self.which {
            Which::Named(name) => self.io.define(name).change(change),
            Which::Of(definition) => definition.change(change),
        }
    }

    /// Decides whether a client may join, after those that were added before. May wait; the client waits with it. What is
    /// emitted to the socket meanwhile is sent once it has joined.
    ///
    /// ```
    /// # use tokio_socketio::{Io, Refused, Socket};
    /// # let io = Io::new();
    /// io.of("/admin").middleware(|socket: Socket| async move {
    ///     match socket.handshake().query("key").as_deref() {
    ///         Some("secret") => Ok(()),
    ///         _ => Err(Refused::new("not authorized").with_data(serde_json::json!({ "code": "no_key" }))),
    ///     }
    /// });
    /// ```
    pub fn middleware<F, Fut, E>(&self, middleware: F) -> &Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Refused>,
    {
        let middleware: Middleware = Arc::new(move |socket| {
            let decision = middleware(socket);
            Box::pin(async move { decision.await.map_err(Into::into) })
        });
        self.change(|handlers| handlers.middleware.push(middleware));
        self
    }

    /// Called with each socket that has joined, before any of its events is handled; beside those that were added before.
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler: OnConnect = Arc::new(move |socket| Box::pin(handler(socket)));
        self.change(|handlers| handlers.on_connect.push(handler));
        self
    }

    /// Handles an event of all sockets of the namespace, in place of a handler that it had; see [`Handler`].
    pub fn on<P>(&self, event: impl Into<Box<str>>, handler: impl Handler<P>) -> &Self {
        let (event, handler) = (event.into(), erase(handler));
        warn_if_never(&event);
        self.change(|handlers| drop(handlers.events.insert(event, handler)));
        self
    }

    /// Handles all events that have no handler of their own, in place of a handler that was there for that.
    pub fn on_any<F, Fut>(&self, handler: F) -> &Self
    where
        F: Fn(Socket, AnyEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let handler: OnAny = Arc::new(move |socket, event| Box::pin(handler(socket, event)));
        self.change(|handlers| handlers.on_any = Some(handler));
        self
    }

    /// Called with each socket that has left, the reason, and the rooms that it was in; beside those that were added before.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tokio_socketio::{CloseReason, Io, Socket};
    /// # let io = Io::new();
    /// io.on_disconnect(|socket: Socket, reason: CloseReason, rooms: Vec<Arc<str>>| async move {
    ///     for room in rooms {
    ///         socket.to(room).emit("left", (socket.id().to_string(), reason.as_str()));
    ///     }
    /// });
    /// ```
    pub fn on_disconnect<P>(&self, handler: impl DisconnectHandler<P>) -> &Self {
        let handler = erase_disconnect(handler);
        self.change(|handlers| handlers.on_disconnect.push(handler));
        self
    }

    /// All sockets of the namespace.
    pub fn sockets(&self) -> Broadcast {
        Broadcast::new(self.io.clone(), self.which.clone(), None)
    }

    /// Those in a room.
    pub fn to(&self, room: impl AsRef<str>) -> Broadcast {
        self.sockets().to(room)
    }

    /// All but those in a room.
    pub fn except(&self, room: impl AsRef<str>) -> Broadcast {
        self.sockets().except(room)
    }

    /// Those on this node.
    pub fn local(&self) -> Broadcast {
        self.sockets().local()
    }

    /// All that are ready for it; see [`Broadcast::volatile`].
    pub fn volatile(&self) -> Broadcast {
        self.sockets().volatile()
    }

    /// All, and how long to wait for their answers.
    pub fn timeout(&self, timeout: Duration) -> Broadcast {
        self.sockets().timeout(timeout)
    }

    /// Sends an event to all.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        self.sockets().emit(event, payload);
    }

    /// Sends an event to all, and waits for their answers.
    ///
    /// # Errors
    /// The event can't be encoded.
    pub async fn emit_with_acks<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<Answers<T>, AckError> {
        self.sockets().emit_with_acks(event, payload).await
    }

    /// All sockets, on all nodes.
    pub async fn fetch_sockets(&self) -> Found {
        self.sockets().fetch_sockets().await
    }

    /// Takes all sockets out of the namespace; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.sockets().disconnect_sockets(close);
    }
}
