//! One transaction of the append path: it gives each message of a batch its place, or finds that it has one.
//!
//! Two scripts of statements go to the server. The first locks the rows of the conversations, in the order of their ids,
//! so that the transactions of several nodes wait for each other in a line and not in a circle; and, with those locks
//! held, looks for messages that are stored already. The second inserts the others, notes the conversations' new ends,
//! and commits. Whoever has locked a conversation decides its next `seq`: there is no gap and no double.
//!
//! When the second script is not answered, its outcome is not known. The next transaction then looks for the messages
//! by their UUIDs, and can trust what it finds: it has locked the conversations, so the lost one has ended.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::fault::Fault;
use super::ids::{self, Ids};
use super::literal::{Bytes, Literal, OrNull, Text, list};
use super::session::Session;
use crate::store::messages::{self, columns, conversation_of, joined};
use crate::store::{Appended, Conversation, Message, NewMessage, OnAppended, Timestamp};

/// A message, and who is told of it.
pub(super) struct Append {
    pub message: NewMessage,
    /// Its name from the beginning, so that it can be found again.
    pub message_id: Uuid,
    /// There was an attempt to store it whose outcome is not known.
    pub maybe_stored: bool,
    /// When its time is over.
    pub deadline: Instant,
    pub then: OnAppended,
}

/// What became of a message.
pub(super) enum Outcome {
    /// It is stored.
    Done(Appended),
    /// Somebody else has its conversation locked.
    Locked,
}

/// What to do about conversations that others have locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locking {
    /// Wait, for as long as the session's settings allow.
    Wait,
    /// Leave them out.
    Skip,
}

/// The most bytes that a message adds to either script.
pub(super) fn cost(message: &NewMessage) -> usize {
    let NewMessage { file_url, file_name, reply_to_message_id, client_message_id, .. } = message;
    let texts = [file_url, file_name, reply_to_message_id, client_message_id];
    // Escaped or in hexadecimal, a byte is two at most. The rest is numbers, NULLs and punctuation.
    2 * (message.content.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()) + 512
}

/// Stores the messages in one transaction. After an error the session may still be in that transaction, and none of the
/// messages is stored, except perhaps those that are marked so.
pub(super) async fn store(
    session: &mut Session,
    ids: &mut Ids,
    appends: &mut [Append],
    locking: Locking,
) -> Result<Vec<Outcome>, Fault> {
    let conversations: BTreeSet<_> = appends.iter().map(|append| append.message.conversation()).collect();
    let rows = ids.find(session, &conversations).await?;
    let (mut ends, found) = Lock::new(&rows, appends, locking).run(session).await?;
    if locking == Locking::Wait && !conversations.iter().all(|conversation| ends.contains_key(conversation)) {
        ids.clear();
        return Err(Fault::Conflict("conversations have got other ids".to_owned()));
    }
    let plans = plan(appends, &mut ends, found);
    let message_ids = insert(session, appends, &plans, &ends).await?;
    Ok(conclude(appends, plans, message_ids))
}

/// The end of a conversation that this transaction has locked.
struct End {
    id: u64,
    last_seq: u64,
    last_at: Option<Timestamp>,
    grown: bool,
}

/// Messages that are stored already.
#[derive(Default)]
struct Found {
    messages: Vec<Arc<Message>>,
    /// For those whose own transaction may have been lost: when the message before was accepted.
    previous_at: HashMap<Uuid, Timestamp>,
}

/// The script that begins the transaction, locks the conversations, and looks for messages that are stored already.
struct Lock {
    script: String,
    /// Whether it looks for messages by their senders' names for them.
    by_client: bool,
    /// Whether it looks for messages of lost transactions.
    by_own: bool,
}

/// What selects messages for [`messages::from_row`] by each of their keys.
const BY_CLIENT_ID: &str =
    concat!("SELECT ", columns!(), " FROM messages m FORCE INDEX (messages_by_client_id) ", joined!());
const BY_MESSAGE_ID: &str =
    concat!("SELECT ", columns!(), " FROM messages m FORCE INDEX (messages_by_message_id) ", joined!());

