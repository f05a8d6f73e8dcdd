//! Stored messages, found again: the page after a place, the pages of history, one message by name.
//!
//! Functions on a transaction. What they give is in the state of that transaction: whether a message was read follows
//! from its recipient's read position. They never say who may see it.

use super::sql::{Row, Tx, Value, values};
use super::{Conversation, MAX_SYNC_LIMIT, Message, MessageKey, StoreError, SyncPage, Target};

/// Selects what [`from_row`] reads. To be followed by `WHERE`.
pub(super) const SELECT: &str = "\
    SELECT m.id, m.message_id, c.kind, c.first_id, c.second_id, m.seq, m.from_user_id, m.message_type, m.content, \
        m.file_url, m.file_size, m.file_name, m.reply_to_message_id, m.client_message_id, m.created_at_ms \
    FROM messages m JOIN conversations c ON c.id = m.conversation_id ";

const PRIVATE: i64 = 1;
const GROUP: i64 = 2;

/// The message of a row of [`SELECT`].
pub(super) fn from_row(row: &Row) -> Result<Message, StoreError> {
    let conversation = conversation_of(row, 2)?;
    let from_user_id = row.get(6)?;
    let (to_user_id, group_id) = addressee(conversation, from_user_id);
    Ok(Message {
        id: row.get(0)?,
        message_id: row.get::<uuid::Uuid>(1)?.to_string(),
        conversation,
        seq: row.get(5)?,
        from_user_id,
        to_user_id,
        group_id,
        message_type: row
            .get::<u64>(7)?
            .try_into()
            .map_err(|error| StoreError::Corrupt(format!("message {:?}: {error}", row.0[0])))?,
        content: row.get(8)?,
        file_url: row.get(9)?,
        file_size: row.get(10)?,
        file_name: row.get(11)?,
        reply_to_message_id: row.get(12)?,
        client_message_id: row.get(13)?,
        is_read: false,
        is_deleted: false,
        created_at: row.get(14)?,
    })
}

/// The conversation of the columns `kind`, `first_id` and `second_id`, which begin at `column`.
pub(super) fn conversation_of(row: &Row, column: usize) -> Result<Conversation, StoreError> {
    match row.get(column)? {
        PRIVATE => Ok(Conversation::Private { low: row.get(column + 1)?, high: row.get(column + 2)? }),
        GROUP => Ok(Conversation::Group(row.get(column + 1)?)),
        kind => Err(StoreError::Corrupt(format!("a conversation is of kind {kind}"))),
    }
}

/// The columns `kind`, `first_id` and `second_id` of a conversation.
pub(super) fn conversation_key(conversation: Conversation) -> [Value; 3] {
    match conversation {
        Conversation::Private { low, high } => [Value::Int(PRIVATE), low.into(), high.into()],
        Conversation::Group(group) => [Value::Int(GROUP), group.into(), Value::Int(0)],
    }
}

/// The fields `to_user_id` and `group_id` of a message.
pub(super) fn addressee(conversation: Conversation, from_user_id: u64) -> (Option<u64>, Option<u64>) {
    match conversation.target(from_user_id) {
        Target::User(user) => (Some(user), None),
        Target::Group(group) => (None, Some(group)),
    }
}

/// The messages of a conversation with `seq > after_seq`, oldest first, at most `limit` and never more than
/// [`MAX_SYNC_LIMIT`]. An unknown conversation is an empty one.
pub async fn sync(
    tx: &mut dyn Tx,
    conversation: Conversation,
    after_seq: u64,
    limit: u32,
) -> Result<SyncPage, StoreError> {
    let limit = limit.min(MAX_SYNC_LIMIT);
    let [kind, first_id, second_id] = conversation_key(conversation);
    // One more tells whether there are more.
    let values = values![kind, first_id, second_id, after_seq, u64::from(limit) + 1];
    let mut messages = select(tx, SYNC, values).await?;
    let has_more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    Ok(SyncPage { messages, has_more })
}

pub(super) const SYNC: &str =
    "WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq > ? ORDER BY m.seq LIMIT ?";

/// The greatest id that was given to a message; 0 when there is none.
pub async fn last_id(tx: &mut dyn Tx) -> Result<u64, StoreError> {
    let rows = tx.query("SELECT COALESCE(MAX(id), 0) FROM messages", &[]).await?;
    rows.first().map_or(Ok(0), |row| row.get(0))
}

/// The message of that name.
pub async fn get(tx: &mut dyn Tx, key: MessageKey) -> Result<Option<Message>, StoreError> {
    let found = match key {
        MessageKey::Id(id) => select(tx, "WHERE m.id = ?", values![id]).await,
        MessageKey::MessageId(id) => select(tx, "WHERE m.message_id = ?", values![id]).await,
    };
    Ok(found?.pop())
}

/// The messages that `which` finds.
async fn select(tx: &mut dyn Tx, which: &str, values: &[Value]) -> Result<Vec<Message>, StoreError> {
    tx.query(&format!("{SELECT}{which}"), values).await?.iter().map(from_row).collect()
}
/// stub
pub async fn committed_after(tx: &mut dyn Tx, after_id: u64, limit: u32) -> Result<Vec<Message>, StoreError> {
    select(tx, "WHERE m.id > ? ORDER BY m.id LIMIT ?", values![after_id, u64::from(limit)]).await
}
