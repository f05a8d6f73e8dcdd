//! What handles have asked for, done.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Core, Entry, Extra, Hub, Member, Track};
use crate::close::CloseReason;
use crate::ids::{Key, Offset, ShardId, SocketId};
use crate::proto::sio::Kind;
use crate::shard::{Joined, Left, Limit};
use crate::socketio::ack::{AckError, Waiter};
use crate::socketio::encode::Body;
use crate::socketio::op::{Frames, Op, Target};
use crate::socketio::recovery::Content;

impl Hub {
    /// Does what was asked for on this thread, and what that asks for in turn.
    pub(super) fn fulfil(&mut self, core: &mut Core) {
        let mut wishes = std::mem::take(&mut self.wishes);
        while crate::socketio::local::take(&mut wishes) {
            let mut frames = &wishes.frames[..];
            for op in wishes.ops.drain(..) {
                let length =
                    if let Op::Send { frames: Frames::Local(length), .. } = &op { *length } else { 0 };
                let (mine, rest) = frames.split_at(length);
                frames = rest;
                self.wish(core, op, mine);
            }
            wishes.frames.clear();
            if wishes.frames.capacity() > 1024 * 1024 {
                wishes.frames = Vec::new();
            }
        }
        self.wishes = wishes;
    }

    /// Does one thing. `local`: its frames, if they are the thread's own.
    pub(super) fn wish(&mut self, core: &mut Core, op: Op, local: &[u8]) {
        self.wish_or_pass_on(core, op, local, self.io.shards() - 1);
    }

    /// As [`Hub::wish`]. What is for one socket that is not here goes on to the next shard, if it may go to `left` more.
    fn wish_or_pass_on(&mut self, core: &mut Core, op: Op, local: &[u8], left: ShardId) {
        if left > 0 && self.is_elsewhere(&op) {
            return self.pass_on(op, left - 1);
        }
        match op {
            Op::Send {
                target: target @ (Target::Socket(id) | Target::Guest(id)),
                frames,
                volatile,
                offset,
            } => {
                let member = self.connected(&id);
                if let Some(offset) = offset
                    && !self.remember(core, offset, &target, member.is_some(), || frames.content(local))
                    && matches!(target, Target::Socket(_))
                {
                    self.send_to_guest(id, offset, &frames, local);
                }
                match member {
                    Some(member) => send(core, member, &frames, local, volatile),
                    None if !volatile => self.send_later(core, &id, &frames, local),
                    None => (),
                }
            }
            Op::Send { target, frames, volatile, offset } => {
                let members = self.select(&target);
                if let Some(offset) = offset {
                    self.remember(core, offset, &target, !members.is_empty(), || frames.content(local));
                }
                for member in members {
                    send(core, member, &frames, local, volatile);
                }
            }
            Op::SendNamed { target, body, volatile } => {
                let members = self.select(&target);
                if let Some(offset) = body.offset() {
                    self.remember(core, offset, &target, !members.is_empty(), || {
                        Content::Named(body.clone())
                    });
                }
                for member in members {
                    let Some(entry) = self.sockets.get(member.socket) else { continue };
                    let frames =
                        Frames::Shared(body.frames(Kind::Event, entry.socket.namespace_name(), None));
                    send(core, member, &frames, local, volatile);
                }
            }
            Op::Request { target, body, timeout, waiter } => match self.select(&target).first() {
                Some(member) => self.request(core, *member, &body, timeout, waiter),
                None => waiter.tell(Err(AckError::Disconnected)),
            },
            Op::RequestMany { target, body, timeout, waiter } => {
                for member in self.select(&target) {
                    let Some(entry) = self.sockets.get(member.socket) else { continue };
                    let waiter = Waiter::Many(entry.socket.id(), waiter.clone());
                    self.request(core, member, &body, timeout, waiter);
                }
            }
            Op::Rooms { target, join, leave } => {
                self.leave_absent(&target, &leave);
                for member in self.select(&target) {
                    self.move_rooms(core, member.socket, &join, &leave);
                }
                // As `Op::joins_rooms` says it, by which it was counted.
                if !join.is_empty() {
                    self.io.joined(self.id);
                }
            }
            Op::Disconnect { target, close } => {
                self.put_out_absent(&target);
                for member in self.select(&target) {
                    match close {
                        Some(reason) => self.close_client(core, member.session, reason),
                        None => self.leave(core, member.socket, CloseReason::ServerDisconnect),
                    }
                }
            }
            Op::Fetch { target, found } => {
                for member in self.select(&target) {
                    if let Some(entry) = self.sockets.get(member.socket) {
                        // Nobody may be waiting any more, which is fine.
                        let rooms = entry.memberships.names().cloned().collect();
                        let _ = found.send((entry.socket.clone(), rooms));
                    }
                }
            }
            Op::RoomsOf { socket, rooms } => {
                let entry = self.find(&socket).and_then(|key| self.sockets.get(key));
                let names = entry.map(|entry| match entry.track.as_deref() {
                    Some(Track::Restored { rooms, .. }) => rooms.iter().cloned().collect(),
                    _ => entry.memberships.names().cloned().collect(),
                });
                let _ = rooms.send(names.unwrap_or_default());
            }
            Op::On { socket, event, handler } => {
                if let Some(extra) = self.find(&socket).and_then(|key| self.extra(key)) {
                    extra.events.insert(event, handler);
                }
            }
            Op::OnDisconnect { socket, handler } => {
                if let Some(extra) = self.find(&socket).and_then(|key| self.extra(key)) {
                    extra.on_disconnect.push(handler);
                }
            }
            Op::Admit { socket, decision } => self.admit(core, &socket, decision),
            Op::Claim { claim, namespace, by } => self.give(core, claim, &namespace, by),
            Op::Release { pid, namespace, done } => {
                // Nobody may be waiting any more, which is fine.
                let _ = done.send(self.cut_off(core, &pid, &namespace));
            }
            Op::Claimed { socket, claim, found } => self.claimed(core, &socket, claim, found),
            Op::PassedOn { op, left } => self.wish_or_pass_on(core, *op, local, left),
            Op::SendRaw { sid, frames } => {
                if let Some(session) = core.find(&sid) {
                    core.send(session, &frames);
                }
            }
            Op::CloseRaw { sid } => {
                if let Some(session) = core.find(&sid) {
                    core.close(session, CloseReason::ForcedClose);
                }
            }
        }
    }

