//! The server: its namespaces, and the way from handles to shards.

mod builder;
mod server;

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::ToSocketAddrs;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

#[cfg(feature = "node")]
use super::cluster::SentElsewhere;
use super::cluster::{self, Cluster, ClusterOptions, NodeAnswers, OfNodes, RoomsHeld, ServerSideHandler};
use super::encode::Body;
use super::engine::Engine;
use super::hub::Hub;
use super::local;
use super::namespace::{Definition, Namespace};
use super::op::{Frames, Op, Target, Which};
use super::places::Places;
use super::recovery::Recovery;
use super::{AckError, FromArgs, Payload, RecoveredSession, Socket};
use crate::bus::{Bus, BusFuture, Sink};
use crate::ids::{Offset, ShardId};
use crate::proto::sio::ROOT;
use crate::shard::{Limits, Mount, Poster, Request, Setup, Shards};

pub use builder::IoBuilder;
pub use server::Server;

/// A Socket.IO server. A handle: cheap to clone, good on any thread. It is its root namespace `/` at the same time,
/// so all that can be done with a [`Namespace`] can be done with it.
///
/// ```no_run
/// use tokio_socketio::{Io, Socket};
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let io = Io::new();
///     io.on("message", |socket: Socket, text: String| async move {
///         socket.broadcast().emit("message", text);
///     });
///     io.serve("127.0.0.1:3000").await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Io {
    root: Namespace,
}

impl Deref for Io {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.root
    }
}

impl Default for Io {
    fn default() -> Self {
        Self::new()
    }
}

type Allow = Arc<dyn Fn(&Request) -> Result<(), String> + Send + Sync>;
type Matcher = Arc<dyn Fn(&str) -> bool + Send + Sync>;

pub(crate) struct IoInner {
    pub(super) options: Options,
    /// `None` where clients don't come back to what they had.
    pub(super) recovery: Option<Recovery>,
    poster: Poster<Hub>,
    places: Places,
    /// The shards run, or have run.
    listened: AtomicBool,
    namespaces: RwLock<Registry>,
    cluster: OnceLock<Arc<Cluster>>,
    /// What the program does when other nodes speak to it, or go.
    of_nodes: Arc<OfNodes>,
}

#[derive(Default)]
struct Registry {
    fixed: HashMap<Arc<str>, Arc<Definition>>,
    /// Asked in their order, and never under the lock: they are the program's.
    patterns: Arc<[(Matcher, Arc<Definition>)]>,
}

/// What shards and handles must know beside the sessions' settings.
pub(super) struct Options {
    pub mounts: Vec<Mount>,
    /// The raw endpoints, by mount; `None` for Socket.IO.
    pub engines: Vec<Option<Engine>>,
    pub limits: Limits,
    pub allow: Option<Allow>,
    pub ack_timeout: Duration,
    pub max_rooms: usize,
    pub busy_poll: Duration,
}

thread_local! {
    /// The program's patterns are being asked on this thread.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

impl std::fmt::Debug for IoInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Io")
    }
}

impl IoInner {
    /// A name for this server among those of the process.
    pub(super) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// What a namespace is to do, if there is one of that name. The second: it was written down by name, and
    /// not made by a pattern.
    pub(super) fn definition(&self, name: &str) -> Option<(Arc<Definition>, bool)> {
        if let Some(definition) = self.defined(name) {
            return Some((definition, true));
        }
        let patterns = self.patterns();
        // A pattern that asks for a namespace itself is not asked for that one, and so on without end.
        if ASKING.replace(true) {
            return None;
        }
        let pattern = patterns.iter().find(|(matches, _)| {
            catch_unwind(AssertUnwindSafe(|| matches(name))).unwrap_or_else(|_| {
                tracing::error!(name, "a pattern of namespaces has panicked: it does not match");
                false
            })
        });
        ASKING.set(false);
        pattern.map(|(_, definition)| (definition.clone(), false))
    }

    /// The definition that was written down by this name.
    pub(super) fn defined(&self, name: &str) -> Option<Arc<Definition>> {
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        namespaces.fixed.get(name).cloned()
    }

    /// The definition of this name alone, which exists from now on.
    pub(super) fn define(&self, name: &Arc<str>) -> Arc<Definition> {
        let found = self.definition(name);
        if let Some((definition, true)) = found {
            return definition;
        }
        let pattern = found.map(|(pattern, _)| pattern);
        let new = || pattern.as_ref().map_or_else(Definition::default, Definition::after);
        let mut namespaces = self.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let definition = namespaces.fixed.entry(name.clone()).or_insert_with(|| Arc::new(new())).clone();
        drop(namespaces);
        if let Some(pattern) = definition.pattern() {
            // Those that the pattern has made look, and find this.
            pattern.change(|_| {});
        }
        definition
    }