impl Lock {
    fn new(conversation_ids: &BTreeSet<u64>, appends: &[Append], locking: Locking) -> Self {
        let mut script = format!(
            "START TRANSACTION; SELECT id, kind, first_id, second_id, last_seq, last_at_ms \
             FROM conversations FORCE INDEX (PRIMARY) WHERE id IN ({}) ORDER BY id FOR UPDATE{}",
            list(conversation_ids),
            if locking == Locking::Skip { " SKIP LOCKED" } else { "" }
        );
        let client = appends.iter().filter_map(client_key);
        let client = list(client.map(|(user, id)| format!("({user}, {})", Bytes(id.as_bytes()))));
        if !client.is_empty() {
            let _ =
                write!(script, "; {BY_CLIENT_ID} WHERE (m.from_user_id, m.client_message_id) IN ({client})");
        }
        let own = appends.iter().filter(|append| append.maybe_stored);
        let own = list(own.map(|append| Bytes(append.message_id.as_bytes())));
        if !own.is_empty() {
            let _ = write!(
                script,
                "; {BY_MESSAGE_ID} WHERE m.message_id IN ({own}); \
                 SELECT m.message_id, p.created_at_ms FROM messages m \
                 JOIN messages p ON p.conversation_id = m.conversation_id AND p.seq = m.seq - 1 \
                 WHERE m.message_id IN ({own})"
            );
        }
        Self { script, by_client: !client.is_empty(), by_own: !own.is_empty() }
    }

    async fn run(self, session: &mut Session) -> Result<(HashMap<Conversation, End>, Found), Fault> {
        let mut answers = session.answers(&self.script, 5).await?.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let (_started, locked) = (next(), next());
        let mut ends = HashMap::with_capacity(locked.len());
        for row in &locked {
            let end = End { id: row.get(0)?, last_seq: row.get(4)?, last_at: row.get(5)?, grown: false };
            ends.insert(conversation_of(row, 1)?, end);
        }
        let mut found = Found::default();
        for looked in [self.by_client, self.by_own] {
            for row in if looked { next() } else { Vec::new() } {
                found.messages.push(Arc::new(messages::from_row(&row)?));
            }
        }
        for row in next() {
            found.previous_at.insert(row.get(0)?, row.get(1)?);
        }
        Ok((ends, found))
    }
}

/// The sender and their name for the message.
fn client_key(append: &Append) -> Option<(u64, &str)> {
    append.message.client_message_id.as_deref().map(|id| (append.message.from_user_id, id))
}

/// What is to become of a message.
enum Plan {
    /// It is known already.
    Known(Outcome),
    /// It is inserted at this place.
    Insert { conversation_id: u64, seq: u64, created_at: Timestamp, previous_at: Option<Timestamp> },
    /// It is a repetition of that one in the batch.
    Repeats(usize),
}

fn plan(appends: &[Append], ends: &mut HashMap<Conversation, End>, found: Found) -> Vec<Plan> {
    let by_client: HashMap<_, _> = (found.messages.iter())
        .filter_map(|message| Some(((message.from_user_id, message.client_message_id.as_deref()?), message)))
        .collect();
    let by_id: HashMap<_, _> =
        found.messages.iter().map(|message| (message.message_id.as_str(), message)).collect();
    let mut first: HashMap<(u64, &str), usize> = HashMap::new();
    let mut plans = Vec::with_capacity(appends.len());
    for (index, append) in appends.iter().enumerate() {
        let own = if append.maybe_stored { by_id.get(append.message_id.to_string().as_str()) } else { None };
        let key = client_key(append);
        let conversation = append.message.conversation();
        plans.push(if let Some(message) = own {
            let previous_at = found.previous_at.get(&append.message_id).copied();
            Plan::Known(Outcome::Done(Appended::now(Arc::clone(message), previous_at)))
        } else if let Some(message) = key.and_then(|key| by_client.get(&key)) {
            Plan::Known(Outcome::Done(Appended::before(Arc::clone(message))))
        } else if let Some(first) = key.and_then(|key| first.get(&key)) {
            Plan::Repeats(*first)
        } else if let Some(end) = ends.get_mut(&conversation) {
            let (created_at, previous_at) = (Timestamp::now(), end.last_at);
            (end.last_seq, end.last_at, end.grown) = (end.last_seq + 1, Some(created_at), true);
            first.extend(key.map(|key| (key, index)));
            Plan::Insert { conversation_id: end.id, seq: end.last_seq, created_at, previous_at }
        } else {
            first.extend(key.map(|key| (key, index)));
            Plan::Known(Outcome::Locked)
        });
    }
    plans
}

