//! Socket.IO on a shard: the clients' packets come in here, and the handles' wishes.
//!
//! One hub per shard, on its thread only. Sockets and namespaces are plain tables.

mod events;
mod kept;
mod log;
mod membership;
mod recovery;
pub(super) mod run;
mod select;
#[cfg(test)]
mod sizes;
mod wishes;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;

use self::recovery::{Recovery, Track};
use super::ack::{AckError, Waiter};
use super::engine::{Data, EngineSocket};
use super::handler::Erased;
use super::io::IoInner;
use super::local;
use super::namespace::{Definition, Handlers, OnDisconnect};
use super::op::Op;
use super::socket::Socket;
use crate::close::CloseReason;
use crate::ids::{Key, ShardId, Sid, SocketId};
use crate::session::{Acks, Message, Namespaces, Reassembly, Time};
use crate::shard::{self, App, Memberships, Request, Rooms, Table};

/// The application that runs on shards.
pub struct Hub {
    id: ShardId,
    io: Arc<IoInner>,
    by_name: HashMap<Arc<str>, Key, RandomState>,
    namespaces: Table<Namespace>,
    sockets: Table<Entry>,
    /// Marks what a selection has met already.
    mark: u32,
    /// The list that is given in exchange for the thread's wishes.
    wishes: local::Wishes,
    /// `None` where clients don't come back to what they had.
    recovery: Option<Box<Recovery>>,
}

type Core = shard::Core<Hub>;

/// A namespace, and its sockets on this shard.
struct Namespace {
    name: Arc<str>,
    definition: Arc<Definition>,
    /// Written down by name: it stays when it is empty.
    fixed: bool,
    version: u64,
    handlers: Arc<Handlers>,
    /// How many sockets are connected or on their way.
    sockets: usize,
    /// The connected sockets.
    members: Vec<Member>,
    rooms: Rooms,
}

/// A socket with its session, so that a broadcast need not look the one up to find the other.
#[derive(Clone, Copy)]
struct Member {
    socket: Key,
    session: Key,
}

/// A socket on this shard.
struct Entry {
    socket: Socket,
    namespace: Key,
    session: Key,
    /// Its place among the namespace's members; `None` while it connects.
    place: Option<u32>,
    mark: u32,
    memberships: Memberships,
    /// `None` while it connects as somebody new, and where recovery is off.
    track: Option<Box<Track>>,
    /// What most sockets don't have.
    extra: Option<Box<Extra>>,
}

#[derive(Default)]
struct Extra {
    acks: Acks<Waiter>,
    events: HashMap<Box<str>, Erased, RandomState>,
    on_disconnect: Vec<OnDisconnect>,
    /// The frames that were sent to it before it had joined.
    early: Vec<u8>,
}

/// What is kept per session.
pub enum Client {
    /// Of the Socket.IO endpoint.
    SocketIo(SocketIo),
    /// Of a raw one.
    Raw { mount: u16, socket: EngineSocket },
}

/// A Socket.IO client.
pub struct SocketIo {
    request: Arc<Request>,
    namespaces: Namespaces<Key, Key>,
    reassembly: Reassembly,
}

impl Hub {
    /// The hub of a shard.
    pub(super) fn new(id: ShardId, io: Arc<IoInner>) -> Self {
        local::enter(io.address(), id);
        if let Some(cluster) = io.cluster() {
            cluster.shard_runs(id);
        }
        let recovery = Recovery::new(&io);
        Hub {
            id,
            io,
            recovery,
            by_name: HashMap::default(),
            namespaces: Table::default(),
            sockets: Table::default(),
            mark: 0,
            wishes: local::Wishes::default(),
        }
    }

    /// The socket of this id.
    fn find(&self, id: &SocketId) -> Option<Key> {
        match self.sockets.at(id.slot) {
            Some((key, entry)) if entry.socket.id() == *id => Some(key),
            _ => self.recovery.as_ref()?.guest(id),
        }
    }

    fn socket_io(core: &mut Core, session: Key) -> Option<&mut SocketIo> {
        match core.client_mut(session)? {
            Client::SocketIo(client) => Some(client),
            Client::Raw { .. } => None,
        }
    }

