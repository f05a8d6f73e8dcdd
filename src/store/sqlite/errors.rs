//! What an error of SQLite means to the caller of a store.

use rusqlite::{ErrorCode, ffi};

use crate::store::StoreError;

pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let text = error.to_string();
    match error {
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) => {
            StoreError::Corrupt(text)
        }
        E::SqliteFailure(
            ffi::Error {
                extended_code: ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
                ..
            },
            _,
        ) => StoreError::Conflict(text),
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => StoreError::Invalid(text),
            _ => StoreError::Unavailable(text),
        },
    }
}
