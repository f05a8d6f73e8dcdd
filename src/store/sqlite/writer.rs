//! The thread that writes: takes what has arrived, does it in one transaction, then answers.
//!
//! While a commit waits for the disk, further jobs queue up; they are the next batch. So the more load, the
//! more messages share a commit, and a single message still waits for one commit only. A job that cannot be
//! done fails alone; a transaction that cannot be committed fails as a whole, and the next one starts afresh
//! from what the database says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::errors::store_error;
use super::tx;
use crate::store::messages::{self, conversation_key};
use crate::store::refusing::Refusing;
use crate::store::sql::{Value, Work, values};
use crate::store::stats::Counters;
use crate::store::{Appended, Conversation, NewMessage, OnAppended, StoreError, Timestamp, tell};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What is to be done, and who waits for it.
pub(super) enum Job {
    Append { message: NewMessage, then: OnAppended },
    Write { work: Work, reply: Reply<()> },
}

/// What was done, to be answered after the commit.
enum Done {
    Append { result: Result<Appended, StoreError>, then: OnAppended },
    Write { result: Result<(), StoreError>, reply: Reply<()> },
}

pub(super) struct Writer {
    pub connection: Connection,
    pub queue: mpsc::Receiver<Job>,
    pub max_batch: usize,
    pub counters: Arc<Counters>,
    pub refusing: Arc<Refusing>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        let mut batch = Vec::new();
        let mut places = Places::new(HOT_CONVERSATIONS);
        while self.queue.blocking_recv_many(&mut batch, self.max_batch) > 0 {
            let done = transact(&mut self.connection, &mut places, &mut batch);
            self.count(&done);
            done.into_iter().for_each(answer);
        }
        // The next start need not replay the log. If this fails, it will.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    fn count(&self, done: &[Done]) {
        let Counters { appended, duplicates, commits, failed } = &*self.counters;
        let (mut stored, mut not_stored) = (0, 0);
        for done in done {
            match done {
                Done::Append { result: Ok(Appended { duplicate: false, .. }), .. } => stored += 1,
                Done::Append { result: Ok(_), .. } => _ = duplicates.fetch_add(1, Relaxed),
                Done::Append { result: Err(error), .. } => {
                    not_stored += 1;
                    if matches!(error, StoreError::Unavailable(_)) {
                        self.refusing.refused(error);
                    }
                }
                Done::Write { .. } => {}
            }
        }
        appended.fetch_add(stored, Relaxed);
        failed.fetch_add(not_stored, Relaxed);
        commits.fetch_add(u64::from(stored > 0), Relaxed);
        // One that is refused among others says more than those that were stored.
        if stored > 0 && not_stored == 0 {
            self.refusing.stored();
        }
    }
}

/// Tells whoever waits. Who does not wait any more does not want to know.
fn answer(done: Done) {
    match done {
        Done::Write { result, reply } => _ = reply.send(result),
        Done::Append { result, then } => tell(then, result),
    }
}

/// Does the jobs in one transaction, and commits it. If that fails, they have all failed.
fn transact(connection: &mut Connection, places: &mut Places, batch: &mut Vec<Job>) -> Vec<Done> {
    let mut outcome = statement(connection, "BEGIN IMMEDIATE").map_err(batch_error);
    let mut done = Vec::with_capacity(batch.len());
    for job in batch.drain(..) {
        done.push(match &outcome {
            Ok(()) => perform(connection, places, job),
            Err(error) => refuse(job, error),
        });
        // After some errors (disk full, I/O) SQLite has rolled back everything on its own.
        if outcome.is_ok() && connection.is_autocommit() {
            outcome = Err(done.last().and_then(error_of).map_or_else(
                || StoreError::Unavailable("the transaction has ended too early".to_owned()),
                |error| of_batch(error.clone()),
            ));
        }
    }
    if let Err(error) = outcome.and_then(|()| statement(connection, "COMMIT").map_err(batch_error)) {
        if !connection.is_autocommit() {
            // If this fails, so will the next BEGIN, which says why.
            let _ = statement(connection, "ROLLBACK");
        }
        places.clear();
        for done in &mut done {
            match done {
                Done::Append { result, .. } => *result = Err(error.clone()),
                Done::Write { result, .. } => *result = Err(error.clone()),
            }
        }
    }
    done
}

fn perform(connection: &mut Connection, places: &mut Places, job: Job) -> Done {
    match job {
        Job::Append { message, then } => {
            let conversation = message.conversation();
            let result = append(connection, places, conversation, message)
                .inspect_err(|_| places.forget(conversation));
            Done::Append { result, then }
        }
        Job::Write { work, reply } => Done::Write { result: write(connection, &work), reply },
    }
}

fn refuse(job: Job, error: &StoreError) -> Done {
    match job {
        Job::Append { then, .. } => Done::Append { result: Err(error.clone()), then },
        Job::Write { reply, .. } => Done::Write { result: Err(error.clone()), reply },
    }
}

fn error_of(done: &Done) -> Option<&StoreError> {
    match done {
        Done::Append { result, .. } => result.as_ref().err(),
        Done::Write { result, .. } => result.as_ref().err(),
    }
}

