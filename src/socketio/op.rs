//! What handles ask of shards. A handle, wherever it is used, writes down what is wanted, and the shards that hold
//! the sockets do it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::ack::{AckError, Waiter};
use super::encode::Body;
use super::handler::Erased;
use super::namespace::{Definition, OnDisconnect};
use super::recovery::{Claim, Claimer, Found};
use super::{Args, Refused, Socket};
use crate::close::CloseReason;
use crate::ids::{Offset, Pid, ShardId, Sid, SocketId};

/// Which sockets are meant.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// This one.
    Socket(SocketId),
    /// The same, looked for on another shard than its handle names: there its client has come back to.
    Guest(SocketId),
    /// Those of one or more namespaces.
    Sockets(Arc<Selection>),
}

/// Sockets by namespace and rooms.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub namespace: Which,
    /// In any of these rooms; all, if there are none.
    pub rooms: Vec<Arc<str>>,
    /// In none of these.
    pub except: Vec<Arc<str>>,
    /// Not this one.
    pub skip: Option<SocketId>,
}

/// Which namespaces are meant.
#[derive(Clone, Debug)]
pub(super) enum Which {
    Named(Arc<str>),
    /// All that a pattern has made.
    Of(Arc<Definition>),
}

/// Frames to send.
#[derive(Debug)]
pub(super) enum Frames {
    Shared(Bytes),
    /// They stand in the thread's own buffer, and are so long; see `local`.
    Local(usize),
}

/// One wish.
pub enum Op {
    Send {
        target: Target,
        frames: Frames,
        volatile: bool,
        /// Its name among the events that a client may have missed, if it has one.
        offset: Option<Offset>,
    },
    /// The packet is the same but for the name of each namespace.
    SendNamed {
        target: Target,
        body: Arc<Body>,
        volatile: bool,
    },
    Request {
        target: Target,
        body: Arc<Body>,
        timeout: Duration,
        waiter: Waiter,
    },
    RequestMany {
        target: Target,
        body: Arc<Body>,
        timeout: Duration,
        waiter: Many,
    },
    Rooms {
        target: Target,
        join: Arc<[Arc<str>]>,
        leave: Arc<[Arc<str>]>,
    },
    /// Takes sockets out of their namespace, or closes their connections for a reason.
    Disconnect {
        target: Target,
        close: Option<CloseReason>,
    },
    Fetch {
        target: Target,
        /// Each with its rooms.
        found: mpsc::UnboundedSender<(Socket, Vec<Arc<str>>)>,
    },
    RoomsOf {
        socket: SocketId,
        rooms: oneshot::Sender<Vec<Arc<str>>>,
    },
    On {
        socket: SocketId,
        event: Box<str>,
        handler: Erased,
    },
    OnDisconnect {
        socket: SocketId,
        handler: OnDisconnect,
    },
    /// The middleware of a socket that connects has decided.
    Admit {
        socket: SocketId,
        decision: Result<(), Refused>,
    },
    /// A client that is somewhere else now wants its session back.
    Claim {
        claim: Claim,
        namespace: Arc<str>,
        by: Claimer,
    },
    /// A client that is on another node now wants its session to be left there, if it is here.
    Release {
        pid: Pid,
        namespace: Arc<str>,
        done: oneshot::Sender<bool>,
    },
    /// What became of the claim of a socket that is connecting here.
    Claimed {
        socket: SocketId,
        claim: Claim,
        found: Option<Box<Found>>,
    },
    /// For a socket that its handle's shard does not have. Its client may have come back to another one: passed from shard to
    /// shard, to so many more.
    PassedOn {
        op: Box<Op>,
        left: ShardId,
    },
    /// To a raw Engine.IO session.
    SendRaw {
        sid: Sid,
        frames: Bytes,
    },
    CloseRaw {
        sid: Sid,
    },
}

impl Op {
    /// Whether sockets join rooms by it.
    pub fn joins_rooms(&self) -> bool {
        match self {
            Op::Rooms { join, .. } => !join.is_empty(),
            Op::PassedOn { op, .. } => op.joins_rooms(),
            _ => false,
        }
    }

    /// The socket that it is for, if it is for one by its handle, wherever that is now.
    pub fn socket(&self) -> Option<SocketId> {
        match self {
            Op::Disconnect { target: Target::Socket(id), .. }
            | Op::Rooms { target: Target::Socket(id), .. }
            | Op::Request { target: Target::Socket(id), .. }
            | Op::RoomsOf { socket: id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// Who waits for the answers of many.
pub(super) type Many = mpsc::UnboundedSender<(SocketId, Result<Args, AckError>)>;
