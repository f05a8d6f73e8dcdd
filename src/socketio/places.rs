//! Which shards have members of which rooms, so that what is for a room is told to no shard that has nobody for it.
//!
//! It may say too many, never too few: a shard writes a room down before anybody can know that it has a member there, and
//! one that is about to make sockets join is counted from the moment that it is asked.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::op::{Op, Selection, Which};
use crate::ids::{ShardId, SocketId};

/// Where the rooms of a server are.
pub struct Places {
    shards: ShardId,
    hasher: RandomState,
    rooms: [Mutex<Rooms>; SPREAD],
    /// For each shard, what it was asked that makes sockets join rooms, and is not done yet.
    joins: Box<[AtomicUsize]>,
}

/// Locks that the rooms are spread over.
const SPREAD: usize = 64;
/// With more rooms in a selection, all shards are asked.
const MAX_ROOMS: usize = 8;
/// Shards for which there are bits. If there are more, all are always asked.
const MAX_SHARDS: ShardId = u64::BITS as ShardId;

/// Rooms by the hash of their names. Two rooms of one hash count as one, which is told of to the shards of both.
#[derive(Default)]
struct Rooms {
    /// The shards that have the room, a bit for each.
    shards: HashMap<u64, u64, BuildHasherDefault<Hashed>>,
    /// How many rooms more of this hash a shard has.
    more: HashMap<(u64, ShardId), u32>,
}

impl Places {
    /// No room has members yet.
    pub fn new(shards: ShardId) -> Self {
        Places {
            shards,
            hasher: RandomState::default(),
            rooms: std::array::from_fn(|_| Mutex::default()),
            joins: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// A room has its first member on a shard.
    pub fn opened(&self, namespace: &str, room: &str, shard: ShardId) {
        self.open(self.hash(namespace, room), shard);
    }

    fn open(&self, hash: u64, shard: ShardId) {
        let Some(bit) = self.bit(shard) else { return };
        let mut rooms = self.lock(hash);
        let shards = rooms.shards.entry(hash).or_default();
        if *shards & bit == 0 {
            *shards |= bit;
        } else {
            *rooms.more.entry((hash, shard)).or_default() += 1;
        }
    }

    /// A room has lost its last member on a shard.
    pub fn closed(&self, namespace: &str, room: &str, shard: ShardId) {
        self.close(self.hash(namespace, room), shard);
    }

    fn close(&self, hash: u64, shard: ShardId) {
        let Some(bit) = self.bit(shard) else { return };
        let mut rooms = self.lock(hash);
        if let Some(more) = rooms.more.get_mut(&(hash, shard)) {
            *more -= 1;
            if *more == 0 {
                rooms.more.remove(&(hash, shard));
            }
            return;
        }
        let Some(shards) = rooms.shards.get_mut(&hash) else { return };
        *shards &= !bit;
        if *shards == 0 {
            rooms.shards.remove(&hash);
        }
    }

    /// A shard is about to be asked.
    pub fn asked(&self, shard: ShardId, op: &Op) {
        if let Some(joins) = self.joins.get(usize::from(shard)).filter(|_| op.joins_rooms()) {
            joins.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A shard has made sockets join rooms, as it was asked.
    pub fn joined(&self, shard: ShardId) {
        self.joins[usize::from(shard)].fetch_sub(1, Ordering::AcqRel);
    }

    /// The shards that may have any of these sockets, a bit for each; `None`: all.
    pub fn of(&self, selection: &Selection) -> Option<u64> {
        let Which::Named(namespace) = &selection.namespace else { return None };
        if !(1..=MAX_ROOMS).contains(&selection.rooms.len()) {
            return None;
        }
        let mut all = 0;
        // Before the rooms: who is not counted here any more has written its rooms down.
        for shard in 0..self.shards {
            if self.joins[usize::from(shard)].load(Ordering::Acquire) > 0 {
                all |= self.bit(shard)?;
            }
        }
        for room in &selection.rooms {
            // The id of a socket is a room without an entry.
            if room.parse::<SocketId>().is_ok() {
                return None;
            }
            let hash = self.hash(namespace, room);
            all |= self.lock(hash).shards.get(&hash).copied().unwrap_or_default();
        }
        (self.shards <= MAX_SHARDS).then_some(all)
    }

    /// A shard's bit, if there are as many bits as shards.
    fn bit(&self, shard: ShardId) -> Option<u64> {
        (self.shards <= MAX_SHARDS).then(|| 1 << shard)
    }

    fn hash(&self, namespace: &str, room: &str) -> u64 {
        self.hasher.hash_one((namespace, room))
    }

    fn lock(&self, hash: u64) -> MutexGuard<'_, Rooms> {
        // Nothing that can panic runs under this lock.
        self.rooms[hash as usize % SPREAD].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is a hash already, without the bits that have chosen the lock.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_right(SPREAD.trailing_zeros());
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::socketio::op::Target;

    fn selection(namespace: &str, rooms: &[&str]) -> Selection {
        let rooms = rooms.iter().map(|room| Arc::from(*room)).collect();
        Selection { namespace: Which::Named(namespace.into()), rooms, except: Vec::new(), skip: None }
    }

    #[test]
    fn says_where_rooms_are() {
        let places = Places::new(3);
        places.opened("/", "a", 0);
        places.opened("/", "a", 2);
        places.opened("/", "b", 1);
        places.opened("/x", "a", 1);
        let of = |namespace, rooms: &[&str]| places.of(&selection(namespace, rooms));
        assert_eq!([of("/", &["a"]), of("/", &["b"]), of("/", &["c"])], [Some(0b101), Some(0b010), Some(0)]);
        assert_eq!(
            [of("/x", &["a"]), of("/", &["a", "b"]), of("/x", &["b"])],
            [Some(0b010), Some(0b111), Some(0)]
        );
        assert_eq!([of("/", &[]), of("/", &["r"; MAX_ROOMS + 1])], [None, None]);
        assert_eq!(of("/", &[&SocketId::random(1, 7).to_string()]), None, "the id of a socket");
        places.closed("/", "a", 0);
        assert_eq!(of("/", &["a"]), Some(0b100));
    }

    #[test]
    fn a_shard_that_is_asked_to_join_counts_until_it_is_done() {
        let places = Places::new(2);
        let target = Target::Socket(SocketId::random(1, 7));
        let op = |join: &[&str], leave: &[&str]| Op::Rooms {
            target: target.clone(),
            join: join.iter().map(|room| Arc::from(*room)).collect(),
            leave: leave.iter().map(|room| Arc::from(*room)).collect(),
        };
        let of = || places.of(&selection("/", &["a"]));
        places.asked(1, &op(&[], &["a"]));
        assert_eq!(of(), Some(0));
        places.asked(1, &op(&["a"], &[]));
        assert_eq!(of(), Some(0b10));
        places.joined(1);
        assert_eq!(of(), Some(0));
    }

    #[test]
    fn what_is_asked_for_after_a_join_finds_it() {
        const ROUNDS: usize = 20_000;
        let places = Places::new(1);
        let op = Op::Rooms {
            target: Target::Socket(SocketId::random(0, 7)),
            join: [Arc::from("a")].into(),
            leave: [].into(),
        };
        let (ask, asked) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for () in asked {
                    places.opened("/", "a", 0);
                    places.joined(0);
                }
            });
            for _ in 0..ROUNDS {
                places.asked(0, &op);
                ask.send(()).unwrap();
                assert_eq!(places.of(&selection("/", &["a"])), Some(1));
                while places.joins[0].load(Ordering::Acquire) > 0 {
                    std::hint::spin_loop();
                }
                places.closed("/", "a", 0);
            }
            drop(ask);
        });
    }

