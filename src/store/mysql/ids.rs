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
        // Most are new to this node only.
        for create in [false, true] {
            if create && !missing.is_empty() {
                // In the same order on all nodes, as they lock each other's rows for a moment.
                let rows = list(missing.iter().map(|conversation| format!("({})", name(*conversation))));
                session
                    .run(&format!(
                        "INSERT IGNORE INTO conversations (kind, first_id, second_id) VALUES {rows}"
                    ))
                    .await?;
            }
            self.look_up(session, &mut missing, &mut ids).await?;
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

    async fn look_up(
        &mut self,
        session: &mut Session,
        missing: &mut BTreeSet<Conversation>,
        ids: &mut BTreeSet<u64>,
    ) -> Result<(), Fault> {
        if missing.is_empty() {
            return Ok(());
        }
        let names = list(missing.iter().map(|conversation| format!("({})", name(*conversation))));
        // With a choice of indexes, MariaDB ponders ranges of all of them, for ten times as long as it then looks.
        let select = format!(
            "SELECT id, kind, first_id, second_id FROM conversations FORCE INDEX (conversations_by_name) \
             WHERE (kind, first_id, second_id) IN ({names})"
        );
        for row in session.answers(&select, 1).await?.iter().flatten() {
            let (conversation, id) = (conversation_of(row, 1)?, row.get(0)?);
            missing.remove(&conversation);
            ids.insert(id);
            self.insert(conversation, id);
        }
        Ok(())
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
    list(conversation_key(conversation).iter().map(Literal::from))
}