    fn patterns(&self) -> Arc<[(Matcher, Arc<Definition>)]> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).patterns.clone()
    }

    /// The number of a pattern, the same on all nodes that run this program.
    pub(super) fn pattern_number(&self, definition: &Arc<Definition>) -> Option<usize> {
        self.patterns().iter().position(|(_, of)| Arc::ptr_eq(of, definition))
    }

    /// The pattern of a number.
    pub(super) fn pattern(&self, number: usize) -> Option<Arc<Definition>> {
        self.patterns().get(number).map(|(_, definition)| definition.clone())
    }

    /// The other nodes, if there are any.
    pub(super) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get()
    }

    /// A room has its first member on a shard.
    pub(super) fn room_opened(&self, namespace: &str, room: &str, shard: ShardId) {
        self.places.opened(namespace, room, shard);
        if let Some(cluster) = self.cluster() {
            cluster.room_opened(namespace, room);
        }
    }

    /// A room has lost its last member on a shard.
    pub(super) fn room_closed(&self, namespace: &str, room: &str, shard: ShardId) {
        self.places.closed(namespace, room, shard);
        if let Some(cluster) = self.cluster() {
            cluster.room_closed(namespace, room);
        }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> ShardId {
        self.poster.shards()
    }

    /// A name for the next event among those that clients may miss, if they can ask for those.
    pub(super) fn offset(&self, volatile: bool) -> Option<Offset> {
        (self.recovery.is_some() && !volatile).then(Offset::next)
    }

    /// Asks a shard. `false`: there is none of that number, or none yet, or it has ended, and has no sockets that the mail
    /// could be for.
    pub(super) fn post_to(self: &Arc<Self>, shard: ShardId, op: Op) -> bool {
        if !self.has_shards() {
            return false;
        }
        self.places.asked(shard, &op);
        if local::is_here(self.address(), shard) {
            local::ask(op);
            return true;
        }
        self.poster.post(shard, op)
    }

    /// Whether shards run, or have run. Before that there are no sockets that anything could be for.
    fn has_shards(&self) -> bool {
        self.listened.load(Ordering::Relaxed)
    }

    /// A shard has made sockets join rooms, as it was asked.
    pub(super) fn joined(&self, shard: ShardId) {
        self.places.joined(shard);
    }

    /// Asks a shard behind all that other threads have asked it, also where this thread is that shard.
    pub(super) fn mail_to(&self, shard: ShardId, op: Op) {
        // One that there is not, or that has ended, drops it.
        self.places.asked(shard, &op);
        self.poster.post(shard, op);
    }

    /// Asks all shards that may have any of the sockets.
    pub(super) fn post_all(self: &Arc<Self>, target: Target, op: impl Fn(Target) -> Op) {
        let places = match &target {
            // Where clients may come back, each shard remembers what they miss.
            Target::Sockets(selection) if self.recovery.is_none() => self.places.of(selection),
            _ => None,
        };
        for shard in 0..self.poster.shards() {
            if places.is_none_or(|places| places & 1 << shard != 0) {
                self.post_to(shard, op(target.clone()));
            }
        }
    }

    /// Sends frames to a socket of a shard.
    pub(super) fn send(
        self: &Arc<Self>,
        shard: ShardId,
        target: Target,
        volatile: bool,
        offset: Option<Offset>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if local::is_here(self.address(), shard) {
            local::send(target, volatile, offset, write);
        } else {
            let mut frames = Vec::with_capacity(128);
            write(&mut frames);
            let frames = Frames::Shared(frames.into());
            self.poster.post(shard, Op::Send { target, frames, volatile, offset });
        }
    }
}

impl Io {
    /// A server with default options.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A server with options.
    pub fn builder() -> IoBuilder {
        IoBuilder::default()
    }

    /// The namespace of this name, which exists from now on. One that a pattern has made, or would make, keeps what the
    /// pattern has: what is added here comes on top, for this name alone, and what is added to the pattern later is not
    /// for it any more.
    pub fn of(&self, name: &str) -> Namespace {
        let name: Arc<str> = if name.starts_with('/') { name.into() } else { format!("/{name}").into() };
        let io = self.root.io.clone();
        // A pattern that asks does not know yet what it will say of this name itself.
        if !ASKING.get() && io.definition(&name).is_none() {
            io.define(&name);
        }
        Namespace { io, which: Which::Named(name) }
    }

