//! Links, one after the other, until the bus is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::add;
use super::channels::{Asked, Work};
use super::connection::Connection;
use super::direct::{self, Direct};
use super::listener::Listener;
use super::over::{CONNECT_TIMEOUT, Over};
use super::publishers::Publishers;
use super::stream::Reads;
use super::topology::Finder;
use crate::bus::BusError;

/// The pause before another attempt; each one is twice as long as the last, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A link that has held for so long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);

/// Channels that one command asks for, or one pipeline where a command takes but one.
const CHUNK: usize = 1000;

/// Classic, and sharded.
const SUBSCRIBE: [&str; 2] = ["SUBSCRIBE", "SSUBSCRIBE"];

/// Connections to all servers that are needed.
pub(super) struct Link {
    publishers: Arc<Publishers>,
    /// One for each server.
    subscribers: Vec<Arc<Connection>>,
    /// The way past Redis, if there is one.
    direct: Option<Arc<Direct>>,
}

/// What serves the connections, and watches them. The first that ends says why the link is over.
pub(super) type Tasks = JoinSet<Over>;

/// Keeps the bus linked until it is closed. `tried` is dropped when the first link is up, or was not to be had.
pub(super) async fn keep(listener: Listener, mut finder: Finder, name: String, tried: oneshot::Sender<()>) {
    let shared = Arc::clone(&listener.shared);
    let mut tried = Some(tried);
    let mut closing = shared.closing.subscribe();
    let mut outage = Outage { since: None, pause: FIRST_PAUSE };
    loop {
        let begun = tokio::select! {
            begun = Link::begin(&listener, &mut finder, &name) => begun,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let over = match begun {
            Ok((link, mut tasks)) => {
                shared.go_up(&link);
                if outage.end() {
                    add(&shared.counters.reconnects, 1);
                    listener.sink.restored();
                }
                tried = None;
                let up_since = Instant::now();
                let over = link.run(&mut tasks).await;
                if up_since.elapsed() >= GOOD {
                    outage.pause = FIRST_PAUSE;
                }
                shared.go_down();
                link.end(tasks).await;
                over
            }
            Err(over) => over,
        };
        shared.channels().go_down();
        if *closing.borrow() {
            break;
        }
        if outage.begin(&over) {
            listener.sink.lost();
        }
        tried = None;
        tokio::select! {
            () = sleep(outage.next_pause()) => (),
            _ = closing.wait_for(|closing| *closing) => break,
        }
    }
    drop(tried);
    shared.closed.send_replace(true);
}

impl Link {
    /// Connects, and subscribes to everything that is wanted.
    async fn begin(listener: &Listener, finder: &mut Finder, name: &str) -> Result<(Arc<Self>, Tasks), Over> {
        let topology = finder.find().await?;
        let mut tasks = JoinSet::new();
        let mut connections = Vec::new();
        for server in &topology.servers {
            connections
                .push(Connection::open(server, listener.clone(), Reads::NowAndThen, &mut tasks).await?);
        }
        let publishers = Arc::new(Publishers { listener: listener.clone(), topology, connections });
        let options = listener.direct_options.as_ref().filter(|_| publishers.topology.has_keys);
        let direct = match options {
            Some(options) => Some(Arc::new(Direct::new(Arc::clone(&publishers), options).await)),
            None => None,
        };
        let hearing = Listener { direct: direct.clone(), ..listener.clone() };
        let mut subscribers = Vec::new();
        for server in &publishers.topology.servers {
            subscribers.push(Connection::open(server, hearing.clone(), Reads::AtOnce, &mut tasks).await?);
        }
        let link = Arc::new(Self { publishers, subscribers, direct });
        let begun = async {
            link.greet(name).await?;
            if let Some(direct) = &link.direct {
                link.ask_for(&direct.channels()).await?;
                direct.enter().await?;
            }
            Ok(())
        };
        let mut begun = tokio::select! {
            biased;
            over = first(&mut tasks) => Err(over),
            begun = begun => begun,
        };
        if begun.is_ok() {
            if let Some(direct) = &link.direct {
                tasks.spawn(Arc::clone(direct).run());
            }
            begun = tokio::select! {
                biased;
                over = first(&mut tasks) => Err(over),
                begun = link.subscribe_to_all() => begun,
            };
        }
        if let Err(over) = begun {
            link.end(tasks).await;
            return Err(over);
        }
        for connection in link.connections() {
            tasks.spawn(Arc::clone(connection).watch(link.publishers.topology.probe));
        }
        Ok((link, tasks))
    }

    async fn greet(&self, name: &str) -> Result<(), Over> {
        let topology = &self.publishers.topology;
        for connections in [&self.publishers.connections, &self.subscribers] {
            for (connection, server) in connections.iter().zip(&topology.servers) {
                let greeted = connection.greet(server, name, topology.probe);
                let timed_out = Over::Timeout { server: Arc::clone(&connection.server) };
                timeout(CONNECT_TIMEOUT, greeted).await.unwrap_or(Err(timed_out))?;
            }
        }
        Ok(())
    }

    fn connections(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.publishers.connections.iter().chain(&self.subscribers)
    }

    /// Serves until it is over, or the bus is closed and all that was published is answered for.
    async fn run(&self, tasks: &mut Tasks) -> Over {
        let closed = async {
            let mut closing = self.publishers.listener.shared.closing.subscribe();
            // An error means that nobody can close it any more, so that it is closed.
            let _ = closing.wait_for(|closing| *closing).await;
            if let Some(direct) = &self.direct {
                direct.leave().await;
            }
            for publisher in &self.publishers.connections {
                publisher.all_answered().await;
            }
        };
        tokio::select! {
            over = first(tasks) => over,
            over = self.keep_subscribed() => over,
            () = closed => Over::Closed,
        }
    }

    /// From here on the sink is told nothing by this link, and nobody waits for it.
    async fn end(&self, mut tasks: Tasks) {
        self.connections().for_each(|connection| connection.end());
        if let Some(direct) = &self.direct {
            direct.end();
        }
        tasks.shutdown().await;
    }

    /// Sends a message on its way.
    pub fn publish(&self, channel: &str, message: &[u8]) -> Result<(), BusError> {
        match &self.direct {
            Some(direct) => direct.publish(channel, message),
            None => self.publishers.publish(channel, direct::FOR_ALL, message),
        }
    }

    /// More threads hear by themselves.
    pub fn tell_lanes(&self) {
        if let Some(direct) = &self.direct {
            direct.tell_lanes();
        }
    }

    /// How many other nodes are reached without Redis.
    pub fn reached_directly(&self) -> usize {
        self.direct.as_ref().map_or(0, |direct| direct.reached())
    }

    /// See [`Bus::settle`](crate::bus::Bus::settle).
    pub async fn settle(&self) {
        if let Some(direct) = &self.direct {
            direct.settle().await;
        }
        for connections in [&self.publishers.connections, &self.subscribers] {
            // The answer comes behind all that was said before it.
            let asked: Vec<_> = connections.iter().map(|connection| connection.ask(&["PING"])).collect();
            for answer in asked {
                let _ = answer.await;
            }
        }
    }

    async fn subscribe_to_all(&self) -> Result<(), Over> {
        let all = self.publishers.listener.shared.channels().begin_all(Instant::now());
        self.subscribe(&all).await?;
        // What came to be wanted meanwhile.
        while !self.publishers.listener.shared.channels().go_up() {
            let work = self.publishers.listener.shared.channels().begin(Instant::now());
            self.carry_out(work).await?;
        }
        Ok(())
    }

    async fn keep_subscribed(&self) -> Over {
        let shared = &self.publishers.listener.shared;
        loop {
            let (work, due) = {
                let mut channels = shared.channels();
                (channels.begin(Instant::now()), channels.next_due())
            };
            if !work.is_empty() {
                if let Err(over) = self.carry_out(work).await {
                    return over;
                }
                continue;
            }
            tokio::select! {
                () = shared.work.notified() => (),
                () = async { sleep_until(due.unwrap_or_else(Instant::now).into()).await }, if due.is_some() => (),
            }
        }
    }

    async fn carry_out(&self, work: Work) -> Result<(), Over> {
        self.unsubscribe(&work.give_up).await?;
        self.subscribe(&work.ask).await
    }

    /// Asks for channels. What the server has confirmed is in force, and whoever waits for it is told.
    async fn subscribe(&self, asked: &[Asked]) -> Result<(), Over> {
        for (server, asked) in self.by_server(asked, |asked| &asked.channel) {
            for chunk in asked.chunks(CHUNK) {
                let names: Vec<_> = chunk.iter().map(|asked| Arc::clone(&asked.channel)).collect();
                let by_redis = self.command(server, SUBSCRIBE, &names);
                let directly = async {
                    if let Some(direct) = &self.direct {
                        direct.want(chunk).await;
                    }
                };
                tokio::join!(by_redis, directly).0?;
                self.publishers.listener.shared.channels().confirmed(chunk);
            }
        }
        Ok(())
    }

    /// Asks for channels of the link's own.
    async fn ask_for(&self, channels: &[Arc<str>]) -> Result<(), Over> {
        for (server, channels) in self.by_server(channels, |channel| channel) {
            self.command(server, SUBSCRIBE, &channels).await?;
        }
        Ok(())
    }

    async fn unsubscribe(&self, channels: &[Arc<str>]) -> Result<(), Over> {
        if let Some(direct) = self.direct.as_ref().filter(|_| !channels.is_empty()) {
            direct.unwant(channels);
        }
        for (server, channels) in self.by_server(channels, |channel| channel) {
            for chunk in channels.chunks(CHUNK) {
                self.command(server, ["UNSUBSCRIBE", "SUNSUBSCRIBE"], chunk).await?;
            }
        }
        Ok(())
    }

    /// The servers that have any of these, and what they have.
    fn by_server<T: Clone>(&self, all: &[T], channel: impl Fn(&T) -> &str) -> Vec<(usize, Vec<T>)> {
        let mut parts = vec![Vec::new(); self.subscribers.len()];
        for one in all {
            parts[self.publishers.index_of(channel(one))].push(one.clone());
        }
        parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()).collect()
    }

    /// Says it of all channels, and waits until the server has confirmed each. The classic command takes all of them at
    /// once; the sharded one only those of one slot, so there it is one for each.
    async fn command(
        &self,
        server: usize,
        [classic, sharded]: [&str; 2],
        channels: &[Arc<str>],
    ) -> Result<(), Over> {
        let connection = &self.subscribers[server];
        if !self.publishers.topology.sharded {
            return connection.about_channels(classic, channels).await;
        }
        let all: Vec<_> =
            channels.chunks(1).map(|channel| connection.about_channels(sharded, channel)).collect();
        for confirmed in all {
            confirmed.await?;
        }
        Ok(())
    }
}

/// Waits for the first sign that the link is over.
async fn first(tasks: &mut Tasks) -> Over {
    match tasks.join_next().await {
        Some(Ok(over)) => over,
        Some(Err(error)) => Over::Panic { error },
        None => Over::Closed,
    }
}

/// The time without a link, and the pauses between attempts.
struct Outage {
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    /// Whether it begins now, rather than goes on.
    fn begin(&mut self, reason: &Over) -> bool {
        if self.since.is_some() {
            debug!(%reason, "the cluster bus is still down");
            return false;
        }
        warn!(%reason, "the cluster bus is down; trying until it is back");
        self.since = Some(Instant::now());
        true
    }

    /// Whether there was one.
    fn end(&mut self) -> bool {
        let Some(since) = self.since.take() else { return false };
        info!(after_ms = since.elapsed().as_millis() as u64, "the cluster bus is back");
        true
    }

    /// Between half of the pause that is due and all of it, so that nodes that lost Redis together don't come back
    /// together.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = LONGEST_PAUSE.min(pause * 2);
        let random = getrandom::u32().unwrap_or(u32::MAX);
        pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}
