//! The sessions of clients that were cut off, kept on the shard that they were on for as long as they may come back.
//!
//! Plain data, told the time. What is dropped is dropped for good, and its rooms' channels with it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::ids::{Pid, SocketId};
use crate::session::Time;
use crate::socketio::op::Target;
use crate::socketio::recovery::Session;

/// All of a shard.
pub struct Kept {
    by_pid: HashMap<Pid, (Time, Session)>,
    /// Until when each is kept; those that went before that included.
    in_order: VecDeque<(Time, Pid)>,
    /// In how many sessions' rooms each room is.
    rooms: HashMap<Arc<str>, usize>,
    ids: HashSet<SocketId>,
    max: usize,
}

impl Kept {
    /// Keeps at most so many.
    pub fn new(max: usize) -> Self {
        Kept {
            by_pid: HashMap::new(),
            in_order: VecDeque::new(),
            rooms: HashMap::new(),
            ids: HashSet::new(),
            max,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }

    /// Keeps a session until then, which must not be earlier than for those before it. Gives those back that must go for it.
    pub fn insert(&mut self, session: Session, until: Time) -> Vec<Session> {
        self.remove(&session.pid);
        for room in &session.rooms {
            *self.rooms.entry(room.clone()).or_default() += 1;
        }
        self.ids.insert(session.id);
        self.in_order.push_back((until, session.pid));
        self.by_pid.insert(session.pid, (until, session));
        let mut gone = Vec::new();
        while self.by_pid.len() > self.max
            && let Some((until, pid)) = self.in_order.pop_front()
        {
            gone.extend(self.take_until(&pid, until));
        }
        gone
    }

    /// Whether this session is here, and one of this namespace.
    pub fn has(&self, pid: &Pid, namespace: &str) -> bool {
        self.by_pid.get(pid).is_some_and(|(_, session)| *session.namespace == *namespace)
    }

    /// Takes a session out, if it is one of this namespace.
    pub fn take(&mut self, pid: &Pid, namespace: &str) -> Option<Session> {
        if self.has(pid, namespace) { self.remove(pid) } else { None }
    }

    fn remove(&mut self, pid: &Pid) -> Option<Session> {
        let (_, session) = self.by_pid.remove(pid)?;
        self.ids.remove(&session.id);
        session.rooms.iter().for_each(|room| forget_one(&mut self.rooms, room));
        Some(session)
    }

    /// Takes a session out, unless it has come back and gone again since it was put in for that time.
    fn take_until(&mut self, pid: &Pid, until: Time) -> Option<Session> {
        let same = self.by_pid.get(pid).is_some_and(|(of, _)| *of == until);
        if same { self.remove(pid) } else { None }
    }

    /// Takes those out whose time is over.
    pub fn expire(&mut self, now: Time) -> Vec<Session> {
        let mut gone = Vec::new();
        while let Some((until, pid)) = self.in_order.front().copied()
            && until < now
        {
            self.in_order.pop_front();
            gone.extend(self.take_until(&pid, until));
        }
        gone
    }

    /// Takes those out that are meant.
    pub fn take_meant(&mut self, target: &Target) -> Vec<Session> {
        if !self.wants(target) {
            return Vec::new();
        }
        let meant = self.by_pid.values().filter(|(_, session)| session.who().is_meant(target));
        let pids: Vec<_> = meant.map(|(_, session)| session.pid).collect();
        pids.iter().filter_map(|pid| self.remove(pid)).collect()
    }

    /// Takes those that are meant out of rooms, so that they don't come back to them.
    pub fn leave_meant(&mut self, target: &Target, leave: &[Arc<str>]) {
        if leave.is_empty() || !self.wants(target) {
            return;
        }
        for (_, session) in self.by_pid.values_mut() {
            if !session.who().is_meant(target) {
                continue;
            }
            for room in leave.iter().filter(|room| session.rooms.remove(*room)) {
                forget_one(&mut self.rooms, room);
            }
        }
    }

    /// Whether any may be meant. Says so a few times too often.
    pub fn wants(&self, target: &Target) -> bool {
        if self.is_empty() {
            return false;
        }
        let is_id = |room: &Arc<str>| room.parse().is_ok_and(|id| self.ids.contains(&id));
        match target {
            Target::Socket(id) | Target::Guest(id) => self.ids.contains(id),
            Target::Sockets(selection) => {
                selection.rooms.is_empty()
                    || selection.rooms.iter().any(|room| self.rooms.contains_key(room) || is_id(room))
            }
        }
    }
}

fn forget_one(rooms: &mut HashMap<Arc<str>, usize>, room: &Arc<str>) {
    if let Some(count) = rooms.get_mut(room) {
        *count -= 1;
        if *count == 0 {
            rooms.remove(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketio::recovery::test_sessions::{room, session, sockets};

    #[test]
    fn who_is_absent_leaves_rooms_with_the_others() {
        let mut kept = Kept::new(9);
        let ids: Vec<_> = (0..2).map(|slot| SocketId::random(0, slot)).collect();
        let (a, b) = (session(ids[0], &["user a", "all"]), session(ids[1], &["user b", "all"]));
        let pids = [a.pid, b.pid];
        kept.insert(a, Time(10));
        kept.insert(b, Time(10));
        kept.leave_meant(&room("user a"), &["all".into(), "other".into()]);
        assert!(kept.wants(&room("all")), "b is in it");
        assert_eq!(kept.take(&pids[0], "/").unwrap().rooms, HashSet::from(["user a".into()]));
        kept.leave_meant(&room("all"), &["all".into()]);
        assert!(!kept.wants(&room("all")));
    }

    #[test]
    fn sessions_come_and_go() {
        let mut kept = Kept::new(2);
        let ids: Vec<_> = (0..4).map(|slot| SocketId::random(0, slot)).collect();
        let (a, b, c) = (session(ids[0], &["a", "all"]), session(ids[1], &["all"]), session(ids[2], &[]));
        let pids = [a.pid, b.pid, c.pid];
        assert!(!kept.wants(&sockets(&[], &[], None)));
        assert!(kept.insert(a, Time(10)).is_empty() && kept.insert(b, Time(20)).is_empty());
        assert!(kept.wants(&room("a")) && kept.wants(&room("all")) && !kept.wants(&room("b")));
        assert!(kept.wants(&Target::Socket(ids[0])) && kept.wants(&room(&ids[1].to_string())));
        let gone = kept.insert(c, Time(30));
        assert_eq!((gone.len(), gone[0].pid), (1, pids[0]), "the oldest goes where there are too many");
        assert!(!kept.wants(&room("a")) && kept.wants(&room("all")) && !kept.wants(&Target::Socket(ids[0])));
        // One that came back and was lost again is kept for its second time.
        assert!(kept.take(&pids[1], "/other").is_none());
        let b = kept.take(&pids[1], "/").unwrap();
        assert!(kept.take(&pids[1], "/").is_none() && !kept.wants(&room("all")));
        assert!(kept.insert(b, Time(40)).is_empty());
        assert!(kept.expire(Time(20)).is_empty());
        let gone = kept.expire(Time(31));
        assert_eq!((gone.len(), gone[0].pid), (1, pids[2]));
        assert_eq!(kept.take_meant(&room("all"))[0].pid, pids[1], "put out while it was away");
        assert!(kept.is_empty() && kept.rooms.is_empty() && kept.ids.is_empty());
    }
}
