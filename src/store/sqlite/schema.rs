//! The schema and its history: numbered steps, applied once each, in order.
//!
//! `PRAGMA user_version` holds the number of steps applied. A step that has been released never changes; the
//! schema changes by a new step at the end. Steps run in one exclusive transaction: all or none.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::errors::store_error;
use crate::store::StoreError;

/// Step n brings the schema from version n to n + 1.
const STEPS: &[&str] = &[
    // 1: messages in conversations. The last seq of a conversation is max(seq), one look into the index; it is
    // kept nowhere else. Rows are never removed, so that seq stays without a gap. The recipient of a private
    // message is the other user of its conversation.
    "
    CREATE TABLE conversations (
        id        INTEGER PRIMARY KEY,
        kind      INTEGER NOT NULL CHECK (kind IN (1, 2)), -- 1 private, 2 group
        first_id  INTEGER NOT NULL,                        -- the lower user id, or the group id
        second_id INTEGER NOT NULL,                        -- the higher user id, or 0
        UNIQUE (kind, first_id, second_id)
    ) STRICT;

    CREATE TABLE messages (
        id                  INTEGER PRIMARY KEY,
        message_id          BLOB    NOT NULL, -- UUID, 16 bytes
        conversation_id     INTEGER NOT NULL REFERENCES conversations (id),
        seq                 INTEGER NOT NULL CHECK (seq >= 1),
        from_user_id        INTEGER NOT NULL,
        message_type        INTEGER NOT NULL,
        content             TEXT    NOT NULL,
        file_url            TEXT,
        file_size           INTEGER,
        file_name           TEXT,
        reply_to_message_id TEXT,
        client_message_id   TEXT,
        created_at_ms       INTEGER NOT NULL
    ) STRICT;

    CREATE UNIQUE INDEX messages_by_place ON messages (conversation_id, seq);
    CREATE UNIQUE INDEX messages_by_client_id ON messages (from_user_id, client_message_id)
        WHERE client_message_id IS NOT NULL;
    ",
];

/// Brings the database to the newest version. One from a newer program, or of another program, is left untouched.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    refuse_foreign(connection, path)?;
    // Fails where shared memory does not work, such as network file systems.
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(store_error)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "no write-ahead log on this file system (journal mode {mode})"
        )));
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(store_error)?;
    let version = refuse_foreign(&transaction, path)?;
    for (number, step) in STEPS.iter().enumerate().skip(version) {
        transaction.execute_batch(step).map_err(store_error)?;
        transaction.pragma_update(None, "user_version", number as u32 + 1).map_err(store_error)?;
    }
    transaction.commit().map_err(store_error)
}

/// The number of steps applied, if the database is one of ours.
fn refuse_foreign(connection: &Connection, path: &Path) -> Result<usize, StoreError> {
    let found: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(store_error)?;
    let known = STEPS.len() as u32;
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(store_error)?;
    if found == 0 && tables > 0 {
        return Err(StoreError::Corrupt("this is another program's database".to_owned()));
    }
    Ok(found as usize)
}
