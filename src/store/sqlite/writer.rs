//! The thread that writes: takes what has arrived, stores it in one transaction, then answers.
//!
//! While a commit waits for the disk, further messages queue up; they are the next batch. So the more load, the
//! more messages share a commit, and a single message still waits for one commit only. A message that cannot be
//! stored fails alone; a transaction that cannot be committed fails as a whole, and the next one starts afresh
//! from what the database says.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::rows::{self, SELECT_MESSAGE, conversation_key, signed, store_error};
use crate::store::{Appended, Conversation, Message, NewMessage, OnCommit, StoreError, Timestamp};

/// A message, and who waits for it.
pub(super) struct Append {
    pub message: NewMessage,
    pub then: OnCommit,
    pub reply: oneshot::Sender<Result<Appended, StoreError>>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub appended: AtomicU64,
    pub duplicates: AtomicU64,
    pub commits: AtomicU64,
    pub failed: AtomicU64,
}

pub(super) struct Writer {
    pub connection: Connection,
    pub queue: mpsc::Receiver<Append>,
    pub max_batch: usize,
    pub counters: Arc<Counters>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        let mut batch = Vec::new();
        let mut places = Places::new(HOT_CONVERSATIONS);
        while self.queue.blocking_recv_many(&mut batch, self.max_batch) > 0 {
            let (messages, waiting): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|append| (append.message, (append.reply, append.then))).unzip();
            let results = match store(&mut self.connection, &mut places, messages) {
                Ok(results) => results,
                Err(error) => {
                    places.clear();
                    waiting.iter().map(|_| Err(error.clone())).collect()
                }
            };
            self.count(&results);
            for ((reply, then), result) in waiting.into_iter().zip(results) {
                let stored = result.as_ref().ok().filter(|appended| !appended.duplicate);
                let stored = stored.map(|appended| Arc::clone(&appended.message));
                // Whoever does not wait any more does not want to know.
                let _ = reply.send(result);
                // Whatever goes wrong in there is not to end this thread.
                if let Some(message) = stored
                    && catch_unwind(AssertUnwindSafe(|| then(&message))).is_err()
                {
                    tracing::error!(id = message.id, "what follows a commit has panicked");
                }
            }
        }
        // The next start need not replay the log. If this fails, it will.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    fn count(&self, results: &[Result<Appended, StoreError>]) {
        let Counters { appended, duplicates, commits, failed } = &*self.counters;
        let count = |wanted: fn(&Result<Appended, StoreError>) -> bool| {
            results.iter().filter(|result| wanted(result)).count() as u64
        };
        let stored = count(|result| matches!(result, Ok(Appended { duplicate: false, .. })));
        appended.fetch_add(stored, Relaxed);
        duplicates.fetch_add(count(|result| matches!(result, Ok(Appended { duplicate: true, .. }))), Relaxed);
        failed.fetch_add(count(Result::is_err), Relaxed);
        commits.fetch_add(u64::from(stored > 0), Relaxed);
    }
}

/// Stores the messages in one transaction. `Err` when none of them is stored.
fn store(
    connection: &mut Connection,
    places: &mut Places,
    messages: Vec<NewMessage>,
) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(batch_error)?;
    let mut results = Vec::with_capacity(messages.len());
    for message in messages {
        let conversation = message.conversation();
        let result =
            append(&transaction, places, conversation, message).inspect_err(|_| places.forget(conversation));
        match result {
            // After some errors (disk full, I/O) SQLite has rolled back everything on its own.
            Err(error) if transaction.is_autocommit() => return Err(batch_error(error)),
            result => results.push(result.map_err(store_error)),
        }
    }
    transaction.commit().map_err(batch_error)?;
    Ok(results)
}