    /// All namespaces whose name matches. They are there as soon as a client asks for them. `matches` must not block.
    ///
    /// ```
    /// # use tokio_socketio::{Io, Socket};
    /// # let io = Io::new();
    /// io.of_matching(|name| name.starts_with("/tenant-")).on_connect(|socket: Socket| async move {
    ///     println!("{} has a client", socket.namespace_name());
    /// });
    /// ```
    pub fn of_matching(&self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Namespace {
        let io = self.root.io.clone();
        let definition = Arc::new(Definition::default());
        let mut namespaces = io.namespaces.write().unwrap_or_else(PoisonError::into_inner);
        let new: (Matcher, _) = (Arc::new(matches), definition.clone());
        namespaces.patterns = namespaces.patterns.iter().cloned().chain([new]).collect();
        drop(namespaces);
        Namespace { io, which: Which::Of(definition) }
    }

    /// Joins a cluster of nodes that run the same program: what is asked of sockets then reaches those on all nodes. The
    /// bus is made with [`Joining::sink`], and handed over with [`Joining::with`]. To be called on a tokio runtime,
    /// before [`Io::listen`], once.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tokio_socketio::{ClusterOptions, Io, bus::LocalExchange};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// // Two servers of one process. `RedisBus` takes the place of `LocalBus` between machines.
    /// let exchange = LocalExchange::default();
    /// let servers = ["node-1", "node-2"].map(|node| {
    ///     let io = Io::new();
    ///     let joining = io.join_cluster(ClusterOptions::new(node));
    ///     let bus = exchange.join(joining.sink());
    ///     joining.with(Arc::new(bus));
    ///     io
    /// });
    /// servers[0].emit("news", "for the clients of both");
    /// # });
    /// ```
    ///
    /// # Panics
    /// Outside of a runtime, or when called twice.
    pub fn join_cluster(&self, options: ClusterOptions) -> Joining {
        let io = &self.root.io;
        let cluster = Arc::new(Cluster::new(options, io.of_nodes.clone()));
        assert!(io.cluster.set(cluster.clone()).is_ok(), "this server is a member of a cluster already");
        Joining { sink: cluster::sink(io, &cluster), cluster }
    }

    /// The names of the other nodes that were heard of lately.
    pub fn other_nodes(&self) -> Vec<String> {
        let others = self.root.io.cluster().map(|cluster| cluster.others()).unwrap_or_default();
        others.iter().map(|name| name.to_string()).collect()
    }

    /// Says farewell to the other nodes, which then wait for no answer of this one any more.
    pub async fn leave_cluster(&self) {
        if let Some(cluster) = self.root.io.cluster() {
            cluster.leave().await;
        }
    }

    /// Called with the name of each node that said farewell, was not heard of for too long, or has restarted; in place of
    /// a handler that was there for that. It must not block. For a server that is alone it has nothing to do.
    pub fn on_node_gone(&self, handler: impl Fn(&str) + Send + Sync + 'static) {
        self.root.io.of_nodes.on_gone(Arc::new(handler));
    }

    /// Handles an event that other nodes send with `server_side_emit`: with the name of the node that sends it, and
    /// its arguments.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tokio_socketio::{Args, Io};
    /// # let io = Io::new();
    /// io.on_server_side_emit("uptime", |_node: Arc<str>, _args: Args| async { 42 });
    /// ```
    ///
    /// It takes the place of a handler that the event had. For a server that is alone it has nothing to do.
    pub fn on_server_side_emit(&self, event: &str, handler: impl ServerSideHandler) {
        self.root.io.of_nodes.on(event, handler);
    }

    /// Sends an event to the programs of all other nodes. `false`: the bus has not taken it.
    pub fn server_side_emit(&self, event: &str, payload: impl Payload) -> bool {
        self.sockets().server_side_emit(event, payload)
    }

    /// Sends an event to the programs of all other nodes, and waits for their answers.
    ///
    /// # Errors
    /// The event can't be encoded. Nodes that did not answer are named in the [`NodeAnswers`].
    pub async fn server_side_emit_with_ack<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<NodeAnswers<T>, AckError> {
        let body = Body::event(event, &payload).map_err(|error| AckError::Encode(error.to_string()))?;
        match self.root.io.cluster() {
            Some(cluster) => Ok(cluster.ask_programs(&body).await),
            None => Ok(NodeAnswers::default()),
        }
    }

    /// Makes sure that what other nodes send to these rooms of the root namespace arrives on this node from the moment
    /// that the future resolves, as long as the first value lives: so that a client which is told that it has
    /// joined misses nothing from then on.
    pub fn hold_rooms(&self, rooms: &[Arc<str>]) -> (Option<RoomsHeld>, BusFuture<()>) {
        match self.root.io.cluster() {
            Some(cluster) => {
                let (held, in_force) = cluster.hold(ROOT, rooms);
                (Some(held), in_force)
            }
            None => (None, Box::pin(async {})),
        }
    }

    /// How what the program keeps with a socket (its [`extensions`](super::Socket::extensions)) goes along when a client
    /// comes back on another node: `save` makes bytes of it when the client is cut off, `restore` gives it to the socket
    /// that the client has come back to. Neither must block. On the same node the values themselves go along, and
    /// neither is called. Does nothing where recovery is off.
    ///
    /// ```
    /// # use tokio_socketio::{Io, Socket};
    /// # let io = Io::new();
    /// struct User(String);
    /// io.recovery_data(
    ///     |socket: &Socket| socket.extensions().get::<User>().map_or(Vec::new(), |user| user.0.clone().into()),
    ///     |socket: &Socket, data: &[u8]| {
    ///         socket.extensions().insert(User(String::from_utf8_lossy(data).into_owned()));
    ///     },
    /// );
    /// ```
    pub fn recovery_data(
        &self,
        save: impl Fn(&Socket) -> Vec<u8> + Send + Sync + 'static,
        restore: impl Fn(&Socket, &[u8]) + Send + Sync + 'static,
    ) {
        if let Some(recovery) = &self.root.io.recovery {
            recovery.set_data(Box::new(save), Box::new(restore));
        }
    }

    /// Called with a session that a client wants back and whose node does not answer, so that the library does not know
    /// what the client has missed. The program may: it [emits](RecoveredSession::emit) that, and returns `true` if it can
    /// vouch that nothing is missing. The client is then back; otherwise, and where there is no such handler, it
    /// begins anew. Does nothing where recovery is off.
    pub fn on_recover_elsewhere<F, Fut>(&self, handler: F)
    where
        F: Fn(RecoveredSession) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        if let Some(recovery) = &self.root.io.recovery {
            recovery.set_vouch(Arc::new(move |session| Box::pin(handler(session))));
        }
    }

