//! Stored messages, found again: the page after a place, the pages of history, one message by name. And how a message
//! is recalled or deleted: it keeps its place, and loses what it said.
//!
//! Functions on a transaction. What they give is in the state of that transaction: whether a message was read follows
//! from its recipient's read position. They never say who may see it or do that.

use super::sql::{Row, Tx, Value, values};
use super::{
    Conversation, HistoryPage, MAX_SYNC_LIMIT, Message, MessageKey, StoreError, SyncPage, Target, Timestamp,
    conversations,
};

/// The columns that [`from_row`] reads, of messages `m` and what is [`joined!`] to them.
macro_rules! columns {
    () => {
        "m.id, m.message_id, c.kind, c.first_id, c.second_id, m.seq, m.from_user_id, m.message_type, m.content, \
         m.file_url, m.file_size, m.file_name, m.reply_to_message_id, m.client_message_id, m.created_at_ms, \
         m.is_deleted, r.seq"
    };
}
pub(super) use columns;

/// Joins to messages `m` their conversation, and how far the recipient of a private one has read it.
macro_rules! joined {
    () => {
        "JOIN conversations c ON c.id = m.conversation_id \
         LEFT JOIN read_positions r ON c.kind = 1 AND r.conversation_id = c.id \
            AND r.user_id = CASE m.from_user_id WHEN c.first_id THEN c.second_id ELSE c.first_id END "
    };
}
pub(super) use joined;

/// Selects what [`from_row`] reads. To be followed by `WHERE`.
pub(super) const SELECT: &str = concat!("SELECT ", columns!(), " FROM messages m ", joined!());

const PRIVATE: i64 = 1;
const GROUP: i64 = 2;

/// The message of a row that begins with [`columns!`].
pub(super) fn from_row(row: &Row) -> Result<Message, StoreError> {
    let conversation = conversation_of(row, 2)?;
    let (seq, from_user_id) = (row.get(5)?, row.get(6)?);
    let (to_user_id, group_id) = addressee(conversation, from_user_id);
    Ok(Message {
        id: row.get(0)?,
        message_id: row.get::<uuid::Uuid>(1)?.to_string(),
        conversation,
        seq,
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
        is_read: row.get::<Option<u64>>(16)?.is_some_and(|read| seq <= read),
        is_deleted: row.get(15)?,
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
    let mut messages = select(
        tx,
        "WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq > ? ORDER BY m.seq LIMIT ?",
        // One more tells whether there are more.
        values![kind, first_id, second_id, after_seq, u64::from(limit) + 1],
    )
    .await?;
    let has_more = messages.len() > limit as usize;
    messages.truncate(limit as usize);
    Ok(SyncPage { messages, has_more })
}

/// The message that a sender has named so.
pub async fn by_client_id(
    tx: &mut dyn Tx,
    sender: u64,
    client_message_id: &str,
) -> Result<Option<Message>, StoreError> {
    let condition = "WHERE m.from_user_id = ? AND m.client_message_id = ?";
    Ok(select(tx, condition, values![sender, client_message_id]).await?.pop())
}

/// Where a page of history begins, seen from the end of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At page 1, 2, 3, … of pages of the same size; the first one holds the newest message.
    Page(u64),
    /// With the message before that one.
    BeforeSeq(u64),
}

/// A page of a conversation's history, newest message first, of at most `size` messages and never more than
/// [`MAX_SYNC_LIMIT`]. Deleted ones are on it, empty.
pub async fn history(
    tx: &mut dyn Tx,
    conversation: Conversation,
    start: Start,
    size: u32,
) -> Result<HistoryPage, StoreError> {
    let size = u64::from(size.min(MAX_SYNC_LIMIT));
    // Without a gap in seq, the last one is the number of messages, and pages can be told from places.
    let total = conversations::last_seq(tx, conversation).await?;
    let first = match start {
        Start::Page(page) => total.saturating_sub(page.saturating_sub(1).saturating_mul(size)),
        Start::BeforeSeq(seq) => total.min(seq.saturating_sub(1)),
    };
    let [kind, first_id, second_id] = conversation_key(conversation);
    let messages = select(
        tx,
        "WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq <= ? ORDER BY m.seq DESC LIMIT ?",
        values![kind, first_id, second_id, first, size],
    )
    .await?;
    let has_more = first > messages.len() as u64;
    Ok(HistoryPage { messages, total, has_more })
}

/// Messages of all conversations with an id above `id`, in the order of their ids, at most `limit` and never more than
/// [`MAX_SYNC_LIMIT`].
///
/// On MySQL a message may be committed after one with a greater id: who wants all of them goes back a little.
pub async fn committed_after(tx: &mut dyn Tx, id: u64, limit: u32) -> Result<Vec<Message>, StoreError> {
    // The page first: MySQL would rather begin with all conversations, and sort what is in them.
    const AFTER: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT id AS page_id FROM messages WHERE id > ? ORDER BY id LIMIT ?) page \
         JOIN messages m ON m.id = page.page_id ",
        joined!(),
        "ORDER BY m.id"
    );
    let limit = u64::from(limit.min(MAX_SYNC_LIMIT));
    tx.query(AFTER, values![id, limit]).await?.iter().map(from_row).collect()
}

/// The greatest id of a message; 0 when there is none.
pub async fn last_id(tx: &mut dyn Tx) -> Result<u64, StoreError> {
    let rows = tx.query("SELECT MAX(id) FROM messages", &[]).await?;
    Ok(rows.first().map_or(Ok(None), |row| row.get(0))?.unwrap_or(0))
}

/// The greatest `seq` below another one whose message was accepted before that time; 0 when there is none.
pub async fn last_seq_before(
    tx: &mut dyn Tx,
    conversation: Conversation,
    seq: u64,
    at: Timestamp,
) -> Result<u64, StoreError> {
    // Backwards from the place: what lies between is what somebody has missed.
    const LAST: &str = "SELECT m.seq FROM conversations c JOIN messages m ON m.conversation_id = c.id \
        WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq < ? AND m.created_at_ms < ? \
        ORDER BY m.seq DESC LIMIT 1";
    let [kind, first_id, second_id] = conversation_key(conversation);
    let rows = tx.query(LAST, values![kind, first_id, second_id, seq, at]).await?;
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

/// Who has written in a conversation after one place, up to another.
pub async fn senders(
    tx: &mut dyn Tx,
    conversation: Conversation,
    after_seq: u64,
    up_to_seq: u64,
) -> Result<Vec<u64>, StoreError> {
    let [kind, first_id, second_id] = conversation_key(conversation);
    let rows = tx
        .query(
            "SELECT DISTINCT m.from_user_id FROM messages m JOIN conversations c ON c.id = m.conversation_id \
             WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ? AND m.seq > ? AND m.seq <= ?",
            values![kind, first_id, second_id, after_seq, up_to_seq],
        )
        .await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Why a message has no content any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// Its sender or an admin took it back.
    Recalled = 1,
    /// It was deleted.
    Deleted = 2,
}

/// Empties a message's content and file fields, and marks it. One that is empty already stays as it is.
pub async fn erase(tx: &mut dyn Tx, id: u64, why: Erasure) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE messages SET is_deleted = ?, content = '', file_url = NULL, file_size = NULL, file_name = NULL \
         WHERE id = ? AND is_deleted = 0",
        values![why as u64, id],
    )
    .await
    .map(drop)
}

/// The messages that `which` finds.
async fn select(tx: &mut dyn Tx, which: &str, values: &[Value]) -> Result<Vec<Message>, StoreError> {
    tx.query(&format!("{SELECT}{which}"), values).await?.iter().map(from_row).collect()
}
