//! A server as one of several nodes: what is asked of sockets reaches those on other nodes, too.
//!
//! Everything that is addressed is a room, and a room is a channel of the bus: a node has the channels of the rooms that
//! its sockets are in, so an event travels exactly to the nodes that need it. What is for everybody, and every
//! question that all nodes must answer, goes by one channel that all nodes have.
//!
//! The bus delivers at most once. A publish that fails stops nothing here; questions name the nodes that were silent.

mod answer;
mod channel;
mod events;
mod members;
mod questions;
mod receive;
mod sessions;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;

use self::members::{Members, News};
use self::questions::Questions;
use super::encode::Body;
use super::io::IoInner;
use super::op::{Selection, Which};
use super::{AckError, FromArgs};
use crate::bus::wire::{self, Message};
use crate::bus::{Bus, BusFuture, Sessions, Sink};
use crate::ids::{ShardId, random_bytes};

pub(super) use self::answer::WayBack;
pub(super) use self::events::OfNodes;
pub use self::events::ServerSideHandler;
pub(super) use self::questions::Reply;
use self::receive::Receiver;
use self::sessions::Records;

/// How a node takes part in its cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// This node's name, unique among the nodes.
    pub node: String,
    /// How long a node counts as there after it was last heard of. Default: 10 s.
    pub member_timeout: Duration,
    /// How long to wait for the answers of other nodes, beyond the time that a question itself allows; so, too, how long what
    /// handles [`Io::server_side_emit_with_ack`](super::Io::server_side_emit_with_ack) may take there. Default: 1 s.
    pub answer_timeout: Duration,
    /// Where nodes leave the sessions of clients that were cut off, for whichever node they come back to; see
    /// [`IoBuilder::recovery_window`](super::IoBuilder::recovery_window). Without it, which is the default, a client
    /// must come back to the same node.
    pub sessions: Option<Arc<dyn Sessions>>,
}

impl ClusterOptions {
    /// Defaults for a node of this name.
    pub fn new(node: impl Into<String>) -> Self {
        ClusterOptions {
            node: node.into(),
            member_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(1),
            sessions: None,
        }
    }
}

/// This node's part in the cluster.
pub(crate) struct Cluster {
    node: Arc<str>,
    /// Which run of this node this is.
    run: u64,
    options: ClusterOptions,
    bus: OnceLock<Arc<dyn Bus>>,
    number: AtomicU64,
    members: Mutex<Members>,
    questions: Mutex<Questions>,
    of_nodes: Arc<OfNodes>,
    /// Rooms that this node has made sockets elsewhere join, and until when that counts as just now.
    fresh: Mutex<HashMap<Arc<str>, Instant>>,
    has_fresh: AtomicBool,
    /// The way to the sessions that nodes leave to each other, if there are any.
    records: Option<Records>,
    /// Where what has to wait goes on.
    runtime: Handle,
    /// The shards that run.
    shards: Mutex<Vec<(ShardId, Handle)>>,
}

impl Cluster {
    /// Must be called on a tokio runtime.
    pub fn new(options: ClusterOptions, of_nodes: Arc<OfNodes>) -> Self {
        let runtime = Handle::current();
        Cluster {
            records: options.sessions.clone().map(|sessions| Records::new(sessions, &runtime)),
            node: options.node.as_str().into(),
            run: u64::from_ne_bytes(random_bytes()),
            members: Mutex::new(Members::new(options.member_timeout)),
            options,
            bus: OnceLock::new(),
            number: AtomicU64::new(0),
            questions: Mutex::default(),
            shards: Mutex::default(),
            of_nodes,
            fresh: Mutex::default(),
            has_fresh: AtomicBool::new(false),
            runtime,
        }
    }

    /// The bus is there: this node shows itself, and goes on doing so.
    pub fn begin(self: &Arc<Self>, bus: Arc<dyn Bus>) {
        {
            let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
            if self.bus.set(bus.clone()).is_err() {
                return;
            }
            shards.iter().for_each(|(shard, runtime)| bus.hear_on(*shard, runtime.clone()));
        }
        let subscribed = [bus.subscribe(channel::ALL), bus.subscribe(&channel::of_node(&self.node))];
        let cluster = Arc::downgrade(self);
        let every = self.options.member_timeout / 4;
        self.runtime.spawn(async move {
            for subscribed in subscribed {
                // Down now, it is back later, which is when this node shows itself again.
                let _ = subscribed.await;
            }
            let mut wants_answer = true;
            while let Some(cluster) = cluster.upgrade() {
                if cluster.bus().is_none_or(|bus| !bus.is_up()) {
                    wants_answer = true;
                    // That nothing is heard of them says nothing of them.
                    cluster.lock_members().excuse(Instant::now());
                } else {
                    cluster.publish(&[channel::ALL.into()], wire::Body::Hello { wants_answer });
                    wants_answer = false;
                }
                let gone = cluster.lock_members().expire(Instant::now());
                cluster.tell(News { joined: None, gone });
                drop(cluster);
                tokio::time::sleep(every).await;
            }
        });
    }

