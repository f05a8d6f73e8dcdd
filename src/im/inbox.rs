//! What a room on this node has been given of each conversation, and in which order: what came too early waits, what
//! came twice is dropped, what did not come is named, to be fetched from the store.
//!
//! Messages of one conversation are committed by several nodes, and reach this one by several ways; `seq` says what
//! the order is. Driven, never driving: it is told the time, and does no I/O.
//!
//! ```text
//!                 first message            a gap             it is filled, or the
//!   (unknown) ──────────────────▶ at seq ────────▶ waiting ─────── store is asked ──▶ at seq
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::ids::SocketId;
use crate::store::{Conversation, Message, Timestamp};

/// How long what is missing may be on its way before the store is asked.
pub const GAP_PATIENCE: Duration = Duration::from_millis(150);
/// A message whose predecessor is older than this has no predecessor that could still be on its way.
const ON_ITS_WAY_MS: i64 = 5_000;
/// Conversations that are kept before those at rest are forgotten.
const MAX_AT_REST: usize = 1024;
/// How long a conversation counts as being spoken in.
const AT_REST_AFTER: Duration = Duration::from_secs(60);
/// What may wait in one conversation. What is beyond comes from the store.
const MAX_WAITING: usize = 256;

/// A stored message on its way to clients.
#[derive(Clone, Debug)]
pub struct Push {
    /// Where it stands.
    pub conversation: Conversation,
    /// Its place there.
    pub seq: u64,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its predecessor was stored; `None` for the first one.
    pub previous_at: Option<Timestamp>,
    /// The message object.
    pub json: Arc<RawValue>,
    /// The connection that sent it, if that is on this node: it has the ack.
    pub sender: Option<SocketId>,
}

impl Push {
    /// From a stored message. `None` where it can't be written as JSON, which is logged.
    pub fn of(message: &Message, previous_at: Option<Timestamp>, sender: Option<SocketId>) -> Option<Push> {
        match serde_json::value::to_raw_value(message) {
            Ok(json) => Some(Push {
                conversation: message.conversation,
                seq: message.seq,
                created_at: message.created_at,
                previous_at,
                json: json.into(),
                sender,
            }),
            Err(error) => {
                tracing::error!(id = message.id, %error, "a message can't be encoded");
                None
            }
        }
    }
}

/// A run of messages that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of this conversation.
    pub conversation: Conversation,
    /// After this `seq`.
    pub after: u64,
}

/// The inbox of a room.
#[derive(Debug)]
pub struct Inbox {
    opened_at: Timestamp,
    conversations: HashMap<Conversation, Cursor>,
}

#[derive(Debug)]
struct Cursor {
    /// What was delivered last; `None` while that can't be known.
    last: Option<u64>,
    waiting: BTreeMap<u64, Push>,
    /// When to do something about what waits.
    due: Option<Instant>,
    touched: Instant,
}

impl Inbox {
    /// An inbox that is empty at this time.
    pub fn new(opened_at: Timestamp) -> Self {
        Inbox { opened_at, conversations: HashMap::new() }
    }

    /// A message came. Appends what is to be delivered now to `out`, in order. `true`: something waits, and
    /// [`Inbox::handle_timeout`] is to be called after [`GAP_PATIENCE`].
    pub fn handle(&mut self, push: Push, now: Instant, out: &mut Vec<Push>) -> bool {
        if self.conversations.len() >= MAX_AT_REST {
            self.forget_those_at_rest(now);
        }
        let cursor = self.conversations.entry(push.conversation).or_insert_with(|| {
            let is_alone = push.previous_at.is_none_or(|at| is_long_ago(at, push.created_at));
            let last = is_alone.then_some(push.seq - 1);
            Cursor { last, waiting: BTreeMap::new(), due: None, touched: now }
        });
        cursor.touched = now;
        if cursor.last.is_some_and(|last| push.seq <= last) {
            return false;
        }
        // What this node has stored knows its sender; the same from the store does not, and must not take its place.
        if push.sender.is_some() || !cursor.waiting.contains_key(&push.seq) {
            cursor.waiting.insert(push.seq, push);
        }
        cursor.release(out);
        if cursor.waiting.len() > MAX_WAITING {
            cursor.waiting.pop_last();
        }
        if cursor.waiting.is_empty() || cursor.due.is_some() {
            return false;
        }
        cursor.due = Some(now + GAP_PATIENCE);
        true
    }

    /// As [`Inbox::handle`], for what a repair has found in the store: it may have come before this inbox was opened, and
    /// is then none of its business.
    pub fn handle_repaired(&mut self, push: Push, now: Instant, out: &mut Vec<Push>) -> bool {
        let is_known = self.conversations.contains_key(&push.conversation);
        if !is_known && is_long_ago(push.created_at, self.opened_at) {
            return false;
        }
        self.handle(push, now, out)
    }

    /// A message was emptied. One that still waits is given out as it is now.
    pub fn handle_emptied(&mut self, conversation: Conversation, seq: u64, json: &Arc<RawValue>) {
        let cursor = self.conversations.get_mut(&conversation);
        if let Some(push) = cursor.and_then(|cursor| cursor.waiting.get_mut(&seq)) {
            push.json = json.clone();
        }
    }

