//! What is written in Redis of this node's users, and what of it is to be changed.
//!
//! Only its owner writes a node's users, and under each epoch from nothing. So there is nothing to merge: a batch is the
//! difference between what is there and what should be, and what happened in between does not matter. Without
//! clock and I/O.

use std::collections::{BTreeMap, HashMap};

use crate::presence::users::{Here, Users};
use crate::store::Timestamp;

/// A user as written in Redis: `USER:CONNECTIONS:SINCE`, a member of a sorted set whose score is the user id, so that the
/// set can be paged by user and asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) connections: u32,
    pub(super) since: Timestamp,
}

/// What is to be written at once, and what others are to hear of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) add: Vec<(u64, Entry)>,
    pub(super) remove: Vec<(u64, Entry)>,
    /// Users that others see come with this, and since when.
    pub(super) here: Vec<(u64, Timestamp)>,
    /// Users that others see go, and when they did.
    pub(super) gone: Vec<(u64, Timestamp)>,
}

/// What is written.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    written: HashMap<u64, Entry>,
}

impl Entry {
    pub(super) fn to_member(self, user: u64) -> String {
        format!("{user}:{}:{}", self.connections, self.since.unix_ms())
    }

    /// `None` for what is no user.
    pub(super) fn from_member(member: &str) -> Option<(u64, Self)> {
        let mut parts = member.splitn(3, ':');
        let user = parts.next()?.parse().ok()?;
        let connections = parts.next()?.parse().ok()?;
        let since = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
        Some((user, Self { connections, since }))
    }
}

impl From<Here> for Entry {
    fn from(Here { connections, since }: Here) -> Self {
        Self { connections, since }
    }
}

impl Ledger {
    /// How many users are written.
    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    /// Nothing is written: an epoch begins.
    pub(super) fn clear(&mut self) {
        self.written.clear();
    }

    /// Takes at most `limit` changed users, and gives what is to be written of them. It counts as written from now on: if
    /// it can't be written, nothing is known any more, and another epoch must begin.
    pub(super) fn batch(
        &mut self,
        changed: &mut BTreeMap<u64, Timestamp>,
        users: &Users,
        limit: usize,
    ) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..limit {
            let Some((user, at)) = changed.pop_first() else { break };
            let (old, new) = (self.written.get(&user).copied(), users.get(user).map(Entry::from));
            if old == new {
                continue;
            }
            match new {
                Some(entry) => {
                    batch.add.push((user, entry));
                    self.written.insert(user, entry);
                    if old.is_none() {
                        batch.here.push((user, entry.since));
                    }
                }
                None => {
                    self.written.remove(&user);
                    batch.gone.push((user, at));
                }
            }
            batch.remove.extend(old.map(|entry| (user, entry)));
        }
        batch
    }

    /// What a batch adds was refused, and is to be given once more. Leaves what is taken out for nothing in its place.
    pub(super) fn refuse(&mut self, batch: &mut Batch, changed: &mut BTreeMap<u64, Timestamp>) {
        for (user, entry) in batch.add.drain(..) {
            self.written.remove(&user);
            // Who has gone since is told of with the time of that.
            changed.entry(user).or_insert(entry.since);
        }
        let written = &mut self.written;
        batch.remove.retain(|(user, entry)| {
            let is_replaced = changed.contains_key(user);
            if is_replaced {
                written.insert(*user, *entry);
            }
            !is_replaced
        });
        batch.here.clear();
        batch.gone.retain(|(user, _)| !changed.contains_key(user));
    }
}

impl Batch {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_batch_is_the_difference() {
        let (t, now) = (Timestamp::from_unix_ms, Instant::now());
        let entry = |connections, since| Entry { connections, since: t(since) };
        let mut users = Users::new(Duration::ZERO);
        let mut ledger = Ledger::default();
        let mut changed = BTreeMap::new();

        users.enter(1, t(1));
        users.enter(2, t(2));
        changed.extend([(1, t(1)), (2, t(2)), (3, t(2))]);
        let batch = ledger.batch(&mut changed, &users, 1);
        assert_eq!((batch.add, batch.here), (vec![(1, entry(1, 1))], vec![(1, t(1))]), "one at a time");
        let batch = ledger.batch(&mut changed, &users, 10);
        assert_eq!((batch.add, ledger.len()), (vec![(2, entry(1, 2))], 2), "3 came and went in between");

        users.enter(1, t(3));
        users.leave(2, t(4), now);
        assert_eq!(users.handle_timeout(now), Some((2, t(4))));
        changed.extend([(1, t(3)), (2, t(4))]);
        let whole = ledger.batch(&mut changed, &users, 10);
        let mut refused = whole.clone();
        ledger.refuse(&mut refused, &mut changed);
        let without_2 = Batch { remove: vec![(2, entry(1, 2))], gone: vec![(2, t(4))], ..Batch::default() };
        assert_eq!(refused, without_2, "who has gone is taken out all the same");
        let again = ledger.batch(&mut changed, &users, 10);
        assert_eq!((again.add, again.remove), (vec![(1, entry(2, 1))], vec![(1, entry(1, 1))]));
        let batch = whole;
        assert_eq!(batch.add, [(1, entry(2, 1))]);
        assert_eq!(batch.remove, [(1, entry(1, 1)), (2, entry(1, 2))]);
        assert_eq!((batch.here, batch.gone), (vec![], vec![(2, t(4))]), "a second device is no news");

        users.leave(1, t(5), now);
        users.enter(1, t(6));
        changed.insert(1, t(6));
        assert!(ledger.batch(&mut changed, &users, 10).is_empty(), "back to what is written");
    }

    #[test]
    fn members() {
        let entry = Entry { connections: 2, since: Timestamp::from_unix_ms(1_700_000_000_123) };
        assert_eq!(entry.to_member(7), "7:2:1700000000123");
        assert_eq!(Entry::from_member("7:2:1700000000123"), Some((7, entry)));
        for member in ["", "7", "7:2", "7:2:", "7:-1:1", ":1:1"] {
            assert_eq!(Entry::from_member(member), None, "{member:?}");
        }
    }
}
