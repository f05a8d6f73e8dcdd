//! Every setting of a node, validated once.
//!
//! A setting stands in one place: its line in the table below gives its key, type, default, allowed values and
//! documentation, from which come the [`Config`] struct, parsing, error texts, `--help`, the output of
//! `tokio-socketio config` and the reference in the documentation. Settings come from a TOML file, then the
//! environment, then flags; the later win. [`Config::load`] is pure: it reads no file and no environment, and what
//! it returns is within every limit and free of contradictions. It never shows a secret in an error.

mod load;
mod print;
mod rules;
mod table;
mod value;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

pub use load::{ConfigError, Effective, Flag, Source};
pub(crate) use print::{help, markdown};
pub use value::{AuthMode, ByteSize, LogFormat, PubSub, Transport, WordsMode};

use crate::proto::http::Network;
use table::Rule::{Any, Range, Test};
use table::settings;
use value::{kib, loopback, mib, ms, secs, text};

settings! {
    /// The node itself.
    node: Node {
        /// Name of this node, unique in its cluster. `NODE_ID` in the environment sets it too.
        id: String = text("node-1"), Test("1 to 64 of A-Z a-z 0-9 . _ -", rules::is_node_id);
        /// Threads that serve connections; 0 means one per core.
        shards: usize = 0, Range(0, 1024);
        /// How long such a thread, and the bus's, stays awake after something came; 0 for not at all, 200us where cores are idle.
        busy_poll: Duration = ms(0), Range(ms(0), secs(1));
        /// Where the HTTP API, health and metrics listen.
        http_listen: SocketAddr = loopback(8080), Any;
        /// How long a stopping node gives its clients and its writes before it exits.
        drain_timeout: Duration = secs(10), Range(ms(0), secs(3600));
        /// Allow `auth.mode = "open"`, where anyone can be any user, on an address that others can reach.
        insecure_open_auth: bool = false, Any;
    }

    /// The Socket.IO endpoint.
    socketio: SocketIo {
        /// Where it listens.
        listen: SocketAddr = loopback(8081), Any;
        /// Path of the endpoint.
        path: String = text("/socket.io/"), Test("a path that begins and ends with /, such as /socket.io/", rules::is_path);
        /// Time between heartbeat pings to a client.
        ping_interval: Duration = secs(25), Range(ms(1), secs(86_400));
        /// How long a client may take to answer a ping before it counts as gone.
        ping_timeout: Duration = secs(20), Range(ms(1), secs(86_400));
        /// The largest packet or polling body that a client may send.
        max_payload: ByteSize = ByteSize(1_000_000), Range(ByteSize(1), mib(1024));
        /// How long a new session may take to join a namespace.
        connect_timeout: Duration = secs(45), Range(ms(1), secs(86_400));
        /// How long an upgrade from polling to WebSocket may take.
        upgrade_timeout: Duration = secs(10), Range(ms(1), secs(86_400));
        /// Transports that clients may use.
        transports: Vec<Transport> = vec![Transport::Polling, Transport::WebSocket],
            Test("polling, websocket or both, each once", rules::is_transports);
        /// Offer clients that began with polling the upgrade to WebSocket.
        allow_upgrades: bool = true, Any;
        /// Web origins whose pages may connect; "*" for all, an empty list for none but the server's own.
        cors_origins: Vec<String> = vec![text("*")],
            Test("each \"*\" or an origin such as https://chat.example", rules::is_origins);
        /// Let pages of the named origins send cookies.
        cors_credentials: bool = false, Any;
        /// Name of the cookie that carries the session id, for load balancers; empty for none.
        cookie: String = text(""), Test("empty or a cookie name", rules::is_cookie_name);
        /// How long a client that was cut off may take to come back to its state and what it missed; 0 for not at all.
        recovery_window: Duration = ms(0), Range(ms(0), secs(86_400));
        /// Compress polling responses for clients that accept gzip.
        http_compression: bool = true, Any;
        /// Polling responses below this are sent as they are.
        http_compression_threshold: ByteSize = ByteSize(1024), Range(ByteSize(0), mib(1024));
    }

    /// What a client or all of them together may use.
    limits: Limits {
        /// Connections of this node; 0 for no limit.
        max_connections: usize = 1_000_000, Range(0, 100_000_000);
        /// Connections from one IP address, or sessions of it where it is behind a trusted proxy; 0 for no limit.
        max_connections_per_ip: usize = 0, Range(0, 100_000_000);
        /// Proxies in front of this node, as addresses or networks, whose X-Forwarded-For says who the client is.
        trusted_proxies: Vec<Network> = Vec::new(), Any;
        /// New sessions of this node in a second; 0 for no limit.
        handshakes_per_second: u32 = 0, Range(0, 10_000_000);
        /// The largest head of an HTTP request.
        max_head_bytes: ByteSize = ByteSize(16_384), Range(ByteSize(256), mib(1));
        /// Packets from one connection in a second; 0 for no limit.
        packets_per_second: u32 = 0, Range(0, 10_000_000);
        /// Bytes from one connection in a second; 0 for no limit.
        bytes_per_second: ByteSize = ByteSize(0), Range(ByteSize(0), mib(10_240));
        /// Rooms that one socket may be in. A user can be in one group less, for a connection is in the rooms of all of them and of its user.
        max_rooms_per_socket: usize = 1000, Range(1, 1_000_000);
        /// Binary attachments of one packet; 0 for none.
        max_attachments: usize = 64, Range(0, 10_000);
        /// Acknowledgements that one socket may owe the server.
        max_pending_acks: usize = 1000, Range(1, 1_000_000);
        /// Bytes waiting for a slow reader above which volatile events to it are dropped.
        outbox_soft: ByteSize = mib(1), Range(kib(1), mib(1024));
        /// Bytes waiting for a slow reader above which its connection is closed.
        outbox_hard: ByteSize = mib(16), Range(kib(1), mib(1024));
        /// Events that are remembered for clients that may come back; see socketio.recovery_window.
        recovery_log: ByteSize = mib(64), Range(kib(64), mib(65_536));
        /// Sessions of absent clients that are kept; see socketio.recovery_window.
        recovery_sessions: usize = 100_000, Range(1, 100_000_000);
        /// How long a client may take to send the head of a request.
        head_timeout: Duration = secs(10), Range(ms(1), secs(3600));
        /// How long an HTTP connection is kept between requests.
        keep_alive_timeout: Duration = secs(75), Range(ms(0), secs(86_400));
    }

    /// Who may connect, and as whom.
    auth: Auth {
        /// "open" believes the user id that a client gives, for development; "jwt" demands a signed token.
        mode: AuthMode = AuthMode::Open, Any;
        /// Key of HS256 tokens; empty for none. `openssl rand -hex 32` makes a good one.
        jwt_secret: String = text(""), Test("empty, or at least 32 bytes", rules::is_jwt_secret), Secret;
        /// Further keys, each with a name (`kid`), its only algorithm, and its file: a secret for HS256, PEM of a public key for RS256, PEM of a public or private one for EdDSA. SIGHUP reads the files again.
        jwt_keys: Vec<String> = Vec::new(), Test("a list of KID=ALGORITHM:FILE with HS256, RS256 or EdDSA, such as 2026-a=EdDSA:keys/2026-a.pem, each KID once", rules::is_jwt_keys);
        /// Name of the key in `jwt_keys` that signs the tokens of this node; empty for `jwt_secret`, or without it the first that can.
        jwt_issue_key: String = text(""), Any;
        /// Refuse tokens that never expire.
        jwt_require_exp: bool = true, Any;
        /// How far the clocks of issuers may be off.
        jwt_leeway: Duration = secs(30), Range(ms(0), secs(600));
        /// Issuers (`iss`) whose tokens are accepted, the first being this node's own; an empty list for any.
        jwt_issuers: Vec<String> = Vec::new(), Test("a list of names, none empty", rules::is_names);
        /// Audience (`aud`) that tokens must name; empty for any.
        jwt_audience: String = text(""), Any;
        /// How long the token of a login is valid.
        token_ttl: Duration = secs(86_400), Range(secs(1), secs(366 * 86_400));
        /// Passwords that are hashed at once, each in 19 MiB of memory.
        password_hashers: usize = 2, Range(1, 1024);
        /// Passwords that may wait to be hashed; more are refused.
        password_queue: usize = 100, Range(0, 1_000_000);
        /// The shortest new password, in characters.
        password_min_chars: usize = 8, Range(1, 1024);
        /// The longest new password, in characters.
        password_max_chars: usize = 256, Range(1, 4096);
        /// Logins in a minute from one IP address (of IPv6, one network of 64 bits; behind a proxy see limits.trusted_proxies), and for one account; 0 for no limit.
        logins_per_minute: u32 = 60, Range(0, 1_000_000);
        /// Anybody may register. To be turned off where users come from elsewhere: who registers gets the next id of the table, which may be somebody's there.
        registration: bool = true, Any;
        /// Registrations in an hour from one IP address (of IPv6, one network of 64 bits); 0 for no limit.
        registrations_per_hour: u32 = 100, Range(0, 1_000_000);
    }

    /// The other nodes.
    cluster: Cluster {
        /// The Redis that the nodes meet at; empty for a node that is alone.
        redis_url: String = text(""), Test("empty, redis://HOST:PORT, redis-cluster://HOST:PORT,… or redis-sentinel://HOST:PORT,…/MASTER", rules::is_redis_url), Url;
        /// Redis pub/sub: "classic", "sharded" (Redis 7.0), or "auto" for the best that the server has.
        pubsub: PubSub = PubSub::Auto, Any;
        /// Let other nodes send to this one directly, in place of by Redis. It listens for them on the address by which it reaches Redis, and admits those that can read there how to come in.
        direct: bool = true, Any;
        /// On which port it listens for other nodes; 0 for any.
        direct_port: u16 = 0, Any;
        /// By which address other nodes reach this one, where it is not that by which it reaches Redis; it then listens on all its addresses.
        direct_advertise: String = text(""), Test("empty, or IP:PORT", rules::is_address);
        /// How long a channel is kept after its last local member, so that a quick return costs nothing.
        linger: Duration = secs(5), Range(ms(0), secs(3600));
        /// How long a node waits for the answers of others.
        request_timeout: Duration = secs(5), Range(ms(1), secs(600));
        /// How long a node counts as alive after it was last heard of.
        node_lease: Duration = secs(10), Range(ms(100), secs(3600));
        /// How often a node renews its lease.
        lease_renewal: Duration = secs(3), Range(ms(10), secs(1200));
        /// How long a user whose last connection is gone still counts as online, so that a reconnect is no flap.
        presence_grace: Duration = secs(3), Range(ms(0), secs(600));
        /// Messages that may wait to be sent to other nodes; more are left to be repaired from the store.
        queue: usize = 100_000, Range(1, 100_000_000);
    }

    /// Where messages are kept.
    store: StoreSettings {
        /// The database: "sqlite:" and the path of its file, or mysql://USER:PASSWORD@HOST:PORT/DATABASE (MySQL, MariaDB).
        url: String = text("sqlite:data/tokio-socketio.db"), Test("sqlite:PATH, such as sqlite:data/im.db, or mysql://USER:PASSWORD@HOST:PORT/DATABASE", rules::is_store_url), Url;
        /// Connections to MySQL for reading, at most.
        connections: usize = 8, Range(1, 1000);
        /// Operations that may wait for the database; more are refused.
        queue: usize = 10_000, Range(1, 1_000_000);
        /// Messages that are committed together at most.
        max_batch: usize = 512, Range(1, 100_000);
    }

    /// The instant-messaging service.
    im: Im {
        /// The longest message, in characters.
        max_content_chars: usize = 5000, Range(1, 1_000_000);
        /// Let a user be connected from several devices; otherwise the newest connection wins.
        multi_device: bool = true, Any;
        /// Let only friends write private messages to each other.
        require_friendship: bool = false, Any;
        /// The most members that a group may have, whatever its own limit.
        max_group_members: u32 = 500, Range(2, 100_000);
        /// How long a message can be recalled. 0: never.
        recall_window: Duration = secs(120), Range(ms(0), secs(365 * 86_400));
        /// Messages in a page of `sync_messages` when the client names no limit.
        sync_page: u32 = 100, Range(1, 1000);
        /// Messages in a page of `sync_messages` at most.
        sync_page_max: u32 = 500, Range(1, 1000);
        /// Messages from one user in a second, evenly, on each node; 0 for no limit.
        messages_per_second: u32 = 100, Range(0, 1_000_000);
        /// Messages from one user at once, after a pause.
        message_burst: u32 = 500, Range(1, 10_000_000);
        /// Events `typing` and `stop_typing` from one connection in a second; 0 for no limit.
        typing_per_second: u32 = 20, Range(0, 1_000_000);
        /// Users whose presence one connection may watch.
        watch_limit: usize = 1000, Range(0, 1_000_000);
        /// Words that messages must not hold: a text file with one on each line, `#` before comments; empty for none. SIGHUP reads it again.
        words_file: String = text(""), Any;
        /// What is done with a message that holds one: "mask" makes its characters `*`, "refuse" does not accept it.
        words_mode: WordsMode = WordsMode::Mask, Any;
    }

    /// The log, on standard error.
    log: Log {
        /// How much: off, error, warn, info, debug or trace, also by module as in "info,tokio_socketio::store=debug".
        level: String = text("info"), Test("off, error, warn, info, debug or trace, or a list such as info,tokio_socketio=debug", rules::is_log_filter);
        /// "text" for people, "json" for machines.
        format: LogFormat = LogFormat::Text, Any;
    }
}

impl StoreSettings {
    /// The file of the embedded database; `None` where the store is another one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.strip_prefix(rules::SQLITE).map(Path::new)
    }

    /// The URL without its password.
    pub fn masked_url(&self) -> String {
        print::mask_url(&self.url).unwrap_or_else(|| self.url.clone())
    }
}