    #[test]
    fn more_shards_than_bits_are_all_asked() {
        let places = Places::new(MAX_SHARDS + 1);
        places.opened("/", "a", MAX_SHARDS);
        assert_eq!(places.of(&selection("/", &["a"])), None);
        places.closed("/", "a", MAX_SHARDS);
    }

    proptest! {
        /// As a set of rooms says it, also when rooms share a hash.
        #[test]
        fn behaves_as_a_set_of_rooms(steps in proptest::collection::vec((0_u16..3, 0_u64..5), 0..60)) {
            let (places, mut model, hash) = (Places::new(3), BTreeSet::new(), |room: u64| room % 2);
            let toggle = |model: &mut BTreeSet<_>, shard, room| {
                if model.remove(&(shard, room)) {
                    places.close(hash(room), shard);
                } else {
                    model.insert((shard, room));
                    places.open(hash(room), shard);
                }
            };
            for (shard, room) in steps {
                toggle(&mut model, shard, room);
                for of in 0..2 {
                    let bits = model.iter().filter(|(_, room)| hash(*room) == of).fold(0, |bits, (shard, _)| bits | 1 << shard);
                    prop_assert_eq!(places.lock(of).shards.get(&of).copied().unwrap_or_default(), bits);
                }
            }
            for (shard, room) in model.clone() {
                toggle(&mut model, shard, room);
            }
            let is_empty = |rooms: &Mutex<Rooms>| {
                let rooms = rooms.lock().unwrap();
                rooms.shards.is_empty() && rooms.more.is_empty()
            };
            prop_assert!(places.rooms.iter().all(is_empty));
        }
    }
}
