//! Brings the schema up to date. `PRAGMA user_version` holds the number of steps applied; the missing ones run in one
//! exclusive transaction: all or none.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::errors::store_error;
use crate::store::StoreError;
use crate::store::tables::STEPS;

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
        transaction.execute_batch(step.sqlite).map_err(store_error)?;
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
        return Err(StoreError::Newer { database: path.display().to_string(), found, known });
    }
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(store_error)?;
    if found == 0 && tables > 0 {
        return Err(StoreError::Corrupt("this is another program's database".to_owned()));
    }
    Ok(found as usize)
}
