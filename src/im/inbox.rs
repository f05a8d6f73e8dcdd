//! What a room on this node has been given of each conversation, and in which order: what came too early waits, what
//! came twice is dropped, what did not come is named, to be fetched from the store.
//!
//! Messages of one conversation are committed by several nodes, and reach this one by several ways; `seq` says what
//! the order is. What was stored before the inbox was opened is none of its business: clients ask for that themselves.
//! Where it can't be told from the first message that came whether another one should have come before, the store is
//! asked: nothing is guessed. Driven, never driving: it is told the time, and does no I/O.
//!
//! ```text
//!            the first since it was opened               a gap             it is filled
//!   (unknown) ─────────────────────────────▶ delivered ────────▶ waiting ────────────────▶ delivered
//!       │                                        ▲
//!       └──▶ waiting ── the store is asked ──────┘
//! ```

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::ids::{Offset, SocketId};
use crate::store::{Conversation, Message, Timestamp};

/// How long what is missing may be on its way before the store is asked.
pub const GAP_PATIENCE: Duration = Duration::from_millis(150);
/// Conversations that one inbox knows, about 32 bytes each. Who is spoken to in more begins anew.
const MAX_CONVERSATIONS: usize = 65_536;
/// What may wait in one conversation. What is beyond comes from the store.
const MAX_WAITING: usize = 256;

/// A stored message on its way to clients.
#[derive(Clone, Debug)]
pub struct Push {
    /// The message's number.
    pub id: u64,
    /// Where it stands.
    pub conversation: Conversation,
    /// Its place there.
    pub seq: u64,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its predecessor was stored; `None` where there is none, or that is not known.
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
                id: message.id,
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

    /// What every node names it by to clients, so that one which changes the node is not sent it twice.
    pub fn offset(&self) -> Offset {
        let ms = u64::try_from(self.created_at.unix_ms()).unwrap_or_default();
        Offset::of(self.id, Duration::from_millis(ms))
    }

    /// Whether nothing before it in its conversation was stored since then.
    fn is_first_since(&self, opened_at: Timestamp) -> bool {
        self.seq == 1 || self.previous_at.is_some_and(|at| at < opened_at)
    }
}

/// Messages that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of this conversation.
    pub conversation: Conversation,
    /// Where.
    pub place: Place,
}

/// Where a gap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After this `seq`.
    After(u64),
    /// Before this `seq`, if anything was stored there since that time: [`Inbox::begin_after`] is to be told what was the last
    /// one before it.
    Before {
        /// The first one that came.
        seq: u64,
        /// When the inbox was opened.
        since: Timestamp,
    },
}

/// The inbox of a room.
#[derive(Debug)]
pub struct Inbox {
    opened_at: Timestamp,
    /// The `seq` that was delivered last. A conversation that is missing here is unknown.
    delivered: HashMap<Conversation, u64>,
    waiting: HashMap<Conversation, Waiting>,
}

/// What has come ahead of something in its conversation.
#[derive(Debug)]
struct Waiting {
    pushes: BTreeMap<u64, Push>,
    /// The greatest `seq` that there was no room for.
    turned_away: u64,
    /// When to ask for what is missing.
    due: Instant,
}

impl Inbox {
    /// An inbox that is empty at this time.
    pub fn new(opened_at: Timestamp) -> Self {
        Inbox { opened_at, delivered: HashMap::new(), waiting: HashMap::new() }
    }

