//! All state of a shard, and what an application may do with it. Plain data of one thread.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::app::{App, Counts};
use super::conn::{Conn, Phase};
use super::mail::Mail;
use super::mailbox::Mailboxes;
use super::node::Node;
use super::options::{Limits, Mount};
use super::table::Table;
use super::tally::Limit;
use super::wheel::Wheel;
use crate::close::CloseReason;
use crate::ids::{Key, ShardId, Sid};
use crate::proto::ws;
use crate::session::{Session, Settings, Time};

/// The state of one shard.
pub struct Core<A: App> {
    pub(super) id: ShardId,
    pub(super) now: Time,
    pub(super) mounts: Arc<[Mount]>,
    pub(super) limits: Arc<Limits>,
    pub(super) node: Arc<Node>,
    pub(super) conns: Table<Conn>,
    pub(super) sessions: Table<Entry<A::Client>>,
    pub(super) wheel: Wheel<Timer>,
    pub(super) mailboxes: Mailboxes<Mail<A::Mail>>,
    /// Sessions that may have output, each once.
    pub(super) dirty_sessions: Vec<Key>,
    /// Connections that may have output, each once.
    pub(super) dirty_conns: Vec<Key>,
    pub(super) accepting: bool,
}

/// Whose deadline a timer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Conn(Key),
    Session(Key),
    /// The application's: what it has to do it does in [`App::turn`].
    Wake,
}

/// A session, and the connections that it has at the moment.
pub(super) struct Entry<C> {
    pub session: Session,
    /// `None` until the application was told of it.
    pub client: Option<C>,
    pub sid: Sid,
    pub mount: u16,
    /// The client's address, where the session counts for it.
    pub ip: Option<Box<IpAddr>>,
    /// Listed for output at the end of this turn.
    pub dirty: bool,
    /// The WebSocket that carries it.
    pub websocket: Option<Key>,
    /// The WebSocket that probes.
    pub probe: Option<Key>,
    /// The connection whose GET waits.
    pub poll: Option<Key>,
    /// The connection whose POST is being read.
    pub post: Option<Key>,
    /// The application's deadline.
    pub deadline: Time,
    /// The earliest timer in the wheel that names this session.
    pub armed: Time,
}

impl<A: App> Core<A> {
    /// This shard's number.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Now, to the turn of the loop.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What the application keeps for a session; `None` where the session is gone.
    pub fn client_mut(&mut self, session: Key) -> Option<&mut A::Client> {
        self.sessions.get_mut(session)?.client.as_mut()
    }

    /// The settings of a session's mount.
    pub fn settings(&self, session: Key) -> Option<&Settings> {
        let entry = self.sessions.get(session)?;
        Some(&self.mounts[usize::from(entry.mount)].settings)
    }

    /// A session's public id.
    pub fn sid(&self, session: Key) -> Option<Sid> {
        self.sessions.get(session).map(|entry| entry.sid)
    }

    /// The session that a public id names, if it is on this shard.
    pub fn find(&self, sid: &Sid) -> Option<Key> {
        let (key, entry) = self.sessions.at(sid.slot)?;
        (sid.shard == self.id && entry.sid == *sid).then_some(key)
    }

