//! Connections to Redis, single, Sentinel or Cluster, by URL.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    Pipeline, RedisError, RedisFuture, RedisResult, Value,
};

/// The port of a Redis whose URL names none.
const DEFAULT_PORT: u16 = 6379;
/// The same of a Sentinel.
const DEFAULT_SENTINEL_PORT: u16 = 26379;

/// A connection that many may use at once.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all masters of a cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects, for `redis://HOST:PORT/DB`, `redis-cluster://HOST:PORT,…` or `redis-sentinel://HOST:PORT,…/MASTER/DB`,
    /// with `USER:PASSWORD@` before the hosts where they are wanted. `timeout`: for connecting, and for each answer.
    pub(super) async fn open(url: &str, timeout: Duration) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let opened = async {
            if let Some(rest) = url.strip_prefix("redis-cluster://") {
                let nodes = Hosts::parse(rest, DEFAULT_PORT)?.urls("");
                let client = ClusterClient::builder(nodes)
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .overall_response_timeout(Some(timeout))
                    .build()?;
                Ok(Self::Cluster(client.get_async_connection().await?))
            } else if let Some(rest) = url.strip_prefix("redis-sentinel://") {
                let mut client = Hosts::parse(rest, DEFAULT_SENTINEL_PORT)?.sentinel()?.build()?;
                Ok(Self::Single(client.get_async_connection_with_config(&config).await?))
            } else {
                let client = Client::open(url)?;
                Ok(Self::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
        };
        // Asking several Sentinels or cluster nodes one after another can take longer than each of them may.
        match tokio::time::timeout(timeout * 3, opened).await {
            Ok(opened) => opened,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "connecting took too long"))),
        }
    }
}

/// What follows the scheme of a URL that may name several hosts.
struct Hosts<'a> {
    /// `USER:PASSWORD@`, or nothing.
    credentials: &'a str,
    hosts: Vec<String>,
    path: &'a str,
}

impl<'a> Hosts<'a> {
    fn parse(rest: &'a str, default_port: u16) -> RedisResult<Self> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let at = authority.rfind('@').map_or(0, |at| at + 1);
        let (credentials, hosts) = authority.split_at(at);
        let with_port = |host: &str| {
            let after_address = host.rfind(']').unwrap_or(0);
            if host[after_address..].contains(':') {
                host.to_owned()
            } else {
                format!("{host}:{default_port}")
            }
        };
        let hosts: Vec<_> = hosts.split(',').filter(|host| !host.is_empty()).map(with_port).collect();
        if hosts.is_empty() {
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, "the URL names no host")));
        }
        Ok(Self { credentials, hosts, path })
    }

    fn urls(&self, path: &str) -> Vec<String> {
        self.hosts.iter().map(|host| format!("redis://{}{host}/{path}", self.credentials)).collect()
    }

    /// The path is the master's name, and a database after it. The credentials are the master's.
    fn sentinel(&self) -> RedisResult<SentinelClientBuilder> {
        let (master, db) = self.path.split_once('/').unwrap_or((self.path, ""));
        let mut addresses: Vec<ConnectionAddr> = Vec::new();
        for host in &self.hosts {
            addresses.push(format!("redis://{host}").into_connection_info()?.addr().clone());
        }
        let first = self.urls(db).swap_remove(0);
        let info: ConnectionInfo = first.into_connection_info()?;
        let settings = info.redis_settings();
        let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
            .set_client_to_redis_db(settings.db());
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        Ok(builder)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