    /// A message came. Appends what is to be delivered now to `out`, in order. `true`: something waits, and
    /// [`Inbox::handle_timeout`] is to be called after [`GAP_PATIENCE`].
    pub fn handle(&mut self, push: Push, now: Instant, out: &mut Vec<Push>) -> bool {
        let conversation = push.conversation;
        if push.is_first_since(self.opened_at) && !self.delivered.contains_key(&conversation) {
            self.know(conversation, push.seq - 1);
        }
        let last = self.delivered.get(&conversation).copied();
        if last.is_some_and(|last| push.seq <= last) {
            return false;
        }
        let is_next = last.is_some_and(|last| push.seq == last + 1);
        match self.waiting.entry(conversation) {
            Entry::Vacant(_) if is_next => {
                self.delivered.insert(conversation, push.seq);
                out.push(push);
                false
            }
            Entry::Vacant(place) => {
                let pushes = BTreeMap::from([(push.seq, push)]);
                place.insert(Waiting { pushes, turned_away: 0, due: now + GAP_PATIENCE });
                true
            }
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().add(push);
                self.release(conversation, out);
                false
            }
        }
    }

    /// As [`Inbox::handle`], for what a repair has found in the store. A repair begins before anything was lost, and goes
    /// on in order: of a conversation that is unknown, nothing is missing before what it finds.
    pub fn handle_repaired(&mut self, push: Push, now: Instant, out: &mut Vec<Push>) -> bool {
        let conversation = push.conversation;
        if !self.delivered.contains_key(&conversation) && !self.waiting.contains_key(&conversation) {
            if push.created_at < self.opened_at {
                return false;
            }
            self.know(conversation, push.seq - 1);
        }
        self.handle(push, now, out)
    }

    /// Since when it is open.
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// The `seq` that was delivered last, where the conversation is known.
    pub fn delivered(&self, conversation: Conversation) -> Option<u64> {
        self.delivered.get(&conversation).copied()
    }

    /// A message was emptied. One that still waits is given out as it is now.
    pub fn handle_emptied(&mut self, conversation: Conversation, seq: u64, json: &Arc<RawValue>) {
        let waiting = self.waiting.get_mut(&conversation);
        if let Some(push) = waiting.and_then(|waiting| waiting.pushes.get_mut(&seq)) {
            push.json = json.clone();
        }
    }

    /// Of a conversation that was unknown, this was the last message before the inbox was opened.
    pub fn begin_after(&mut self, conversation: Conversation, seq: u64, out: &mut Vec<Push>) {
        if !self.delivered.contains_key(&conversation) {
            self.know(conversation, seq);
        }
        self.release(conversation, out);
    }

    /// Names the gaps that have lasted long enough. Each is named again if it is not filled.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (&conversation, waiting) in self.waiting.iter_mut().filter(|(_, waiting)| waiting.due <= now) {
            waiting.due = now + GAP_PATIENCE;
            let first = waiting.pushes.first_key_value();
            let place = match (self.delivered.get(&conversation), first) {
                (Some(&last), _) => Place::After(last),
                (None, Some((&seq, _))) => Place::Before { seq, since: self.opened_at },
                (None, None) => continue,
            };
            gaps.push(Gap { conversation, place });
        }
        gaps
    }

    /// Whether something waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Moves what is next in order out of those that wait.
    fn release(&mut self, conversation: Conversation, out: &mut Vec<Push>) {
        let Entry::Occupied(mut waiting) = self.waiting.entry(conversation) else { return };
        let Some(last) = self.delivered.get_mut(&conversation) else { return };
        let Waiting { pushes, turned_away, .. } = waiting.get_mut();
        while let Some(next) = pushes.first_entry() {
            match *next.key() {
                seq if seq <= *last => drop(next.remove()),
                seq if seq == *last + 1 => {
                    *last = seq;
                    out.push(next.remove());
                }
                _ => return,
            }
        }
        if *turned_away <= *last {
            waiting.remove();
        }
    }

    fn know(&mut self, conversation: Conversation, last: u64) {
        if self.delivered.len() >= MAX_CONVERSATIONS {
            self.delivered.retain(|conversation, _| self.waiting.contains_key(conversation));
            self.opened_at = Timestamp::now();
        }
        self.delivered.insert(conversation, last);
    }
}

