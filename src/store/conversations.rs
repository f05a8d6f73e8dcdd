//! The conversations of a user: the private ones that somebody has written in, and those of the user's groups.
//!
//! Functions on a transaction. A conversation begins with its first message, so a group that nobody has written to is
//! in no list yet.

use serde::Serialize;

use super::messages::{self, columns, conversation_key, joined};
use super::read_positions::{self, Unread};
use super::sql::{Tx, values};
use super::{Conversation, MAX_SYNC_LIMIT, Message, StoreError, groups};

/// A conversation, as one of its users sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationSummary {
    /// Which one.
    pub conversation: Conversation,
    /// Its last message.
    pub last_message: Message,
    /// The place of that message, and so the number of messages.
    pub last_seq: u64,
    /// Up to where the user has read.
    pub read_seq: u64,
    /// How many messages of others come after that; see [`read_positions::unread`].
    pub unread_count: u64,
}

/// Some of a user's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationPage {
    /// The one with the newest message first.
    pub conversations: Vec<ConversationSummary>,
    /// Where the next page begins; `None` when there is none.
    pub next_cursor: Option<u64>,
}

/// Selects something from each of a user's conversations `c`; the user is its three values. `CROSS JOIN` tells SQLite to
/// begin with the user's groups, not with all there are.
macro_rules! of_user {
    ($($selected:expr),*) => {
        concat!(
            "SELECT ",
            $($selected,)*
            " FROM conversations c WHERE c.kind = 1 AND c.first_id = ? UNION ALL SELECT ",
            $($selected,)*
            " FROM conversations c WHERE c.kind = 1 AND c.second_id = ? AND c.first_id <> c.second_id \
             UNION ALL SELECT ",
            $($selected,)*
            " FROM group_members g CROSS JOIN conversations c \
                ON c.kind = 2 AND c.first_id = g.group_id AND c.second_id = 0 WHERE g.user_id = ?"
        )
    };
}
pub(super) use of_user;

/// A column of the last message of a conversation `c`. It is found by stepping back from the end of the index, not with
/// `MAX`, for which MySQL would read all of a conversation's entries.
macro_rules! last {
    ($column:literal) => {
        concat!(
            "(SELECT x.",
            $column,
            " FROM messages x WHERE x.conversation_id = c.id ORDER BY x.seq DESC LIMIT 1)"
        )
    };
}
pub(super) use last;

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    ", c.id, COALESCE(p.seq, 0) FROM (SELECT last_id FROM (",
    of_user!(last!("id"), " AS last_id"),
    ") own WHERE last_id < ? ORDER BY last_id DESC LIMIT ?) page JOIN messages m ON m.id = page.last_id ",
    joined!(),
    "LEFT JOIN read_positions p ON p.user_id = ? AND p.conversation_id = c.id ORDER BY m.id DESC"
);

/// A page of a user's conversations, the one with the newest message first, at most `limit` of them and never more than
/// [`MAX_SYNC_LIMIT`]. `cursor` is that of the page before.
///
/// The cost grows with the number of the user's conversations, not with their messages.
pub async fn list(
    tx: &mut dyn Tx,
    user: u64,
    cursor: Option<u64>,
    limit: u32,
) -> Result<ConversationPage, StoreError> {
    let limit = limit.min(MAX_SYNC_LIMIT) as usize;
    let before = cursor.unwrap_or(u64::MAX);
    // One more tells whether there are more.
    let rows = tx.query(LIST, values![user, user, user, before, limit as u64 + 1, user]).await?;
    let page = &rows[..rows.len().min(limit)];
    let unread = page.iter().map(|row| {
        Ok(Unread { conversation_id: row.get(17)?, last_seq: row.get(5)?, read_seq: row.get(18)? })
    });
    let counts = read_positions::count(tx, user, &unread.collect::<Result<Vec<_>, StoreError>>()?).await?;
    let summary = |(row, unread_count)| {
        let last_message = messages::from_row(row)?;
        Ok(ConversationSummary {
            conversation: last_message.conversation,
            last_seq: last_message.seq,
            read_seq: row.get(18)?,
            unread_count,
            last_message,
        })
    };
    let conversations: Vec<_> = page.iter().zip(counts).map(summary).collect::<Result<_, StoreError>>()?;
    let last = conversations.last().filter(|_| rows.len() > limit);
    Ok(ConversationPage { next_cursor: last.map(|last| last.last_message.id), conversations })
}

/// Whether the user is one of those who write in the conversation.
pub async fn takes_part(tx: &mut dyn Tx, user: u64, conversation: Conversation) -> Result<bool, StoreError> {
    match conversation {
        Conversation::Private { low, high } => Ok([low, high].contains(&user)),
        Conversation::Group(group) => Ok(groups::member(tx, group, user).await?.is_some()),
    }
}

/// The place of a conversation's last message; 0 when it has none.
pub async fn last_seq(tx: &mut dyn Tx, conversation: Conversation) -> Result<u64, StoreError> {
    Ok(find(tx, conversation).await?.map_or(0, |(_, last_seq)| last_seq))
}

/// A conversation's id in the database, and the place of its last message.
pub(super) async fn find(
    tx: &mut dyn Tx,
    conversation: Conversation,
) -> Result<Option<(u64, u64)>, StoreError> {
    const FIND: &str = concat!(
        "SELECT c.id, COALESCE(",
        last!("seq"),
        ", 0) FROM conversations c WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ?"
    );
    let rows = tx.query(FIND, &conversation_key(conversation)).await?;
    rows.first().map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}
