//! Who wants to know when somebody comes online or goes offline: connections of this node, by the user they watch.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::ids::SocketId;
use crate::socketio::Socket;
use crate::store::Timestamp;

/// The watchers of this node.
#[derive(Default)]
pub struct Watchers(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    watched: HashMap<u64, HashMap<SocketId, Socket>>,
    by_socket: HashMap<SocketId, HashSet<u64>>,
}

impl Watchers {
    /// A watched user has come online, or gone offline.
    pub fn tell(&self, user: u64, online: bool, at: Timestamp) {
        let event = if online { "user_online" } else { "user_offline" };
        let payload = json!({ "userId": user, "timestamp": at });
        for socket in self.lock().watched.get(&user).into_iter().flat_map(HashMap::values) {
            socket.emit(event, &payload);
        }
    }

    /// Whether a connection may watch these users, too.
    pub(super) fn has_room(&self, socket: &Socket, users: &[u64], limit: usize) -> bool {
        let tables = self.lock();
        let watched = tables.by_socket.get(&socket.id());
        let new = users.iter().filter(|user| watched.is_none_or(|watched| !watched.contains(user)));
        watched.map_or(0, HashSet::len) + new.collect::<HashSet<_>>().len() <= limit
    }

    /// A connection watches these users. Gives those whom nobody here has watched before.
    pub(super) fn add(&self, socket: &Socket, users: &[u64]) -> Vec<u64> {
        let mut tables = self.lock();
        let mut first = Vec::new();
        for &user in users {
            if tables.by_socket.entry(socket.id()).or_default().insert(user) {
                let of_user = tables.watched.entry(user).or_default();
                if of_user.is_empty() {
                    first.push(user);
                }
                of_user.insert(socket.id(), socket.clone());
            }
        }
        first
    }

    /// It does not any more. Gives those whom nobody here watches any more.
    pub(super) fn remove(&self, socket: &Socket, users: &[u64]) -> Vec<u64> {
        let mut tables = self.lock();
        let Some(watched) = tables.by_socket.get_mut(&socket.id()) else { return Vec::new() };
        let removed: Vec<_> = users.iter().copied().filter(|user| watched.remove(user)).collect();
        if watched.is_empty() {
            tables.by_socket.remove(&socket.id());
        }
        removed.into_iter().filter(|user| tables.is_last(*user, socket.id())).collect()
    }

    /// A connection is gone. Gives those whom nobody here watches any more.
    pub(super) fn remove_all(&self, socket: &Socket) -> Vec<u64> {
        let mut tables = self.lock();
        let watched = tables.by_socket.remove(&socket.id()).unwrap_or_default();
        watched.into_iter().filter(|user| tables.is_last(*user, socket.id())).collect()
    }

    /// Whether a connection watches anybody.
    pub(super) fn is_watching(&self, socket: &Socket) -> bool {
        self.lock().by_socket.contains_key(&socket.id())
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// Removes a watcher of a user. Whether it was the last one.
    fn is_last(&mut self, user: u64, socket: SocketId) -> bool {
        let Some(of_user) = self.watched.get_mut(&user) else { return false };
        of_user.remove(&socket);
        let is_empty = of_user.is_empty();
        if is_empty {
            self.watched.remove(&user);
        }
        is_empty
    }
}
