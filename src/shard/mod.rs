//! A shard: one OS thread with a current-thread tokio runtime, and all state of the connections that it
//! accepted.
//!
//! Everything here is single-threaded data: no lock and no atomic is on any per-message path. A shard is one
//! task, woken by its connections (see `ready.rs`), its listener, its mailbox and its timer, and each time
//! it runs is a *turn*: mail, accepts, reads, timers, and at the end all output that the turn has made, one
//! system call for each connection. A session id names its shard, so a request that lands on another one is
//! handed there, connection and all.
//!
//! A shard knows sessions and connections. What the messages mean is up to the [`App`] that runs on it.

mod app;
mod conn;
mod core;
mod http;
mod listen;
mod mail;
mod mailbox;
mod node;
mod options;
mod polling;
mod ready;
mod reply;
mod rooms;
mod table;
mod tally;
mod turn;
mod websocket;
mod wheel;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use conn::{Conn, Phase};
use mail::Mail;
use mailbox::Mailboxes;
use tokio::net::{TcpListener, TcpStream};
use wheel::Wheel;

use self::core::Entry;
use self::node::Full;
use self::polling::Refusal;
use crate::busy_poll::BusyPoll;
use crate::close::CloseReason;
use crate::ids::{Key, ShardId, Sid};
use crate::proto::eio::Packet;
use crate::proto::http::{RequestHead, X_FORWARDED_FOR, client_ip, is_trusted};
use crate::session::{Link, Session, Time, Transport};
use crate::turns;

pub use self::app::{App, Counts, Request};
pub use self::core::Core;
pub use self::node::Node;
pub use self::options::{Cors, HttpOptions, Limits, Mount};
pub use self::ready::wake_shard;
pub use self::rooms::{Joined, Left, Memberships, Rooms};
pub use self::table::Table;
pub use self::tally::{Limit, Tally};

/// Bytes of a connection in its table.
#[cfg(test)]
pub(crate) const CONN_BYTES: usize = size_of::<Conn>();

/// Bytes of a session in its table, with what the application keeps for it.
#[cfg(test)]
pub(crate) const fn entry_bytes<C>() -> usize {
    size_of::<Entry<C>>()
}

/// The shards of a node, running.
pub struct Shards<A: App> {
    mailboxes: Mailboxes<Mail<A::Mail>>,
    node: Arc<Node>,
    start: Instant,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

/// A way to post to the shards, from any thread.
pub struct Poster<A: App>(Mailboxes<Mail<A::Mail>>);

impl<A: App> Clone for Poster<A> {
    fn clone(&self) -> Self {
        Poster(self.0.clone())
    }
}

impl<A: App> Poster<A> {
    /// Mailboxes for so many shards, before these run.
    pub fn new(shards: ShardId) -> Self {
        Poster(Mailboxes::new(shards))
    }

    /// How many shards there are.
    pub fn shards(&self) -> ShardId {
        self.0.shards()
    }

    /// Does something that posts much from this thread: no shard is woken before it is over.
    #[cfg(feature = "node")]
    pub fn together(&self, post: impl FnOnce()) {
        self.0.together(post);
    }

    /// Posts to a shard. `false`: it has ended, and the mail is dropped.
    pub fn post(&self, shard: ShardId, mail: A::Mail) -> bool {
        self.0.post(shard, Mail::App(mail)).is_ok()
    }
}

/// What shards run with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// What is served at which path.
    pub mounts: Vec<Mount>,
    /// Limits on connections.
    pub limits: Limits,
    /// How long a shard stays awake after something came.
    pub busy_poll: Duration,
}

