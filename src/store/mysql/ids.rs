//! The ids of conversations: rows are locked by id, and a conversation never changes it.

use std::collections::{BTreeSet, HashMap};

use super::fault::Fault;
use super::literal::{Literal, list};
use super::session::Session;
use crate::store::Conversation;
use crate::store::messages::{conversation_key, conversation_of};

/// Conversations whose id is kept in memory, up to twice as many; some 60 bytes each.
const HOT_CONVERSATIONS: usize = 32_768;

/// The ids of conversations lately written to. Two generations: when the young one is full it becomes the old one, whose
/// conversations are forgotten unless they are written to again in time.
#[derive(Debug, Default)]
pub(super) struct Ids {
    young: HashMap<Conversation, u64>,
    old: HashMap<Conversation, u64>,
}

impl Ids {
    /// The ids of the conversations. Those that are new are created, empty, in a transaction of their own.
    pub async fn find(
        &mut self,
        session: &mut Session,
        conversations: &BTreeSet<Conversation>,
    ) -> Result<BTreeSet<u64>, Fault> {
        let mut ids = BTreeSet::new();
        let mut missing = BTreeSet::new();
        for conversation in conversations {
            match self.get(conversation) {
                Some(id) => _ = ids.insert(id),
                None => _ = missing.insert(*conversation),
            }
        }
        // Most are new to this node only, so they are looked for before they are created.
        for create in [false, true] {
            if missing.is_empty() {
                break;
            }
            // In the same order on all nodes, which lock each other's new rows for a moment.
            let names = list(missing.iter().map(|conversation| format!("({})", name(*conversation))));
            let insert = if create {
                format!("INSERT IGNORE INTO conversations (kind, first_id, second_id) VALUES {names}; ")
            } else {
                String::new()
            };
            // With a choice of indexes, MariaDB ponders ranges of all of them, for ten times as long as it then looks.
            let script = format!(
                "{insert}SELECT id, kind, first_id, second_id \
                 FROM conversations FORCE INDEX (conversations_by_name) \
                 WHERE (kind, first_id, second_id) IN ({names})"
            );
            for row in session.answers(&script, 2).await?.iter().flatten() {
                let (conversation, id) = (conversation_of(row, 1)?, row.get(0)?);
                missing.remove(&conversation);
                ids.insert(id);
                self.insert(conversation, id);
            }
        }
        if missing.is_empty() {
            Ok(ids)
        } else {
            Err(Fault::Conflict("conversations vanish as soon as they are created".to_owned()))
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn get(&mut self, conversation: &Conversation) -> Option<u64> {
        if let Some(id) = self.young.get(conversation) {
            return Some(*id);
        }
        let id = self.old.remove(conversation)?;
        self.insert(*conversation, id);
        Some(id)
    }

    fn insert(&mut self, conversation: Conversation, id: u64) {
        if self.young.len() >= HOT_CONVERSATIONS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(conversation, id);
    }
}

/// The columns `kind`, `first_id` and `second_id` of a conversation, as literals.
pub(super) fn name(conversation: Conversation) -> String {
    list(conversation_key(conversation).iter().map(Literal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_is_remembered_and_the_rest_forgotten() {
        let hot = HOT_CONVERSATIONS as u64;
        let mut ids = Ids::default();
        for n in 1..=10 * hot {
            ids.insert(Conversation::Group(n), n);
            // One conversation is written to now and then.
            if n % (hot / 3) == 0 {
                assert_eq!(ids.get(&Conversation::Group(1)), Some(1), "after {n}");
            }
            assert!(ids.young.len() <= HOT_CONVERSATIONS && ids.old.len() <= HOT_CONVERSATIONS);
        }
        assert_eq!(ids.get(&Conversation::Group(2)), None);
        assert_eq!(ids.get(&Conversation::Group(10 * hot)), Some(10 * hot));
    }
}
