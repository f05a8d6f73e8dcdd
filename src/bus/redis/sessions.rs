//! Sessions that nodes leave to each other, in Redis: a key for each, which goes by itself when its time is over.
//!
//! One task asks for everything, in the order in which it is asked, and waits for no answer before it asks on.
//! While there is no connection everything fails at once.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::keys::Connection;
use super::target::Target;
use super::{BusError, BusFuture, UrlError};
use crate::bus::Sessions;

/// How [`RedisSessions`] are to be kept.
#[derive(Clone)]
pub struct RedisSessionsOptions {
    /// As of [`RedisOptions`](super::RedisOptions).
    pub url: String,
    /// What stands before each key.
    pub prefix: String,
    /// How long connecting, and each answer, may take.
    pub timeout: Duration,
}

impl Default for RedisSessionsOptions {
    fn default() -> Self {
        RedisSessionsOptions {
            url: "redis://127.0.0.1:6379".into(),
            prefix: "socketio:".into(),
            timeout: Duration::from_secs(2),
        }
    }
}

/// Without the URL's password.
impl fmt::Debug for RedisSessionsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessionsOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The sessions of a cluster's nodes in Redis: one server, Sentinel, or Redis Cluster. From version 6.0 on.
pub struct RedisSessions {
    prefix: String,
    work: mpsc::UnboundedSender<Work>,
}

/// A command, and who waits for its answer.
struct Work {
    command: Cmd,
    answer: oneshot::Sender<Result<Value, BusError>>,
}

/// After a failed attempt to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// GETDEL, which Redis has from 6.2 on only.
const TAKE: &str = "local session = redis.call('GET', KEYS[1]) \
                    if session then redis.call('DEL', KEYS[1]) end \
                    return session";

impl RedisSessions {
    /// Sessions in the Redis of that URL, which is connected to as soon as it is needed. To be called on a tokio runtime.
    ///
    /// # Errors
    /// The URL names no Redis.
    pub fn new(options: RedisSessionsOptions) -> Result<Self, UrlError> {
        let target = Target::parse(&options.url)?;
        let (work, todo) = mpsc::unbounded_channel();
        tokio::spawn(ask_all(target, options.timeout, todo));
        Ok(RedisSessions { prefix: options.prefix, work })
    }

    fn key(&self, pid: &str) -> String {
        format!("{}session:{pid}", self.prefix)
    }

    fn ask(&self, command: Cmd) -> oneshot::Receiver<Result<Value, BusError>> {
        let (answer, answered) = oneshot::channel();
        // Its task is gone with its runtime only.
        let _ = self.work.send(Work { command, answer });
        answered
    }
}

impl fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSessions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Sessions for RedisSessions {
    fn put(&self, pid: &str, session: Bytes, keep: Duration) -> BusFuture<Result<(), BusError>> {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).clamp(1, MAX_MS);
        let mut command = redis::cmd("SET");
        command.arg(self.key(pid)).arg(&session[..]).arg("PX").arg(keep_ms);
        let answered = self.ask(command);
        Box::pin(async move { answered.await.unwrap_or(Err(BusError::Closed)).map(drop) })
    }

    fn take(&self, pid: &str) -> BusFuture<Result<Option<Bytes>, BusError>> {
        let mut command = redis::cmd("EVAL");
        command.arg(TAKE).arg(1).arg(self.key(pid));
        let answered = self.ask(command);
        Box::pin(async move {
            match answered.await.unwrap_or(Err(BusError::Closed))? {
                Value::BulkString(session) => Ok(Some(session.into())),
                _ => Ok(None),
            }
        })
    }
}

/// A hundred years: Redis takes no time that overflows when it is added to now.
const MAX_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

async fn ask_all(target: Target, timeout: Duration, mut todo: mpsc::UnboundedReceiver<Work>) {
    let mut link = Link { target, timeout, attempts: 0, not_before: Instant::now(), connection: None };
    while let Some(Work { command, answer }) = todo.recv().await {
        let Some((mut connection, broken)) = link.connection().await else {
            // Nobody may wait any more, which is fine.
            let _ = answer.send(Err(BusError::Down));
            continue;
        };
        let mut asking: Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>> =
            Box::pin(unconstrained(async move { connection.req_packed_command(&command).await }));
        // The first poll puts it into the connection's queue, behind those before it.
        let begun = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
        tokio::spawn(async move {
            let answered = match begun {
                Poll::Ready(answered) => answered,
                Poll::Pending => asking.await,
            };
            let answered = answered.map_err(|error| {
                tracing::debug!(%error, "Redis does not take or give a session");
                // Also where it is but the wrong server: the next one may be another.
                broken.store(true, Ordering::Relaxed);
                BusError::Down
            });
            let _ = answer.send(answered);
        });
    }
}

/// The connection, as long as it is good.
struct Link {
    target: Target,
    timeout: Duration,
    attempts: usize,
    not_before: Instant,
    connection: Option<(Connection, Arc<AtomicBool>)>,
}

impl Link {
    async fn connection(&mut self) -> Option<(Connection, Arc<AtomicBool>)> {
        self.connection.take_if(|(_, broken)| broken.load(Ordering::Relaxed));
        if self.connection.is_some() {
            return self.connection.clone();
        }
        if Instant::now() < self.not_before {
            return None;
        }
        self.attempts = self.attempts.wrapping_add(1);
        match Connection::open(&self.target, self.timeout, self.attempts).await {
            Ok(connection) => self.connection = Some((connection, Arc::default())),
            Err(error) => {
                tracing::debug!(%error, "no connection to Redis for sessions");
                self.not_before = Instant::now() + PAUSE;
            }
        }
        self.connection.clone()
    }
}
