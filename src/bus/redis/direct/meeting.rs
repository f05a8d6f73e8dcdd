//! How nodes meet: the registry tells who is there, and each is dialed for as long as it is.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::frame::Token;
use super::line::{End, Line, Peer, Reading};
use super::registry::{self, Entry, Renewal};
use super::{Direct, FIRST_PAUSE, FOR_ALL, Id, NUDGE, STALE, TRUST};
use crate::bus::redis::connection::is_over;
use crate::bus::redis::over::Over;
use crate::bus::redis::resp::Value;

/// How often the registry is read.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to reach a node; each is twice as long as the last.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a node waits for the others to know it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Direct {
    /// Enters the registry, and waits until all that are there know it. To be called once this node's channels are in force. Where
    /// Redis takes no writes, as when it is full, it is entered later: the others can't leave Redis out for long then either.
    pub async fn enter(&self) -> Result<(), Over> {
        match self.renew().await {
            Ok(Renewal { number, .. }) => self.wait_until_known(number).await,
            Err(Over::Refused { error, .. }) if takes_no_writes(&error) => {
                warn!(error, "direct connections between nodes have to wait");
                sleep(STALE).await;
                Ok(())
            }
            Err(over) => Err(over),
        }
    }

    /// Waits until all that may leave Redis out have seen a renewal.
    async fn wait_until_known(&self, number: u64) -> Result<(), Over> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        let mut others = self.routes().members.values().cloned().collect::<Vec<_>>();
        let is_unaware = |other: &Entry| other.seen < number && other.age < STALE;
        while others.iter().any(is_unaware) && !self.routes().closed {
            if began.elapsed() > LONGEST_WAIT {
                warn!("another node does not say that it knows this one, and may leave it out at first");
                self.gap.notify_one();
                break;
            }
            // It is only to be quicker: each of them looks every now and then.
            let _ = self.publishers.publish(NUDGE, FOR_ALL, &[]);
            sleep(pause).await;
            pause = Duration::from_millis(100).min(pause * 2);
            others = match self.renew().await {
                Ok(renewal) => renewal.others,
                Err(Over::Refused { error, .. }) if takes_no_writes(&error) => others,
                Err(over) => return Err(over),
            };
        }
        Ok(())
    }

    /// Renews its entry, and learns of the others.
    async fn renew(&self) -> Result<Renewal, Over> {
        let asked = Instant::now();
        let (key, seen) = (self.publishers.full(registry::KEY), self.seen.load(Ordering::Relaxed));
        let is_first = seen == 0;
        let command = self.own.renew(&key, seen, is_first);
        let server = self.publishers.server_of(registry::KEY);
        let answer = server.ask(&command.each_ref().map(String::as_str)).await?;
        let Some(renewal) = registry::parse(&answer) else {
            let server = Arc::clone(&server.server);
            return Err(match answer {
                Value::Error(error) => Over::Refused { server, error },
                _ => Over::Nonsense { server, command: "EVAL" },
            });
        };
        if !is_first && !renewal.was_there {
            return Err(Over::Forgotten);
        }
        let gone: Vec<_> = {
            let mut routes = self.routes_mut();
            routes.members = renewal.others.iter().map(|other| (other.id, other.clone())).collect();
            routes.trusted_until = Some(asked + TRUST);
            routes.count();
            let is_gone = |peer: &Arc<Peer>| !routes.members.contains_key(&peer.id);
            routes.peers.iter().map(|reached| Arc::clone(&reached.peer)).filter(is_gone).collect()
        };
        gone.iter().for_each(|peer| self.cut(peer, End::Broken));
        self.seen.store(renewal.number, Ordering::Relaxed);
        Ok(renewal)
    }

    pub(super) async fn keep_peers(self: &Arc<Self>) -> Over {
        let mut dialing: HashMap<Id, AbortHandle> = HashMap::new();
        let mut tasks = JoinSet::new();
        let (mut known, mut has_news) = (HashSet::new(), false);
        loop {
            while tasks.try_join_next().is_some() {}
            let members: Vec<_> = self.routes().members.values().cloned().collect();
            dialing.retain(|_, task| !task.is_finished());
            for member in members.into_iter().filter(|member| member.address.is_some()) {
                dialing.entry(member.id).or_insert_with(|| tasks.spawn(Arc::clone(self).keep_peer(member)));
            }
            if !has_news {
                tokio::select! {
                    () = sleep(RENEW_EVERY) => self.give_up_holes(),
                    () = self.nudged.notified() => (),
                }
            }
            if self.routes().closed {
                // It leaves, and is not to be found there again.
                return std::future::pending().await;
            }
            let was_entered = self.seen.load(Ordering::Relaxed) > 0;
            has_news = match self.renew().await {
                Ok(Renewal { number, .. }) if !was_entered && !self.routes().closed => {
                    if let Err(over) = self.wait_until_known(number).await {
                        return over;
                    }
                    // Others may have left it out.
                    self.gap.notify_one();
                    false
                }
                // A newcomer waits for this node to say that it has seen it.
                Ok(Renewal { others, .. }) => {
                    let now: HashSet<_> = others.iter().map(|other| other.id).collect();
                    let has_news = !now.is_subset(&known);
                    known = now;
                    has_news
                }
                // It is full, for example: without trust, messages go by Redis.
                Err(Over::Refused { error, .. }) if !is_over(&error) => {
                    debug!(error, "Redis refuses to tell of direct connections");
                    false
                }
                Err(over) => return over,
            };
        }
    }

    /// Reaches another node for as long as that is there.
    async fn keep_peer(self: Arc<Self>, Entry { id, address, token, .. }: Entry) {
        let Some(address) = address else { return };
        let (mut pause, mut is_told) = (FIRST_PAUSE, false);
        while self.is_there(id) {
            let peer = Peer::new(id, self.last_peer.fetch_add(1, Ordering::Relaxed) + 1);
            match self.dial(address, token, &peer, 0).await {
                Ok((line, reading)) => {
                    let began = Instant::now();
                    if self.begin_line(&line) {
                        let end = tokio::select! {
                            end = line.serve(reading) => end,
                            end = self.keep_lanes(address, token, &peer) => end,
                        };
                        debug!(%address, ?end, "another node is not reached directly any more");
                        self.cut(&peer, end);
                    }
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(error) if pause == LONGEST_PAUSE && !is_told => {
                    info!(%address, %error, "another node can't be reached directly; its messages go by Redis");
                    is_told = true;
                }
                Err(error) => debug!(%address, %error, "another node can't be reached directly yet"),
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Has a line to each of another node's threads that hear by themselves, until one of them ends.
    async fn keep_lanes(self: &Arc<Self>, address: SocketAddr, token: Token, peer: &Arc<Peer>) -> End {
        let mut lines = JoinSet::new();
        let mut lanes = peer.lanes();
        loop {
            for lane in lines.len() as u16 + 1..=*lanes.borrow_and_update() {
                let (this, peer) = (Arc::clone(self), Arc::clone(peer));
                lines.spawn(async move { this.keep_lane(address, token, &peer, lane).await });
            }
            tokio::select! {
                Some(end) = lines.join_next() => return end.unwrap_or(End::Broken),
                _ = lanes.changed() => (),
            }
        }
    }

    async fn keep_lane(&self, address: SocketAddr, token: Token, peer: &Arc<Peer>, lane: u16) -> End {
        loop {
            if let Ok((line, reading)) = self.dial(address, token, peer, lane).await {
                return if self.begin_line(&line) { line.serve(reading).await } else { End::Broken };
            }
            // Its messages go by the first lane.
            sleep(RENEW_EVERY).await;
        }
    }

    async fn dial(
        &self,
        address: SocketAddr,
        token: Token,
        peer: &Arc<Peer>,
        lane: u16,
    ) -> io::Result<(Arc<Line>, Reading)> {
        let runtime = self.listener().shared.runtime.clone();
        Line::dial(address, (self.own.id, token), peer, lane, runtime).await
    }
}

/// Whether a refusal is one of all writes, of whoever. Before Redis 7 it stands within another text.
fn takes_no_writes(error: &str) -> bool {
    ["OOM", "MISCONF", "NOREPLICAS"].iter().any(|word| error.contains(word))
}
