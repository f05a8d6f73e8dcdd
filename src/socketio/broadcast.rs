//! Many sockets at once: chosen by rooms, then spoken to, moved or put out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::encode::Body;
use super::io::IoInner;
use super::op::{Frames, Op, Selection, Target, Which};
use super::{AckError, Answers, FromArgs, Payload, Socket};
use crate::ids::SocketId;
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
    volatile: bool,
    timeout: Duration,
}

impl Broadcast {
    pub(super) fn new(io: Arc<IoInner>, namespace: Which, skip: Option<SocketId>) -> Self {
        let timeout = io.options.ack_timeout;
        let selection = Selection { namespace, rooms: Vec::new(), except: Vec::new(), skip };
        Broadcast { io, selection, volatile: false, timeout }
    }

    /// Those in this room, too; a socket in several of the chosen rooms counts once. A socket's id is such a room.
    pub fn to<'a>(mut self, room: impl Into<Cow<'a, str>>) -> Self {
        self.selection.rooms.push(room.into().into());
        self
    }

    /// None of those in this room.
    pub fn except<'a>(mut self, room: impl Into<Cow<'a, str>>) -> Self {
        self.selection.except.push(room.into().into());
        self
    }

    /// Only those on this node. (There is only this node, unless the server is a member of a cluster.)
    pub fn local(self) -> Self {
        self
    }

    /// The event is dropped rather than queued for those who are not ready for it.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
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

    /// Sends an event to all of them. It is encoded once.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        let body = match Body::event(event, &payload) {
            Ok(body) => body,
            Err(error) => return tracing::error!(event, %error, "an event can't be encoded"),
        };
        let volatile = self.volatile;
        match &self.selection.namespace {
            Which::Named(namespace) => {
                let frames = body.frames(Kind::Event, namespace, None);
                self.io.post_all(self.target(), |target| Op::Send {
                    target,
                    frames: Frames::Shared(frames.clone()),
                    volatile,
                });
            }
            // The header differs with each namespace's name: a matter for those who know the names.
            Which::Of(_) => self.io.post_all(self.target(), |target| Op::SendNamed {
                target,
                body: Arc::new(body.clone()),
                volatile,
            }),
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
        self.io.post_all(self.target(), |target| Op::RequestMany {
            target,
            body: body.clone(),
            timeout,
            waiter: waiter.clone(),
        });
        drop(waiter);
        let mut all = Answers { received: Vec::new(), missing: Vec::new() };
        while let Some((socket, answer)) = answers.recv().await {
            match answer.and_then(|args| Ok(T::from_args(args)?)) {
                Ok(answer) => all.received.push((socket, answer)),
                Err(error) => all.missing.push((socket, error)),
            }
        }
        Ok(all)
    }

    /// The sockets.
    pub async fn fetch_sockets(&self) -> Vec<Socket> {
        let (found, mut sockets) = mpsc::unbounded_channel();
        self.io.post_all(self.target(), |target| Op::Fetch { target, found: found.clone() });
        drop(found);
        let mut all = Vec::new();
        while let Some(socket) = sockets.recv().await {
            all.push(socket);
        }
        all
    }

    /// Makes all of them join a room.
    pub fn join(&self, room: impl Into<Arc<str>>) {
        let join: Arc<[_]> = [room.into()].into();
        self.io.post_all(self.target(), |target| Op::Rooms { target, join: join.clone(), leave: [].into() });
    }

    /// Makes all of them leave a room.
    pub fn leave(&self, room: impl Into<Arc<str>>) {
        let leave: Arc<[_]> = [room.into()].into();
        self.io.post_all(self.target(), |target| Op::Rooms { target, join: [].into(), leave: leave.clone() });
    }

    /// Takes all of them out of the namespace; with `close`, closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.io.post_all(self.target(), |target| Op::Disconnect { target, close });
    }
}
