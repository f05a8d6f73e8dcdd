//! One connection to one server: opened, listened to, and watched.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};

use super::{Shared, add};
use crate::bus::Sink;

/// How long a server may take for a new connection, and for what it is asked before the link is up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a server is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A server that has said nothing at all for so long, though it was asked, is gone.
const SILENCE: Duration = Duration::from_secs(3);

/// Requests that the connection takes before it makes one wait. The writer relies on it: more than it has in flight.
const REQUESTS: usize = 64;

/// Why a link is over, or did not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Over {
    #[error("{server}: {error}")]
    Redis { server: Arc<str>, error: RedisError },
    #[error("{server} has closed the connection")]
    Disconnected { server: Arc<str> },
    #[error("{server} has not answered for {SILENCE:?}")]
    Silent { server: Arc<str> },
    #[error("{server} has not answered within {CONNECT_TIMEOUT:?}")]
    Timeout { server: Arc<str> },
    #[error("{server} answers {command} with something else than it should")]
    Nonsense { server: Arc<str>, command: &'static str },
    #[error("{server} is not the master any more")]
    NotMaster { server: Arc<str> },
    #[error("{server} does not serve a channel any more: the cluster's slots have moved")]
    Moved { server: Arc<str> },
    #[error("{server} knows no master {master}")]
    UnknownMaster { server: Arc<str>, master: String },
    #[error("some of the cluster's slots are served by nobody")]
    Uncovered,
    #[error("{server} says that its cluster does not work")]
    ClusterDown { server: Arc<str> },
    #[error("the URL names no server")]
    NoServer,
    #[error("it was closed")]
    Closed,
}

/// What a server is asked to show that it is there, and still what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// PING.
    Ping,
    /// ROLE, and it must be master: a replica takes PUBLISH as well, and tells it to nobody but its own subscribers.
    Master,
    /// CLUSTER INFO, and it must be well: a master that has lost touch with most others still keeps its subscribers,
    /// while everybody else is with its successor.
    Cluster,
}

/// A connection. Once it is dropped, the sink is told nothing of it any more.
pub(super) struct Connection {
    pub server: Arc<str>,
    pub redis: MultiplexedConnection,
    pub inbox: Arc<Inbox>,
}

/// What comes in on a connection without being an answer.
pub(super) struct Inbox {
    server: Arc<str>,
    listener: Listener,
    /// Told why, when the connection is of no use any more.
    over: mpsc::UnboundedSender<Over>,
    /// Whether the sink may be told. Locked while it is, so that nothing is told after this was set to false.
    open: Mutex<bool>,
    /// Confirmations of SUNSUBSCRIBE that are due; one that is not is the server's own decision.
    unsubscribing: AtomicUsize,
    opened: Instant,
    /// When something was last heard from the server, in milliseconds after `opened`.
    heard_ms: AtomicU64,
}

/// Who is told of messages, and which.
#[derive(Clone)]
pub(super) struct Listener {
    pub shared: Arc<Shared>,
    pub sink: Arc<dyn Sink>,
    pub prefix: Arc<str>,
    /// What this bus's own messages begin with.
    pub origin: [u8; 8],
}

