//! Who is there: from a [`Target`] to the servers that a link connects to, asked anew for each link.
//!
//! The `redis` crate's own connection to a cluster is not used: it reconnects and subscribes again by itself, and does not
//! tell what was lost meanwhile, nor when everything is in force again. Our contract needs both.

use std::collections::HashMap;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::cluster_routing::Slot;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ProtocolVersion, Value};
use tokio::time::timeout;

use super::PubSubMode;
use super::over::{CONNECT_TIMEOUT, Over};
use super::probe::Probe;
use super::target::Target;

/// Slots of a Redis Cluster.
const SLOTS: usize = 16384;

/// The major version of Redis that brought sharded pub/sub.
const SHARDED_SINCE: u32 = 7;

/// The servers of a link.
pub(super) struct Topology {
    pub servers: Vec<ConnectionInfo>,
    /// Which server has which slot; `None` where one server has all channels.
    slots: Option<HashMap<Slot, usize>>,
    pub sharded: bool,
    pub probe: Probe,
    /// Keys are where channels are.
    pub has_keys: bool,
}

impl Topology {
    fn of_one(server: ConnectionInfo, sharded: bool, probe: Probe) -> Self {
        Self { servers: vec![server], slots: None, sharded, probe, has_keys: true }
    }

    /// The server that a channel, by its full name, is published and heard on.
    pub fn server_of(&self, channel: &str) -> usize {
        // Every slot is there: `cluster` saw to it.
        self.slots.as_ref().and_then(|slots| slots.get(&Slot::for_key(channel))).copied().unwrap_or(0)
    }
}

/// Finds the servers, and remembers what helps to find them the next time.
pub(super) struct Finder {
    target: Target,
    mode: PubSubMode,
    /// Masters of the cluster when it was last seen: those that the URL names may be gone by now.
    masters: Vec<ConnectionInfo>,
    /// So that each attempt begins with another of several servers.
    attempts: usize,
}

impl Finder {
    pub fn new(target: Target, mode: PubSubMode) -> Self {
        Self { target, mode, masters: Vec::new(), attempts: 0 }
    }

    pub async fn find(&mut self) -> Result<Topology, Over> {
        self.attempts = self.attempts.wrapping_add(1);
        let forced = self.mode == PubSubMode::Sharded;
        match &self.target {
            Target::Single(server) => Ok(Topology::of_one(server.clone(), forced, Probe::Ping)),
            Target::Sentinel { sentinels, master } => {
                let server = master_of(sentinels, master, self.attempts).await?;
                Ok(Topology::of_one(server, forced, Probe::Master))
            }
            Target::Cluster(servers) => {
                let known: Vec<_> = servers.iter().chain(&self.masters).cloned().collect();
                let mut failed = None;
                for server in rotated(&known, self.attempts) {
                    match cluster(server, self.mode, self.attempts).await {
                        Ok((topology, masters)) => {
                            self.masters = masters;
                            return Ok(topology);
                        }
                        Err(over) => failed = Some(over),
                    }
                }
                Err(failed.unwrap_or(Over::NoServer))
            }
        }
    }
}