    /// Deals with what has waited long enough: appends to `out` what no predecessor is known of, and names the gaps.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Push>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (&conversation, cursor) in &mut self.conversations {
            if cursor.due.is_none_or(|due| due > now) {
                continue;
            }
            cursor.due = None;
            if cursor.last.is_none() {
                cursor.last = cursor.waiting.first_key_value().map(|(seq, _)| seq - 1);
                cursor.release(out);
            }
            if let (Some(after), false) = (cursor.last, cursor.waiting.is_empty()) {
                // Asked again, if the store does not fill it.
                cursor.due = Some(now + GAP_PATIENCE);
                gaps.push(Gap { conversation, after });
            }
        }
        gaps
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        self.conversations.values().any(|cursor| cursor.due.is_some())
    }

    fn forget_those_at_rest(&mut self, now: Instant) {
        self.conversations.retain(|_, cursor| {
            !cursor.waiting.is_empty() || now.saturating_duration_since(cursor.touched) < AT_REST_AFTER
        });
    }
}

impl Cursor {
    /// Moves what is next in order out of those that wait.
    fn release(&mut self, out: &mut Vec<Push>) {
        let Some(last) = &mut self.last else { return };
        while let Some(next) = self.waiting.first_entry() {
            match *next.key() {
                seq if seq <= *last => drop(next.remove()),
                seq if seq == *last + 1 => {
                    *last = seq;
                    out.push(next.remove());
                }
                _ => return,
            }
        }
        self.due = None;
    }
}

fn is_long_ago(earlier: Timestamp, later: Timestamp) -> bool {
    later.unix_ms() - earlier.unix_ms() > ON_ITS_WAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TALK: Conversation = Conversation::Private { low: 1, high: 2 };

    fn push(seq: u64) -> Push {
        Push {
            conversation: TALK,
            seq,
            created_at: Timestamp::from_unix_ms(1_000_000 + seq as i64),
            previous_at: (seq > 1).then(|| Timestamp::from_unix_ms(999_999 + seq as i64)),
            json: RawValue::from_string("{}".into()).unwrap().into(),
            sender: None,
        }
    }

    fn inbox() -> Inbox {
        Inbox::new(Timestamp::from_unix_ms(1_000_000))
    }

    fn seqs(out: &mut Vec<Push>) -> Vec<u64> {
        out.drain(..).map(|push| push.seq).collect()
    }

    #[test]
    fn in_order_is_delivered_at_once() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        for seq in [1, 2, 2, 1, 3] {
            assert!(!inbox.handle(push(seq), now, &mut out));
        }
        assert_eq!(seqs(&mut out), [1, 2, 3]);
    }

    #[test]
    fn a_gap_is_named_and_filled() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        inbox.handle(push(1), now, &mut out);
        assert!(inbox.handle(push(4), now, &mut out));
        assert!(!inbox.handle(push(3), now, &mut out), "somebody looks after it already");
        assert_eq!(inbox.handle_timeout(now, &mut out), [], "not yet");
        let gap = Gap { conversation: TALK, after: 1 };
        assert_eq!(inbox.handle_timeout(now + GAP_PATIENCE, &mut out), [gap]);
        inbox.handle(push(2), now, &mut out);
        assert_eq!(seqs(&mut out), [1, 2, 3, 4]);
        assert!(!inbox.is_waiting());
    }

    #[test]
    fn the_first_that_comes_may_not_be_the_first_that_should() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        assert!(inbox.handle(push(8), now, &mut out));
        inbox.handle(push(7), now, &mut out);
        assert_eq!(seqs(&mut out), Vec::<u64>::new());
        assert_eq!(inbox.handle_timeout(now + GAP_PATIENCE, &mut out), []);
        assert_eq!(seqs(&mut out), [7, 8]);
        // Where its predecessor is old there is nothing to wait for.
        let mut other = push(70);
        (other.conversation, other.previous_at) = (Conversation::Group(1), Some(Timestamp::from_unix_ms(0)));
        assert!(!inbox.handle(other, now, &mut out));
        assert_eq!(seqs(&mut out), [70]);
    }

    #[test]
    fn a_repair_leaves_alone_what_was_before() {
        let (mut inbox, now, mut out) =
            (Inbox::new(Timestamp::from_unix_ms(2_000_000)), Instant::now(), Vec::new());
        inbox.handle_repaired(push(1), now, &mut out);
        assert_eq!(seqs(&mut out), Vec::<u64>::new());
    }

    proptest! {
        /// However they come, and come again, each is delivered once and in order.
        #[test]
        fn any_order_becomes_the_order(mut order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(),
            again in proptest::collection::vec(1..=40u64, 0..40)) {
            let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
            order.extend(again);
            inbox.handle(push(1), now, &mut out);
            for seq in order {
                inbox.handle(push(seq), now, &mut out);
            }
            prop_assert_eq!(seqs(&mut out), (1..=40).collect::<Vec<_>>());
            prop_assert!(!inbox.is_waiting());
        }

        /// What never came is fetched after the gap, and the rest follows.
        #[test]
        fn losses_are_made_good(lost in proptest::collection::hash_set(2..=40u64, 0..30)) {
            let (mut inbox, mut now, mut out) = (inbox(), Instant::now(), Vec::new());
            for seq in (1..=41).filter(|seq| !lost.contains(seq)) {
                inbox.handle(push(seq), now, &mut out);
            }
            for _ in 0..100 {
                now += GAP_PATIENCE;
                for gap in inbox.handle_timeout(now, &mut out) {
                    // A page of three.
                    for seq in gap.after + 1..=gap.after + 3 {
                        inbox.handle(push(seq), now, &mut out);
                    }
                }
            }
            let delivered = seqs(&mut out);
            prop_assert!(delivered.len() >= 41 && delivered.iter().copied().eq(1..=delivered.len() as u64));
        }
    }
}
