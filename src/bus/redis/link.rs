//! Links, one after the other, until the bus is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use tracing::{debug, info, warn};

use super::channels::{Asked, Work};
use super::connection::{Connection, Listener, Over};
use super::topology::{Finder, Topology};
use super::{add, writer};

/// The pause before another attempt; each one is twice as long as the last, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A link that has held for so long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(5);

/// Channels that one command asks for, or one pipeline where a command takes but one.
const CHUNK: usize = 1000;

/// Connections to all servers that are needed.
pub(super) struct Link {
    pub listener: Listener,
    pub topology: Topology,
    /// One for each server.
    pub publishers: Vec<Connection>,
    /// The same.
    subscribers: Vec<Connection>,
}

/// Notices when a link is over.
struct Watch {
    told: mpsc::UnboundedReceiver<Over>,
    probes: JoinSet<Over>,
}

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
            Ok((link, watch)) => {
                shared.outbox.go_up();
                if outage.end() {
                    add(&shared.counters.reconnects, 1);
                    listener.sink.restored();
                }
                tried = None;
                let up_since = Instant::now();
                let over = link.run(watch).await;
                if up_since.elapsed() >= GOOD {
                    outage.pause = FIRST_PAUSE;
                }
                over
            }
            Err(over) => over,
        };
        add(&shared.counters.dropped_down, shared.outbox.go_down());
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
    async fn begin(listener: &Listener, finder: &mut Finder, name: &str) -> Result<(Self, Watch), Over> {
        let topology = finder.find().await?;
        let (over, told) = mpsc::unbounded_channel();
        let (mut publishers, mut subscribers) = (Vec::new(), Vec::new());
        let mut watch = Watch { told, probes: JoinSet::new() };
        for server in &topology.servers {
            for connections in [&mut publishers, &mut subscribers] {
                let connection =
                    Connection::open(server, name, topology.probe, listener.clone(), over.clone()).await?;
                watch.probes.spawn(connection.watch(topology.probe));
                connections.push(connection);
            }
        }
        let link = Self { listener: listener.clone(), topology, publishers, subscribers };
        tokio::select! {
            over = watch.over() => Err(over),
            subscribed = link.subscribe_to_all() => subscribed,
        }?;
        Ok((link, watch))
    }

    /// Serves until it is over, or the bus is closed and all that was queued is sent.
    async fn run(self, mut watch: Watch) -> Over {
        tokio::select! {
            over = watch.over() => over,
            over = self.keep_subscribed() => over,
            over = writer::write(&self) => over,
        }
    }

    async fn subscribe_to_all(&self) -> Result<(), Over> {
        let all = self.listener.shared.channels().begin_all(Instant::now());
        self.subscribe(&all).await?;
        // What came to be wanted meanwhile.
        while !self.listener.shared.channels().go_up() {
            let work = self.listener.shared.channels().begin(Instant::now());
            self.carry_out(work).await?;
        }
        Ok(())
    }

    async fn keep_subscribed(&self) -> Over {
        let shared = &self.listener.shared;
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
        for (server, asked) in self.by_server(asked, |(channel, _)| channel) {
            for chunk in asked.chunks(CHUNK) {
                self.command(server, ["SUBSCRIBE", "SSUBSCRIBE"], chunk.iter().map(|(channel, _)| channel))
                    .await?;
                self.listener.shared.channels().confirmed(chunk);
            }
        }
        Ok(())
    }

    async fn unsubscribe(&self, channels: &[Arc<str>]) -> Result<(), Over> {
        for (server, channels) in self.by_server(channels, |channel| channel) {
            for chunk in channels.chunks(CHUNK) {
                if self.topology.sharded {
                    self.subscribers[server].inbox.expect_unsubscribed(chunk.len());
                }
                self.command(server, ["UNSUBSCRIBE", "SUNSUBSCRIBE"], chunk.iter()).await?;
            }
        }
        Ok(())
    }

    /// The servers that have any of these, and what they have.
    fn by_server<T: Clone>(&self, all: &[T], channel: impl Fn(&T) -> &str) -> Vec<(usize, Vec<T>)> {
        let mut parts = vec![Vec::new(); self.subscribers.len()];
        for one in all {
            parts[self.topology.server_of(&self.full_name(channel(one)))].push(one.clone());
        }
        parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()).collect()
    }

    fn full_name(&self, channel: &str) -> String {
        format!("{}{channel}", self.listener.prefix)
    }

    /// Says it of all channels, and waits until the server has confirmed each. The classic command takes all of them at
    /// once; the sharded one only those of one slot, so there it is a pipeline of one for each.
    async fn command<'a>(
        &self,
        server: usize,
        [classic, sharded]: [&str; 2],
        channels: impl Iterator<Item = &'a Arc<str>>,
    ) -> Result<(), Over> {
        let Connection { server, redis, .. } = &self.subscribers[server];
        let error = |error| Over::Redis { server: Arc::clone(server), error };
        let mut redis = redis.clone();
        let names: Vec<String> = channels.map(|channel| self.full_name(channel)).collect();
        if !self.topology.sharded {
            add(&self.listener.shared.counters.commands, 1);
            let result = if classic == "SUBSCRIBE" {
                redis.subscribe(&names).await
            } else {
                redis.unsubscribe(&names).await
            };
            return result.map_err(error);
        }
        add(&self.listener.shared.counters.commands, names.len());
        let mut pipeline = Pipeline::new();
        for name in &names {
            pipeline.cmd(sharded).arg(name);
        }
        for answer in redis.send_packed_commands(&pipeline, 0, names.len()).await.map_err(error)? {
            if let Value::ServerError(refusal) = answer {
                return Err(error(refusal.into()));
            }
        }
        Ok(())
    }
}

impl Watch {
    /// Waits for the first sign that the link is over.
    async fn over(&mut self) -> Over {
        loop {
            tokio::select! {
                Some(over) = self.told.recv() => return over,
                Some(over) = self.probes.join_next() => match over {
                    Ok(over) => return over,
                    Err(error) => debug!(%error, "a probe of the cluster bus failed"),
                },
            }
        }
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
