//! What all shards of a node share: counts that a limit is set on. Touched when connections come and go,
//! never per message.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::options::Limits;
use super::tally::{Limit, Tally};
use crate::close::CloseReason;
use crate::session::Time;

/// Counts over all shards.
#[derive(Debug, Default)]
pub struct Node {
    connections: AtomicUsize,
    sessions: AtomicUsize,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    /// The current second in the upper half, the handshakes in it in the lower.
    handshakes: AtomicU64,
    refused: AtomicU64,
    tally: Tally,
    /// No new sessions: the node is about to go.
    leaving: AtomicBool,
}

/// Why a connection or a handshake is not welcome now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node has as many connections as it may have.
    #[error("too many connections")]
    Node,
    /// The address has as many connections as it may have.
    #[error("too many connections from this address")]
    Address,
    /// The second has had as many handshakes as it may have.
    #[error("too many handshakes")]
    Handshakes,
    /// The node is about to go.
    #[error("the server is going away")]
    Leaving,
}

impl Full {
    fn limit(self) -> Option<Limit> {
        match self {
            Full::Node => Some(Limit::Connections),
            Full::Address => Some(Limit::ConnectionsPerIp),
            Full::Handshakes => Some(Limit::Handshakes),
            Full::Leaving => None,
        }
    }
}

impl Node {
    /// A connection came. Also where it is refused, [`Node::disconnected`] must follow.
    pub(super) fn connected(&self, ip: Option<IpAddr>, limits: &Limits) -> Result<(), Full> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut full = None;
        if limits.max_connections > 0 && before >= limits.max_connections {
            full = Some(Full::Node);
        }
        if ip.is_some_and(|ip| !self.count_address(ip, limits)) {
            full = Some(Full::Address);
        }
        self.welcome(full)
    }

    /// A client behind a trusted proxy wants a session. Unless it is refused, [`Node::address_left`] must follow.
    pub(super) fn address_came(&self, ip: IpAddr, limits: &Limits) -> Result<(), Full> {
        if self.count_address(ip, limits) {
            return Ok(());
        }
        self.address_left(ip);
        self.welcome(Some(Full::Address))
    }

    fn welcome(&self, full: Option<Full>) -> Result<(), Full> {
        let Some(full) = full else { return Ok(()) };
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(limit) = full.limit() {
            self.tally.reach(limit);
        }
        Err(full)
    }

    /// Counts one more for an address; whether that is within its share.
    fn count_address(&self, ip: IpAddr, limits: &Limits) -> bool {
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(ip).or_default();
        *count += 1;
        *count <= limits.max_connections_per_ip
    }

    /// One that was counted for an address is gone.
    pub(super) fn address_left(&self, ip: IpAddr) {
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&ip);
            }
        }
    }

    /// A connection is gone. `ip` only where connections are counted by address.
    pub(super) fn disconnected(&self, ip: Option<IpAddr>) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(ip) = ip {
            self.address_left(ip);
        }
    }

    /// A handshake wants a session.
    pub(super) fn takes_handshake(&self, now: Time, limits: &Limits) -> Result<(), Full> {
        self.welcome(if self.leaving.load(Ordering::Relaxed) {
            Some(Full::Leaving)
        } else if self.fits_into_second(now, limits.handshakes_per_second) {
            None
        } else {
            Some(Full::Handshakes)
        })
    }

    /// Counts one more handshake, unless this second has had `limit` (0 for none).
    fn fits_into_second(&self, now: Time, limit: u32) -> bool {
        if limit == 0 {
            return true;
        }
        let second = now.0 / 1000;
        let count = |packed: u64| if packed >> 32 == second { packed & 0xffff_ffff } else { 0 };
        let updated = self.handshakes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let count = count(packed);
            (count < u64::from(limit)).then(|| second << 32 | (count + 1))
        });
        updated.is_ok()
    }

    /// From now on nobody gets a new session.
    pub(super) fn refuse_new(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn session_closed(&self, reason: CloseReason) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        self.tally.close(reason);
    }

    /// TCP connections now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Engine.IO sessions now.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// How often each limit was reached, and why sessions have ended.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Connections and handshakes refused for a limit, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share() {
        let limits = Limits { max_connections: 3, max_connections_per_ip: 1, ..Limits::default() };
        let node = Node::default();
        let ip = |last| Some(IpAddr::from([127, 0, 0, last]));
        assert_eq!(node.connected(ip(1), &limits), Ok(()));
        assert_eq!(node.connected(ip(1), &limits), Err(Full::Address));
        node.disconnected(ip(1));
        assert_eq!(node.connected(ip(2), &limits), Ok(()));
        assert_eq!(node.connected(ip(3), &limits), Ok(()));
        assert_eq!(node.connected(ip(4), &limits), Err(Full::Node));
        for last in 1..=4 {
            node.disconnected(ip(last));
        }
        // Sessions of clients behind a proxy count as connections do.
        let client = ip(9).unwrap();
        assert_eq!(node.address_came(client, &limits), Ok(()));
        assert_eq!(node.address_came(client, &limits), Err(Full::Address));
        let reached = |limit| node.tally().reached(limit);
        assert_eq!((reached(Limit::Connections), reached(Limit::ConnectionsPerIp)), (1, 2));
        node.address_left(client);
        assert_eq!((node.connections(), node.per_ip.lock().unwrap().len()), (0, 0));
    }

    #[test]
    fn a_second_takes_so_many_handshakes() {
        let limits = Limits { handshakes_per_second: 2, ..Limits::default() };
        let node = Node::default();
        let at = |ms| node.takes_handshake(Time(ms), &limits);
        assert_eq!([at(5000), at(5999), at(5999), at(6000)], [Ok(()), Ok(()), Err(Full::Handshakes), Ok(())]);
        node.refuse_new();
        assert_eq!((at(7000), node.refused()), (Err(Full::Leaving), 2));
        assert_eq!(node.tally().reached(Limit::Handshakes), 1);
    }
}
