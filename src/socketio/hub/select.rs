//! Finding the sockets that a wish is for.

use super::{Hub, Member, Namespace};
use crate::ids::{Key, SocketId};
use crate::socketio::op::{Selection, Target, Which};

impl Hub {
    /// The sockets that are meant, each once. Only connected ones, except where one is meant by name.
    pub(super) fn select(&mut self, target: &Target) -> Vec<Member> {
        match target {
            Target::Socket(id) | Target::Guest(id) => self.member(id).into_iter().collect(),
            Target::Sockets(selection) => {
                self.mark = self.mark.wrapping_add(1);
                let namespaces: Vec<Key> = match &selection.namespace {
                    Which::Named(name) => self.by_name.get(name).copied().into_iter().collect(),
                    Which::Of(definition) => {
                        let of = |namespace: &Namespace| namespace.definition.is_of(definition);
                        self.namespaces.iter().filter(|(_, n)| of(n)).map(|(key, _)| key).collect()
                    }
                };
                namespaces.into_iter().flat_map(|namespace| self.select_in(namespace, selection)).collect()
            }
        }
    }

    pub(super) fn member(&self, id: &SocketId) -> Option<Member> {
        let socket = self.find(id)?;
        Some(Member { socket, session: self.sockets.get(socket)?.session })
    }

    fn select_in(&mut self, key: Key, selection: &Selection) -> Vec<Member> {
        let Some(namespace) = self.namespaces.get(key) else { return Vec::new() };
        if selection.rooms.is_empty() && selection.except.is_empty() {
            let skip = selection.skip.as_ref().and_then(|id| self.find(id));
            return namespace.members.iter().copied().filter(|m| Some(m.socket) != skip).collect();
        }
        let mut candidates: Vec<Key> = Vec::new();
        if selection.rooms.is_empty() {
            candidates.extend(namespace.members.iter().map(|member| member.socket));
        }
        for room in &selection.rooms {
            candidates.extend_from_slice(namespace.rooms.members(room));
            candidates.extend(self.by_id(room));
        }
        let (mark, mut chosen) = (self.mark, Vec::with_capacity(candidates.len()));
        for socket in candidates {
            let Some(entry) = self.sockets.get_mut(socket) else { continue };
            let met = std::mem::replace(&mut entry.mark, mark) == mark;
            let id = entry.socket.id();
            let is_excepted =
                || selection.except.iter().any(|room| entry.memberships.contains(room) || id.is_named(room));
            if !met
                && entry.place.is_some()
                && entry.namespace == key
                && Some(id) != selection.skip
                && !is_excepted()
            {
                chosen.push(Member { socket, session: entry.session });
            }
        }
        chosen
    }

    /// A socket's id is a room that only it is in.
    fn by_id(&self, room: &str) -> Option<Key> {
        self.find(&room.parse().ok()?)
    }
}
