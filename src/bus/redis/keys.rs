//! A connection to Redis for commands on keys, which many may use at once: to a server, to the master that Sentinels
//! name, or to a cluster.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};

use super::target::Target;
use super::topology::master_of;

/// A connection, and clones of it.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all masters of a cluster.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects. `timeout`: for that, and for each answer. `attempt`: a count, so that not always the same Sentinel is
    /// asked first.
    pub(crate) async fn open(target: &Target, timeout: Duration, attempt: usize) -> RedisResult<Self> {
        let opening = async {
            match target {
                Target::Single(server) => Self::open_one(server.clone(), timeout).await,
                Target::Sentinel { sentinels, master } => match master_of(sentinels, master, attempt).await {
                    Ok(server) => Self::open_one(server, timeout).await,
                    Err(error) => Err(failed("no Sentinel names the master", error.to_string())),
                },
                Target::Cluster(servers) => {
                    let client = ClusterClient::builder(servers.iter().cloned())
                        .connection_timeout(timeout)
                        .response_timeout(timeout)
                        .overall_response_timeout(Some(timeout))
                        .build()?;
                    Ok(Self::Cluster(client.get_async_connection().await?))
                }
            }
        };
        // Sentinels, or servers of a cluster, may be asked one after another.
        match tokio::time::timeout(timeout * 3, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(failed("connecting to Redis", format!("took longer than {:?}", timeout * 3))),
        }
    }

    async fn open_one(server: ConnectionInfo, timeout: Duration) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let client = Client::open(server)?;
        Ok(Self::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

fn failed(what: &'static str, why: String) -> RedisError {
    RedisError::from((ErrorKind::Io, what, why))
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