    /// Whether it is for one socket that is not here: its client may have come back to another shard.
    fn is_elsewhere(&self, op: &Op) -> bool {
        self.recovery.is_some() && op.socket().is_some_and(|id| self.member(&id).is_none())
    }

    fn pass_on(&mut self, op: Op, left: ShardId) {
        // Its client may also be away, and come back here.
        match &op {
            Op::Disconnect { target, .. } => self.put_out_absent(target),
            Op::Rooms { target, leave, .. } => self.leave_absent(target, leave),
            _ => (),
        }
        let (next, joins) = ((self.id + 1) % self.io.shards(), op.joins_rooms());
        self.io.post_to(next, Op::PassedOn { op: Box::new(op), left });
        if joins {
            self.io.joined(self.id);
        }
    }

    /// A socket that is about to join is sent it then, if that is no more than may wait for it afterwards.
    fn send_later(&mut self, core: &mut Core, id: &SocketId, frames: &Frames, local: &[u8]) {
        let entry = self.find(id).and_then(|key| self.sockets.get_mut(key));
        // One that comes back is replayed it.
        let is_new = |entry: &&mut Entry| {
            entry.place.is_none() && !matches!(entry.track.as_deref(), Some(Track::Restored { .. }))
        };
        if let Some(entry) = entry.filter(is_new)
            && let Content::Frames(frames) = frames.content(local)
        {
            let limit = core.settings(entry.session).map_or(0, |settings| settings.outbox_hard);
            let early = &mut entry.extra().early;
            early.extend_from_slice(&frames);
            if early.len() > limit {
                early.clear();
                core.close(entry.session, CloseReason::SlowReader);
            }
        }
    }

    fn connected(&self, id: &SocketId) -> Option<Member> {
        let socket = self.find(id)?;
        let entry = self.sockets.get(socket).filter(|entry| entry.place.is_some())?;
        Some(Member { socket, session: entry.session })
    }

