//! A node: the server, the service on it, what they keep and how they reach the others, from start to drain.

mod ear;
mod options;
mod secrets;
mod status;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::ear::Ear;
use self::secrets::Secrets;
use crate::api::{self, Accounts};
use crate::auth::{KeyError, PasswordError};
use crate::bus::Bus as _;
use crate::bus::Sessions;
use crate::bus::redis::{RedisBus, RedisSessions, UrlError};
use crate::config::{self, AuthMode, Config, LogFormat};
use crate::im::words::WordsError;
use crate::im::{Im, Parts, Watchers};
use crate::presence::redis::{self, RedisPresence};
use crate::presence::{Load, LocalPresence, Presence, PresenceError, Watcher};
use crate::socketio::{ClusterOptions, Io, Server};
use crate::store::{MysqlStore, SqliteStore, Store, StoreError, Timestamp};

pub use self::status::status;

/// Why a node did not start, or did not end well. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The other nodes can't be reached in the way that the settings say.
    #[error("cluster.redis_url: {0}")]
    Redis(#[from] UrlError),
    /// A key of tokens can't be read or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The list of words can't be read or used.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// Passwords can't be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Presence can't be kept.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// An address can't be listened on, or the system gives no threads or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process has this node's name, and its lease.
    #[error(
        "another process runs as {0}, and has taken its lease over: every node of a cluster needs a node.id of its own"
    )]
    Replaced(String),
}

/// The part of `node.drain_timeout` over which clients are moved away. The rest is for what is still to be written.
const DRAIN_SHARE: f64 = 0.7;
/// How often others are told what this node carries.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// Runs a node until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// It can't start, or must not go on.
pub async fn run(config: Config) -> Result<(), NodeError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let store = open_store(&config).await?;
    let http = TcpListener::bind(config.node.http_listen).await.map_err(|error| {
        io::Error::new(error.kind(), format!("can't listen on {}: {error}", config.node.http_listen))
    })?;
    let io = options::server(&config);
    let told = Arc::new(Told::default());
    let Others { presence, ear, bus } = join(&config, &io, &told).await?;
    let secrets = Secrets::load(&config)?;
    let parts = Parts {
        io: io.clone(),
        store: store.clone(),
        presence: presence.clone(),
        watchers: told.watchers.clone(),
        identities: secrets.identities(),
        words: secrets.words.clone(),
    };
    let im = Im::install(parts, options::im(&config));
    if let Some(ear) = ear {
        ear.set_im(&im);
    }
    let (of_gone, lease) = (Arc::downgrade(&im), config.cluster.node_lease);
    io.on_node_gone(move |_| {
        if let Some(im) = of_gone.upgrade() {
            im.node_gone(lease);
        }
    });
    let server = io.listen(config.socketio.listen)?;
    let draining = Arc::new(AtomicBool::new(false));
    let sources = api::Sources {
        config: Arc::new(config.clone()),
        node: server.node().clone(),
        store: store.clone(),
        presence: presence.clone(),
        im: im.clone(),
        identities: secrets.identities(),
        accounts: Arc::new(Accounts::new(&config, secrets.tokens.clone(), store.clone())?),
        bus,
        draining: draining.clone(),
    };
    let reloading = secrets.reload_on_hangup()?;
    let telling = tokio::spawn(tell_load(sources.clone()));
    let page = options::page(&config, http.local_addr()?, server.addresses());
    let api = tokio::spawn(api::serve(http, sources, page));
    say_ready(&config, &server);

    let replaced = tokio::select! {
        _ = terminate.recv() => false,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt?;
            false
        }
        () = told.replaced.notified() => true,
    };
    tracing::info!(
        node = config.node.id,
        "draining: clients are moved away, what is queued is still written"
    );
    let until = Instant::now() + config.node.drain_timeout;
    draining.store(true, Relaxed);
    server.refuse_new();
    im.drain(config.node.drain_timeout.mul_f64(DRAIN_SHARE)).await;
    server.stop(until.saturating_duration_since(Instant::now())).await;
    reloading.abort();
    telling.abort();
    api.abort();
    if let Err(error) = presence.release().await {
        tracing::warn!(%error, "presence could not be given up: it ends with the lease");
    }
    io.leave_cluster().await;
    store.close().await?;
    tracing::info!(node = config.node.id, "the node has stopped");
    if replaced { Err(NodeError::Replaced(config.node.id)) } else { Ok(()) }
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, NodeError> {
    let Some(path) = config.store.sqlite_path().map(ToOwned::to_owned) else {
        return Ok(Arc::new(MysqlStore::open(options::mysql(config)).await?));
    };
    let options = options::sqlite(config);
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, options)).await;
    Ok(Arc::new(opened.map_err(io::Error::other)??))
}

