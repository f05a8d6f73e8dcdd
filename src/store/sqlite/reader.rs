//! The threads that read, each on its own read-only connection: in WAL mode a reader never waits for a commit.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::rows::{self, SELECT_MESSAGE, conversation_key, signed, store_error};
use crate::store::{Conversation, MAX_SYNC_LIMIT, StoreError, SyncPage};

/// A page that somebody waits for.
pub(super) struct Read {
    pub conversation: Conversation,
    pub after_seq: u64,
    pub limit: u32,
    pub reply: oneshot::Sender<Result<SyncPage, StoreError>>,
}

pub(super) struct Reader {
    pub connection: Connection,
    /// Shared by the readers: whoever holds it takes the next one.
    pub queue: Arc<Mutex<mpsc::Receiver<Read>>>,
}

impl Reader {
    /// Works until the queue is closed and empty.
    pub fn run(self) {
        while let Some(read) = self.next() {
            if !read.reply.is_closed() {
                let page = self.sync(&read).map_err(store_error);
                let _ = read.reply.send(page);
            }
        }
    }

    fn next(&self) -> Option<Read> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }

    fn sync(&self, read: &Read) -> rusqlite::Result<SyncPage> {
        let limit = read.limit.min(MAX_SYNC_LIMIT) as usize;
        let (kind, first_id, second_id) = conversation_key(read.conversation);
        let mut messages = self
            .connection
            .prepare_cached(&sync_query())?
            // One more tells whether there are more.
            .query_map((kind, first_id, second_id, signed(read.after_seq), limit as i64 + 1), rows::message)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let has_more = messages.len() > limit;
        messages.truncate(limit);
        Ok(SyncPage { messages, has_more })
    }
}

fn sync_query() -> String {
    format!(
        "{SELECT_MESSAGE} WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn a_page_is_found_by_index_and_not_sorted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let mut connection = Connection::open(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", sync_query()))
            .unwrap()
            .query_map((1, 1, 2, 0, 10), |row| row.get("detail"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(plan.len(), 2, "one step for each table: {plan:?}");
        assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
        assert!(plan[1].contains("messages_by_place"), "{plan:?}");
    }
}