    /// A shard runs, on this thread.
    pub fn shard_runs(&self, shard: ShardId) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        match self.bus() {
            Some(bus) => bus.hear_on(shard, Handle::current()),
            None => shards.push((shard, Handle::current())),
        }
    }

    /// The names of the other nodes, as far as they were heard of lately.
    pub fn others(&self) -> Vec<Arc<str>> {
        self.lock_members().names()
    }

    /// Says farewell and lets go of the bus, once all sessions are left where other nodes find them.
    pub async fn leave(&self) {
        if let Some(records) = &self.records {
            records.flush().await;
        }
        self.publish(&[channel::ALL.into()], wire::Body::Bye);
        if let Some(bus) = self.bus() {
            bus.close().await;
        }
    }

    /// A room has its first member on one of this node's shards.
    pub fn room_opened(&self, namespace: &str, room: &str) {
        if let Some(bus) = self.bus() {
            drop(bus.subscribe(&channel::of_room(namespace, room)));
        }
    }

    /// A room has lost its last member on one of this node's shards.
    pub fn room_closed(&self, namespace: &str, room: &str) {
        if let Some(bus) = self.bus() {
            bus.unsubscribe(&channel::of_room(namespace, room));
        }
    }

    /// Has the channels of rooms for as long as what is returned lives; resolves when they are in force.
    pub fn hold(self: &Arc<Self>, namespace: &str, rooms: &[Arc<str>]) -> (RoomsHeld, BusFuture<()>) {
        let channels: Vec<_> = rooms.iter().map(|room| channel::of_room(namespace, room)).collect();
        let subscribed: Vec<_> =
            self.bus().into_iter().flat_map(|bus| channels.iter().map(|c| bus.subscribe(c))).collect();
        let all = Box::pin(async move {
            for subscribed in subscribed {
                // While the bus is down nothing is published that could be missed here and not everywhere.
                let _ = subscribed.await;
            }
        });
        (RoomsHeld { cluster: self.clone(), channels }, all)
    }

    /// Sends an event to sockets on other nodes.
    pub fn emit(
        &self,
        io: &IoInner,
        to: &Selection,
        via: Option<&str>,
        volatile: bool,
        body: &Body,
    ) -> Option<SentElsewhere> {
        let selection = wire_selection(io, to)?;
        let packet = wire_packet(body);
        let channels = self.channels_of(to, via);
        let message =
            self.encode(wire::Body::Emit { to: selection, volatile, offset: body.offset(), packet });
        self.publish_encoded(&channels, &message);
        Some(SentElsewhere { channels, message })
    }

    /// Sends once more what may have been lost on the way. Nodes that had it know it by its number. `false`: the bus has not
    /// taken it.
    #[cfg(feature = "node")]
    pub fn emit_again(&self, SentElsewhere { channels, message }: &SentElsewhere) -> bool {
        self.publish_encoded(channels, message)
    }

    /// Moves sockets on other nodes.
    pub fn rooms(
        &self,
        io: &IoInner,
        of: &Selection,
        via: Option<&str>,
        join: &[Arc<str>],
        leave: &[Arc<str>],
    ) {
        let Some(selection) = wire_selection(io, of) else { return };
        self.note_joins(join);
        let (join, leave) = (borrowed(join), borrowed(leave));
        self.publish(&self.channels_of(of, via), wire::Body::Rooms { of: selection, join, leave });
    }

    /// What is sent to these rooms next must not wait for other nodes to have their channels.
    fn note_joins(&self, rooms: &[Arc<str>]) {
        if rooms.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, until| *until > now);
        fresh.extend(rooms.iter().map(|room| (room.clone(), now + FRESH)));
        self.has_fresh.store(true, Ordering::Relaxed);
    }

    /// Whether this node has just made sockets on other nodes join one of these rooms.
    fn is_fresh(&self, rooms: &[Arc<str>]) -> bool {
        if !self.has_fresh.load(Ordering::Relaxed) {
            return false;
        }
        let now = Instant::now();
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.retain(|_, until| *until > now);
        self.has_fresh.store(!fresh.is_empty(), Ordering::Relaxed);
        rooms.iter().any(|room| fresh.contains_key(room))
    }

    /// The channels that reach the nodes with these sockets. `via` is the name of the only node that has them, if known.
    fn channels_of(&self, selection: &Selection, via: Option<&str>) -> Vec<Cow<'static, str>> {
        if let Some(node) = via {
            return vec![channel::of_node(node).into()];
        }
        let Which::Named(namespace) = &selection.namespace else { return vec![channel::ALL.into()] };
        let rooms = &selection.rooms;
        // No room is told from the id of a socket, which may be on any node.
        let is_socket = |room: &Arc<str>| room.parse::<crate::ids::SocketId>().is_ok();
        let is_for_all = rooms.is_empty()
            || rooms.len() > MAX_CHANNELS
            || rooms.iter().any(is_socket)
            || self.is_fresh(rooms);
        if is_for_all {
            return vec![channel::ALL.into()];
        }
        rooms.iter().map(|room| channel::of_room(namespace, room).into()).collect()
    }

    /// Puts sockets on other nodes out.
    pub fn disconnect(&self, io: &IoInner, of: &Selection, via: Option<&str>, close: bool) {
        let Some(selection) = wire_selection(io, of) else { return };
        self.publish(&self.channels_of(of, via), wire::Body::Disconnect { of: selection, close });
    }

    /// Tells the programs of other nodes: of those that have sockets in the rooms, or of all if there are none.
    /// `false` where the bus does not take it.
    pub fn server_side_emit(&self, to: &Selection, body: &Body) -> bool {
        self.publish(&self.channels_of(to, None), wire::Body::Server { packet: wire_packet(body) })
    }

    /// Asks all other nodes, and gives what they answer to `each` until all have answered or the time is up. Returns
    /// the names of those that have not.
    pub async fn ask(
        &self,
        what: wire::Ask<'_>,
        timeout: Duration,
        each: impl FnMut(&Arc<str>, Reply),
    ) -> Vec<String> {
        let by = self.answers_by(timeout);
        self.ask_some(self.others(), channel::ALL.into(), what, timeout, by, each).await
    }

    /// When the answers to a question must be there that takes so long.
    fn answers_by(&self, timeout: Duration) -> tokio::time::Instant {
        tokio::time::Instant::now() + timeout.saturating_add(self.options.answer_timeout).min(LONGEST_WAIT)
    }

    /// Asks these nodes, by a channel that all of them have, and waits for their answers until then.
    async fn ask_some(
        &self,
        nodes: Vec<Arc<str>>,
        via: Cow<'_, str>,
        what: wire::Ask<'_>,
        timeout: Duration,
        by: tokio::time::Instant,
        mut each: impl FnMut(&Arc<str>, Reply),
    ) -> Vec<String> {
        let mut waiting: Vec<Arc<str>> = nodes.clone();
        let (question, mut replies) = self.lock_questions().begin(nodes);
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let sent = waiting.is_empty() || self.publish(&[via], wire::Body::Ask { question, timeout_ms, what });
        let mut silent = Vec::new();
        while sent && !waiting.is_empty() {
            let Ok(Some(part)) = tokio::time::timeout_at(by, replies.recv()).await else { break };
            if part.last {
                waiting.retain(|name| *name != part.node);
            }
            match part.answer {
                Some(answer) => each(&part.node, answer),
                None => silent.push(part.node),
            }
        }
        self.lock_questions().end(question);
        silent.iter().chain(&waiting).map(|name| name.to_string()).collect()
    }

    /// Asks the programs of all other nodes.
    pub async fn ask_programs<T: FromArgs>(&self, body: &Body) -> NodeAnswers<T> {
        let mut answers = NodeAnswers::default();
        let what = wire::Ask::Server { packet: wire_packet(body) };
        answers.silent = self
            .ask(what, Duration::ZERO, |node, reply| match reply {
                Reply::Server(Some(args)) => match T::from_args(args) {
                    Ok(answer) => answers.received.push((node.to_string(), answer)),
                    Err(error) => answers.missing.push((node.to_string(), error.into())),
                },
                _ => answers.missing.push((node.to_string(), AckError::Disconnected)),
            })
            .await;
        answers
    }

    /// Publishes on each of the channels. `false` where one of them was not taken.
    fn publish(&self, channels: &[Cow<'_, str>], body: wire::Body<'_>) -> bool {
        self.publish_encoded(channels, &self.encode(body))
    }

    fn encode(&self, body: wire::Body<'_>) -> Bytes {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        Message { node: Cow::Borrowed(&self.node), run: self.run, number, body }.encode()
    }

    fn publish_encoded(&self, channels: &[Cow<'_, str>], message: &Bytes) -> bool {
        let Some(bus) = self.bus() else { return false };
        let mut is_taken = true;
        for channel in channels {
            is_taken &= bus.publish(channel, message.clone()).is_ok();
        }
        is_taken
    }

    /// Waits until all has been told here that had reached this node before, on any channel, and all has left that was said here.
    async fn settle(&self) {
        if let Some(bus) = self.bus() {
            bus.settle().await;
        }
    }

    fn bus(&self) -> Option<&Arc<dyn Bus>> {
        self.bus.get()
    }

    fn tell(&self, news: News) {
        if let Some(node) = &news.joined {
            tracing::info!(%node, "a node has joined");
        }
        for node in news.gone {
            tracing::info!(%node, "a node has gone");
            self.lock_questions().gone(&node);
            self.of_nodes.gone(&node);
        }
    }

    // Nothing that can panic runs under these locks.

    fn lock_members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_questions(&self) -> std::sync::MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event as it was sent to other nodes.
#[cfg_attr(not(feature = "node"), expect(dead_code, reason = "only the node sends again"))]
pub(crate) struct SentElsewhere {
    channels: Vec<Cow<'static, str>>,
    message: Bytes,
}

#[cfg(feature = "node")]
impl SentElsewhere {
    /// How much is kept of it.
    pub fn bytes(&self) -> usize {
        self.message.len()
    }
}

/// The answers of other nodes' programs.
#[derive(Clone, Debug)]
pub struct NodeAnswers<T> {
    /// Those that came, by the node's name.
    pub received: Vec<(String, T)>,
    /// Nodes that have no handler for the event ([`AckError::Disconnected`]), or whose answer is not what was
    /// expected.
    pub missing: Vec<(String, AckError)>,
    /// Nodes that did not answer in time.
    pub silent: Vec<String>,
}

impl<T> Default for NodeAnswers<T> {
    fn default() -> Self {
        NodeAnswers { received: Vec::new(), missing: Vec::new(), silent: Vec::new() }
    }
}

/// Rooms that this node has the channels of, also without a member here.
#[must_use = "they are given up when it is dropped"]
pub struct RoomsHeld {
    cluster: Arc<Cluster>,
    channels: Vec<String>,
}

impl std::fmt::Debug for RoomsHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoomsHeld").field(&self.channels).finish()
    }
}

