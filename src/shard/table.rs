//! A table of slots that are named by place and generation.
//!
//! It grows by pages and never moves what is in it. A key whose tenant has left finds nothing, for ever: the
//! generation counts up with each reuse (32 bits; a slot would have to be reused four billion times).

use crate::ids::Key;

const PAGE: usize = 256;

/// Slots for `T`.
#[derive(Debug)]
pub struct Table<T> {
    pages: Vec<Box<[Slot<T>]>>,
    free: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { pages: Vec::new(), free: None, len: 0 }
    }
}

impl<T> Table<T> {
    /// Puts in what `make` makes of its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.unwrap_or_else(|| self.grow());
        let slot = &mut self.pages[index as usize / PAGE][index as usize % PAGE];
        let key = Key { slot: index, generation: slot.generation };
        if let State::Free { next } = slot.state {
            self.free = next;
        }
        slot.state = State::Used(make(key));
        self.len += 1;
        key
    }

    fn grow(&mut self) -> u32 {
        let first = u32::try_from(self.pages.len() * PAGE).expect("fewer than 2^32 slots fit into memory");
        let last = first + PAGE as u32 - 1;
        self.pages.push(
            (first..=last)
                .map(|index| Slot {
                    generation: 0,
                    state: State::Free { next: (index < last).then_some(index + 1) },
                })
                .collect(),
        );
        first
    }

    fn slot(&self, key: Key) -> Option<&Slot<T>> {
        let slot = self.pages.get(key.slot as usize / PAGE)?.get(key.slot as usize % PAGE)?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let slot = self.pages.get_mut(key.slot as usize / PAGE)?.get_mut(key.slot as usize % PAGE)?;
        (slot.generation == key.generation).then_some(slot)
    }

    /// The tenant of this key, if it is still there.
    pub fn get(&self, key: Key) -> Option<&T> {
        match &self.slot(key)?.state {
            State::Used(value) => Some(value),
            State::Free { .. } => None,
        }
    }

    /// The tenant of this key, if it is still there.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match &mut self.slot_mut(key)?.state {
            State::Used(value) => Some(value),
            State::Free { .. } => None,
        }
    }

    /// The tenant of a place, with its key, whoever it is.
    pub fn at(&self, index: u32) -> Option<(Key, &T)> {
        let slot = self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)?;
        match &slot.state {
            State::Used(value) => Some((Key { slot: index, generation: slot.generation }, value)),
            State::Free { .. } => None,
        }
    }

    /// Takes the tenant of this key out, if it is still there.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let free = self.free;
        let slot = self.slot_mut(key)?;
        match std::mem::replace(&mut slot.state, State::Free { next: free }) {
            State::Used(value) => {
                slot.generation = slot.generation.wrapping_add(1);
                self.free = Some(key.slot);
                self.len -= 1;
                Some(value)
            }
            free @ State::Free { .. } => {
                slot.state = free;
                None
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The keys of all tenants.
    pub fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// All tenants with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.pages.iter().flatten().zip(0..).filter_map(|(slot, index)| match &slot.state {
            State::Used(value) => Some((Key { slot: index, generation: slot.generation }, value)),
            State::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_late_removal_misses_the_newcomer() {
        let mut table = Table::default();
        let old = table.insert_with(|_| "old");
        assert_eq!(table.remove(old), Some("old"));
        let new = table.insert_with(|_| "new");
        assert_eq!(new.slot, old.slot, "the place is used again");
        assert_eq!((table.remove(old), table.get(old)), (None, None));
        assert_eq!(table.at(new.slot), Some((new, &"new")));
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..900)) {
            let (mut table, mut model) = (Table::default(), HashMap::new());
            let mut given = Vec::new();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert || given.is_empty() {
                    let key = table.insert_with(|_| n);
                    prop_assert_eq!(model.insert(key, n), None, "a key is never given twice");
                    given.push(key);
                } else {
                    let key = given[which.index(given.len())];
                    prop_assert_eq!(table.remove(key), model.remove(&key));
                }
                prop_assert_eq!(table.len(), model.len());
            }
            prop_assert!(given.iter().all(|key| table.get(*key) == model.get(key)));
            prop_assert_eq!(table.keys().len(), model.len());
        }
    }
}
