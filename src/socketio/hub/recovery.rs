//! Clients that come back, on one shard.
//!
//! ```text
//!                          CONNECT with a claim              admitted
//!     (kept, on a shard) ───────────────────────▶ Restored ────────────▶ In
//!         ▲                  │              ▲         │                  ▲ │
//!         │                  │ not here     │ found   │ cut off          │ │
//!         │                  ▼              │         │                  │ │
//!         │                Asking ──────────┘         │                  │ │
//!         │                  │ not found, admitted as somebody new       │ │
//!         │                  └───────────────────────────────────────────┘ │
//!         └───────────────────────────────────────────┴────────────────────┘
//!                                                             cut off
//! ```
//!
//! While its session is elsewhere, everything is remembered that is sent on the shard that a client has come to; why that
//! is so is told in `recovery/find.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::kept::Kept;
use super::log::{Log, Place};
use super::{Core, Entry, Hub};
use crate::close::CloseReason;
use crate::ids::{Key, Offset, Pid, SocketId};
use crate::session::Time;
use crate::socketio::Socket;
use crate::socketio::cluster::RoomsHeld;
use crate::socketio::io::IoInner;
use crate::socketio::op::Target;
use crate::socketio::recovery::{
    Claim, Claimer, Coming, ComingBack, Content, Found, Luggage, Session, Who, find,
};

/// What a shard keeps for those that come back.
pub struct Recovery {
    log: Log,
    kept: Kept,
    window: Duration,
    /// Who is on the way back: until they are in, everything is remembered.
    coming: Coming,
    /// Sockets in other slots than their ids name.
    guests: HashMap<SocketId, Key>,
    /// When to look for what is to be forgotten.
    look_at: Time,
}

/// Where a socket stands.
pub enum Track {
    /// Another shard or node is asked for its session. From that place on, what is remembered may be for it.
    Asking { from: Place, _coming: ComingBack },
    /// It has its session back, and is not let in yet.
    Restored { pid: Pid, since: Place, rooms: HashSet<Arc<str>>, held: Option<RoomsHeld>, coming: ComingBack },
    /// It is in. Nothing before that place is for it.
    In { pid: Pid, since: Place },
}

impl Recovery {
    /// `None` where recovery is off.
    pub fn new(io: &IoInner) -> Option<Box<Recovery>> {
        let shared = io.recovery.as_ref()?;
        let options = &shared.options;
        let shards = usize::from(io.shards());
        // A connection that is silent is given up at the latest when the pong to a second ping is overdue. What was sent
        // before the first has arrived: its pong came.
        let silence =
            io.options.mounts.iter().map(|m| m.settings.ping_interval + 2 * m.settings.ping_timeout);
        let keep = options.window + silence.max().unwrap_or_default();
        Some(Box::new(Recovery {
            log: Log::new(keep, options.log_bytes / shards),
            kept: Kept::new(options.max_sessions.div_ceil(shards)),
            window: options.window,
            coming: shared.coming.on_shard(),
            guests: HashMap::new(),
            look_at: Time::NEVER,
        }))
    }

    /// The socket of this id, if it is in another slot than the id names.
    pub fn guest(&self, id: &SocketId) -> Option<Key> {
        self.guests.get(id).copied()
    }

    /// Whether anybody here may come to miss what is sent to this target, though nobody here is sent it.
    pub fn wants(&self, target: &Target) -> bool {
        self.coming.is_any() || self.kept.wants(target)
    }

    /// Remembers an event.
    pub fn remember(&mut self, core: &mut Core, offset: Offset, target: Target, content: Content) {
        self.log.push(core.now(), offset, target, content);
        self.look_later(core);
    }

    /// Sees to it that what is kept is looked at again.
    fn look_later(&mut self, core: &mut Core) {
        if self.look_at == Time::NEVER {
            self.look_at = core.now() + self.window / 8;
            core.wake_at(self.look_at);
        }
    }
}

