//! One connection to one server. Whoever has something to say writes it, on its own thread; what comes is read by one task.
//!
//! What several say in one go of their thread leaves in one write. Nobody waits for an answer before saying more: answers come
//! in the order of the commands, so a list of what is expected says what each of them is for.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use redis::{ConnectionAddr, ConnectionInfo};
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until};
use tracing::warn;

use super::add;
use super::lanes::Lanes;
use super::listener::Listener;
use super::over::{Over, SILENCE};
use super::probe::Probe;
use super::resp::{self, Value};
use crate::bus::BusError;

/// How often a server is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What may wait to be written at most, in bytes. 256 MiB.
const MAX_BYTES: usize = 256 << 20;

/// What a buffer keeps when it is empty, in bytes. 64 KiB.
const KEPT_BYTES: usize = 64 << 10;

/// What is read in one go, in bytes. 64 KiB.
const READ_BYTES: usize = 64 << 10;

/// Answers that mean that this is not the server to talk to, or not now.
const OVER: [&str; 7] = ["MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING", "NOAUTH"];

pub(super) struct Connection {
    pub server: Arc<str>,
    listener: Listener,
    lanes: Arc<Lanes>,
    socket: OwnedWriteHalf,
    outgoing: Mutex<Outgoing>,
    /// Told when the system takes no more for now.
    stuck: Notify,
    /// Told when all that was published is answered.
    answered: Notify,
    opened: Instant,
    /// When something was last heard from the server, in milliseconds after `opened`.
    heard_ms: AtomicU64,
    /// A refusal was logged.
    complained: AtomicBool,
}

/// What is on its way to the server, and what is to come back.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    /// Somebody is about to write.
    is_taken_care_of: bool,
    /// The system takes no more for now.
    is_stuck: bool,
    expected: VecDeque<Expected>,
    /// Messages that are not answered.
    publishing: usize,
    /// Nothing is said any more.
    ended: bool,
}

/// What is to come from the server.
enum Expected {
    /// The answers to so many messages.
    Published(usize),
    /// So many confirmations.
    Confirmed { left: usize, done: oneshot::Sender<Result<(), Over>> },
    /// An answer.
    Answer(oneshot::Sender<Value>),
}

impl Connection {
    /// Connects, from the runtime that this is called on, where the connection is to be served.
    pub async fn open(
        info: &ConnectionInfo,
        listener: Listener,
        lanes: Arc<Lanes>,
    ) -> Result<(Self, Reader), Over> {
        let server: Arc<str> = info.addr().to_string().into();
        let error = |error| Over::Io { server: Arc::clone(&server), error };
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(error(io::Error::from(io::ErrorKind::Unsupported)));
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(error)?;
        stream.set_nodelay(true).map_err(error)?;
        // A connection that is given up takes what it has not sent with it. Otherwise the kernel would go on trying, and after
        // a broken network has healed, old messages might arrive behind new ones.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).map_err(error)?;
        let (reader, socket) = stream.into_split();
        let connection = Self {
            server,
            listener,
            lanes,
            socket,
            outgoing: Mutex::default(),
            stuck: Notify::new(),
            answered: Notify::new(),
            opened: Instant::now(),
            heard_ms: AtomicU64::new(0),
            complained: AtomicBool::new(false),
        };
        Ok((connection, Reader(reader)))
    }

    /// Says who this is, and asks for the first time whether the server is what it should be.
    pub async fn greet(&self, info: &ConnectionInfo, name: &str, probe: Probe) -> Result<(), Over> {
        let settings = info.redis_settings();
        let mut hello = vec!["HELLO", "3"];
        if let Some(password) = settings.password() {
            hello.extend(["AUTH", settings.username().unwrap_or("default"), password]);
        }
        let hello = self.ask(&hello);
        let named = self.ask(&["CLIENT", "SETNAME", name]);
        if let Value::Error(error) = hello.await? {
            return Err(Over::Refused { server: Arc::clone(&self.server), error });
        }
        // The name is a help for people; a server that does not allow it is fine.
        named.await?;
        self.check(probe).await
    }

    async fn check(&self, probe: Probe) -> Result<(), Over> {
        let server = || Arc::clone(&self.server);
        match (self.ask(probe.command()).await?, probe) {
            (Value::Error(error), _) => Err(Over::Refused { server: server(), error }),
            (answer, probe) if probe.is_passed(&answer) => Ok(()),
            (_, Probe::Cluster) => Err(Over::ClusterDown { server: server() }),
            _ => Err(Over::NotMaster { server: server() }),
        }
    }

