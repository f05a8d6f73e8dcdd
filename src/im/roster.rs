//! Who is connected to this node: each user's connections, the groups that the user is in, and who has blocked the user.
//!
//! All connections of a user are in the same rooms, and each has its share in their inboxes; both change here only, under
//! the lock of the user.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::delivery::Delivery;
use super::room::Room;
use crate::ids::SocketId;
use crate::socketio::Socket;
use crate::store::Timestamp;

/// The users of this node.
pub struct Roster {
    delivery: Arc<Delivery>,
    users: [Mutex<HashMap<u64, Here>>; SPREAD],
}

/// A user who is here, or on the way.
#[derive(Default)]
struct Here {
    connections: Vec<Connection>,
    groups: BTreeSet<u64>,
    blocked_by: BTreeSet<u64>,
    /// Connections whose ties are being read.
    arriving: usize,
    /// How often they have changed: what was read before the last time may be old.
    changes: u64,
}

/// What ties a user to others, as the store has it.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// The groups that the user is in.
    pub groups: BTreeSet<u64>,
    /// Who has blocked the user.
    pub blocked_by: BTreeSet<u64>,
}

/// A connection of a user.
#[derive(Clone)]
pub struct Connection {
    /// Its socket.
    pub socket: Socket,
    /// When it came.
    pub since: Timestamp,
    /// The user's groups were not known yet: it is in the rooms of none, or not of all.
    pub is_early: bool,
    /// Groups whose rooms it is being brought into.
    pub late_in: BTreeSet<u64>,
}

/// A connection that came before its user's groups were known, which it is to be brought into the rooms of.
pub struct Late {
    pub user: u64,
    pub socket: Socket,
    pub since: Timestamp,
    pub groups: Vec<u64>,
}

impl Connection {
    /// What says which of two is older. Every node has it so.
    pub fn age(&self) -> (Timestamp, String) {
        (self.since, self.socket.id().to_string())
    }

    /// Whether it is older than the connection of this time and id.
    pub fn is_older(&self, since: Timestamp, id: &str) -> bool {
        let (its_since, its_id) = self.age();
        (its_since, &*its_id) < (since, id)
    }
}

impl Here {
    /// All connections are in the rooms of the user's groups, or about to be.
    fn are_known(&mut self) {
        self.connections.iter_mut().for_each(|connection| connection.is_early = false);
    }
}

/// Locks that the users are spread over.
const SPREAD: usize = 64;

impl Roster {
    /// Nobody is here.
    pub fn new(delivery: Arc<Delivery>) -> Arc<Self> {
        Arc::new(Roster { delivery, users: std::array::from_fn(|_| Mutex::default()) })
    }

    /// A connection is on its way: the user's ties are about to be read.
    pub fn arrive(self: &Arc<Self>, user: u64) -> Arrival {
        let mut users = self.lock(user);
        let here = users.entry(user).or_default();
        here.arriving += 1;
        Arrival { roster: self.clone(), user, changes: here.changes }
    }

    /// A connection has come. The user's ties are as they were read; of one that is early, what is known of them.
    #[must_use]
    pub fn enter(&self, user: u64, mut connection: Connection, ties: Ties) -> Vec<Late> {
        let mut users = self.lock(user);
        let here = users.entry(user).or_default();
        let late = if connection.is_early {
            connection.is_early = here.connections.iter().all(|other| other.is_early);
            let groups = &here.groups | &ties.groups;
            self.move_to(user, here, groups)
        } else {
            here.blocked_by = ties.blocked_by;
            let late = self.move_to(user, here, ties.groups);
            here.are_known();
            late
        };
        self.join(&connection.socket, Room::User(user));
        here.groups.iter().for_each(|group| self.join(&connection.socket, Room::Group(*group)));
        here.connections.push(connection);
        late
    }

