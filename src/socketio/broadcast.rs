//! Many sockets at once, on all nodes: chosen by rooms, then spoken to, moved or put out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::cluster::{Cluster, Reply, SentElsewhere, wire_packet, wire_selection};
use super::encode::Body;
use super::io::IoInner;
use super::op::{Frames, Op, Selection, Target, Which};
use super::{AckError, Answers, Found, FromArgs, Payload, RemoteSocket, Socket};
use crate::bus::wire;
use crate::close::CloseReason;
use crate::ids::{Offset, SocketId};
use crate::proto::sio::Kind;

/// A choice of sockets, and what can be done with them.
///
/// ```
/// # use tokio_socketio::{Io, Socket};
/// # let io = Io::new();
/// io.on("say", |socket: Socket, room: String, text: String| async move {
///     socket.to(room).except("muted").emit("said", text);
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "choosing sockets does nothing to them"]
pub struct Broadcast {
    io: Arc<IoInner>,
    selection: Selection,
    reach: Reach,
    volatile: bool,
    offset: Option<Offset>,
    timeout: Duration,
}

/// On which nodes the sockets are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reach {
    Everywhere,
    Here,
    /// On this other node.
    There(Arc<str>),
}

impl Broadcast {
    pub(super) fn new(io: Arc<IoInner>, namespace: Which, skip: Option<SocketId>) -> Self {
        let timeout = io.options.ack_timeout;
        let selection = Selection { namespace, rooms: Vec::new(), except: Vec::new(), skip };
        Broadcast { io, selection, reach: Reach::Everywhere, volatile: false, offset: None, timeout }
    }

    /// Those in this room, too; a socket in several of the chosen rooms counts once. A socket's id is such a room.
    pub fn to(mut self, room: impl AsRef<str>) -> Self {
        self.selection.rooms.push(room.as_ref().into());
        self
    }

    /// As [`Broadcast::to`], with a name that is shared.
    #[cfg(feature = "node")]
    pub(crate) fn in_room(mut self, room: &Arc<str>) -> Self {
        self.selection.rooms.push(room.clone());
        self
    }

    /// Not this one.
    #[cfg(feature = "node")]
    pub(crate) fn skip(mut self, socket: SocketId) -> Self {
        self.selection.skip = Some(socket);
        self
    }

    /// None of those in this room.
    pub fn except(mut self, room: impl AsRef<str>) -> Self {
        self.selection.except.push(room.as_ref().into());
        self
    }

    /// Only those on this node. (There is only this node, unless the server is a member of a cluster.)
    pub fn local(mut self) -> Self {
        self.reach = Reach::Here;
        self
    }

    /// Only those on this node: `None` for this one.
    pub(super) fn at(mut self, node: Option<Arc<str>>) -> Self {
        self.reach = node.map_or(Reach::Here, Reach::There);
        self
    }

    /// The event is dropped rather than queued for those who are not ready for it.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// The event has this name among those that clients may miss, and not the next one.
    #[cfg(feature = "node")]
    pub(crate) fn offset(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }

    /// How long to wait for answers.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn target(&self) -> Target {
        Target::Sockets(Arc::new(self.selection.clone()))
    }

    /// Asks this node's shards, if the sockets may be here.
    fn post(&self, op: impl Fn(Target) -> Op) {
        if !matches!(self.reach, Reach::There(_)) {
            self.io.post_all(self.target(), op);
        }
    }

    /// The way to the other nodes, if the sockets may be there, and the only one that they may be on.
    fn elsewhere(&self) -> Option<(&Arc<Cluster>, Option<&str>)> {
        match &self.reach {
            Reach::Here => None,
            Reach::Everywhere => Some((self.io.cluster()?, None)),
            Reach::There(node) => Some((self.io.cluster()?, Some(node))),
        }
    }

    /// Sends an event to all of them. It is encoded once.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        self.emit_noted(event, payload);
    }

    /// As [`Broadcast::emit`], and gives what was sent to other nodes, so that it can be sent once more should it have been lost
    /// on the way.
    pub(crate) fn emit_noted(&self, event: &str, payload: impl Payload) -> Option<SentElsewhere> {
        let body = match Body::event(event, &payload) {
            Ok(body) => {
                body.with_offset(self.io.offset(self.volatile).map(|next| self.offset.unwrap_or(next)))
            }
            Err(error) => {
                tracing::error!(event, %error, "an event can't be encoded");
                return None;
            }
        };
        let _emitting = self.io.recovery.as_ref().map(|recovery| recovery.emits.begin());
        let sent = self
            .elsewhere()
            .and_then(|(cluster, via)| cluster.emit(&self.io, &self.selection, via, self.volatile, &body));
        self.emit_here(body);
        sent
    }

    fn emit_here(&self, body: Body) {
        let (volatile, offset) = (self.volatile, body.offset());
        match &self.selection.namespace {
            Which::Named(namespace) => {
                let frames = body.frames(Kind::Event, namespace, None);
                self.post(|target| Op::Send {
                    target,
                    frames: Frames::Shared(frames.clone()),
                    volatile,
                    offset,
                });
            }
            // The header differs with each namespace's name: a matter for those who know the names.
            Which::Of(_) => {
                let body = Arc::new(body);
                self.post(|target| Op::SendNamed { target, body: body.clone(), volatile });
            }
        }
    }

    /// Sends an event to the programs of the other nodes, not to sockets: to those nodes that have sockets in the chosen
    /// rooms, or to all if none was chosen. See [`Io::on_server_side_emit`](super::Io::on_server_side_emit).
    ///
    /// `false`: the bus has not taken it, so that it certainly does not arrive everywhere.
    pub fn server_side_emit(&self, event: &str, payload: impl Payload) -> bool {
        let Some((cluster, _)) = self.elsewhere() else { return true };
        match Body::event(event, &payload) {
            Ok(body) => cluster.server_side_emit(&self.selection, &body),
            Err(error) => {
                tracing::error!(event, %error, "an event can't be encoded");
                false
            }
        }
    }

    /// Sends an event to all of them, and waits for their answers.
    ///
    /// # Errors
    /// The event can't be encoded. Those that did not answer are named in the [`Answers`].
    pub async fn emit_with_acks<T: FromArgs>(
        &self,
        event: &str,
        payload: impl Payload,
    ) -> Result<Answers<T>, AckError> {
        let body = Body::event(event, &payload).map_err(|error| AckError::Encode(error.to_string()))?;
        let (body, timeout) = (Arc::new(body), self.timeout);
        let (waiter, mut answers) = mpsc::unbounded_channel();
        self.post(|target| Op::RequestMany { target, body: body.clone(), timeout, waiter: waiter.clone() });
        drop(waiter);
        let of_others = self.ask_others(|to| wire::Ask::Acks { to, packet: wire_packet(&body) }, timeout);
        let here = async {
            let mut here = Vec::new();
            while let Some(answer) = answers.recv().await {
                here.push(answer);
            }
            here
        };
        let (here, (replies, silent)) = tokio::join!(here, of_others);
        let mut all = Answers { received: Vec::new(), missing: Vec::new(), silent };
        let there = replies.into_iter().flat_map(|reply| match reply {
            Reply::Acks(acks) => acks,
            _ => Vec::new(),
        });
        for (socket, answer) in here.into_iter().chain(there) {
            match answer.and_then(|args| Ok(T::from_args(args)?)) {
                Ok(answer) => all.received.push((socket, answer)),
                Err(error) => all.missing.push((socket, error)),
            }
        }
        Ok(all)
    }

    /// Asks the other nodes about these sockets: what they answer, and the names of those that don't.
    async fn ask_others<'a>(
        &'a self,
        what: impl FnOnce(wire::Selection<'a>) -> wire::Ask<'a>,
        timeout: Duration,
    ) -> (Vec<Reply>, Vec<String>) {
        let elsewhere = self.elsewhere().zip(wire_selection(&self.io, &self.selection));
        let Some(((cluster, _), selection)) = elsewhere else { return (Vec::new(), Vec::new()) };
        let mut replies = Vec::new();
        let silent = cluster.ask(what(selection), timeout, |_, reply| replies.push(reply)).await;
        (replies, silent)
    }

    /// The sockets, on all nodes.
    pub async fn fetch_sockets(&self) -> Found {
        let here = async {
            let sockets = self.found_here().await;
            sockets.into_iter().map(|(socket, rooms)| RemoteSocket::here(&socket, rooms)).collect()
        };
        let of_others = self.ask_others(|of| wire::Ask::Sockets { of }, Duration::ZERO);
        let (here, (replies, silent)) = tokio::join!(here, of_others);
        let mut found = Found { sockets: here, silent };
        for reply in replies {
            if let Reply::Sockets(sockets) = reply {
                found.sockets.extend(sockets);
            }
        }
        found
    }

    /// The sockets on this node.
    pub async fn local_sockets(&self) -> Vec<Socket> {
        self.found_here().await.into_iter().map(|(socket, _)| socket).collect()
    }

    async fn found_here(&self) -> Vec<(Socket, Vec<Arc<str>>)> {
        let (found, mut sockets) = mpsc::unbounded_channel();
        self.post(|target| Op::Fetch { target, found: found.clone() });
        drop(found);
        let mut all = Vec::new();
        while let Some(socket) = sockets.recv().await {
            all.push(socket);
        }
        all
    }

    /// Makes all of them join a room.
    pub fn join(&self, room: impl AsRef<str>) {
        self.rooms([room.as_ref().into()].into(), [].into());
    }

    /// Makes all of them leave a room, those included that were cut off and may come back.
    pub fn leave(&self, room: impl AsRef<str>) {
        self.rooms([].into(), [room.as_ref().into()].into());
    }

    fn rooms(&self, join: Arc<[Arc<str>]>, leave: Arc<[Arc<str>]>) {
        if let Some((cluster, via)) = self.elsewhere() {
            cluster.rooms(&self.io, &self.selection, via, &join, &leave);
        }
        self.post(|target| Op::Rooms { target, join: join.clone(), leave: leave.clone() });
    }

    /// Takes all of them out of the namespace; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        if let Some((cluster, via)) = self.elsewhere() {
            cluster.disconnect(&self.io, &self.selection, via, close);
        }
        let close = close.then_some(CloseReason::ForcedClose);
        self.post(|target| Op::Disconnect { target, close });
    }
}