impl Drop for RoomsHeld {
    fn drop(&mut self) {
        if let Some(bus) = self.cluster.bus() {
            self.channels.iter().for_each(|channel| bus.unsubscribe(channel));
        }
    }
}

/// The sink that the bus is to call for this server.
pub(super) fn sink(io: &Arc<IoInner>, cluster: &Arc<Cluster>) -> Arc<dyn Sink> {
    Arc::new(Receiver::new(Arc::downgrade(io), Arc::downgrade(cluster)))
}

/// As good as for ever, and within what an instant can tell.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

/// More channels than this, and the one that all nodes have is cheaper.
const MAX_CHANNELS: usize = 8;

/// By when another node surely has the channel of a room that its sockets were made to join.
const FRESH: Duration = Duration::from_secs(2);

/// A selection as other nodes understand it. `None`: nobody there can be meant.
pub(super) fn wire_selection<'a>(io: &IoInner, selection: &'a Selection) -> Option<wire::Selection<'a>> {
    let namespace = match &selection.namespace {
        Which::Named(name) => Cow::Borrowed(&**name),
        // All nodes run the same program, and so have the same patterns in the same order.
        Which::Of(definition) => Cow::Owned(format!("{PATTERN}{}", io.pattern_number(definition)?)),
    };
    let mut except = borrowed(&selection.except);
    // Its client may be on another node when this is sent to it once more.
    if let Some(skip) = selection.skip.filter(|_| io.recovery.is_some()) {
        except.push(Cow::Owned(skip.to_string()));
    }
    Some(wire::Selection { namespace, rooms: borrowed(&selection.rooms), except })
}

/// Before the number of a pattern; no namespace's name begins with it.
const PATTERN: char = '#';

pub(super) fn wire_packet(body: &Body) -> wire::Packet<'_> {
    wire::Packet { json: Cow::Borrowed(body.json()), attachments: body.attachments().to_vec() }
}

fn borrowed(names: &[Arc<str>]) -> Vec<Cow<'_, str>> {
    names.iter().map(|name| Cow::Borrowed(&**name)).collect()
}