/// Connects, without listening to anything.
pub(super) async fn connect(
    info: &ConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Over> {
    let server = name_of(info);
    let config = config
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Silence is found out by probes.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(REQUESTS);
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

/// Asks one thing, before the connection is watched.
pub(super) async fn ask(
    server: &Arc<str>,
    redis: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<Value, Over> {
    let server = Arc::clone(server);
    match timeout(CONNECT_TIMEOUT, redis.send_packed_command(command)).await {
        Ok(Ok(Value::ServerError(error))) => Err(Over::Redis { server, error: error.into() }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Over::Redis { server, error }),
        Err(_) => Err(Over::Timeout { server }),
    }
}

impl Connection {
    /// Connects, and asks for the first time whether the server is what it should be.
    pub async fn open(
        info: &ConnectionInfo,
        name: &str,
        probe: Probe,
        listener: Listener,
        over: mpsc::UnboundedSender<Over>,
    ) -> Result<Self, Over> {
        let server = name_of(info);
        let inbox = Arc::new(Inbox {
            server: Arc::clone(&server),
            listener,
            over,
            open: Mutex::new(true),
            unsubscribing: AtomicUsize::new(0),
            opened: Instant::now(),
            heard_ms: AtomicU64::new(0),
        });
        let hear = {
            let inbox = Arc::clone(&inbox);
            move |push: PushInfo| -> Result<(), ()> {
                inbox.hear(push);
                Ok(())
            }
        };
        let redis = connect(info, AsyncConnectionConfig::new().set_push_sender(hear)).await?;
        let mut connection = Self { server, redis, inbox };
        let mut set_name = redis::cmd("CLIENT");
        set_name.arg("SETNAME").arg(name);
        // The name is a help for people; a server that does not allow it is fine.
        let _ = ask(&connection.server, &mut connection.redis, &set_name).await;
        let answer = ask(&connection.server, &mut connection.redis, &probe.command()).await?;
        probe.check(&connection.server, answer)?;
        Ok(connection)
    }

    /// Asks the server every second whether it is there. Returns when it is not, or not what it should be.
    pub fn watch(&self, probe: Probe) -> impl Future<Output = Over> + Send + use<> {
        let (server, mut redis, inbox) =
            (Arc::clone(&self.server), self.redis.clone(), Arc::clone(&self.inbox));
        async move {
            let command = probe.command();
            loop {
                sleep(PROBE_EVERY).await;
                add(&inbox.listener.shared.counters.commands, 1);
                let asked = Instant::now();
                let answer = redis.send_packed_command(&command);
                tokio::pin!(answer);
                let answer = loop {
                    let silent_at = inbox.heard().max(asked) + SILENCE;
                    tokio::select! {
                        answer = &mut answer => break answer,
                        () = sleep_until(silent_at.into()) => {
                            // Whatever was said meanwhile is a sign of life: much may come before the answer.
                            if inbox.heard().max(asked) + SILENCE <= Instant::now() {
                                return Over::Silent { server };
                            }
                        }
                    }
                };
                let checked = match answer {
                    Ok(Value::ServerError(error)) => {
                        Err(Over::Redis { server: Arc::clone(&server), error: error.into() })
                    }
                    Ok(answer) => probe.check(&server, answer),
                    Err(error) => Err(Over::Redis { server: Arc::clone(&server), error }),
                };
                if let Err(over) = checked {
                    return over;
                }
                inbox.touch();
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        *self.inbox.open.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl Probe {
    fn command(self) -> Cmd {
        match self {
            Self::Ping => redis::cmd("PING"),
            Self::Master => redis::cmd("ROLE"),
            Self::Cluster => {
                let mut command = redis::cmd("CLUSTER");
                command.arg("INFO");
                command
            }
        }
    }

    fn check(self, server: &Arc<str>, answer: Value) -> Result<(), Over> {
        let server = Arc::clone(server);
        match self {
            Self::Ping => Ok(()),
            Self::Master => match answer {
                Value::Array(role) if role.first() == Some(&Value::BulkString(b"master".into())) => Ok(()),
                _ => Err(Over::NotMaster { server }),
            },
            Self::Cluster => match redis::from_redis_value::<String>(answer) {
                Ok(info) if info.contains("cluster_state:ok") => Ok(()),
                _ => Err(Over::ClusterDown { server }),
            },
        }
    }
}

impl Inbox {
    /// Notes that the server is there.
    pub fn touch(&self) {
        self.heard_ms.store(self.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn heard(&self) -> Instant {
        self.opened + Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    /// Expects so many more confirmations of SUNSUBSCRIBE.
    pub fn expect_unsubscribed(&self, count: usize) {
        self.unsubscribing.fetch_add(count, Ordering::Relaxed);
    }

    /// Called by the connection's own task, one push at a time.
    fn hear(&self, push: PushInfo) {
        self.touch();
        let server = || Arc::clone(&self.server);
        match push.kind {
            PushKind::Message | PushKind::SMessage => self.deliver(push.data),
            PushKind::Disconnection => self.end(Over::Disconnected { server: server() }),
            PushKind::SUnsubscribe => {
                let expected = self
                    .unsubscribing
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                if expected.is_err() {
                    self.end(Over::Moved { server: server() });
                }
            }
            _ => (),
        }
    }

    fn end(&self, over: Over) {
        // An error means that the link is over already.
        let _ = self.over.send(over);
    }

    fn deliver(&self, data: Vec<Value>) {
        let Listener { shared, sink, prefix, origin } = &self.listener;
        let mut data = data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) = (data.next(), data.next())
        else {
            return;
        };
        let payload = Bytes::from(payload);
        // What other programs publish on our channels is nothing to us.
        let Some(channel) = std::str::from_utf8(&channel).ok().and_then(|name| name.strip_prefix(&**prefix))
        else {
            return;
        };
        if payload.len() < origin.len() || payload.starts_with(origin) {
            return;
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if *open {
            add(&shared.counters.received, 1);
            sink.message(channel, payload.slice(origin.len()..));
        }
    }
}