    /// Asks to be told when the next ack, or the first CONNECT, of this client is overdue.
    fn set_deadline(&mut self, core: &mut Core, session: Key) {
        let Some(client) = Self::socket_io(core, session) else { return };
        let of_sockets = client.namespaces.sockets().filter_map(|socket| {
            let extra = self.sockets.get(socket)?.extra.as_ref()?;
            Some(extra.acks.poll_timeout())
        });
        let deadline = of_sockets.fold(client.namespaces.poll_timeout(), Time::min);
        core.set_deadline(session, deadline);
    }

    fn raw(&self, mount: u16) -> Option<&super::Engine> {
        self.io.options.engines.get(usize::from(mount))?.as_ref()
    }
}

impl App for Hub {
    type Mail = Op;
    type Client = Client;

    fn allow(&mut self, _: &Core, _: usize, request: &Request) -> Result<(), String> {
        let Some(allow) = &self.io.options.allow else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| allow(request))).unwrap_or_else(|_| {
            tracing::error!("what decides on handshakes has panicked: the handshake is refused");
            Err("Internal error".to_owned())
        })
    }

    fn opened(&mut self, core: &mut Core, session: Key, sid: Sid, mount: usize, request: Request) -> Client {
        let request = Arc::new(request);
        let Some(engine) = self.io.options.engines.get(mount).and_then(Option::as_ref) else {
            let connect_timeout = core.settings(session).map(|settings| settings.connect_timeout);
            let connect_by = core.now() + connect_timeout.unwrap_or_default();
            core.set_deadline(session, connect_by);
            let (namespaces, reassembly) = (Namespaces::new(connect_by), Reassembly::default());
            return Client::SocketIo(SocketIo { request, namespaces, reassembly });
        };
        let socket = EngineSocket { sid, request, io: Arc::downgrade(&self.io) };
        if let Some(on_open) = &engine.on_open {
            run::begin("open", sid, || Ok(on_open(socket.clone())));
        }
        // There are as many mounts as somebody has written down.
        Client::Raw { mount: mount as u16, socket }
    }

    fn message(&mut self, core: &mut Core, session: Key, message: Message<'_>) {
        match core.client_mut(session) {
            None => return,
            Some(Client::SocketIo(_)) => self.packet(core, session, message),
            Some(Client::Raw { mount, socket }) => {
                let (mount, socket) = (*mount, socket.clone());
                if let Some(on_message) = self.raw(mount).and_then(|engine| engine.on_message.clone()) {
                    let data = match message {
                        Message::Text(text) => Data::Text(text.to_owned()),
                        Message::Binary(data) => Data::Binary(Bytes::from(data.into_owned())),
                    };
                    run::begin("message", socket.id(), || Ok(on_message(socket, data)));
                }
            }
        }
        self.fulfil(core);
    }

    fn closed(&mut self, core: &mut Core, client: Client, reason: CloseReason) {
        match client {
            Client::SocketIo(client) => {
                for socket in client.namespaces.sockets() {
                    self.remove(core, socket, reason);
                }
            }
            Client::Raw { mount, socket } => {
                if let Some(on_close) = self.raw(mount).and_then(|engine| engine.on_close.clone()) {
                    run::begin("close", socket.id(), || Ok(on_close(socket, reason)));
                }
            }
        }
        self.fulfil(core);
    }

    fn timeout(&mut self, core: &mut Core, session: Key) {
        let now = core.now();
        let Some(client) = Self::socket_io(core, session) else { return };
        if client.namespaces.poll_timeout() <= now {
            return core.close(session, CloseReason::ConnectTimeout);
        }
        for socket in client.namespaces.sockets().collect::<Vec<_>>() {
            let Some(extra) = self.sockets.get_mut(socket).and_then(|entry| entry.extra.as_mut()) else {
                continue;
            };
            for waiter in extra.acks.handle_timeout(now) {
                waiter.tell(Err(AckError::Timeout));
            }
        }
        self.set_deadline(core, session);
    }

    fn mail(&mut self, core: &mut Core, op: Op) {
        // What was asked for on this thread was so before this came, or at the same time.
        self.fulfil(core);
        self.wish(core, op, &[]);
        self.fulfil(core);
    }

    fn turn(&mut self, core: &mut Core) {
        self.look_for_old(core);
        self.fulfil(core);
    }

    fn is_busy(&self) -> bool {
        run::is_any_running()
    }
}