impl Hub {
    /// Forgets what is too old, now and then.
    pub(super) fn look_for_old(&mut self, core: &mut Core) {
        let now = core.now();
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.look_at <= now) else {
            return;
        };
        recovery.look_at = Time::NEVER;
        recovery.log.expire(now);
        let gone = recovery.kept.expire(now);
        if !(recovery.log.is_empty() && recovery.kept.is_empty()) {
            recovery.look_later(core);
        }
        self.forget(&gone);
    }

    fn forget(&self, gone: &[Session]) {
        if let Some(shared) = &self.io.recovery {
            gone.iter().for_each(|session| shared.forget(&session.pid, self.id));
        }
    }

    /// Those that are meant don't come back to what they had.
    pub(super) fn put_out_absent(&mut self, target: &Target) {
        let Some(recovery) = &mut self.recovery else { return };
        let gone = recovery.kept.take_meant(target);
        if let Some(cluster) = self.io.cluster() {
            gone.iter().for_each(|session| cluster.take_back_session(&session.pid));
        }
        self.forget(&gone);
    }

    /// Those that are meant don't come back to these rooms.
    pub(super) fn leave_absent(&mut self, target: &Target, leave: &[Arc<str>]) {
        if let Some(recovery) = &mut self.recovery {
            recovery.kept.leave_meant(target, leave);
        }
    }

    // A client comes back.

    /// A socket that is connecting claims to be one that was cut off.
    pub(super) fn claim(&mut self, core: &mut Core, key: Key, claim: Claim) {
        let Some(entry) = self.sockets.get(key) else { return };
        let socket = entry.socket.id();
        let Some(namespace) = self.namespaces.get(entry.namespace).map(|of| of.name.clone()) else { return };
        let is_here = self.io.recovery.as_ref().is_some_and(|shared| shared.shard_of(&claim.pid) == self.id);
        if is_here && let Some(session) = self.take_session(core, &claim, &namespace) {
            self.take_back_from_nodes(&claim.pid);
            return self.restore(core, key, session);
        }
        if is_here && !self.io.cluster().is_some_and(|cluster| cluster.shares_sessions()) {
            return self.decide(core, key);
        }
        let (Some(recovery), Some(entry)) = (&mut self.recovery, self.sockets.get_mut(key)) else { return };
        let track = Track::Asking { from: recovery.log.end(), _coming: recovery.coming.begin() };
        entry.track = Some(Box::new(track));
        find::begin(&self.io, claim, namespace, self.id, socket);
    }

    /// What became of a claim.
    pub(super) fn claimed(
        &mut self,
        core: &mut Core,
        socket: &SocketId,
        claim: Claim,
        found: Option<Box<Found>>,
    ) {
        let key = self.find(socket);
        let Some(recovery) = &self.recovery else { return };
        let (key, from) = match key.and_then(|key| self.sockets.get(key)?.track.as_deref()) {
            Some(Track::Asking { from, .. }) => (key, *from),
            _ => (None, recovery.log.end()),
        };
        let session = found.and_then(|found| self.adopt(core, *found, &claim, from));
        match (session, key) {
            (Some(session), Some(key)) => self.restore(core, key, session),
            // Its client is gone again. It may come once more.
            (Some(session), None) => self.keep(core, session),
            (None, Some(key)) => {
                if let Some(entry) = self.sockets.get_mut(key) {
                    entry.track = None;
                }
                self.decide(core, key);
            }
            (None, None) => (),
        }
    }

    /// A session has come from another shard or node: what its client has missed is remembered here now. `None`: more was
    /// sent meanwhile than is remembered.
    fn adopt(&mut self, core: &mut Core, found: Found, claim: &Claim, from: Place) -> Option<Session> {
        let Found { mut session, had, missed } = found;
        let (recovery, shared) = (self.recovery.as_mut()?, self.io.recovery.as_ref()?);
        if from < recovery.log.first() {
            return None;
        }
        shared.has_moved(session.pid, self.id, session.id);
        let known: HashSet<Offset> = missed.iter().map(|(offset, _)| *offset).chain(had).collect();
        let who = session.who();
        let meanwhile = recovery.log.since(from, &who).filter(|sent| !known.contains(&sent.offset));
        let meanwhile: Vec<_> = meanwhile.map(|sent| (sent.offset, sent.content.clone())).collect();
        // So that it is found here, should the client come again without having got anything.
        recovery.remember(core, claim.offset, Target::Socket(session.id), Content::Nothing);
        session.since = recovery.log.end();
        for (offset, content) in missed.into_iter().chain(meanwhile) {
            recovery.remember(core, offset, Target::Socket(session.id), content);
        }
        Some(session)
    }

    /// A connecting socket becomes who it was.
    fn restore(&mut self, core: &mut Core, key: Key, session: Session) {
        let Session { pid, id, namespace, rooms, luggage, since, held, .. } = session;
        let (Some(recovery), Some(shared)) = (&mut self.recovery, &self.io.recovery) else { return };
        let Some(entry) = self.sockets.get_mut(key) else { return };
        let Luggage { extensions, saved } = luggage;
        let is_from_here = extensions.is_some();
        let handshake = entry.socket.handshake().clone();
        entry.socket = Socket::recovered_on(
            self.id,
            id,
            namespace,
            self.io.clone(),
            handshake,
            extensions.unwrap_or_default(),
        );
        if !is_from_here {
            shared.restore(&entry.socket, &saved);
        }
        // Begun before what has been until now is dropped.
        let coming = recovery.coming.begin();
        entry.track = Some(Box::new(Track::Restored { pid, since, rooms, held, coming }));
        recovery.guests.insert(id, key);
        shared.has_moved(pid, self.id, id);
        if shared.options.skip_middleware {
            self.admit(core, &id, Ok(()));
        } else {
            self.decide(core, key);
        }
    }

    /// A socket is let in: its private id, and what it comes back to. `Err`: what it has missed is known no more.
    pub(super) fn track_in(&mut self, key: Key) -> Result<Option<(Pid, Option<Return>)>, TooLate> {
        let (Some(recovery), Some(entry)) = (&mut self.recovery, self.sockets.get_mut(key)) else {
            return Ok(None);
        };
        let (pid, since, back) = match entry.track.take().map(|track| *track) {
            Some(Track::Restored { pid, since, rooms, held, coming }) => {
                if since < recovery.log.first() {
                    entry.track = Some(Box::new(Track::Restored { pid, since, rooms, held, coming }));
                    return Err(TooLate);
                }
                let rooms = rooms.into_iter().collect();
                (pid, since, Some(Return { rooms, _held: held, _coming: coming }))
            }
            _ => (Pid::random(self.id, key.slot), recovery.log.end(), None),
        };
        entry.track = Some(Box::new(Track::In { pid, since }));
        Ok(Some((pid, back)))
    }

    /// Sends a socket that is back what it has missed.
    pub(super) fn replay(&mut self, core: &mut Core, key: Key) {
        let (Some(recovery), Some(entry)) = (&self.recovery, self.sockets.get(key)) else { return };
        let Some(Track::In { since, .. }) = entry.track.as_deref() else { return };
        let Some(of) = self.namespaces.get(entry.namespace) else { return };
        let rooms = entry.memberships.names().cloned().collect();
        let who =
            Who { id: entry.socket.id(), namespace: &of.name, definition: &of.definition, rooms: &rooms };
        for sent in recovery.log.since(*since, &who) {
            core.send(entry.session, &sent.content.frames(&of.name));
        }
    }

    // A client is cut off.

    /// What is kept of a socket that goes, if it may come back. Before it leaves its rooms.
    pub(super) fn pack(&mut self, entry: &mut Entry, reason: CloseReason) -> Option<Session> {
        let recovery = self.recovery.as_mut()?;
        let shared = self.io.recovery.as_ref()?;
        let (pid, since, rooms, held) = match *entry.track.take()? {
            Track::Asking { .. } => return None,
            Track::Restored { pid, since, rooms, held, .. } => (pid, since, rooms, held),
            Track::In { pid, since } => (pid, since, entry.memberships.names().cloned().collect(), None),
        };
        let id = entry.socket.id();
        recovery.guests.remove(&id);
        let of = self.namespaces.get(entry.namespace)?;
        if !reason.allows_recovery() {
            shared.forget(&pid, self.id);
            return None;
        }
        let cluster = self.io.cluster();
        let held = held.or_else(|| {
            let rooms: Vec<_> = rooms.iter().cloned().collect();
            // Not waited for: they are in force already.
            cluster.map(|cluster| cluster.hold(&of.name, &rooms).0)
        });
        let luggage = Luggage {
            extensions: Some(entry.socket.extensions().clone()),
            saved: cluster.map(|_| shared.save(&entry.socket)).unwrap_or_default(),
        };
        let (namespace, definition) = (of.name.clone(), of.definition.clone());
        Some(Session { pid, id, namespace, definition, rooms, luggage, held, since })
    }

    /// Keeps a session for as long as its client may come back.
    pub(super) fn keep(&mut self, core: &mut Core, session: Session) {
        let Some(recovery) = &mut self.recovery else { return };
        if let Some(cluster) = self.io.cluster() {
            cluster.leave_session(&session, recovery.window);
        }
        let gone = recovery.kept.insert(session, core.now() + recovery.window);
        recovery.look_later(core);
        self.forget(&gone);
    }

    // Somebody else wants a session.

    /// Gives a session up that is claimed on another shard or node, if it is here.
    pub(super) fn give(&mut self, core: &mut Core, claim: Claim, namespace: &Arc<str>, by: Claimer) {
        let session = self.take_session(core, &claim, namespace);
        let found = session.zip(self.recovery.as_ref()).map(|(session, recovery)| {
            let who = session.who();
            let missed = recovery.log.since(session.since, &who);
            let missed: Vec<_> = missed.map(|sent| (sent.offset, sent.content.clone())).collect();
            let lately = Time(core.now().0.saturating_sub(LATELY.as_millis() as u64));
            let had = recovery.log.since(recovery.log.place_at(lately), &who);
            let had = had
                .map(|sent| sent.offset)
                .take_while(|offset| Some(offset) != missed.first().map(|(o, _)| o));
            let had = had.collect();
            Found { session, had, missed }
        });
        match by {
            Claimer::Shard(by) => {
                if found.is_some() {
                    self.take_back_from_nodes(&claim.pid);
                }
                // A shard that has ended has no use for it.
                let _ = by.send(found);
            }
            Claimer::Node(way_back) => {
                if let Some(shared) = &self.io.recovery {
                    shared.forget(&claim.pid, self.id);
                }
                way_back.missed(found);
            }
        }
    }

    /// A client says that it was cut off. It may be here still, as far as this node knows. Whether its session is kept here
    /// now.
    pub(super) fn cut_off(&mut self, core: &mut Core, pid: &Pid, namespace: &str) -> bool {
        if let Some(key) = self.live(pid)
            && let Some(entry) =
                self.sockets.get(key).filter(|entry| entry.socket.namespace_name() == namespace)
        {
            let session = entry.session;
            self.close_client(core, session, CloseReason::TransportClose);
        }
        self.recovery.as_ref().is_some_and(|recovery| recovery.kept.has(pid, namespace))
    }

    /// Takes a session out that is kept here, and finds the place from where on its client has missed something.
    fn take_session(&mut self, core: &mut Core, claim: &Claim, namespace: &str) -> Option<Session> {
        self.cut_off(core, &claim.pid, namespace);
        let now = core.now();
        let gone = self.recovery.as_mut()?.kept.expire(now);
        self.forget(&gone);
        let Recovery { kept, log, .. } = self.recovery.as_deref_mut()?;
        let mut session = kept.take(&claim.pid, namespace)?;
        match log.place_after(&claim.offset, &session.who(), session.since, now) {
            Some(place) => {
                session.since = place;
                Some(session)
            }
            // Of no use to its client any more, who gets a new one.
            None => {
                self.take_back_from_nodes(&session.pid);
                self.forget(&[session]);
                None
            }
        }
    }

    /// The connected socket of this private id.
    fn live(&self, pid: &Pid) -> Option<Key> {
        let in_its_slot = self.sockets.at(pid.slot).map(|(key, _)| key);
        let moved = self.io.recovery.as_ref()?.moved_to(pid).filter(|(shard, _)| *shard == self.id);
        let as_guest = moved.and_then(|(_, id)| self.find(&id));
        let is_it = |key: &Key| {
            let track = self.sockets.get(*key).and_then(|entry| entry.track.as_deref());
            matches!(track, Some(Track::In { pid: of, .. }) if of == pid)
        };
        in_its_slot.into_iter().chain(as_guest).find(is_it)
    }

    /// No other node is to take this session any more.
    fn take_back_from_nodes(&self, pid: &Pid) {
        if let Some(cluster) = self.io.cluster() {
            cluster.take_back_session(pid);
        }
    }
}

/// For so long an event may be on its way, here or there.
const LATELY: Duration = Duration::from_secs(5);

/// What a socket comes back to.
pub struct Return {
    pub rooms: Vec<Arc<str>>,
    /// Until it has joined them.
    _held: Option<RoomsHeld>,
    _coming: ComingBack,
}

/// What a client has missed is remembered no more.
pub struct TooLate;