    /// Does what tells other nodes of something and what tells clients here of it, as one emit does both: a client that
    /// changes the node is then not between the two. Shards are woken once, behind all of it.
    #[cfg(feature = "node")]
    pub(crate) fn emit_as_one(&self, emit: impl FnOnce()) {
        let _emitting = self.root.io.recovery.as_ref().map(|recovery| recovery.emits.begin());
        self.root.io.poster.together(emit);
    }

    /// Sends once more to other nodes what may have been lost on the way. `false`: the bus has not taken it.
    #[cfg(feature = "node")]
    pub(crate) fn emit_again(&self, sent: &SentElsewhere) -> bool {
        self.root.io.cluster().is_some_and(|cluster| cluster.emit_again(sent))
    }

    /// Whether a client is on its way back to this node, so that events are remembered for it which nobody here is sent.
    #[cfg(feature = "node")]
    pub(crate) fn is_anybody_coming_back(&self) -> bool {
        self.root.io.recovery.as_ref().is_some_and(|recovery| recovery.coming.is_any_on_node())
    }

    /// Listens, and serves until the server is stopped. Once: what has stopped does not start again.
    ///
    /// # Errors
    /// The address can't be listened on, in which case another may be tried, or this server has listened before.
    pub fn listen(&self, address: impl ToSocketAddrs) -> io::Result<Server> {
        let io = self.root.io.clone();
        let listen: Vec<_> = address.to_socket_addrs()?.collect();
        if io.listened.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("this server has listened before: build another Io"));
        }
        let Options { mounts, limits, busy_poll, .. } = &io.options;
        let setup = Setup { listen, mounts: mounts.clone(), limits: limits.clone(), busy_poll: *busy_poll };
        let hub_io = io.clone();
        let shards = Shards::start(setup, io.poster.clone(), move |shard| Hub::new(shard, hub_io.clone()))
            .inspect_err(|_| io.listened.store(false, Ordering::Relaxed))?;
        Ok(Server { shards })
    }

    /// Listens, and serves until the program ends, also where the future is dropped; see [`Io::listen`] for a server that can be
    /// stopped.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn serve(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let _server = self.listen(address)?;
        std::future::pending().await
    }
}

/// A server that is about to join a cluster.
#[must_use = "without a bus it stays alone"]
pub struct Joining {
    cluster: Arc<Cluster>,
    sink: Arc<dyn Sink>,
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joining")
    }
}

impl Joining {
    /// What the bus is to call.
    pub fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone()
    }

    /// The bus is there.
    pub fn with(self, bus: Arc<dyn Bus>) {
        self.cluster.begin(bus);
    }
}