    /// Queues frames for a session; without effect where it is gone.
    pub fn send(&mut self, session: Key, frames: &Bytes) {
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.session.send(frames, &self.mounts[usize::from(entry.mount)].settings);
            touch(entry, session, &mut self.dirty_sessions);
        }
    }

    /// Queues frames that are already encoded and need not be shared.
    pub fn send_copy(&mut self, session: Key, frames: &[u8]) {
        if let Some(entry) = self.sessions.get_mut(session) {
            let settings = &self.mounts[usize::from(entry.mount)].settings;
            entry.session.send_with(settings, |out| out.extend_from_slice(frames));
            touch(entry, session, &mut self.dirty_sessions);
        }
    }

    /// Whether a volatile event may be queued: the client reads, and little waits for it.
    pub fn takes_volatile(&self, session: Key) -> bool {
        let Some(entry) = self.sessions.get(session) else { return false };
        let unsent = entry.websocket.and_then(|conn| self.conns.get(conn)).map_or(0, |conn| conn.out.bytes());
        let soft = self.mounts[usize::from(entry.mount)].settings.outbox_soft;
        let is_read = unsent == 0 && entry.session.queued_bytes() < soft;
        if !is_read {
            self.reach(Limit::OutboxSoft);
        }
        is_read && entry.session.is_writable()
    }

    /// Counts that a limit was reached.
    pub fn reach(&self, limit: Limit) {
        self.node.tally().reach(limit);
    }

    /// Whether the session can still be spoken to.
    pub fn is_open(&self, session: Key) -> bool {
        self.sessions.get(session).is_some_and(|entry| entry.session.is_open())
    }

    /// Ends a session once what is queued was sent.
    pub fn close(&mut self, session: Key, reason: CloseReason) {
        if let Some(entry) = self.sessions.get_mut(session) {
            let settings = &self.mounts[usize::from(entry.mount)].settings;
            entry.session.close(reason, settings, self.now);
            touch(entry, session, &mut self.dirty_sessions);
        }
    }

    /// Asks for [`App::timeout`] at this moment, instead of at any that was asked for before.
    pub fn set_deadline(&mut self, session: Key, at: Time) {
        if let Some(entry) = self.sessions.get_mut(session) {
            entry.deadline = at;
            self.arm(session);
        }
    }

    /// Asks for a turn at this moment, and so for [`App::turn`].
    pub fn wake_at(&mut self, at: Time) {
        self.wheel.insert(Timer::Wake, at);
    }

    /// Posts mail to a shard, this one included. `false`: that shard has ended, and the mail is dropped.
    pub fn post(&self, shard: ShardId, mail: A::Mail) -> bool {
        self.mailboxes.post(shard, Mail::App(mail)).is_ok()
    }

    /// How many of each there are.
    pub fn counts(&self) -> Counts {
        Counts { connections: self.conns.len(), sessions: self.sessions.len() }
    }

    /// All sessions.
    pub fn session_keys(&self) -> Vec<Key> {
        self.sessions.keys()
    }

    /// Puts a session's nearest deadline into the wheel, unless an earlier timer is there already.
    pub(super) fn arm(&mut self, session: Key) {
        let Some(entry) = self.sessions.get_mut(session) else { return };
        let settings = &self.mounts[usize::from(entry.mount)].settings;
        let due = gathered(entry.session.poll_timeout(), settings).min(entry.deadline);
        if due < entry.armed {
            entry.armed = due;
            self.wheel.insert(Timer::Session(session), due);
        }
    }

    /// Lists a session for output at the end of this turn.
    pub(super) fn touch(&mut self, session: Key) {
        if let Some(entry) = self.sessions.get_mut(session) {
            touch(entry, session, &mut self.dirty_sessions);
        }
    }

    /// Queues bytes on a connection, outside of any session's outbox.
    pub(super) fn write_conn(&mut self, conn: Key, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(entry) = self.conns.get_mut(conn) {
            entry.out.write(write);
            self.touch_conn(conn);
        }
    }

    /// Lists a connection for a flush at the end of this turn.
    pub(super) fn touch_conn(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty_conns.push(key);
        }
    }

    /// Closes a connection behind what it still has to write.
    pub(super) fn close_conn(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            let until = self.now + self.limits.linger;
            conn.closing = true;
            conn.phase = Phase::Linger { until };
            self.wheel.insert(Timer::Conn(key), until);
            self.touch_conn(key);
        }
    }

    /// Closes a WebSocket with a close frame.
    pub(super) fn close_websocket(&mut self, key: Key, code: u16, reason: &str) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.closing
        {
            conn.out.write(|out| ws::encode_close(out, code, reason));
            self.close_conn(key);
        }
    }

    /// Forgets a connection; its stream closes.
    pub(super) fn drop_conn(&mut self, key: Key) {
        if let Some(conn) = self.conns.remove(key) {
            self.node.disconnected(conn.ip.map(|ip| *ip));
        }
    }
}

fn touch<C>(entry: &mut Entry<C>, key: Key, dirty: &mut Vec<Key>) {
    if !entry.dirty {
        entry.dirty = true;
        dirty.push(key);
    }
}

/// A session's own deadlines gather on a grid of 64 in a ping interval, the late side of it: with many clients, what wakes
/// a shard for one ping then serves several.
fn gathered(due: Time, settings: &Settings) -> Time {
    let grid = u64::try_from(settings.ping_interval.as_millis() / 64).unwrap_or(1).max(1);
    Time(due.0.checked_next_multiple_of(grid).unwrap_or(due.0))
}

/// Ticks fine enough for the shortest time-out of the mounts, and no finer: a sixteenth, up to 64 ms.
pub(super) fn tick(mounts: &[Mount], limits: &Limits) -> Duration {
    let times = mounts.iter().flat_map(|mount| {
        let s = &mount.settings;
        [s.ping_interval, s.ping_timeout, s.upgrade_timeout, s.connect_timeout]
    });
    let shortest = times.chain([limits.request_timeout]).min().unwrap_or(Duration::MAX);
    (shortest / 16).clamp(Duration::from_millis(1), Duration::from_millis(64))
}
