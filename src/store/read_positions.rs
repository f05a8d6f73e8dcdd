//! How far each user has read each conversation, and so what is unread.
//!
//! Functions on a transaction. A position moves forward only, and never past the last message. Who joins a group starts
//! with what was written before as read. Unread are the messages of others after the position, recalled and deleted
//! ones too: they keep their place.

use std::collections::{BTreeMap, HashMap};

use super::conversations::{self, last, of_user};
use super::messages::{conversation_key, conversation_of};
use super::sql::{self, MAX_LIST, Tx, Value, values};
use super::{Conversation, MessageKey, Refused, StoreError, Timestamp};

/// A read position that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// In which conversation.
    pub conversation: Conversation,
    /// Where it was.
    pub from: u64,
    /// Where it is now.
    pub to: u64,
}

/// Notes that a user has read a conversation up to `seq`, or up to its end if that comes first. `None` when that was known.
///
/// # Errors
/// [`Refused::NotAMember`] or [`Refused::Forbidden`]: the user takes no part in the conversation.
pub async fn mark_read(
    tx: &mut dyn Tx,
    user: u64,
    conversation: Conversation,
    seq: u64,
    now: Timestamp,
) -> Result<Option<Moved>, StoreError> {
    if !conversations::takes_part(tx, user, conversation).await? {
        return Err(match conversation {
            Conversation::Private { .. } => Refused::Forbidden.into(),
            Conversation::Group(_) => Refused::NotAMember.into(),
        });
    }
    advance(tx, user, conversation, seq, now).await
}

/// Notes that a user has read these messages, and so what stands before them. Messages that there are not, and those in
/// conversations of others, are passed over.
pub async fn mark_messages_read(
    tx: &mut dyn Tx,
    user: u64,
    messages: Vec<MessageKey>,
    now: Timestamp,
) -> Result<Vec<Moved>, StoreError> {
    let (mut numbers, mut uuids) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            MessageKey::Id(id) => numbers.push(Value::from(id)),
            MessageKey::MessageId(id) => uuids.push(Value::from(id)),
        }
    }
    // In the order of conversations, so that two of these transactions never wait for each other.
    let mut places = BTreeMap::new();
    for (column, keys) in [("id", numbers), ("message_id", uuids)] {
        for keys in keys.chunks(MAX_LIST) {
            let (list, values) = sql::list(keys);
            let query = format!(
                "SELECT c.kind, c.first_id, c.second_id, MAX(m.seq) \
                 FROM messages m JOIN conversations c ON c.id = m.conversation_id \
                 WHERE m.{column} IN {list} GROUP BY c.kind, c.first_id, c.second_id"
            );
            for row in tx.query(&query, &values).await? {
                let place = places.entry(conversation_of(&row, 0)?).or_insert(0);
                *place = row.get::<u64>(3)?.max(*place);
            }
        }
    }
    let mut moved = Vec::new();
    for (conversation, seq) in places {
        if conversations::takes_part(tx, user, conversation).await? {
            moved.extend(advance(tx, user, conversation, seq, now).await?);
        }
    }
    Ok(moved)
}

async fn advance(
    tx: &mut dyn Tx,
    user: u64,
    conversation: Conversation,
    seq: u64,
    now: Timestamp,
) -> Result<Option<Moved>, StoreError> {
    let Some((id, last_seq)) = conversations::find(tx, conversation).await? else { return Ok(None) };
    let to = seq.min(last_seq);
    let select = format!(
        "SELECT seq FROM read_positions WHERE user_id = ? AND conversation_id = ?{}",
        tx.dialect().for_update()
    );
    let mut found = tx.query(&select, values![user, id]).await?;
    if found.is_empty() && to > 0 {
        start(tx, id, &[user], 0, now).await?;
        found = tx.query(&select, values![user, id]).await?;
    }
    let from = found.first().map_or(Ok(0), |row| row.get(0))?;
    if to <= from {
        return Ok(None);
    }
    tx.execute(
        "UPDATE read_positions SET seq = ?, at_ms = ? WHERE user_id = ? AND conversation_id = ?",
        values![to, now, user, id],
    )
    .await?;
    Ok(Some(Moved { conversation, from, to }))
}

/// Lets users who join a conversation begin at its end.
pub(super) async fn begin_at_end(
    tx: &mut dyn Tx,
    users: &[u64],
    conversation: Conversation,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some((id, last_seq)) = conversations::find(tx, conversation).await? else { return Ok(()) };
    for users in users.chunks(MAX_LIST) {
        let (list, list_values) = sql::list(users);
        let update = format!(
            "UPDATE read_positions SET seq = ?, at_ms = ? WHERE conversation_id = ? AND seq < ? AND user_id IN {list}"
        );
        let values = [values![last_seq, now, id, last_seq], list_values.as_slice()].concat();
        tx.execute(&update, &values).await?;
        start(tx, id, users, last_seq, now).await?;
    }
    Ok(())
}