/// Connects, to ask something.
async fn connect(
    info: &ConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Over> {
    let server = name_of(info);
    let config = config.set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
    let connect =
        async { Client::open(info.clone())?.get_multiplexed_async_connection_with_config(&config).await };
    match timeout(CONNECT_TIMEOUT, connect).await {
        Ok(result) => result.map_err(|error| Over::Redis { server, error }),
        Err(_) => Err(Over::Timeout { server }),
    }
}

pub(super) fn name_of(info: &ConnectionInfo) -> Arc<str> {
    info.addr().to_string().into()
}

async fn ask(server: &Arc<str>, redis: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Over> {
    let server = Arc::clone(server);
    match timeout(CONNECT_TIMEOUT, redis.send_packed_command(command)).await {
        Ok(Ok(Value::ServerError(error))) => Err(Over::Redis { server, error: error.into() }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Over::Redis { server, error }),
        Err(_) => Err(Over::Timeout { server }),
    }
}

fn rotated<T>(all: &[T], by: usize) -> impl Iterator<Item = &T> {
    let (before, after) = all.split_at(by % all.len().max(1));
    after.iter().chain(before)
}

/// The master that the first sentinel names that answers. Each attempt begins with another one.
pub(crate) async fn master_of(
    sentinels: &[ConnectionInfo],
    master: &str,
    attempt: usize,
) -> Result<ConnectionInfo, Over> {
    let mut failed = None;
    for sentinel in rotated(sentinels, attempt) {
        match ask_sentinel(sentinel, master).await {
            Ok(server) => return Ok(server),
            Err(over) => failed = Some(over),
        }
    }
    Err(failed.unwrap_or(Over::Uncovered))
}

/// The master that a sentinel names, with the credentials that the sentinel's URL has.
async fn ask_sentinel(sentinel: &ConnectionInfo, master: &str) -> Result<ConnectionInfo, Over> {
    let server = name_of(sentinel);
    let settings = sentinel.redis_settings().clone();
    // Sentinels answer in RESP2 in every version.
    let with = sentinel.clone().set_redis_settings(settings.clone().set_protocol(ProtocolVersion::RESP2));
    let mut redis = match connect(&with, AsyncConnectionConfig::new()).await {
        Err(Over::Redis { .. }) if settings.password().is_some() => {
            let without = redis::RedisConnectionInfo::default().set_skip_set_lib_name();
            connect(&with.set_redis_settings(without), AsyncConnectionConfig::new()).await?
        }
        other => other?,
    };
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    match ask(&server, &mut redis, &command).await? {
        Value::Nil => Err(Over::UnknownMaster { server, master: master.to_owned() }),
        answer => {
            let (host, port) = redis::from_redis_value(answer)
                .map_err(|_| Over::Nonsense { server, command: "SENTINEL GET-MASTER-ADDR-BY-NAME" })?;
            Ok(sentinel.clone().set_addr(ConnectionAddr::Tcp(host, port)))
        }
    }
}

/// What a server says about its cluster: the link's topology, and all masters.
async fn cluster(
    seed: &ConnectionInfo,
    mode: PubSubMode,
    attempt: usize,
) -> Result<(Topology, Vec<ConnectionInfo>), Over> {
    let server = name_of(seed);
    let mut redis = connect(seed, AsyncConnectionConfig::new()).await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let answer = ask(&server, &mut redis, &command).await?;
    let ranges = parse_slots(&answer)
        .ok_or_else(|| Over::Nonsense { server: Arc::clone(&server), command: "CLUSTER SLOTS" })?;

    let mut masters: Vec<ConnectionInfo> = Vec::new();
    let mut numbers = HashMap::new();
    let mut slots = HashMap::with_capacity(SLOTS);
    for Range { start, end, host, port } in ranges {
        let address = match host {
            // A server that does not know its own address was reached at this one.
            None => with_port(seed.addr(), port),
            Some(host) => ConnectionAddr::Tcp(host, port),
        };
        let number = *numbers.entry(address.to_string()).or_insert(masters.len());
        if number == masters.len() {
            masters.push(seed.clone().set_addr(address));
        }
        slots.extend((start..=end).filter_map(Slot::new).map(|slot| (slot, number)));
    }
    if slots.len() < SLOTS {
        return Err(Over::Uncovered);
    }
    let sharded = match mode {
        PubSubMode::Auto => major_version(&server, &mut redis).await? >= SHARDED_SINCE,
        PubSubMode::Sharded => true,
        PubSubMode::Classic => false,
    };
    let topology = if sharded {
        Topology {
            servers: masters.clone(),
            slots: Some(slots),
            sharded,
            probe: Probe::Cluster,
            has_keys: true,
        }
    } else {
        // Any server takes and tells every message, but not every key. That is for each attempt another one.
        let any = masters[attempt % masters.len()].clone();
        Topology { has_keys: false, ..Topology::of_one(any, sharded, Probe::Ping) }
    };
    Ok((topology, masters))
}

fn with_port(address: &ConnectionAddr, port: u16) -> ConnectionAddr {
    match address {
        ConnectionAddr::Tcp(host, _) => ConnectionAddr::Tcp(host.clone(), port),
        other => other.clone(),
    }
}

#[derive(Debug, PartialEq)]
struct Range {
    start: u16,
    end: u16,
    /// The master's; `None` where it is unknown to itself.
    host: Option<String>,
    port: u16,
}

/// CLUSTER SLOTS: `[[start, end, [host, port, …], replica…], …]`.
fn parse_slots(answer: &Value) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else { return None };
    let parse = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(start), Value::Int(end), Value::Array(master), ..] = &range[..] else { return None };
        let [host, Value::Int(port), ..] = &master[..] else { return None };
        let host = match host {
            Value::BulkString(host) => {
                Some(String::from_utf8(host.clone()).ok()?).filter(|host| !host.is_empty())
            }
            Value::Nil => None,
            _ => return None,
        };
        let number = |number: &i64| u16::try_from(*number).ok();
        Some(Range { start: number(start)?, end: number(end)?, host, port: number(port)? })
    };
    ranges.iter().map(parse).collect()
}

async fn major_version(server: &Arc<str>, redis: &mut MultiplexedConnection) -> Result<u32, Over> {
    let mut command = redis::cmd("INFO");
    command.arg("server");
    let answer = ask(server, redis, &command).await?;
    redis::from_redis_value::<String>(answer)
        .ok()
        .and_then(|info| {
            let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
            version.split('.').next()?.trim().parse().ok()
        })
        .ok_or_else(|| Over::Nonsense { server: Arc::clone(server), command: "INFO" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn range(start: i64, end: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        Value::Array(vec![Value::Int(start), Value::Int(end), node(host, port), node(text("replica"), 1)])
    }

    #[test]
    fn slots() {
        let answer = Value::Array(vec![
            range(0, 8191, text("10.0.0.1"), 7000),
            range(8192, 16383, Value::Nil, 7001),
            range(5, 5, text(""), 7001),
        ]);
        let of =
            |start, end, host: Option<&str>, port| Range { start, end, host: host.map(Into::into), port };
        assert_eq!(
            parse_slots(&answer),
            Some(vec![
                of(0, 8191, Some("10.0.0.1"), 7000),
                of(8192, 16383, None, 7001),
                of(5, 5, None, 7001)
            ])
        );
    }

    #[test]
    fn what_are_no_slots() {
        for range in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1), Value::Int(2), Value::Array(vec![])]),
            range(-1, 5, text("h"), 1),
            range(0, 70_000, text("h"), 1),
            range(0, 5, text("h"), 70_000),
            range(0, 5, Value::Int(3), 1),
        ] {
            assert_eq!(parse_slots(&Value::Array(vec![range.clone()])), None, "{range:?}");
        }
        assert_eq!(parse_slots(&Value::Okay), None);
    }

    #[test]
    fn each_attempt_begins_with_another() {
        let order = |by| rotated(&[1, 2, 3], by).copied().collect::<Vec<_>>();
        assert_eq!([order(0), order(1), order(5)], [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
        assert_eq!(rotated(&[0; 0], 4).next(), None);
    }
}
