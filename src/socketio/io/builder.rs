//! The options of a server, one method each.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use super::{Allow, Io, IoInner, Options};
use crate::ids::ShardId;
use crate::proto::sio::ROOT;
use crate::session::{Settings, Transport};
use crate::shard::{Cors, HttpOptions, Limits, Mount, Poster, Request};
use crate::socketio::engine::Engine;
use crate::socketio::namespace::Namespace;
use crate::socketio::op::Which;
use crate::socketio::places::Places;
use crate::socketio::recovery::{Recovery, RecoveryOptions};

/// Options of a server.
#[derive(Clone)]
pub struct IoBuilder {
    shards: ShardId,
    path: String,
    settings: Settings,
    http: HttpOptions,
    limits: Limits,
    engines: Vec<(String, Engine)>,
    allow: Option<Allow>,
    ack_timeout: Duration,
    max_rooms: usize,
    recovery: RecoveryOptions,
    busy_poll: Duration,
}

impl std::fmt::Debug for IoBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoBuilder").field("path", &self.path).field("settings", &self.settings).finish()
    }
}

impl Default for IoBuilder {
    fn default() -> Self {
        IoBuilder {
            shards: 0,
            path: "/socket.io/".into(),
            settings: Settings::default(),
            http: HttpOptions::default(),
            limits: Limits::default(),
            engines: Vec::new(),
            allow: None,
            ack_timeout: Duration::from_secs(30),
            max_rooms: 1_000,
            recovery: RecoveryOptions::default(),
            busy_poll: Duration::ZERO,
        }
    }
}

impl IoBuilder {
    /// The server.
    pub fn build(self) -> Io {
        let mount = |path: String| Mount { path, settings: self.settings.clone(), http: self.http.clone() };
        let (mut mounts, mut engines) = (vec![mount(self.path.clone())], vec![None]);
        for (path, engine) in self.engines {
            mounts.push(mount(path));
            engines.push(Some(engine));
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let shards = if self.shards == 0 { cores().try_into().unwrap_or(ShardId::MAX) } else { self.shards };
        let io = Arc::new(IoInner {
            options: Options {
                mounts,
                engines,
                limits: self.limits,
                allow: self.allow,
                ack_timeout: self.ack_timeout,
                max_rooms: self.max_rooms,
                busy_poll: self.busy_poll,
            },
            recovery: (!self.recovery.window.is_zero()).then(|| Recovery::new(self.recovery)),
            poster: Poster::new(shards),
            places: Places::new(shards),
            listened: AtomicBool::new(false),
            namespaces: RwLock::default(),
            cluster: OnceLock::new(),
            of_nodes: Arc::default(),
        });
        let root = Namespace { io, which: Which::Named(ROOT.into()) };
        Io { root: Io { root }.of(ROOT) }
    }

    /// How many threads serve connections; 0, the default, is one per core.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = shards;
        self
    }

    /// How long such a thread stays awake after something came, in place of sleeping until more does: what comes then is not
    /// kept waiting for it to wake up, at the price of the core's time. For hosts with more cores than busy threads; some
    /// 200 µs. Default: 0, not at all.
    pub fn busy_poll(mut self, patience: Duration) -> Self {
        self.busy_poll = patience;
        self
    }

    /// The path of the Socket.IO endpoint. Default: `/socket.io/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.path = if path.starts_with('/') { path } else { format!("/{path}") };
        self
    }

    /// Times and limits of sessions, all at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How requests are answered, all at once.
    pub fn http(mut self, http: HttpOptions) -> Self {
        self.http = http;
        self
    }

    /// Limits on connections.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often the server pings. Default: 25 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.settings.ping_interval = interval;
        self
    }

    /// How long the server waits for a pong. Default: 20 s.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ping_timeout = timeout;
        self
    }

    /// How long a client may take to join its first namespace. Default: 45 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long a client may take to complete an upgrade. Default: 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.settings.upgrade_timeout = timeout;
        self
    }

    /// The longest message, in bytes. Default: 1,000,000.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.settings.max_payload = bytes;
        self
    }

    /// The transports that are served. Default: both.
    pub fn transports(mut self, transports: impl Into<Vec<Transport>>) -> Self {
        self.http.transports = transports.into();
        self
    }

    /// Cross-origin answers. Default: none.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.http.cors = Some(cors);
        self
    }

    /// Sets a cookie of this name with the session id. Default: none.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.http.cookie = Some(name.into());
        self
    }

    /// Decides whether a handshake is welcome, before there is a session. A refusal is answered with 403 and its
    /// text. It must not block.
    pub fn allow_request(
        mut self,
        allow: impl Fn(&Request) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.allow = Some(Arc::new(allow));
        self
    }

    /// How long to wait for acks, where nothing else is said. Default: 30 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// The most rooms that one socket may be in. Default: 1,000.
    pub fn max_rooms_per_socket(mut self, rooms: usize) -> Self {
        self.max_rooms = rooms;
        self
    }

    /// How long a client that was cut off may take to come back to its id, its rooms, its extensions, and the events that it
    /// has missed (connection state recovery; socket.io-client 4.6 and later). Default: 0, which is not at all.
    ///
    /// Events then carry one more argument, which such clients hand on to their handlers, too.
    pub fn recovery_window(mut self, window: Duration) -> Self {
        self.recovery.window = window;
        self
    }

    /// Whether middleware is skipped for a client that comes back. Default: yes.
    pub fn recovery_skip_middleware(mut self, skip: bool) -> Self {
        self.recovery.skip_middleware = skip;
        self
    }

    /// How clients that were cut off are taken back, all at once.
    pub fn recovery(mut self, options: RecoveryOptions) -> Self {
        self.recovery = options;
        self
    }

    /// A raw Engine.IO endpoint at another path, with the same settings.
    pub fn engine(mut self, path: impl Into<String>, engine: Engine) -> Self {
        self.engines.push((path.into(), engine));
        self
    }
}