/// Gives a position to those of the users who have none.
async fn start(
    tx: &mut dyn Tx,
    conversation_id: u64,
    users: &[u64],
    seq: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = vec!["(?, ?, ?, ?)"; users.len()].join(", ");
    let insert = format!(
        "{} INTO read_positions (user_id, conversation_id, seq, at_ms) VALUES {rows}",
        tx.dialect().insert_absent()
    );
    let values: Vec<_> = users
        .iter()
        .flat_map(|user| [(*user).into(), conversation_id.into(), seq.into(), now.into()])
        .collect();
    tx.execute(&insert, &values).await.map(drop)
}

/// Up to where a user has read a conversation.
pub async fn get(tx: &mut dyn Tx, user: u64, conversation: Conversation) -> Result<u64, StoreError> {
    let [kind, first_id, second_id] = conversation_key(conversation);
    let rows = tx
        .query(
            "SELECT p.seq FROM conversations c JOIN read_positions p ON p.conversation_id = c.id AND p.user_id = ? \
             WHERE c.kind = ? AND c.first_id = ? AND c.second_id = ?",
            values![user, kind, first_id, second_id],
        )
        .await?;
    rows.first().map_or(Ok(0), |row| row.get(0))
}

/// How many messages of a conversation a user has not read.
///
/// Exact as long as the user's position is within the last 1000 places. If it is further back, own messages before
/// those are counted as well.
pub async fn unread(tx: &mut dyn Tx, user: u64, conversation: Conversation) -> Result<u64, StoreError> {
    let Some((conversation_id, last_seq)) = conversations::find(tx, conversation).await? else {
        return Ok(0);
    };
    let read_seq = get(tx, user, conversation).await?;
    let counts = count(tx, user, &[Unread { conversation_id, last_seq, read_seq }]).await?;
    Ok(counts[0])
}

const UNREAD: &str = concat!(
    "SELECT own.kind, own.first_id, own.second_id, own.id, own.last_seq, COALESCE(p.seq, 0) FROM (",
    of_user!("c.kind, c.first_id, c.second_id, c.id, ", last!("seq"), " AS last_seq"),
    ") own LEFT JOIN read_positions p ON p.user_id = ? AND p.conversation_id = own.id \
     WHERE own.last_seq > COALESCE(p.seq, 0)"
);

/// All conversations in which a user has not read everything, and how many messages of each; see [`unread`].
pub async fn unread_all(tx: &mut dyn Tx, user: u64) -> Result<Vec<(Conversation, u64)>, StoreError> {
    let rows = tx.query(UNREAD, values![user, user, user, user]).await?;
    let (mut conversations, mut unread) = (Vec::new(), Vec::new());
    for row in &rows {
        conversations.push(conversation_of(row, 0)?);
        unread.push(Unread { conversation_id: row.get(3)?, last_seq: row.get(4)?, read_seq: row.get(5)? });
    }
    let counts = count(tx, user, &unread).await?;
    Ok(conversations.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect())
}

/// The part of a conversation that a user has not read.
#[derive(Clone, Copy)]
pub(super) struct Unread {
    pub conversation_id: u64,
    pub last_seq: u64,
    pub read_seq: u64,
}

/// The last places in which own messages are told from those of others, one by one.
const COUNTED_PLACES: u64 = 1000;

/// Conversations whose own messages are counted in one statement.
const MAX_COUNTED: usize = 64;

/// How many messages of others there are in each part.
pub(super) async fn count(tx: &mut dyn Tx, user: u64, parts: &[Unread]) -> Result<Vec<u64>, StoreError> {
    let mut own = HashMap::new();
    let unread: Vec<_> = parts.iter().filter(|part| part.last_seq > part.read_seq).collect();
    for parts in unread.chunks(MAX_COUNTED) {
        // As in `sql::list`, few different statements. There is no conversation 0.
        let count = parts.len().next_power_of_two();
        let mut values = Vec::with_capacity(4 * count);
        for part in parts {
            let after = part.read_seq.max(part.last_seq.saturating_sub(COUNTED_PLACES));
            values.extend([part.conversation_id, after, part.last_seq, user].map(Value::from));
        }
        values.resize(4 * count, Value::Int(0));
        let query = vec![
            "SELECT conversation_id, COUNT(*) FROM messages \
             WHERE conversation_id = ? AND seq > ? AND seq <= ? AND from_user_id = ? GROUP BY conversation_id";
            count
        ]
        .join(" UNION ALL ");
        for row in tx.query(&query, &values).await? {
            own.insert(row.get::<u64>(0)?, row.get::<u64>(1)?);
        }
    }
    let others = |part: &Unread| {
        let own = own.get(&part.conversation_id).copied().unwrap_or(0);
        part.last_seq.saturating_sub(part.read_seq).saturating_sub(own)
    };
    Ok(parts.iter().map(others).collect())
}
