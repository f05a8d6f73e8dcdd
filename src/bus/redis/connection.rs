//! One connection to one server. Whoever has something to say writes it, on its own thread; what comes is read by one task.
//!
//! What several say in one go of their thread leaves in one write. Nobody waits for an answer before saying more.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use redis::ConnectionInfo;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::warn;

use super::add;
use super::duty::{self, Write};
use super::link::Tasks;
use super::listener::Listener;
use super::outgoing::{Answered, Expected, Outgoing};
use super::over::{CONNECT_TIMEOUT, Over, SILENCE};
use super::pending::MAX_KEPT_BYTES;
use super::probe::Probe;
use super::resp::{self, Value};
use super::stream::{self, Outlet, Reader, Reads};
use super::topology::name_of;
use crate::bus::BusError;

/// How often a server is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Answers that mean that this is not the server to talk to, or not now.
const OVER: [&str; 7] = ["MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING", "NOAUTH"];

pub(super) struct Connection {
    pub server: Arc<str>,
    listener: Listener,
    outlet: Outlet,
    outgoing: Mutex<Outgoing>,
    /// Told when all that was published is answered.
    all_answered: Notify,
    opened: Instant,
    /// When something was last heard from the server, in milliseconds after `opened`.
    heard_ms: AtomicU64,
    /// A refusal was logged.
    complained: AtomicBool,
}

