//! From settings to the options of what a node is made of.

use std::net::SocketAddr;

use crate::api::Page;
use crate::auth::TokenOptions;
use crate::bus::redis::{DirectOptions, PubSubMode, RedisOptions, RedisSessionsOptions};
use crate::config::{self, Config, PubSub};
use crate::presence::LocalPresenceOptions;
use crate::presence::redis::RedisPresenceOptions;
use crate::shard::{Cors, HttpOptions, Limits};
use crate::socketio::{ClusterOptions, Io, RecoveryOptions};
use crate::store::{MysqlOptions, SqliteOptions};
use crate::{im, proto, session};

pub fn im(config: &Config) -> im::Options {
    im::Options {
        node_id: config.node.id.clone(),
        max_content_chars: config.im.max_content_chars,
        multi_device: config.im.multi_device,
        sync_page: config.im.sync_page,
        sync_page_max: config.im.sync_page_max,
        require_friendship: config.im.require_friendship,
        max_group_members: config.im.max_group_members,
        // A connection is in the room of its user, too.
        max_groups: config.limits.max_rooms_per_socket.saturating_sub(1) as u64,
        // Something else may be waiting before it.
        page_bytes: config.limits.outbox_hard.0 / 2,
        recall_window: config.im.recall_window,
        recovery_window: config.socketio.recovery_window,
        watch_limit: config.im.watch_limit,
        messages_per_second: config.im.messages_per_second,
        message_burst: config.im.message_burst,
        typing_per_second: config.im.typing_per_second,
    }
}

/// `http`, `socketio`: where the node listens, ports known.
pub fn page(config: &Config, http: SocketAddr, socketio: &[SocketAddr]) -> Page {
    Page {
        node_id: config.node.id.clone(),
        http_port: http.port(),
        socketio_port: socketio.first().unwrap_or(&config.socketio.listen).port(),
        socketio_path: config.socketio.path.clone(),
        auth_mode: config.auth.mode,
        max_content_chars: config.im.max_content_chars,
    }
}

pub fn tokens(config: &Config) -> TokenOptions {
    let auth = &config.auth;
    TokenOptions {
        secret: auth.jwt_secret.clone(),
        keys: auth.jwt_keys.clone(),
        issue_key: auth.jwt_issue_key.clone(),
        require_exp: auth.jwt_require_exp,
        leeway: auth.jwt_leeway,
        issuers: auth.jwt_issuers.clone(),
        audience: auth.jwt_audience.clone(),
    }
}

pub fn sqlite(config: &Config) -> SqliteOptions {
    SqliteOptions {
        queue_limit: config.store.queue,
        max_batch: config.store.max_batch,
        ..SqliteOptions::default()
    }
}

pub fn mysql(config: &Config) -> MysqlOptions {
    MysqlOptions {
        url: config.store.url.clone(),
        node: config.node.id.clone(),
        queue_limit: config.store.queue,
        max_batch: config.store.max_batch,
        connections: config.store.connections,
        ..MysqlOptions::default()
    }
}

pub fn local_presence(config: &Config) -> LocalPresenceOptions {
    LocalPresenceOptions {
        node_id: config.node.id.clone(),
        socketio: config.socketio.listen.to_string(),
        http: config.node.http_listen.to_string(),
        grace: config.cluster.presence_grace,
    }
}

pub fn presence(config: &Config) -> RedisPresenceOptions {
    RedisPresenceOptions {
        url: config.cluster.redis_url.clone(),
        node_id: config.node.id.clone(),
        socketio: config.socketio.listen.to_string(),
        http: config.node.http_listen.to_string(),
        lease: config.cluster.node_lease,
        renewal: config.cluster.lease_renewal,
        grace: config.cluster.presence_grace,
        ..RedisPresenceOptions::default()
    }
}

pub fn cluster(config: &Config) -> ClusterOptions {
    ClusterOptions {
        member_timeout: config.cluster.node_lease,
        answer_timeout: config.cluster.request_timeout,
        ..ClusterOptions::new(&config.node.id)
    }
}

pub fn sessions(config: &Config) -> RedisSessionsOptions {
    RedisSessionsOptions { url: config.cluster.redis_url.clone(), ..RedisSessionsOptions::default() }
}

pub fn bus(config: &Config) -> RedisOptions {
    let cluster = &config.cluster;
    RedisOptions {
        url: cluster.redis_url.clone(),
        pubsub: match cluster.pubsub {
            PubSub::Auto => PubSubMode::Auto,
            PubSub::Classic => PubSubMode::Classic,
            PubSub::Sharded => PubSubMode::Sharded,
        },
        linger: cluster.linger,
        queue_limit: cluster.queue,
        name: format!("tokio-socketio {}", config.node.id),
        direct: Some(DirectOptions {
            node: config.node.id.clone(),
            listen: cluster.direct,
            port: cluster.direct_port,
            // The settings were checked.
            advertise: cluster.direct_advertise.parse().ok(),
        }),
        busy_poll: config.node.busy_poll,
        ..RedisOptions::default()
    }
}

pub fn server(config: &Config) -> Io {
    let (socketio, limits) = (&config.socketio, &config.limits);
    let transport = |transport: &config::Transport| match transport {
        config::Transport::Polling => session::Transport::Polling,
        config::Transport::WebSocket => session::Transport::WebSocket,
    };
    let cors = Cors { origins: socketio.cors_origins.clone(), credentials: socketio.cors_credentials };
    Io::builder()
        // The settings allow far fewer than fit.
        .shards(u16::try_from(config.node.shards).unwrap_or(u16::MAX))
        .busy_poll(config.node.busy_poll)
        .path(&socketio.path)
        .settings(session::Settings {
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
            ..session::Settings::default()
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
            trusted_proxies: limits.trusted_proxies.clone(),
            handshakes_per_second: limits.handshakes_per_second,
            packets_per_second: limits.packets_per_second,
            bytes_per_second: limits.bytes_per_second.0 as u64,
            head: proto::http::HeadLimits { max_bytes: limits.max_head_bytes.0, ..Default::default() },
            request_timeout: limits.head_timeout,
            keep_alive_timeout: limits.keep_alive_timeout,
            ..Limits::default()
        })
        .max_rooms_per_socket(limits.max_rooms_per_socket)
        .recovery(RecoveryOptions {
            window: socketio.recovery_window,
            // Who comes back shows again who it is, and is put back into what the service knows of its users.
            skip_middleware: false,
            log_bytes: limits.recovery_log.0,
            max_sessions: limits.recovery_sessions,
        })
        .build()
}