impl<A: App> Shards<A> {
    /// Starts as many shards as `poster` has mailboxes, each with the application that `make` makes on its
    /// thread.
    pub fn start(
        setup: Setup,
        poster: Poster<A>,
        make: impl Fn(ShardId) -> A + Send + Clone + 'static,
    ) -> io::Result<Self> {
        let mailboxes = poster.0;
        let count = usize::from(mailboxes.shards());
        let mut listeners: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for address in &setup.listen {
            let (address, bound) = listen::bind(*address, count).map_err(|error| {
                io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
            })?;
            addresses.push(address);
            for (of_shard, listener) in listeners.iter_mut().zip(bound) {
                of_shard.push(listener);
            }
        }
        let start = Instant::now();
        let node = Arc::new(Node::default());
        let (mounts, limits): (Arc<[Mount]>, _) = (setup.mounts.into(), Arc::new(setup.limits));
        let mut threads = Vec::with_capacity(count);
        for (id, listeners) in (0..).zip(listeners) {
            let (mounts, limits, node) = (mounts.clone(), limits.clone(), node.clone());
            let (mailboxes, make) = (mailboxes.clone(), make.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .on_thread_park(turns::is_over)
                .enable_all()
                .build()?;
            let thread = std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
                let _end = End { id, mailboxes: mailboxes.clone() };
                let wheel = Wheel::new(core::tick(&mounts, &limits));
                let core = Core {
                    id,
                    now: Time(0),
                    mounts,
                    limits,
                    node,
                    conns: Table::default(),
                    sessions: Table::default(),
                    wheel,
                    mailboxes,
                    dirty_sessions: Vec::new(),
                    dirty_conns: Vec::new(),
                    accepting: true,
                };
                runtime.block_on(async move {
                    let _turns = turns::begin(id);
                    let busy_poll = BusyPoll::start(setup.busy_poll);
                    let listeners = listeners.into_iter().filter_map(|listener| {
                        TcpListener::from_std(listener)
                            .inspect_err(|error| tracing::error!(shard = id, %error, "can't accept"))
                            .ok()
                    });
                    Shard::new(core, make(id), listeners.collect(), start, busy_poll).run().await;
                });
            })?;
            threads.push(thread);
        }
        Ok(Shards { mailboxes, node, start, addresses, threads })
    }

    /// The addresses that are listened on, ports known.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Counts over all shards.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// From now on nobody gets a new session: a handshake is answered with 503. The sessions that there are go on,
    /// polling included, and so does the listening.
    pub fn refuse_new(&self) {
        self.node.refuse_new();
    }

    /// Opens no more sessions, closes every one once its output is written, and waits for the shards to end; no
    /// longer than `patience`. Blocks, and not on a shard's own thread, which would wait for itself.
    pub fn stop(self, patience: Duration) {
        let by = Time(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)) + patience;
        let until = Instant::now() + patience;
        self.refuse_new();
        self.post_all(|| Mail::Close);
        // Who is between two polls fetches what is left by a connection that may come only now, to any shard.
        while self.node.sessions() > 0 && Instant::now() < until {
            std::thread::sleep(STOP_CHECK);
        }
        self.post_all(|| Mail::Stop { by });
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a shard has panicked");
            }
        }
    }

    fn post_all(&self, mail: impl Fn() -> Mail<A::Mail>) {
        for shard in 0..self.mailboxes.shards() {
            // One that has ended needs no word.
            let _ = self.mailboxes.post(shard, mail());
        }
    }
}

/// The end of a shard's thread, however that comes: nobody is to wait for answers to what is posted to it.
struct End<M> {
    id: ShardId,
    mailboxes: Mailboxes<M>,
}

impl<M> Drop for End<M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                shard = self.id,
                "a shard has panicked: its connections are lost, and it serves no more"
            );
        }
        self.mailboxes.close(self.id);
    }
}

/// A shard: its state, its application, and what it waits for.
pub(crate) struct Shard<A: App> {
    core: Core<A>,
    app: A,
    listeners: Vec<TcpListener>,
    start: Instant,
    /// What is read lands here first.
    scratch: Box<[u8]>,
    ready: Vec<Key>,
    mail: Vec<Mail<A::Mail>>,
    fired: Vec<core::Timer>,
    /// Not before this time is anything accepted.
    accept_at: Time,
    /// The last try to accept failed, and was logged.
    accept_failing: bool,
    /// When to be gone, once told to stop.
    stop_by: Option<Time>,
    busy_poll: Option<Arc<BusyPoll>>,
}

/// How often a server that stops looks whether its sessions are gone.
const STOP_CHECK: Duration = Duration::from_millis(5);
const SCRATCH_BYTES: usize = 64 * 1024;

impl<A: App> Shard<A> {
    fn new(
        core: Core<A>,
        app: A,
        listeners: Vec<TcpListener>,
        start: Instant,
        busy_poll: Option<Arc<BusyPoll>>,
    ) -> Self {
        Shard {
            core,
            app,
            listeners,
            start,
            scratch: vec![0; SCRATCH_BYTES].into(),
            ready: Vec::new(),
            mail: Vec::new(),
            fired: Vec::new(),
            accept_at: Time(0),
            accept_failing: false,
            stop_by: None,
            busy_poll,
        }
    }

    fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        // For those behind a trusted proxy their sessions are counted.
        let by_address = self.core.limits.max_connections_per_ip > 0
            && !is_trusted(remote.ip(), &self.core.limits.trusted_proxies);
        let ip = by_address.then(|| remote.ip().to_canonical());
        let welcome = self.core.node.connected(ip, &self.core.limits);
        let phase = Phase::Http(Box::new(http::Http::new(remote)));
        let key = self.core.conns.insert_with(|_| Conn::new(stream, phase, ip.map(Box::new)));
        match welcome {
            Ok(()) => {
                self.core.set_conn_deadline(key, self.core.now + self.core.limits.request_timeout);
                self.conn_ready(key);
            }
            Err(full) => self.core.refuse_full(key, reply::Reply::plain(), full),
        }
    }

    fn taken_over(&mut self, hand_off: mail::HandOff) {
        let mail::HandOff { stream, remote, ip, input, out } = hand_off;
        let Ok(stream) = TcpStream::from_std(stream) else {
            return self.core.node.disconnected(ip.map(|ip| *ip));
        };
        let mut http = http::Http::new(remote);
        http.input = input;
        let key = self.core.conns.insert_with(|_| Conn::new(stream, Phase::Http(Box::new(http)), ip));
        if let Some(conn) = self.core.conns.get_mut(key) {
            conn.out = out;
        }
        self.core.touch_conn(key);
        self.http_advance(key);
        self.conn_ready(key);
    }

    /// Opens a session.
    fn open(
        &mut self,
        conn: Key,
        mount: usize,
        head: RequestHead,
        transport: Transport,
    ) -> Result<Key, Refusal> {
        let Some(remote) = self.core.http_mut(conn).map(|http| http.remote) else {
            return Err(Refusal::Full(Full::Leaving));
        };
        self.core.node.takes_handshake(self.core.now, &self.core.limits).map_err(Refusal::Full)?;
        let limits = self.core.limits.clone();
        let forwarded = head.header_values(X_FORWARDED_FOR);
        let client_ip = client_ip(remote.ip(), forwarded, &limits.trusted_proxies);
        let request = Request { head, remote, client_ip, time: SystemTime::now() };
        self.app
            .allow(&self.core, mount, &request)
            .map_err(|message| Refusal::Error(reply::HandshakeError::Forbidden(message)))?;
        let by_address =
            limits.max_connections_per_ip > 0 && is_trusted(remote.ip(), &limits.trusted_proxies);
        if by_address {
            self.core.node.address_came(client_ip, &limits).map_err(Refusal::Full)?;
        }
        let (id, now, mounts) = (self.core.id, self.core.now, self.core.mounts.clone());
        let mut sid = Sid::random(id, 0);
        let session = self.core.sessions.insert_with(|key| {
            sid = Sid::random(id, key.slot);
            Entry {
                session: Session::open(transport, &sid.to_string(), &mounts[mount].settings, now),
                client: None,
                sid,
                // There are as many mounts as somebody has written down.
                mount: mount as u16,
                ip: by_address.then(|| Box::new(client_ip)),
                dirty: false,
                websocket: None,
                probe: None,
                poll: None,
                post: None,
                deadline: Time::NEVER,
                armed: Time::NEVER,
            }
        });
        self.core.node.session_opened();
        let client = self.app.opened(&mut self.core, session, sid, mount, request);
        if let Some(entry) = self.core.sessions.get_mut(session) {
            entry.client = Some(client);
        }
        self.core.touch(session);
        Ok(session)
    }

    /// A packet came by one of a session's connections.
    fn handle_packet(&mut self, session: Key, link: Link, packet: Packet<'_>) -> Result<(), CloseReason> {
        let Some(entry) = self.core.sessions.get_mut(session) else { return Ok(()) };
        let settings = &self.core.mounts[usize::from(entry.mount)].settings;
        if let Some(message) = entry.session.handle_packet(link, packet, settings, self.core.now)? {
            self.app.message(&mut self.core, session, message);
        }
        Ok(())
    }

    /// Ends a session at once.
    fn fail(&mut self, session: Key, reason: CloseReason) {
        if let Some(entry) = self.core.sessions.get_mut(session) {
            entry.session.abort(reason);
            self.core.touch(session);
        }
    }

    /// Counts what a connection sends against its limits.
    fn within_rate(&mut self, key: Key, packets: u32, bytes: usize) -> bool {
        let (max_packets, max_bytes) =
            (self.core.limits.packets_per_second, self.core.limits.bytes_per_second);
        if max_packets == 0 && max_bytes == 0 {
            return true;
        }
        let now = self.core.now;
        let Some(conn) = self.core.conns.get_mut(key) else { return true };
        let counted = conn.rate.count(packets, bytes, now, max_packets, max_bytes);
        counted.inspect_err(|limit| self.core.reach(*limit)).is_ok()
    }

    /// A connection is over: whatever session it served is told, and it is forgotten.
    fn conn_ended(&mut self, key: Key) {
        let Some(conn) = self.core.conns.get(key) else { return };
        match &conn.phase {
            Phase::Linger { .. } => (),
            Phase::WebSocket { session, .. } => {
                let session = *session;
                self.link_lost(key, session, CloseReason::TransportClose);
            }
            Phase::Http(http) => match &http.state {
                http::State::Head if conn.out.is_empty() => (),
                // It has closed its half; the answers still go out.
                http::State::Head => return self.core.close_conn(key),
                http::State::Poll { session, .. } => {
                    let session = *session;
                    self.link_lost(key, session, CloseReason::TransportError);
                }
                http::State::Body(post) => {
                    let session = post.session();
                    self.link_lost(key, session, CloseReason::TransportError);
                }
            },
        }
        self.core.drop_conn(key);
    }

    /// A session has lost one of its connections.
    fn link_lost(&mut self, key: Key, session: Key, reason: CloseReason) {
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        let link = [
            (&mut entry.websocket, Link::WebSocket),
            (&mut entry.probe, Link::Probe),
            (&mut entry.poll, Link::Poll),
            (&mut entry.post, Link::Post),
        ]
        .into_iter()
        .find_map(|(place, link)| (*place == Some(key)).then(|| *place = None).map(|()| link));
        if let Some(link) = link {
            entry.session.handle_lost(link, reason);
            self.core.touch(session);
        }
    }
}