/// Does the work in a transaction within the transaction.
fn write(connection: &mut Connection, work: &Work) -> Result<(), StoreError> {
    statement(connection, "SAVEPOINT work").map_err(store_error)?;
    let result = tx::run(work, connection);
    if result.is_err() && !connection.is_autocommit() {
        statement(connection, "ROLLBACK TO work").map_err(store_error)?;
    }
    if !connection.is_autocommit() {
        statement(connection, "RELEASE work").map_err(store_error)?;
    }
    result
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn append(
    connection: &Connection,
    places: &mut Places,
    conversation: Conversation,
    new: NewMessage,
) -> Result<Appended, StoreError> {
    let place = places.find(connection, conversation).map_err(store_error)?;
    let (message_id, created_at, seq) = (Uuid::now_v7(), Timestamp::now(), place.last_seq + 1);
    let insert = || {
        connection
            .prepare_cached(
                "INSERT INTO messages (message_id, conversation_id, seq, from_user_id, message_type, content, \
                    file_url, file_size, file_name, reply_to_message_id, client_message_id, created_at_ms) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (from_user_id, client_message_id) WHERE client_message_id IS NOT NULL DO NOTHING",
            )?
            .execute((
                message_id.as_bytes(),
                place.conversation_id,
                Value::from(seq),
                Value::from(new.from_user_id),
                new.message_type as u8,
                &new.content,
                &new.file_url,
                Value::from(new.file_size),
                &new.file_name,
                &new.reply_to_message_id,
                &new.client_message_id,
                created_at.unix_ms(),
            ))
    };
    if insert().map_err(store_error)? == 0 {
        let found = tx::query(
            connection,
            &format!("{} WHERE m.from_user_id = ? AND m.client_message_id = ?", messages::SELECT),
            values![new.from_user_id, new.client_message_id],
        )?;
        let first =
            found.first().ok_or_else(|| StoreError::Corrupt("an index has a row too many".to_owned()))?;
        return Ok(Appended::before(Arc::new(messages::from_row(first)?)));
    }
    let previous_at = place.last_at.replace(created_at);
    place.last_seq = seq;
    let id = connection.last_insert_rowid().unsigned_abs();
    let message = new.stored(id, message_id, seq, created_at);
    Ok(Appended::now(Arc::new(message), previous_at))
}

/// An error of the transaction is no fault of any job in it.
fn of_batch(error: StoreError) -> StoreError {
    match error {
        StoreError::Invalid(text) | StoreError::Conflict(text) => StoreError::Unavailable(text),
        other => other,
    }
}

fn batch_error(error: rusqlite::Error) -> StoreError {
    of_batch(store_error(error))
}

/// Conversations whose place is kept in memory, up to twice as many; some 100 bytes each.
const HOT_CONVERSATIONS: usize = 32_768;

/// Where the next message of a conversation goes.
struct Place {
    conversation_id: i64,
    last_seq: u64,
    /// When the last message was accepted.
    last_at: Option<Timestamp>,
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
    fn find(&mut self, connection: &Connection, conversation: Conversation) -> rusqlite::Result<&mut Place> {
        if self.young.len() >= self.limit && !self.young.contains_key(&conversation) {
            let place = self.old.remove_entry(&conversation);
            self.old = std::mem::replace(&mut self.young, place.into_iter().collect());
        }
        Ok(match self.young.entry(conversation) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => place.insert(match self.old.remove(&conversation) {
                Some(place) => place,
                None => read_place(connection, conversation)?,
            }),
        })
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

fn read_place(connection: &Connection, conversation: Conversation) -> rusqlite::Result<Place> {
    let key = conversation_key(conversation);
    let found = connection
        .prepare_cached(
            "SELECT c.id, m.seq, m.created_at_ms FROM conversations c LEFT JOIN messages m \
                ON m.conversation_id = c.id AND m.seq = (SELECT max(seq) FROM messages WHERE conversation_id = c.id) \
             WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ?",
        )?
        .query_row(key.clone(), |row| {
            Ok(Place {
                conversation_id: row.get(0)?,
                last_seq: row.get::<_, Option<i64>>(1)?.unwrap_or(0).unsigned_abs(),
                last_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_unix_ms),
            })
        })
        .optional()?;
    if let Some(place) = found {
        return Ok(place);
    }
    connection
        .prepare_cached("INSERT INTO conversations (kind, first_id, second_id) VALUES (?, ?, ?)")?
        .execute(key)?;
    Ok(Place { conversation_id: connection.last_insert_rowid(), last_seq: 0, last_at: None })
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
                let mut batch = Vec::new();
                let mut answers = Vec::new();
                for n in 0..5 * GROUPS {
                    let (tell, answer) = oneshot::channel();
                    let message = NewMessage::text(1, Target::Group(1 + n * n % GROUPS), "x");
                    batch.push(Job::Append {
                        message,
                        then: Box::new(|appended| tell.send(appended).unwrap()),
                    });
                    answers.push(answer);
                }
                transact(&mut connection, &mut places, &mut batch).into_iter().for_each(answer);
                for mut answer in answers {
                    answer.try_recv().unwrap().unwrap();
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