/// A column that may be NULL, and what a message has for it.
type Optional = (&'static str, for<'a> fn(&'a NewMessage) -> Option<Literal<'a>>);

/// Those that no message of a batch has anything for, which is the rule, are not named: the server reads every NULL.
const OPTIONAL: [Optional; 5] = [
    ("file_url", |new| new.file_url.as_deref().map(Literal::Text)),
    ("file_size", |new| new.file_size.map(|bytes| Literal::Int(bytes.cast_signed()))),
    ("file_name", |new| new.file_name.as_deref().map(Literal::Text)),
    ("reply_to_message_id", |new| new.reply_to_message_id.as_deref().map(Literal::Text)),
    ("client_message_id", |new| new.client_message_id.as_deref().map(|id| Literal::Bytes(id.as_bytes()))),
];

/// Inserts what is to be inserted, and commits. Gives the ids of the messages, in order.
async fn insert(
    session: &mut Session,
    appends: &mut [Append],
    plans: &[Plan],
    ends: &HashMap<Conversation, End>,
) -> Result<impl Iterator<Item = u64> + use<>, Fault> {
    let Some(script) = insertion(appends, plans, ends) else {
        session.run("ROLLBACK").await?;
        return Ok(ids_from(0, 0));
    };
    let answers = session.answers(&script, 2).await?;
    // Rows of one INSERT have ids at equal distances.
    let given = answers.get(1).and_then(|rows| rows.first());
    let given = given.ok_or_else(|| Fault::Corrupt("the database gave no ids".to_owned()))?;
    Ok(ids_from(given.get(0)?, given.get(1)?))
}

/// The script that ends the transaction; `None` if there is nothing to insert. The messages in it are stored perhaps.
fn insertion(appends: &mut [Append], plans: &[Plan], ends: &HashMap<Conversation, End>) -> Option<String> {
    let inserts = || {
        let pairs = appends.iter().zip(plans);
        pairs.filter(|(_, plan)| matches!(plan, Plan::Insert { .. })).map(|(append, _)| &append.message)
    };
    inserts().next()?;
    let optional: Vec<_> =
        OPTIONAL.iter().filter(|(_, value)| inserts().any(|new| value(new).is_some())).collect();
    let mut script = String::with_capacity(inserts().map(cost).sum::<usize>() + 1024);
    script.push_str(
        "INSERT INTO messages \
            (message_id, conversation_id, seq, from_user_id, message_type, content, created_at_ms",
    );
    optional.iter().for_each(|(name, _)| script.extend([", ", name]));
    script.push_str(") VALUES ");
    let mut comma = "";
    for (append, plan) in appends.iter_mut().zip(plans) {
        let Plan::Insert { conversation_id, seq, created_at, .. } = plan else { continue };
        let new = &append.message;
        // Writing to a string never fails.
        let _ = write!(
            script,
            "{comma}({}, {conversation_id}, {seq}, {}, {}, {}, {}",
            Bytes(append.message_id.as_bytes()),
            new.from_user_id,
            new.message_type as u8,
            Text(&new.content),
            created_at.unix_ms(),
        );
        for (_, value) in &optional {
            let _ = write!(script, ", {}", OrNull(value(new)));
        }
        script.push(')');
        (append.maybe_stored, comma) = (true, ", ");
    }
    let ends = ends.iter().filter(|(_, end)| end.grown).map(|(conversation, end)| {
        let (name, last_at) = (ids::name(*conversation), OrNull(end.last_at.map(Timestamp::unix_ms)));
        format!("({}, {name}, {}, {last_at})", end.id, end.last_seq)
    });
    // The conversations exist: their INSERT is an UPDATE of many rows to different values, which SQL has no other form
    // for that takes time in proportion to them.
    let _ = write!(
        script,
        "; SELECT LAST_INSERT_ID(), @@auto_increment_increment; \
         INSERT INTO conversations (id, kind, first_id, second_id, last_seq, last_at_ms) VALUES {} \
             ON DUPLICATE KEY UPDATE last_seq = VALUES(last_seq), last_at_ms = VALUES(last_at_ms); \
         COMMIT",
        list(ends)
    );
    Some(script)
}

fn ids_from(first: u64, step: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |n| first + n * step)
}

/// What became of the messages, now that it is committed.
fn conclude(appends: &mut [Append], plans: Vec<Plan>, mut ids: impl Iterator<Item = u64>) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(plans.len());
    for (append, plan) in appends.iter_mut().zip(plans) {
        outcomes.push(match plan {
            Plan::Known(outcome) => outcome,
            Plan::Repeats(first) => match &outcomes[first] {
                Outcome::Done(Appended { message, .. }) => {
                    Outcome::Done(Appended::before(Arc::clone(message)))
                }
                Outcome::Locked => Outcome::Locked,
            },
            Plan::Insert { seq, created_at, previous_at, .. } => {
                let id = ids.next().unwrap_or_default();
                let message = append.message.take().stored(id, append.message_id, seq, created_at);
                Outcome::Done(Appended::now(Arc::new(message), previous_at))
            }
        });
    }
    outcomes
}
