//! The ways of what is published: which nodes are reached by lines, and what goes by Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::debug;

use super::frame::{self, Shared};
use super::line::{End, Line, Peer, micros};
use super::registry::Entry;
use super::{Direct, ENDED, FOR_ALL, Id, REST, USED, channel_of};
use crate::bus::BusError;
use crate::bus::redis::add;

/// Nodes that one reaches, at most: so many names fit before a message.
const MAX_PEERS: usize = 255;

/// The ways of what is published.
pub struct Routes {
    /// The other nodes.
    pub members: HashMap<Id, Entry>,
    pub peers: Vec<Reached>,
    /// Whom they are, as it stands before a message in Redis.
    reached: Vec<u8>,
    /// Somebody is not reached.
    is_partial: bool,
    /// Until when all lines are good at least, in microseconds after `began`.
    good_until: AtomicU64,
    began: Instant,
    /// Until when the members are known to be all.
    pub trusted_until: Option<Instant>,
    pub closed: bool,
}

/// Another node, and the lines to it by their lanes; the first is always there.
pub struct Reached {
    pub peer: Arc<Peer>,
    pub lines: HashMap<u16, Arc<Line>>,
}

impl Routes {
    pub fn new() -> Self {
        Self {
            members: HashMap::new(),
            peers: Vec::new(),
            reached: FOR_ALL.to_vec(),
            is_partial: false,
            good_until: AtomicU64::new(0),
            began: Instant::now(),
            trusted_until: None,
            closed: false,
        }
    }

    pub(super) fn count(&mut self) {
        self.reached.clear();
        self.reached.push(self.peers.len() as u8);
        self.reached.extend(self.peers.iter().flat_map(|reached| reached.peer.id.to_be_bytes()));
        self.is_partial = self.members.keys().any(|id| !self.reaches(*id));
    }

    /// A node to which some line may not be used any more.
    fn lame(&self, now: Instant) -> Option<Arc<Peer>> {
        let since = |at: Instant| micros(at.saturating_duration_since(self.began));
        if since(now) < self.good_until.load(Ordering::Relaxed) {
            return None;
        }
        // Lines get better only, but for new ones.
        let mut least = u64::MAX;
        for Reached { peer, lines } in &self.peers {
            let good_until = lines.values().map(|line| line.good_until()).min();
            if good_until.is_some_and(|until| until <= now) {
                return Some(Arc::clone(peer));
            }
            least = good_until.map_or(least, |until| least.min(since(until)));
        }
        self.good_until.store(least, Ordering::Relaxed);
        None
    }

    fn reaches(&self, id: Id) -> bool {
        self.peers.iter().any(|reached| reached.peer.id == id)
    }
}

impl Direct {
    /// Sends a message on its ways.
    pub fn publish(&self, channel: &str, message: &[u8]) -> Result<(), BusError> {
        loop {
            let routes = self.routes();
            let now = Instant::now();
            if let Some(lame) = routes.lame(now) {
                drop(routes);
                self.cut(&lame, End::Broken);
                continue;
            }
            if routes.closed {
                return Err(BusError::Down);
            }
            if routes.is_partial || routes.trusted_until.is_none_or(|until| until <= now) {
                self.publishers.publish(channel, &routes.reached, message)?;
            }
            let hash = frame::hash(channel);
            if !routes.peers.iter().any(|reached| reached.peer.wants(hash)) {
                return Ok(());
            }
            // Before it has a number, for what has the next one waits for it.
            let shared = Shared::new(channel, message);
            let (mut sent, mut too_slow) = (0, None);
            for Reached { peer, lines } in &routes.peers {
                let Some((line, number)) = peer.next(hash, lines) else { continue };
                sent += 1;
                if !line.publish(number, shared.clone(), self.publishers.limit()) {
                    too_slow = Some(Arc::clone(peer));
                }
            }
            drop(routes);
            add(&self.listener().shared.counters.sent_directly, sent);
            if let Some(peer) = too_slow {
                debug!(node = peer.id, "another node hears too slowly; its messages go by Redis for now");
                self.cut(&peer, End::Broken);
            }
            return Ok(());
        }
    }

    /// Uses a line from now on. `false`: Redis does not take that, or its node is not reached any more.
    pub(super) fn begin_line(&self, line: &Arc<Line>) -> bool {
        let mut routes = self.routes_mut();
        routes.good_until = AtomicU64::new(0);
        if line.lane > 0 {
            let mut peers = routes.peers.iter_mut();
            let Some(reached) = peers.find(|reached| Arc::ptr_eq(&reached.peer, &line.peer)) else {
                return false;
            };
            reached.lines.insert(line.lane, Arc::clone(line));
            return true;
        }
        if routes.closed || routes.peers.len() >= MAX_PEERS || routes.reaches(line.peer.id) {
            return false;
        }
        if self.tell(&line.peer, USED, &[]).is_err() {
            return false;
        }
        let lines = HashMap::from([(line.lane, Arc::clone(line))]);
        routes.peers.push(Reached { peer: Arc::clone(&line.peer), lines });
        routes.count();
        true
    }

    /// Reaches a node no more. What it may not have heard goes by Redis.
    pub(super) fn cut(&self, peer: &Arc<Peer>, end: End) {
        let mut routes = self.routes_mut();
        let Some(at) = routes.peers.iter().position(|reached| Arc::ptr_eq(&reached.peer, peer)) else {
            return;
        };
        let Reached { lines, .. } = routes.peers.swap_remove(at);
        if end == End::Left {
            routes.members.remove(&peer.id);
        }
        routes.count();
        let mut unheard: Vec<_> = lines.values().flat_map(|line| line.end()).collect();
        if end == End::Left {
            return;
        }
        unheard.sort_unstable_by_key(|(number, _)| *number);
        let mut frame = Vec::new();
        let mut is_sent = true;
        for (number, message) in &unheard {
            frame.clear();
            message.encode(*number, &mut frame);
            is_sent &= self.tell(peer, REST, &frame).is_ok();
        }
        is_sent &= self.tell(peer, ENDED, &[]).is_ok();
        drop(routes);
        if !is_sent {
            self.gap.notify_one();
        }
    }

    /// Tells a node something of the lines to it, by Redis.
    fn tell(&self, peer: &Peer, what: u8, frame: &[u8]) -> Result<(), BusError> {
        let mut head = vec![FOR_ALL[0], what];
        [self.own.id, peer.number].iter().for_each(|n| head.extend_from_slice(&n.to_be_bytes()));
        self.publishers.publish(&channel_of(peer.id), &head, frame)
    }

    pub(super) fn lines(&self) -> Vec<Arc<Line>> {
        self.routes().peers.iter().flat_map(|reached| reached.lines.values().cloned()).collect()
    }

    pub(super) fn is_there(&self, id: Id) -> bool {
        self.routes().members.contains_key(&id)
    }
}