/// How a node knows of others.
struct Others {
    presence: Arc<dyn Presence>,
    /// What the bus calls, and the bus; `None` for a node that is alone.
    ear: Option<Arc<Ear>>,
    bus: Option<Arc<RedisBus>>,
}

async fn join(config: &Config, io: &Io, told: &Arc<Told>) -> Result<Others, NodeError> {
    let watcher: Arc<dyn Watcher> = told.clone();
    if config.cluster.redis_url.is_empty() {
        let presence = Arc::new(LocalPresence::start(options::local_presence(config), watcher));
        return Ok(Others { presence, ear: None, bus: None });
    }
    let sessions: Option<Arc<dyn Sessions>> = match config.socketio.recovery_window.is_zero() {
        true => None,
        false => Some(Arc::new(RedisSessions::new(options::sessions(config))?)),
    };
    let joining = io.join_cluster(ClusterOptions { sessions, ..options::cluster(config) });
    let ear = Ear::new(joining.sink());
    let bus = RedisBus::connect(options::bus(config), ear.clone()).await?;
    let presence = RedisPresence::start(options::presence(config), bus.clone(), watcher)?;
    let presence = Arc::new(presence);
    ear.set_presence(&presence);
    // Also where nobody watches anybody: the service wants to know which users have come to other nodes.
    drop(bus.subscribe(redis::CHANNEL));
    joining.with(bus.clone());
    Ok(Others { presence, ear: Some(ear), bus: Some(bus) })
}

/// What presence tells this node.
#[derive(Default)]
struct Told {
    watchers: Arc<Watchers>,
    replaced: Notify,
}

impl Watcher for Told {
    fn changed(&self, user: u64, online: bool, at: Timestamp) {
        self.watchers.tell(user, online, at);
    }

    fn reinstated(&self) {
        tracing::warn!(
            "this node had been given up by the others; it has a new lease, and its users are back"
        );
    }

    fn replaced(&self) {
        self.replaced.notify_one();
    }
}

/// Tells the other nodes what this one carries, for as long as it runs.
async fn tell_load(sources: api::Sources) {
    loop {
        sources.presence.set_load(Load {
            connections: sources.node.connections() as u64,
            sessions: sources.node.sessions() as u64,
            users: sources.im.users() as u64,
            messages: sources.store.stats().appended,
            draining: sources.draining.load(Relaxed),
        });
        tokio::time::sleep(LOAD_EVERY).await;
    }
}

fn say_ready(config: &Config, server: &Server) {
    tracing::info!(
        node = config.node.id,
        http = %config.node.http_listen,
        socketio = %server.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        path = config.socketio.path,
        store = config.store.masked_url(),
        cluster = !config.cluster.redis_url.is_empty(),
        "the node is ready"
    );
    if config.auth.mode == AuthMode::Open {
        tracing::warn!(
            "OPEN AUTHENTICATION: every client is who ?userId= says. For development only; see auth.mode in `config`"
        );
    }
}

/// Sends the log to standard error, as the settings say.
pub fn log(config: &config::Log) {
    let filter = tracing_subscriber::EnvFilter::new(&config.level);
    // A log file is to have no colours.
    let ansi = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi);
    // A second subscriber in one process (tests) is refused, and the first goes on.
    let _ = match config.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
