//! The rooms of one namespace on one shard: who is where.
//!
//! Members of a room stand in one dense list, for a broadcast to walk. Each member's own list says at which
//! place of the room's list it stands, so that leaving is a swap with the last and never a search.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::ids::Key;

/// Rooms and their members.
#[derive(Debug, Default)]
pub struct Rooms {
    by_name: HashMap<Arc<str>, Room, RandomState>,
}

#[derive(Debug, Default)]
struct Room {
    members: Vec<Key>,
}

/// What a wish to join a room has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Nothing: the member was there.
    Already,
    /// There is one member more.
    AsOneMore,
    /// The room has its first member.
    AsFirst,
}

/// What a wish to leave a room has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: the member was not there.
    Already,
    /// There is one member less.
    AsOneOfSeveral,
    /// The room has lost its last member.
    AsLast,
}

/// The rooms that one member is in. Kept by whoever keeps the member.
#[derive(Debug, Default)]
pub struct Memberships {
    rooms: Vec<(Arc<str>, u32)>,
}

impl Memberships {
    /// The names of the rooms.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rooms.iter().map(|(name, _)| name)
    }

    /// Whether the member is in the room.
    pub fn contains(&self, room: &str) -> bool {
        self.names().any(|name| **name == *room)
    }

    /// How many rooms the member is in.
    pub fn count(&self) -> usize {
        self.rooms.len()
    }
}

impl Rooms {
    /// Puts a member into a room.
    pub fn join(&mut self, room: &Arc<str>, member: Key, of: &mut Memberships) -> Joined {
        if of.contains(room) {
            return Joined::Already;
        }
        let (name, at) = match self.by_name.get_key_value(&**room) {
            Some((name, room)) => (name.clone(), room.members.len()),
            None => (room.clone(), 0),
        };
        self.by_name.entry(name.clone()).or_default().members.push(member);
        of.rooms.push((name, u32::try_from(at).unwrap_or(u32::MAX)));
        if at == 0 { Joined::AsFirst } else { Joined::AsOneMore }
    }

    /// Takes a member out of a room. `moved` must give the memberships of any member by its key, except of
    /// this one.
    pub fn leave<'a>(
        &mut self,
        room: &str,
        of: &mut Memberships,
        moved: impl FnOnce(Key) -> Option<&'a mut Memberships>,
    ) -> Left {
        let Some(index) = of.rooms.iter().position(|(name, _)| **name == *room) else { return Left::Already };
        let (name, at) = of.rooms.swap_remove(index);
        let Some(room) = self.by_name.get_mut(&name) else { return Left::Already };
        let at = at as usize;
        room.members.swap_remove(at);
        if let Some(last) = room.members.get(at).copied().and_then(moved)
            && let Some(place) = last.rooms.iter_mut().find(|(n, _)| *n == name)
        {
            place.1 = at as u32;
        }
        if !room.members.is_empty() {
            return Left::AsOneOfSeveral;
        }
        self.by_name.remove(&name);
        Left::AsLast
    }

    /// The members of a room.
    pub fn members(&self, room: &str) -> &[Key] {
        self.by_name.get(room).map_or(&[], |room| &room.members)
    }

    /// How many rooms have members.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no room has members.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        /// The same joins and leaves on a map of sets give the same members.
        #[test]
        fn behaves_as_a_map_of_sets(steps in proptest::collection::vec((any::<bool>(), 0u32..6, 0usize..4), 1..300)) {
            let names: Vec<Arc<str>> = ["a", "b", "c", "d"].map(Arc::from).into();
            let mut rooms = Rooms::default();
            let mut of: Vec<Memberships> = (0..6).map(|_| Memberships::default()).collect();
            let mut model: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
            for (join, who, room) in steps {
                let key = Key { slot: who, generation: 0 };
                let mut mine = std::mem::take(&mut of[who as usize]);
                let set = model.entry(room).or_default();
                if join {
                    let joined = rooms.join(&names[room], key, &mut mine);
                    let expected = match (set.insert(who), set.len()) {
                        (false, _) => Joined::Already,
                        (true, 1) => Joined::AsFirst,
                        (true, _) => Joined::AsOneMore,
                    };
                    prop_assert_eq!(joined, expected);
                } else {
                    let left = rooms.leave(&names[room], &mut mine, |key| of.get_mut(key.slot as usize));
                    let expected = match (set.remove(&who), set.len()) {
                        (false, _) => Left::Already,
                        (true, 0) => Left::AsLast,
                        (true, _) => Left::AsOneOfSeveral,
                    };
                    prop_assert_eq!(left, expected);
                }
                of[who as usize] = mine;
                for (room, set) in &model {
                    let members: BTreeSet<u32> = rooms.members(&names[*room]).iter().map(|k| k.slot).collect();
                    prop_assert_eq!(&members, set);
                    prop_assert_eq!(rooms.members(&names[*room]).len(), set.len());
                }
            }
            prop_assert_eq!(rooms.len(), model.values().filter(|set| !set.is_empty()).count());
        }
    }
}