fn append(
    transaction: &Transaction<'_>,
    places: &mut Places,
    conversation: Conversation,
    new: NewMessage,
) -> rusqlite::Result<Appended> {
    let place = places.find(transaction, conversation)?;
    let (message_id, created_at, seq) = (Uuid::new_v4(), Timestamp::now(), place.last_seq + 1);
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO messages (message_id, conversation_id, seq, from_user_id, message_type, content, file_url, \
                file_size, file_name, reply_to_message_id, client_message_id, created_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (from_user_id, client_message_id) WHERE client_message_id IS NOT NULL DO NOTHING",
        )?
        .execute((
            message_id.as_bytes(),
            place.conversation_id,
            signed(seq),
            signed(new.from_user_id),
            new.message_type as u8,
            &new.content,
            &new.file_url,
            new.file_size.map(signed),
            &new.file_name,
            &new.reply_to_message_id,
            &new.client_message_id,
            created_at.unix_ms(),
        ))?;
    if inserted == 0 {
        let message = transaction
            .prepare_cached(&format!(
                "{SELECT_MESSAGE} WHERE m.from_user_id = ? AND m.client_message_id = ?"
            ))?
            .query_row((signed(new.from_user_id), &new.client_message_id), rows::message)?;
        return Ok(Appended { message: Arc::new(message), duplicate: true });
    }
    place.last_seq = seq;
    let (to_user_id, group_id) = rows::addressee(conversation, new.from_user_id);
    let message = Message {
        id: transaction.last_insert_rowid().unsigned_abs(),
        message_id: message_id.to_string(),
        conversation,
        seq,
        from_user_id: new.from_user_id,
        to_user_id,
        group_id,
        message_type: new.message_type,
        content: new.content,
        file_url: new.file_url,
        file_size: new.file_size,
        file_name: new.file_name,
        reply_to_message_id: new.reply_to_message_id,
        client_message_id: new.client_message_id,
        is_read: false,
        is_deleted: false,
        created_at,
    };
    Ok(Appended { message: Arc::new(message), duplicate: false })
}

/// An error of the transaction is no fault of any message in it.
fn batch_error(error: rusqlite::Error) -> StoreError {
    match store_error(error) {
        StoreError::Invalid(text) => StoreError::Unavailable(text),
        other => other,
    }
}

/// Conversations whose place is kept in memory, up to twice as many; some 100 bytes each.
const HOT_CONVERSATIONS: usize = 32_768;

/// Where the next message of a conversation goes.
struct Place {
    conversation_id: i64,
    last_seq: u64,
}

/// The places of conversations lately written to. What is not here is read from the database, within the
/// transaction that needs it. Two generations: when the young one is full it becomes the old one, whose
/// conversations are forgotten unless they are written to again in time.
struct Places {
    young: HashMap<Conversation, Place>,
    old: HashMap<Conversation, Place>,
    limit: usize,
}

impl Places {
    fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit }
    }

    /// The place of a conversation, which is created if it is new.
    fn find(
        &mut self,
        transaction: &Transaction<'_>,
        conversation: Conversation,
    ) -> rusqlite::Result<&mut Place> {
        if !self.young.contains_key(&conversation) {
            let place = match self.old.remove(&conversation) {
                Some(place) => place,
                None => read_place(transaction, conversation)?,
            };
            if self.young.len() >= self.limit {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(conversation, place);
        }
        Ok(self.young.get_mut(&conversation).expect("it was just inserted"))
    }

    fn forget(&mut self, conversation: Conversation) {
        self.young.remove(&conversation);
        self.old.remove(&conversation);
    }

    fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

fn read_place(transaction: &Transaction<'_>, conversation: Conversation) -> rusqlite::Result<Place> {
    let key = conversation_key(conversation);
    let found = transaction
        .prepare_cached(
            "SELECT id, (SELECT max(seq) FROM messages WHERE conversation_id = conversations.id) \
             FROM conversations WHERE kind = ? AND first_id = ? AND second_id = ?",
        )?
        .query_row(key, |row| {
            let last_seq = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            Ok(Place { conversation_id: row.get(0)?, last_seq: last_seq.unsigned_abs() })
        })
        .optional()?;
    if let Some(place) = found {
        return Ok(place);
    }
    transaction
        .prepare_cached("INSERT INTO conversations (kind, first_id, second_id) VALUES (?, ?, ?)")?
        .execute(key)?;
    Ok(Place { conversation_id: transaction.last_insert_rowid(), last_seq: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Target;
    use crate::store::sqlite::schema;

    #[test]
    fn forgotten_places_are_read_again() {
        const GROUPS: u64 = 7;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let mut connection = Connection::open(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        // Fewer places than conversations, so that each is forgotten and found again, also within a batch.
        for limit in [1, 2, 3, 100] {
            let mut places = Places::new(limit);
            for _ in 0..3 {
                let batch =
                    (0..5 * GROUPS).map(|n| NewMessage::text(1, Target::Group(1 + n * n % GROUPS), "x"));
                for result in store(&mut connection, &mut places, batch.collect()).unwrap() {
                    result.unwrap();
                }
                assert!(places.young.len() <= limit && places.old.len() <= limit);
            }
        }
        let gaps: i64 = connection
            .query_row(
                "SELECT count(*) FROM (SELECT 1 FROM messages GROUP BY conversation_id HAVING max(seq) <> count(*))",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(gaps, 0);
    }
}
