//! A node: the server, the service on it, and its store, from start to drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::{Config, LogFormat};
use crate::im::{self, Im};
use crate::session::Settings;
use crate::shard::{Cors, HttpOptions, Limits};
use crate::socketio::{Io, Server};
use crate::store::{SqliteOptions, SqliteStore, Store};
use crate::{api, config, proto, session};

/// Why a node did not start, or did not end well. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// An address can't be listened on, or the system gives no threads or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a node until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// It can't start.
pub async fn run(config: Config) -> Result<(), NodeError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let options = SqliteOptions {
        queue_limit: config.store.queue,
        max_batch: config.store.max_batch,
        ..SqliteOptions::default()
    };
    let Some(path) = config.store.sqlite_path().map(ToOwned::to_owned) else { todo!("the store over MySQL") };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, options)).await;
    let store = Arc::new(opened.map_err(io::Error::other)??);
    let http = TcpListener::bind(config.node.http_listen).await.map_err(|error| {
        io::Error::new(error.kind(), format!("can't listen on {}: {error}", config.node.http_listen))
    })?;

    let io = server(&config);
    Im::install(&io, store.clone(), service(&config));
    let server = io.listen(config.socketio.listen)?;
    let sources = api::Sources { node: server.node().clone(), store: store.clone() };
    let page = page(&config, http.local_addr()?.port(), &server);
    let api = tokio::spawn(api::serve(http, sources, page));
    tracing::info!(
        node = config.node.id,
        http = %config.node.http_listen,
        socketio = %server.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        path = config.socketio.path,
        store = %config.store.url,
        "the node is ready"
    );
    tracing::warn!(
        "OPEN AUTHENTICATION: every client is who ?userId= says. For development only; see auth.mode in `config`"
    );

    tokio::select! {
        _ = terminate.recv() => (),
        interrupt = tokio::signal::ctrl_c() => interrupt?,
    }
    tracing::info!(node = config.node.id, "draining: no new connections, what is queued is still written");
    server.stop(config.node.drain_timeout).await;
    api.abort();
    store.close().await?;
    tracing::info!(node = config.node.id, "the node has stopped");
    Ok(())
}

/// Sends the log to standard error, as the settings say.
pub fn log(config: &config::Log) {
    let filter = tracing_subscriber::EnvFilter::new(&config.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second subscriber in one process (tests) is refused, and the first goes on.
    let _ = match config.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn service(config: &Config) -> im::Options {
    im::Options {
        node_id: config.node.id.clone(),
        max_content_chars: config.im.max_content_chars,
        multi_device: config.im.multi_device,
        sync_page: config.im.sync_page,
        sync_page_max: config.im.sync_page_max,
    }
}

/// What the web page is told: the ports as they came to be, where the settings leave the choice to the system.
fn page(config: &Config, http_port: u16, server: &Server) -> api::Page {
    api::Page {
        node_id: config.node.id.clone(),
        http_port,
        socketio_port: server.addresses().first().map_or(config.socketio.listen.port(), SocketAddr::port),
        socketio_path: config.socketio.path.clone(),
        auth_mode: config.auth.mode,
        max_content_chars: config.im.max_content_chars,
    }
}

fn server(config: &Config) -> Io {
    let (socketio, limits) = (&config.socketio, &config.limits);
    let transport = |transport: &config::Transport| match transport {
        config::Transport::Polling => session::Transport::Polling,
        config::Transport::WebSocket => session::Transport::WebSocket,
    };
    let cors = Cors { origins: socketio.cors_origins.clone(), credentials: socketio.cors_credentials };
    Io::builder()
        // The settings allow far fewer than fit.
        .shards(u16::try_from(config.node.shards).unwrap_or(u16::MAX))
        .path(&socketio.path)
        .settings(Settings {
            ping_interval: socketio.ping_interval,
            ping_timeout: socketio.ping_timeout,
            upgrade_timeout: socketio.upgrade_timeout,
            connect_timeout: socketio.connect_timeout,
            max_payload: socketio.max_payload.0,
            allow_upgrades: socketio.allow_upgrades,
            outbox_soft: limits.outbox_soft.0,
            outbox_hard: limits.outbox_hard.0,
            max_attachments: limits.max_attachments,
            max_pending_acks: limits.max_pending_acks,
            ..Settings::default()
        })
        .http(HttpOptions {
            transports: socketio.transports.iter().map(transport).collect(),
            cors: (!cors.origins.is_empty()).then_some(cors),
            cookie: (!socketio.cookie.is_empty()).then(|| socketio.cookie.clone()),
            compress_from: socketio.http_compression.then_some(socketio.http_compression_threshold.0),
        })
        .limits(Limits {
            max_connections: limits.max_connections,
            max_connections_per_ip: limits.max_connections_per_ip,
            handshakes_per_second: limits.handshakes_per_second,
            packets_per_second: limits.packets_per_second,
            bytes_per_second: limits.bytes_per_second.0 as u64,
            head: proto::http::HeadLimits { max_bytes: limits.max_head_bytes.0, ..Default::default() },
            request_timeout: limits.head_timeout,
            keep_alive_timeout: limits.keep_alive_timeout,
            ..Limits::default()
        })
        .max_rooms_per_socket(limits.max_rooms_per_socket)
        .build()
}