    /// A connection has gone. `false`: it never came.
    pub fn leave(&self, user: u64, socket: SocketId) -> bool {
        let mut users = self.lock(user);
        let Some(here) = users.get_mut(&user) else { return false };
        let Some(at) = here.connections.iter().position(|other| other.socket.id() == socket) else {
            return false;
        };
        here.connections.swap_remove(at);
        self.delivery.close(Room::User(user));
        here.groups.iter().for_each(|group| self.delivery.close(Room::Group(*group)));
        Self::forget_if_gone(&mut users, user);
        true
    }

    /// The user is, or is not, a member of a group.
    #[must_use]
    pub fn set_member(&self, user: u64, group: u64, is_member: bool) -> Vec<Late> {
        let mut users = self.lock(user);
        let Some(here) = users.get_mut(&user) else { return Vec::new() };
        if here.groups.contains(&group) == is_member {
            return Vec::new();
        }
        let mut groups = here.groups.clone();
        if is_member {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
        self.move_to(user, here, groups)
    }

    /// The user's ties have changed: what is just being read of them may be old. `false`: the user is not here, nor on the way.
    pub fn have_changed(&self, user: u64) -> bool {
        let mut users = self.lock(user);
        let Some(here) = users.get_mut(&user) else { return false };
        here.changes += 1;
        true
    }

    /// A connection of a user comes back to a room that it had left. `false`: the room is not the user's.
    pub fn come_back(&self, user: u64, socket: &Socket, room: Room) -> bool {
        let users = self.lock(user);
        let is_in = match room {
            Room::User(owner) => owner == user,
            Room::Group(group) => users.get(&user).is_some_and(|here| here.groups.contains(&group)),
        };
        let is_late = |connection: &Connection| {
            matches!(room, Room::Group(group) if connection.late_in.contains(&group))
                && connection.socket == *socket
        };
        let will_be = users.get(&user).is_some_and(|here| here.connections.iter().any(is_late));
        if is_in && !will_be {
            socket.join(room.name());
        }
        is_in
    }

    /// The user's ties are these.
    #[must_use]
    pub fn set_ties(&self, user: u64, ties: Ties) -> Vec<Late> {
        let mut users = self.lock(user);
        let Some(here) = users.get_mut(&user) else { return Vec::new() };
        here.blocked_by = ties.blocked_by;
        let late = self.move_to(user, here, ties.groups);
        here.are_known();
        late
    }

    /// Whether a connection is still to be brought into a group's room.
    pub fn is_late(&self, user: u64, socket: SocketId, group: u64) -> bool {
        let mut users = self.lock(user);
        late_in(&mut users, user, socket).is_some_and(|late| late.contains(&group))
    }

    /// Has a latecomer that was brought up to `seq` join a group's room, if that is where the room is; whether it has. As everywhere,
    /// the lock of the user comes before that of the inbox.
    pub fn join_late(&self, user: u64, socket: &Socket, group: u64, seq: u64) -> bool {
        let mut users = self.lock(user);
        let Some(late) = late_in(&mut users, user, socket.id()).filter(|late| late.contains(&group)) else {
            return false;
        };
        let has_joined = self.delivery.join_at(group, seq, || socket.join(Room::Group(group).name()));
        if has_joined {
            late.remove(&group);
        }
        has_joined
    }

    /// Whether the groups of a user who is here are known.
    pub fn is_known(&self, user: u64) -> bool {
        let users = self.lock(user);
        users.get(&user).is_none_or(|here| !here.connections.iter().any(|connection| connection.is_early))
    }

    /// Whether the user, who is here, is a member of a group; `None` where the user is not here.
    pub fn is_member(&self, user: u64, group: u64) -> Option<bool> {
        let users = self.lock(user);
        let here = users.get(&user).filter(|here| !here.connections.is_empty())?;
        Some(here.groups.contains(&group))
    }

    /// Whether the user, who is here, is blocked by another one; `None` where the user is not here.
    pub fn is_blocked(&self, user: u64, by: u64) -> Option<bool> {
        let users = self.lock(user);
        let here = users.get(&user).filter(|here| !here.connections.is_empty())?;
        Some(here.blocked_by.contains(&by))
    }

    /// The groups of a user who is here.
    pub fn groups(&self, user: u64) -> Vec<u64> {
        self.lock(user).get(&user).map(|here| here.groups.iter().copied().collect()).unwrap_or_default()
    }

    /// The groups that anybody here is in.
    pub fn all_groups(&self) -> BTreeSet<u64> {
        self.all()
            .flat_map(|users| users.values().flat_map(|here| here.groups.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// The user's connections here.
    pub fn connections(&self, user: u64) -> Vec<Connection> {
        self.lock(user).get(&user).map(|here| here.connections.clone()).unwrap_or_default()
    }

    /// All users who are here.
    pub fn users(&self) -> Vec<u64> {
        let is_here = |(user, here): (&u64, &Here)| (!here.connections.is_empty()).then_some(*user);
        self.all().flat_map(|users| users.iter().filter_map(is_here).collect::<Vec<_>>()).collect()
    }

    /// All connections.
    pub fn all_connections(&self) -> Vec<Connection> {
        self.all()
            .flat_map(|users| users.values().flat_map(|h| h.connections.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// How many users are here.
    pub fn count(&self) -> usize {
        self.all().map(|users| users.values().filter(|here| !here.connections.is_empty()).count()).sum()
    }

    /// Moves all connections of a user to these groups.
    fn move_to(&self, user: u64, here: &mut Here, groups: BTreeSet<u64>) -> Vec<Late> {
        let mut latecomers = Vec::new();
        for Connection { socket, since, is_early, late_in } in &mut here.connections {
            let new = groups.difference(&here.groups).copied();
            if *is_early {
                let groups: Vec<_> = new.collect();
                for room in groups.iter().copied().map(Room::Group) {
                    self.delivery.open(room, &room.name(), Some(socket.id()));
                }
                late_in.extend(&groups);
                if !groups.is_empty() {
                    latecomers.push(Late { user, socket: socket.clone(), since: *since, groups });
                }
            } else {
                new.for_each(|group| self.join(socket, Room::Group(group)));
            }
            for group in here.groups.difference(&groups) {
                late_in.remove(group);
                socket.leave(Room::Group(*group).name());
                self.delivery.close(Room::Group(*group));
            }
        }
        here.groups = groups;
        latecomers
    }

    /// The inbox is open before the first message can be for the connection.
    fn join(&self, socket: &Socket, room: Room) {
        let name = room.name();
        self.delivery.open(room, &name, Some(socket.id()));
        socket.join(name);
    }

    fn forget_if_gone(users: &mut HashMap<u64, Here>, user: u64) {
        if users.get(&user).is_some_and(|here| here.connections.is_empty() && here.arriving == 0) {
            users.remove(&user);
        }
    }

    fn lock(&self, user: u64) -> MutexGuard<'_, HashMap<u64, Here>> {
        self.users[user as usize % SPREAD].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<u64, Here>>> {
        self.users.iter().map(|users| users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The groups that a connection is being brought into, where it is here.
fn late_in(users: &mut HashMap<u64, Here>, user: u64, socket: SocketId) -> Option<&mut BTreeSet<u64>> {
    let mut connections = users.get_mut(&user)?.connections.iter_mut();
    connections.find(|connection| connection.socket.id() == socket).map(|connection| &mut connection.late_in)
}

/// A connection that is on its way, until it is dropped.
pub struct Arrival {
    roster: Arc<Roster>,
    user: u64,
    changes: u64,
}

impl Arrival {
    /// Whether a tie of the user has changed since.
    pub fn has_changed(&self) -> bool {
        self.roster.lock(self.user).get(&self.user).is_some_and(|here| here.changes != self.changes)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut users = self.roster.lock(self.user);
        if let Some(here) = users.get_mut(&self.user) {
            here.arriving -= 1;
        }
        Roster::forget_if_gone(&mut users, self.user);
    }
}