    /// Asks the server every second whether it is there. Returns when it is not, or not what it should be.
    pub async fn watch(self: Arc<Self>, probe: Probe) -> Over {
        loop {
            sleep(PROBE_EVERY).await;
            let asked = Instant::now();
            let check = self.check(probe);
            tokio::pin!(check);
            loop {
                let silent_at = self.heard().max(asked) + SILENCE;
                tokio::select! {
                    checked = &mut check => match checked {
                        Ok(()) => break,
                        Err(over) => return over,
                    },
                    () = sleep_until(silent_at.into()) => {
                        // Whatever was said meanwhile is a sign of life: much may come before the answer.
                        if self.heard().max(asked) + SILENCE <= Instant::now() {
                            return Over::Silent { server: Arc::clone(&self.server) };
                        }
                    }
                }
            }
        }
    }

    fn heard(&self) -> Instant {
        self.opened + Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        // Nothing that can panic runs under this lock.
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message; `limit`: how many may be unanswered.
    pub fn publish(
        self: &Arc<Self>,
        command: &str,
        channel: &str,
        message: &[u8],
        limit: usize,
    ) -> Result<(), BusError> {
        let Listener { prefix, origin, shared, .. } = &self.listener;
        let is_mine = {
            let mut out = self.lock();
            if out.ended {
                return Err(BusError::Down);
            }
            let waiting = out.bytes.len() - out.written;
            // One message may be as large as it likes while nothing else waits.
            if out.publishing > 0
                && (out.publishing >= limit || waiting.saturating_add(message.len()) > MAX_BYTES)
            {
                return Err(BusError::Overloaded);
            }
            resp::command(&mut out.bytes, 3);
            resp::argument(&mut out.bytes, &[command.as_bytes()]);
            resp::argument(&mut out.bytes, &[prefix.as_bytes(), channel.as_bytes()]);
            resp::argument(&mut out.bytes, &[origin, message]);
            out.publishing += 1;
            match out.expected.back_mut() {
                Some(Expected::Published(count)) => *count += 1,
                _ => out.expected.push_back(Expected::Published(1)),
            }
            !std::mem::replace(&mut out.is_taken_care_of, true)
        };
        add(&shared.counters.commands, 1);
        if is_mine {
            let writing = Writing(Arc::clone(self));
            // At the end of what this thread is at, so that what else it says leaves with it.
            self.lanes.runtime().spawn(async move { drop(writing) });
        }
        Ok(())
    }

    /// Asks one thing.
    pub fn ask(&self, command: &[&str]) -> impl Future<Output = Result<Value, Over>> + use<> {
        let (answer, answered) = oneshot::channel();
        self.say(command.len(), command.iter().map(|part| [part.as_bytes(), b""]), Expected::Answer(answer));
        let server = Arc::clone(&self.server);
        async move { answered.await.map_err(|_| Over::Disconnected { server }) }
    }

    /// Gives a command about channels, which the server is to confirm for each of them.
    pub fn about_channels(
        &self,
        command: &str,
        channels: &[Arc<str>],
    ) -> impl Future<Output = Result<(), Over>> + use<> {
        let (done, is_done) = oneshot::channel();
        let prefix = self.listener.prefix.as_bytes();
        let names = channels.iter().map(|channel| [prefix, channel.as_bytes()]);
        let parts = std::iter::once([command.as_bytes(), b""]).chain(names);
        self.say(channels.len() + 1, parts, Expected::Confirmed { left: channels.len(), done });
        let server = Arc::clone(&self.server);
        async move { is_done.await.unwrap_or(Err(Over::Disconnected { server })) }
    }

    fn say<'a>(&self, count: usize, arguments: impl Iterator<Item = [&'a [u8]; 2]>, expected: Expected) {
        {
            let mut out = self.lock();
            if out.ended {
                return;
            }
            resp::command(&mut out.bytes, count);
            arguments.for_each(|parts| resp::argument(&mut out.bytes, &parts));
            out.expected.push_back(expected);
        }
        add(&self.listener.shared.counters.commands, 1);
        self.write();
    }

    /// Writes as much as the system takes.
    fn write(&self) {
        let mut out = self.lock();
        (out.is_taken_care_of, out.is_stuck) = (false, false);
        while out.written < out.bytes.len() {
            match self.socket.try_write(&out.bytes[out.written..]) {
                Ok(count) => out.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (out.is_taken_care_of, out.is_stuck) = (true, true);
                    if out.written > out.bytes.len() / 2 {
                        let written = std::mem::take(&mut out.written);
                        out.bytes.drain(..written);
                    }
                    drop(out);
                    return self.stuck.notify_one();
                }
                // The reader hears of it as well, and says that it is over.
                Err(_) => break,
            }
        }
        out.written = 0;
        out.bytes.clear();
        out.bytes.shrink_to(KEPT_BYTES);
    }

    /// Waits until the system takes more, where it took no more. It may be given up at any time.
    async fn can_write(&self) {
        loop {
            let stuck = self.stuck.notified();
            if self.lock().is_stuck {
                // Where it fails, so does reading.
                let _ = self.socket.writable().await;
                return;
            }
            stuck.await;
        }
    }

    /// Waits until all that was published is answered.
    pub async fn all_answered(&self) {
        loop {
            let answered = self.answered.notified();
            if self.lock().publishing == 0 {
                return;
            }
            answered.await;
        }
    }

    /// Nothing is said any more, and nobody waits for an answer.
    pub fn end(&self) {
        let left = std::mem::replace(&mut *self.lock(), Outgoing { ended: true, ..Outgoing::default() });
        // Whether the server took them, nobody knows.
        add(&self.listener.shared.counters.dropped_down, left.publishing);
        self.answered.notify_waiters();
    }

    fn handle(&self, value: Value) -> Result<(), Over> {
        match value {
            Value::Push(items) => self.pushed(items),
            answer => self.answered(answer),
        }
    }

    fn pushed(&self, mut items: Vec<Value>) -> Result<(), Over> {
        match (items.first().and_then(Value::text), items.len()) {
            (Some("message" | "smessage"), 3) => {
                if let (Some(Value::Text(message)), Some(Value::Text(channel))) = (items.pop(), items.pop()) {
                    self.listener.hear(&channel, &message);
                }
                Ok(())
            }
            (Some("subscribe" | "ssubscribe" | "unsubscribe"), _) => {
                if self.confirmed() {
                    Ok(())
                } else {
                    Err(Over::Unasked { server: Arc::clone(&self.server) })
                }
            }
            // One that nobody has asked for is the server's own decision.
            (Some("sunsubscribe"), _) => {
                if self.confirmed() {
                    Ok(())
                } else {
                    Err(Over::Moved { server: Arc::clone(&self.server) })
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether a confirmation was due.
    fn confirmed(&self) -> bool {
        let mut out = self.lock();
        let Some(Expected::Confirmed { left, .. }) = out.expected.front_mut() else { return false };
        *left -= 1;
        if *left > 0 {
            return true;
        }
        let expected = out.expected.pop_front();
        drop(out);
        if let Some(Expected::Confirmed { done, .. }) = expected {
            // Nobody may wait for it.
            let _ = done.send(Ok(()));
        }
        true
    }

    fn answered(&self, answer: Value) -> Result<(), Over> {
        let mut out = self.lock();
        if let Some(Expected::Published(count)) = out.expected.front_mut() {
            *count -= 1;
            if *count == 0 {
                out.expected.pop_front();
            }
            out.publishing -= 1;
            if out.publishing == 0 {
                self.answered.notify_waiters();
            }
            drop(out);
            return self.published(answer);
        }
        let expected = out.expected.pop_front();
        drop(out);
        let server = || Arc::clone(&self.server);
        // Nobody may wait for it any more.
        match (expected, answer) {
            (Some(Expected::Answer(asked)), answer) => drop(asked.send(answer)),
            (Some(Expected::Confirmed { done, .. }), Value::Error(error)) => {
                drop(done.send(Err(Over::Refused { server: server(), error })));
            }
            _ => return Err(Over::Unasked { server: server() }),
        }
        Ok(())
    }

    fn published(&self, answer: Value) -> Result<(), Over> {
        let counters = &self.listener.shared.counters;
        let Value::Error(error) = answer else {
            add(&counters.published, 1);
            return Ok(());
        };
        add(&counters.dropped_refused, 1);
        if OVER.contains(&error.split(' ').next().unwrap_or_default()) {
            return Err(Over::Refused { server: Arc::clone(&self.server), error });
        }
        if !self.complained.swap(true, Ordering::Relaxed) {
            warn!(server = %self.server, error, "Redis refuses messages of the cluster bus");
        }
        Ok(())
    }
}

/// Somebody's duty to write, done when it is dropped: also by a runtime that ends before it comes to it.
struct Writing(Arc<Connection>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.write();
    }
}

/// Where a connection's task reads.
pub(super) struct Reader(OwnedReadHalf);

impl Reader {
    /// Serves a connection until it is over.
    pub async fn serve(self, connection: Arc<Connection>) -> Over {
        let over = self.read(&connection).await;
        connection.end();
        over
    }

    async fn read(mut self, connection: &Connection) -> Over {
        let mut input = BytesMut::new();
        loop {
            input.reserve(READ_BYTES);
            let read = tokio::select! {
                read = self.0.read_buf(&mut input) => read,
                () = connection.can_write() => {
                    connection.write();
                    continue;
                }
            };
            let server = || Arc::clone(&connection.server);
            match read {
                Ok(0) => return Over::Disconnected { server: server() },
                Ok(_) => (),
                Err(error) => return Over::Io { server: server(), error },
            }
            let now = u64::try_from(connection.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            connection.heard_ms.store(now, Ordering::Relaxed);
            loop {
                match resp::decode(&mut input) {
                    Ok(None) => break,
                    Ok(Some(value)) => {
                        if let Err(over) = connection.handle(value) {
                            return over;
                        }
                    }
                    Err(error) => return Over::Malformed { server: server(), error },
                }
            }
        }
    }
}
