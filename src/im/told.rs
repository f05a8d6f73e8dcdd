//! What clients are told beside messages: that one was recalled or read, that a group has changed. The store does not keep it,
//! so each node keeps what it has told lately, and tells it again where another node was cut off, or this one was. A node that had
//! it already knows it by its number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Im;
use super::repair::NOTICED_LATE;
use super::room::Room;
use crate::socketio::{Broadcast, SentElsewhere};
use crate::store::Conversation;

/// That what other nodes were told in so many ms is to be told again: to all.
const AGAIN: &str = "im.told_again";
/// For how long it is kept, or as long as this node is cut off.
const KEPT: Duration = Duration::from_secs(120);
/// So much is kept at most: fewer than a node knows by their numbers.
const MOST: usize = 4096;
const MOST_BYTES: usize = 16 << 20;
/// How long to wait for a bus that takes no more, and for others who ask, too.
const PAUSE: Duration = Duration::from_secs(1);

/// What was told.
#[derive(Default)]
pub struct Told(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    /// The newest last.
    events: VecDeque<(Instant, Arc<SentElsewhere>)>,
    bytes: usize,
    /// Of read marks each user's last one in a conversation, which says all that those before it said.
    marks: HashMap<(Conversation, u64), (Instant, Arc<SentElsewhere>)>,
    /// This node is, or was until a moment ago, cut off since then. All from then on is kept until it was told again.
    cut_off_since: Option<Instant>,
    overflowed: bool,
    /// Others have asked for what was told since then.
    asked_since: Option<Instant>,
    is_telling: bool,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node is cut off, perhaps for some time already.
    pub(super) fn cut_off(&self) {
        self.lock().cut_off_since.get_or_insert_with(|| before(NOTICED_LATE));
    }
}

impl Lately {
    fn note(&mut self, sent: SentElsewhere) {
        let horizon = self.horizon();
        while self.events.front().is_some_and(|(at, _)| *at < horizon) {
            self.forget_first();
        }
        while self.events.len() >= MOST || (self.bytes > MOST_BYTES && !self.events.is_empty()) {
            self.forget_first();
            self.overflowed |= self.cut_off_since.is_some();
        }
        self.bytes += sent.bytes();
        self.events.push_back((Instant::now(), Arc::new(sent)));
    }

    fn forget_first(&mut self) {
        let first = self.events.pop_front();
        self.bytes -= first.map_or(0, |(_, sent)| sent.bytes());
    }

    fn note_mark(&mut self, conversation: Conversation, user: u64, sent: SentElsewhere) {
        if self.marks.len() >= MOST {
            let horizon = self.horizon();
            self.marks.retain(|_, (at, _)| *at >= horizon);
        }
        // With so many, an unread count somewhere is one too high until the next mark.
        if self.marks.len() < MOST || self.marks.contains_key(&(conversation, user)) {
            self.marks.insert((conversation, user), (Instant::now(), Arc::new(sent)));
        }
    }

    /// What is older need not be kept.
    fn horizon(&self) -> Instant {
        let kept = before(KEPT);
        self.cut_off_since.map_or(kept, |since| since.min(kept))
    }

    fn since(&self, since: Instant) -> Vec<Arc<SentElsewhere>> {
        let all = self.events.iter().chain(self.marks.values());
        all.filter(|(at, _)| *at >= since).map(|(_, sent)| sent.clone()).collect()
    }
}

/// So long ago.
fn before(ago: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(ago).unwrap_or(now)
}

impl Im {
    /// Tells clients something, on all nodes, also on those that are cut off now.
    pub(super) fn tell_clients(&self, all: &Broadcast, event: &str, what: Value) {
        if let Some(sent) = all.emit_noted(event, what) {
            self.told.lock().note(sent);
        }
    }

    /// Tells clients how far a user has read.
    pub(super) fn tell_clients_of_mark(&self, all: &Broadcast, of: (Conversation, u64), what: Value) {
        if let Some(sent) = all.emit_noted("message_read", what) {
            self.told.lock().note_mark(of.0, of.1, sent);
        }
    }

    /// Listens to nodes that may have missed what this one has told.
    pub(super) fn hear_who_missed(self: &Arc<Self>) {
        self.hear(AGAIN, |im, (ms,): (u64,)| im.tell_again(before(Duration::from_millis(ms))));
    }

    /// The bus is back, and the users here are in the rooms of their groups again: what was told meanwhile is told to the others,
    /// and they tell this node.
    pub(super) async fn exchange_what_was_told(self: &Arc<Self>) {
        let Some(since) = self.told.lock().cut_off_since else { return };
        let rooms: Vec<_> =
            self.roster.all_groups().into_iter().map(|group| Room::Group(group).name()).collect();
        let (_held, in_force) = self.io.hold_rooms(&rooms);
        in_force.await;
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Where it is away again, all this is done once more when it is back.
        if self.repair.is_cut_off() || !self.io.sockets().server_side_emit(AGAIN, (ms,)) {
            return;
        }
        let overflowed = {
            let mut lately = self.told.lock();
            lately.cut_off_since = None;
            std::mem::take(&mut lately.overflowed)
        };
        if overflowed {
            tracing::warn!(
                kept = MOST,
                "clients of other nodes are not told of all that has happened while the bus was away: too much"
            );
        }
        self.tell_again(since);
    }

    /// Tells other nodes again what they were told since then. Those who ask meanwhile, as all do when Redis is back, are told
    /// with it.
    fn tell_again(self: &Arc<Self>, since: Instant) {
        {
            let mut lately = self.told.lock();
            let asked = lately.asked_since.map_or(since, |asked| asked.min(since));
            lately.asked_since = Some(asked);
            if std::mem::replace(&mut lately.is_telling, true) {
                return;
            }
        }
        let im = self.clone();
        self.runtime.spawn(async move {
            loop {
                let again = {
                    let mut lately = im.told.lock();
                    let Some(since) = lately.asked_since.take() else {
                        lately.is_telling = false;
                        return;
                    };
                    lately.since(since)
                };
                for sent in again {
                    while !im.io.emit_again(&sent) && !im.repair.is_cut_off() {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}