    /// Remembers an event that is sent, if anybody here is sent it or may come to miss it; whether that is so.
    fn remember(
        &mut self,
        core: &mut Core,
        offset: Offset,
        target: &Target,
        is_sent: bool,
        content: impl FnOnce() -> Content,
    ) -> bool {
        let Some(recovery) = &mut self.recovery else { return false };
        let wanted = is_sent || recovery.wants(target);
        if wanted {
            recovery.remember(core, offset, target.clone(), content());
        }
        wanted
    }

    /// Somebody holds on to a socket that has gone. It may be on another shard meanwhile.
    fn send_to_guest(&self, id: SocketId, offset: Offset, frames: &Frames, local: &[u8]) {
        let Content::Frames(frames) = frames.content(local) else { return };
        for shard in (0..self.io.shards()).filter(|shard| *shard != self.id) {
            let (target, frames) = (Target::Guest(id), Frames::Shared(frames.clone()));
            self.io.post_to(shard, Op::Send { target, frames, volatile: false, offset: Some(offset) });
        }
    }

    fn extra(&mut self, socket: Key) -> Option<&mut Extra> {
        self.sockets.get_mut(socket).map(Entry::extra)
    }

    /// Sends an event, and notes who waits for the answer.
    fn request(&mut self, core: &mut Core, member: Member, body: &Body, timeout: Duration, waiter: Waiter) {
        let limit = core.settings(member.session).map_or(0, |settings| settings.max_pending_acks);
        let deadline = core.now() + timeout;
        let Some(entry) = self.sockets.get_mut(member.socket).filter(|entry| entry.place.is_some()) else {
            return waiter.tell(Err(AckError::Disconnected));
        };
        let acks = &mut entry.extra().acks;
        let expected = acks.expect(waiter, deadline, limit).or_else(|waiter| {
            acks.retain(Waiter::is_waiting);
            acks.expect(waiter, deadline, limit)
        });
        let id = match expected {
            Ok(id) => id,
            Err(waiter) => {
                core.reach(Limit::PendingAcks);
                return waiter.tell(Err(AckError::TooMany));
            }
        };
        core.send(member.session, &body.frames(Kind::Event, entry.socket.namespace_name(), Some(id)));
        self.set_deadline(core, member.session);
    }

    pub(super) fn move_rooms(&mut self, core: &Core, key: Key, join: &[Arc<str>], leave: &[Arc<str>]) {
        let max_rooms = self.io.options.max_rooms;
        let Some(entry) = self.sockets.get_mut(key) else { return };
        let (id, namespace) = (entry.socket.id(), entry.namespace);
        if let Some(Track::Restored { rooms, .. }) = entry.track.as_deref_mut() {
            rooms.retain(|room| !leave.contains(room));
        }
        // Taken out while rooms shuffle the others' places.
        let mut memberships = std::mem::take(&mut entry.memberships);
        if let Some(namespace) = self.namespaces.get_mut(namespace) {
            for room in join {
                if memberships.count() >= max_rooms && !memberships.contains(room) {
                    tracing::warn!(socket = %id, room = %room, max_rooms, "a room is not joined: too many");
                    core.reach(Limit::Rooms);
                    continue;
                }
                if namespace.rooms.join(room, key, &mut memberships) == Joined::AsFirst {
                    self.io.room_opened(&namespace.name, room, self.id);
                }
            }
            for room in leave {
                let sockets = &mut self.sockets;
                let left = namespace.rooms.leave(room, &mut memberships, move |key| {
                    sockets.get_mut(key).map(|entry| &mut entry.memberships)
                });
                if left == Left::AsLast {
                    self.io.room_closed(&namespace.name, room, self.id);
                }
            }
        }
        if let Some(entry) = self.sockets.get_mut(key) {
            entry.memberships = memberships;
        }
    }
}

impl Entry {
    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

impl Frames {
    fn content(&self, local: &[u8]) -> Content {
        Content::Frames(match self {
            Frames::Shared(frames) => frames.clone(),
            Frames::Local(_) => Bytes::copy_from_slice(local),
        })
    }
}

fn send(core: &mut Core, member: Member, frames: &Frames, local: &[u8], volatile: bool) {
    if volatile && !core.takes_volatile(member.session) {
        return;
    }
    match frames {
        Frames::Shared(frames) => core.send(member.session, frames),
        Frames::Local(_) => core.send_copy(member.session, local),
    }
}