impl Waiting {
    fn add(&mut self, push: Push) {
        // What this node has stored knows its sender; the same from the store does not, and must not take its place.
        if push.sender.is_some() || !self.pushes.contains_key(&push.seq) {
            self.pushes.insert(push.seq, push);
        }
        if self.pushes.len() > MAX_WAITING
            && let Some((seq, _)) = self.pushes.pop_last()
        {
            self.turned_away = self.turned_away.max(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TALK: Conversation = Conversation::Private { low: 1, high: 2 };

    fn push(seq: u64) -> Push {
        Push {
            id: seq,
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
        assert_eq!(inbox.handle_timeout(now), [], "not yet");
        let gap = Gap { conversation: TALK, place: Place::After(1) };
        assert_eq!(inbox.handle_timeout(now + GAP_PATIENCE), [gap]);
        inbox.handle(push(2), now, &mut out);
        assert_eq!(seqs(&mut out), [1, 2, 3, 4]);
        assert!(!inbox.is_waiting());
    }

    #[test]
    fn what_was_before_the_first_that_came_is_asked() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        assert!(inbox.handle(push(8), now, &mut out));
        inbox.handle(push(7), now, &mut out);
        let place = Place::Before { seq: 7, since: Timestamp::from_unix_ms(1_000_000) };
        let gap = Gap { conversation: TALK, place };
        assert_eq!(inbox.handle_timeout(now + GAP_PATIENCE), [gap]);
        assert_eq!(inbox.handle_timeout(now + 2 * GAP_PATIENCE), [gap], "the store did not answer");
        // 4 was the last one before the inbox was opened.
        inbox.begin_after(TALK, 4, &mut out);
        assert_eq!(seqs(&mut out), Vec::<u64>::new());
        let gap = Gap { conversation: TALK, place: Place::After(4) };
        assert_eq!(inbox.handle_timeout(now + 3 * GAP_PATIENCE), [gap]);
        inbox.handle(push(5), now, &mut out);
        inbox.handle(push(6), now, &mut out);
        assert_eq!(seqs(&mut out), [5, 6, 7, 8]);
    }

    #[test]
    fn nothing_was_missing_before_the_first_that_came() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        assert!(inbox.handle(push(7), now, &mut out));
        inbox.begin_after(TALK, 6, &mut out);
        assert_eq!(seqs(&mut out), [7]);
        assert!(!inbox.is_waiting());
        // Where its predecessor is older than the inbox there is nothing to ask.
        let mut other = push(70);
        (other.conversation, other.previous_at) = (Conversation::Group(1), Some(Timestamp::from_unix_ms(0)));
        assert!(!inbox.handle(other, now, &mut out));
        assert_eq!(seqs(&mut out), [70]);
    }

    #[test]
    fn what_is_emptied_while_it_waits_is_given_out_empty() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        inbox.handle(push(1), now, &mut out);
        inbox.handle(push(3), now, &mut out);
        let empty: Arc<RawValue> = RawValue::from_string("null".into()).unwrap().into();
        for seq in [1, 3, 4] {
            inbox.handle_emptied(TALK, seq, &empty);
        }
        inbox.handle(push(2), now, &mut out);
        let is_empty: Vec<_> = out.iter().map(|push| (push.seq, push.json.get() == "null")).collect();
        assert_eq!(
            is_empty,
            [(1, false), (2, false), (3, true)],
            "what was given out, and what is not here, stays"
        );
    }

    #[test]
    fn what_waits_has_a_limit_and_the_rest_is_asked_for() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        inbox.handle(push(1), now, &mut out);
        let last = MAX_WAITING as u64 + 10;
        (3..=last).for_each(|seq| _ = inbox.handle(push(seq), now, &mut out));
        inbox.handle(push(2), now, &mut out);
        let given = MAX_WAITING as u64 + 1;
        assert_eq!(seqs(&mut out), (1..=given).collect::<Vec<_>>());
        let gap = Gap { conversation: TALK, place: Place::After(given) };
        assert_eq!(inbox.handle_timeout(now + GAP_PATIENCE), [gap]);
        (given..=last).for_each(|seq| _ = inbox.handle(push(seq), now, &mut out));
        assert_eq!(seqs(&mut out), (given + 1..=last).collect::<Vec<_>>());
        assert!(!inbox.is_waiting());
    }

    #[test]
    fn a_repair_goes_on_where_nothing_is_known() {
        let (mut inbox, now, mut out) = (inbox(), Instant::now(), Vec::new());
        for seq in [5, 6] {
            let push = Push { previous_at: None, ..push(seq) };
            assert!(!inbox.handle_repaired(push, now, &mut out));
        }
        assert_eq!(seqs(&mut out), [5, 6]);
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
                for gap in inbox.handle_timeout(now) {
                    let Place::After(after) = gap.place else { panic!("1 was delivered: {gap:?}") };
                    // A page of three.
                    for seq in after + 1..=after + 3 {
                        inbox.handle(push(seq), now, &mut out);
                    }
                }
            }
            let delivered = seqs(&mut out);
            prop_assert!(delivered.len() >= 41 && delivered.iter().copied().eq(1..=delivered.len() as u64));
        }
    }
}
