//! Between rows and values: how ids, conversations, messages and errors look to SQLite.

use rusqlite::types::Type;
use rusqlite::{ErrorCode, Row};
use uuid::Uuid;

use crate::store::{Conversation, Message, StoreError, Target, Timestamp};

/// Selects what [`message`] reads. To be followed by `WHERE`.
pub(super) const SELECT_MESSAGE: &str = "\
    SELECT m.id, m.message_id, c.kind, c.first_id, c.second_id, m.seq, m.from_user_id, m.message_type, m.content, \
        m.file_url, m.file_size, m.file_name, m.reply_to_message_id, m.client_message_id, m.created_at_ms \
    FROM messages m JOIN conversations c ON c.id = m.conversation_id ";

const PRIVATE: i64 = 1;
const GROUP: i64 = 2;

/// The message of a row of [`SELECT_MESSAGE`].
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let conversation = match row.get(2)? {
        PRIVATE => Conversation::Private { low: unsigned(row, 3)?, high: unsigned(row, 4)? },
        GROUP => Conversation::Group(unsigned(row, 3)?),
        kind => return Err(rusqlite::Error::IntegralValueOutOfRange(2, kind)),
    };
    let from_user_id = unsigned(row, 6)?;
    let (to_user_id, group_id) = addressee(conversation, from_user_id);
    Ok(Message {
        id: unsigned(row, 0)?,
        message_id: Uuid::from_bytes(row.get(1)?).to_string(),
        conversation,
        seq: unsigned(row, 5)?,
        from_user_id,
        to_user_id,
        group_id,
        message_type: unsigned(row, 7)?
            .try_into()
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(7, Type::Integer, Box::new(error)))?,
        content: row.get(8)?,
        file_url: row.get(9)?,
        file_size: row.get::<_, Option<i64>>(10)?.map(|_| unsigned(row, 10)).transpose()?,
        file_name: row.get(11)?,
        reply_to_message_id: row.get(12)?,
        client_message_id: row.get(13)?,
        is_read: false,
        is_deleted: false,
        created_at: Timestamp::from_unix_ms(row.get(14)?),
    })
}

/// The fields `to_user_id` and `group_id` of a message.
pub(super) fn addressee(conversation: Conversation, from_user_id: u64) -> (Option<u64>, Option<u64>) {
    match conversation.target(from_user_id) {
        Target::User(user) => (Some(user), None),
        Target::Group(group) => (None, Some(group)),
    }
}

/// The columns `kind`, `first_id` and `second_id` of a conversation.
pub(super) fn conversation_key(conversation: Conversation) -> (i64, i64, i64) {
    match conversation {
        Conversation::Private { low, high } => (PRIVATE, signed(low), signed(high)),
        Conversation::Group(group) => (GROUP, signed(group), 0),
    }
}

/// SQLite's integers are signed. Nothing that is stored is above 2^53, so what does not fit is above everything.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// What an error of SQLite means to the caller of a store.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let text = error.to_string();
    match error {
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) => {
            StoreError::Corrupt(text)
        }
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => StoreError::Invalid(text),
            _ => StoreError::Unavailable(text),
        },
    }
}