impl Connection {
    /// Connects. `tasks` gets the one that serves the connection until it is over.
    pub async fn open(
        info: &ConnectionInfo,
        listener: Listener,
        reads: Reads,
        tasks: &mut Tasks,
    ) -> Result<Arc<Self>, Over> {
        let server = name_of(info);
        let (reader, writer) = match timeout(CONNECT_TIMEOUT, stream::connect(info.addr(), reads)).await {
            Ok(connected) => connected.map_err(|error| Over::Io { server: Arc::clone(&server), error })?,
            Err(_) => return Err(Over::Timeout { server }),
        };
        let connection = Arc::new(Self {
            server,
            listener,
            outlet: Outlet::new(writer),
            outgoing: Mutex::default(),
            all_answered: Notify::new(),
            opened: Instant::now(),
            heard_ms: AtomicU64::new(0),
            complained: AtomicBool::new(false),
        });
        tasks.spawn(Arc::clone(&connection).serve(reader));
        Ok(connection)
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

    /// By which address of this machine the server is reached.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.outlet.writer.local_ip()
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
        payload: &[&[u8]],
        limit: usize,
    ) -> Result<(), BusError> {
        let Listener { prefix, shared, .. } = &self.listener;
        let arguments: [&[&[u8]]; 3] =
            [&[command.as_bytes()], &[prefix.as_bytes(), channel.as_bytes()], payload];
        let (is_new, is_many) = {
            let mut out = self.lock();
            (out.publish(arguments, limit, duty::bit())?, out.is_time_to_look(limit))
        };
        if is_many {
            self.outlet.writer.look();
        }
        add(&shared.counters.commands, 1);
        if is_new {
            duty::write_soon(Arc::clone(self), &shared.runtime);
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
        if self.lock().say(count, arguments, expected) {
            add(&self.listener.shared.counters.commands, 1);
            self.write();
            self.outlet.writer.look();
        }
    }

    /// Waits until all that was published is answered.
    pub async fn all_answered(&self) {
        self.outlet.writer.look();
        loop {
            let answered = self.all_answered.notified();
            if self.lock().publishing() == 0 {
                return;
            }
            answered.await;
        }
    }

    /// Nothing is said any more, and nobody waits for an answer.
    pub fn end(&self) {
        let left = self.lock().end();
        // Whether the server took them, nobody knows.
        add(&self.listener.shared.counters.dropped_down, left.publishing());
        self.all_answered.notify_waiters();
    }

    /// Serves the connection until it is over.
    async fn serve(self: Arc<Self>, reader: Reader) -> Over {
        let over = self.read(reader).await;
        self.end();
        over
    }

    async fn read(&self, mut reader: Reader) -> Over {
        let mut input = BytesMut::new();
        loop {
            let read = tokio::select! {
                read = reader.read(&mut input) => read,
                () = self.outlet.can_write(|| self.lock().pending.is_stuck()) => {
                    self.write();
                    continue;
                }
            };
            let server = || Arc::clone(&self.server);
            match read {
                Ok(0) => return Over::Disconnected { server: server() },
                Ok(_) => (),
                Err(error) => return Over::Io { server: server(), error },
            }
            // What was answered for has left, so that there is room.
            if self.lock().pending.is_stuck() {
                self.write();
            }
            let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.heard_ms.store(now, Ordering::Relaxed);
            loop {
                match resp::decode(&mut input) {
                    Ok(None) => break,
                    Ok(Some(value)) => {
                        if let Err(over) = self.handle(value) {
                            return over;
                        }
                    }
                    Err(error) => return Over::Malformed { server: server(), error },
                }
            }
            if input.is_empty() && input.capacity() > MAX_KEPT_BYTES {
                input = BytesMut::new();
            }
        }
    }

    fn handle(&self, value: Value) -> Result<(), Over> {
        match value {
            Value::Push(items) => self.pushed(items),
            answer => self.answered(answer),
        }
    }

    fn pushed(&self, mut items: Vec<Value>) -> Result<(), Over> {
        let server = || Arc::clone(&self.server);
        match (items.first().and_then(Value::text), items.len()) {
            (Some("message" | "smessage"), 3) => {
                if let (Some(Value::Text(message)), Some(Value::Text(channel))) = (items.pop(), items.pop()) {
                    self.listener.hear(&channel, &message);
                }
                Ok(())
            }
            (Some("subscribe" | "ssubscribe" | "unsubscribe"), _) if !self.confirmed() => {
                Err(Over::Unasked { server: server() })
            }
            // One that nobody has asked for is the server's own decision.
            (Some("sunsubscribe"), _) if !self.confirmed() => Err(Over::Moved { server: server() }),
            _ => Ok(()),
        }
    }

    /// Whether a confirmation was due.
    fn confirmed(&self) -> bool {
        let (was_due, done) = self.lock().confirmed();
        if let Some(done) = done {
            // Nobody may wait for it.
            let _ = done.send(Ok(()));
        }
        was_due
    }

    fn answered(&self, answer: Value) -> Result<(), Over> {
        let server = || Arc::clone(&self.server);
        let answered = self.lock().answered();
        // Nobody may wait for it any more.
        match (answered, answer) {
            (Answered::Published { is_last }, answer) => {
                if is_last {
                    self.all_answered.notify_waiters();
                }
                return self.published(answer);
            }
            (Answered::Other(Some(Expected::Answer(asked))), answer) => drop(asked.send(answer)),
            (Answered::Other(Some(Expected::Confirmed { done, .. })), Value::Error(error)) => {
                drop(done.send(Err(Over::Refused { server: server(), error })));
            }
            // A server may refuse a client before that has said anything.
            (Answered::Other(None), Value::Error(error)) => {
                return Err(Over::Refused { server: server(), error });
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
        if is_over(&error) {
            return Err(Over::Refused { server: Arc::clone(&self.server), error });
        }
        if !self.complained.swap(true, Ordering::Relaxed) {
            warn!(server = %self.server, error, "Redis refuses messages of the cluster bus");
        }
        Ok(())
    }
}

/// Whether a refusal means that the link is over.
pub(super) fn is_over(error: &str) -> bool {
    OVER.contains(&error.split(' ').next().unwrap_or_default())
}

impl Write for Connection {
    fn write(&self) {
        if self.outlet.write(self.lock(), |out| &mut out.pending).is_err() {
            // The reader hears of it as well, and says that it is over.
            self.outlet.writer.look();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use redis::ConnectionAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Builder;
    use tokio::task::JoinSet;

    use super::*;
    use crate::bus::Sink;
    use crate::bus::redis::Shared;
    use crate::turns;

    struct Deaf;

    impl Sink for Deaf {
        fn message(&self, _: &str, _: bytes::Bytes) {}
    }

    /// A connection that publishes, and the server's end of it.
    async fn pair(tasks: &mut Tasks) -> (Arc<Connection>, TcpStream) {
        pair_that(Reads::NowAndThen, tasks).await
    }

    async fn pair_that(reads: Reads, tasks: &mut Tasks) -> (Arc<Connection>, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener {
            shared: Arc::new(Shared::new(1000, Duration::ZERO)),
            sink: Arc::new(Deaf),
            prefix: "p:".into(),
            origin: [0; 8],
            busy_poll: None,
            direct_options: None,
            direct: None,
        };
        let address = ConnectionAddr::Tcp("127.0.0.1".into(), server.local_addr().unwrap().port());
        let info =
            redis::IntoConnectionInfo::into_connection_info("redis://127.0.0.1").unwrap().set_addr(address);
        let connection = Connection::open(&info, listener, reads, tasks).await.unwrap();
        (connection, server.accept().await.unwrap().0)
    }

    /// The next messages that the server is sent.
    async fn messages(server: &mut TcpStream, count: usize) -> Vec<String> {
        let (mut input, mut all) = (BytesMut::new(), Vec::new());
        while all.len() < count {
            while let Some(Value::Array(command)) = resp::decode(&mut input).unwrap() {
                all.push(command[2].text().unwrap().to_owned());
            }
            if all.len() < count {
                server.read_buf(&mut input).await.unwrap();
            }
        }
        all
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_thread_says_in_a_turn_waits_for_its_end_unless_others_speak() {
        let mut tasks = JoinSet::new();
        let (connection, mut server) = pair(&mut tasks).await;
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (said, was_said) = tokio::sync::oneshot::channel();
        let speaker = connection.clone();
        let thread = thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let _turns = turns::begin(0);
                speaker.publish("PUBLISH", "x", &[b"1"], 10).unwrap();
                speaker.publish("PUBLISH", "x", &[b"2"], 10).unwrap();
                said.send(speaker.lock().pending.waiting().len()).unwrap();
                // A turn that is long.
                may_go_on.recv().unwrap();
                speaker.publish("PUBLISH", "x", &[b"4"], 10).unwrap();
                tokio::task::yield_now().await;
            });
        });
        assert!(was_said.await.unwrap() > 0, "nothing is written within the turn");
        connection.publish("PUBLISH", "x", &[b"3"], 10).unwrap();
        assert_eq!(messages(&mut server, 3).await, ["1", "2", "3"], "nobody waits for the long turn");
        go_on.send(()).unwrap();
        assert_eq!(messages(&mut server, 1).await, ["4"]);
        thread.join().unwrap();
        server.write_all(b":0\r\n:0\r\n-NOPERM no\r\n:0\r\n").await.unwrap();
        connection.all_answered().await;
    }

    #[tokio::test]
    async fn a_runtime_that_ends_before_it_has_written_writes_at_its_end() {
        let mut tasks = JoinSet::new();
        let (connection, mut server) = pair(&mut tasks).await;
        let speaker = connection.clone();
        thread::spawn(move || {
            Builder::new_current_thread().build().unwrap().block_on(async move {
                let _turns = turns::begin(0);
                speaker.publish("PUBLISH", "x", &[b"last"], 10).unwrap();
            });
        });
        assert_eq!(messages(&mut server, 1).await, ["last"]);
    }

    #[tokio::test]
    async fn more_than_the_system_takes_is_written_when_it_takes_more() {
        const EACH: usize = 1 << 20;
        for reads in [Reads::AtOnce, Reads::NowAndThen] {
            let mut tasks = JoinSet::new();
            let (connection, mut server) = pair_that(reads, &mut tasks).await;
            for n in 0..24_u8 {
                connection.publish("PUBLISH", "x", &[&vec![b'a' + n; EACH]], 100).unwrap();
            }
            while !connection.lock().pending.is_stuck() {
                tokio::task::yield_now().await;
            }
            let all = messages(&mut server, 24).await;
            let is_whole = |(message, letter): (&String, u8)| message.bytes().all(|byte| byte == letter);
            assert!(all.iter().zip(b'a'..).all(is_whole));
            assert!(all.iter().all(|message| message.len() == EACH));
        }
    }

    #[tokio::test]
    async fn answers_to_messages_are_fetched_before_they_are_too_many() {
        let mut tasks = JoinSet::new();
        let (connection, mut server) = pair(&mut tasks).await;
        for _ in 0..100 {
            for _ in 0..4 {
                // The fourth is the last that may be unanswered.
                connection.publish("PUBLISH", "x", &[b"m"], 4).unwrap();
            }
            messages(&mut server, 4).await;
            server.write_all(b":1\r\n:1\r\n:1\r\n:1\r\n").await.unwrap();
            while connection.lock().publishing() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn answers_find_who_has_asked() {
        for reads in [Reads::AtOnce, Reads::NowAndThen] {
            answers_find_who_has_asked_where_it(reads).await;
        }
    }

    async fn answers_find_who_has_asked_where_it(reads: Reads) {
        let mut tasks = JoinSet::new();
        let (connection, mut server) = pair_that(reads, &mut tasks).await;
        let first = connection.ask(&["A"]);
        let channels = ["x", "y"].map(Arc::from);
        let subscribed = connection.about_channels("SUBSCRIBE", &channels);
        let refused = connection.about_channels("SUBSCRIBE", &channels);
        let last = connection.ask(&["B"]);
        let push = ">3\r\n+subscribe\r\n+p:x\r\n:1\r\n";
        let message = ">3\r\n+message\r\n+p:x\r\n+000000001\r\n";
        let all = format!("+one\r\n{message}{push}{message}{push}-NO\r\n+two\r\n");
        server.write_all(all.as_bytes()).await.unwrap();
        assert_eq!(first.await.unwrap().text(), Some("one"));
        subscribed.await.unwrap();
        assert!(matches!(refused.await, Err(Over::Refused { error, .. }) if error == "NO"));
        assert_eq!(last.await.unwrap().text(), Some("two"));
        // It ends with the connection.
        let never = connection.ask(&["C"]);
        drop(server);
        assert!(never.await.is_err());
        assert_eq!(connection.publish("PUBLISH", "x", &[b"m"], 10), Err(BusError::Down));
    }

    #[tokio::test]
    async fn says_why_it_is_over() {
        for (said, word) in [
            ("-ERR max number of clients reached\r\n", "max number of clients"),
            ("HTTP/1.1 400 Bad Request\r\n", "not RESP3"),
            ("+OK\r\n", "nobody has asked"),
            (">3\r\n+sunsubscribe\r\n+p:x\r\n:0\r\n", "slots have moved"),
            ("", "closed the connection"),
        ] {
            let mut tasks = JoinSet::new();
            let (_connection, mut server) = pair(&mut tasks).await;
            server.write_all(said.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
            let over = tasks.join_next().await.unwrap().unwrap().to_string();
            assert!(over.contains(word), "{said:?}: {over}");
        }
    }
}
