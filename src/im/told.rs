//! What clients are told beside messages: that one was recalled or read, that a group has changed. The store does not keep it,
//! so what was told lately is kept here, and told again to the other nodes once the bus is back that has perhaps lost it.
//! A node that had it already knows it by its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::Im;
use super::repair::NOTICED_LATE;
use super::room::Room;
use crate::socketio::{Broadcast, SentElsewhere};

/// That what other nodes were told lately is to be told again: to all.
const AGAIN: &str = "im.told_again";
/// So much is kept. Fewer than a node knows by their numbers.
const KEPT: usize = 4096;

/// What was told, the newest last.
#[derive(Default)]
pub struct Told(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    sent: VecDeque<(Instant, Arc<SentElsewhere>)>,
    /// More was told while the bus was away than is kept.
    overflowed: bool,
}

impl Told {
    fn note(&self, sent: SentElsewhere, is_cut_off: bool) {
        let now = Instant::now();
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_cut_off && lately.sent.front().is_some_and(|(at, _)| now.duration_since(*at) > NOTICED_LATE)
        {
            lately.sent.pop_front();
        }
        if lately.sent.len() >= KEPT {
            lately.sent.pop_front();
            lately.overflowed = is_cut_off;
        }
        lately.sent.push_back((now, Arc::new(sent)));
    }

    fn take_overflow(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).overflowed)
    }

    fn all(&self) -> Vec<Arc<SentElsewhere>> {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.sent.iter().map(|(_, sent)| sent.clone()).collect()
    }
}

impl Im {
    /// Tells clients something, on all nodes, also on those that are cut off now.
    pub(super) fn tell_clients(&self, all: &Broadcast, event: &str, what: Value) {
        if let Some(sent) = all.emit_noted(event, what) {
            self.told.note(sent, self.repair.is_cut_off());
        }
    }

    /// Listens to nodes that may have missed what this one has told.
    pub(super) fn hear_who_missed(self: &Arc<Self>) {
        self.hear(AGAIN, |im, (_,): (u8,)| im.tell_again());
    }

    /// The bus is back, and the users here are in the rooms of their groups again: what was told meanwhile is told to the others,
    /// and they tell this node.
    pub(super) async fn exchange_what_was_told(&self) {
        if self.told.take_overflow() {
            tracing::warn!(
                kept = KEPT,
                "clients of other nodes are not told of everything that has happened while the bus was away: too much"
            );
        }
        let rooms: Vec<_> =
            self.roster.all_groups().into_iter().map(|group| Room::Group(group).name()).collect();
        let (_held, in_force) = self.io.hold_rooms(&rooms);
        in_force.await;
        if self.io.sockets().server_side_emit(AGAIN, (1,)) {
            self.tell_again();
        }
        // Otherwise it is away again, and all this is done once more when it is back.
    }

    fn tell_again(&self) {
        for sent in self.told.all() {
            if !self.io.emit_again(&sent) {
                return;
            }
        }
    }
}
