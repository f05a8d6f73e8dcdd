//! Stored messages to the clients on this node: each room's [`Inbox`] puts them in order, the store fills what the bus
//! has lost.
//!
//! A room has an inbox here as long as one of its members is connected here. What is given out for a room is given out
//! under the lock of its inbox, so that the shards are asked in the order of `seq`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::inbox::{GAP_PATIENCE, Gap, Inbox, Push};
use super::room::Room;
use crate::socketio::Io;
use crate::store::{Conversation, MAX_SYNC_LIMIT, Store, StoreError, StoreExt as _, Timestamp};

/// The inboxes of this node.
pub struct Delivery {
    io: Io,
    store: Arc<dyn Store>,
    runtime: Handle,
    inboxes: [Mutex<Inboxes>; SPREAD],
}

type Inboxes = HashMap<Room, Open>;

/// An inbox, and how many connections it is open for.
struct Open {
    connections: usize,
    inbox: Inbox,
}

/// Locks that the inboxes are spread over.
const SPREAD: usize = 64;
/// How long to wait for a store that is away, before it is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Delivery {
    /// Nothing is open yet. What has to wait, waits on `runtime`.
    pub fn new(io: Io, store: Arc<dyn Store>, runtime: Handle) -> Arc<Self> {
        Arc::new(Delivery { io, store, runtime, inboxes: std::array::from_fn(|_| Mutex::default()) })
    }

    /// A connection has come that is in this room.
    pub fn open(&self, room: Room) {
        match self.lock(room).entry(room) {
            Entry::Occupied(mut open) => open.get_mut().connections += 1,
            Entry::Vacant(place) => {
                place.insert(Open { connections: 1, inbox: Inbox::new(Timestamp::now()) });
            }
        }
    }

    /// It has gone.
    pub fn close(&self, room: Room) {
        if let Entry::Occupied(mut open) = self.lock(room).entry(room) {
            open.get_mut().connections -= 1;
            if open.get().connections == 0 {
                open.remove();
            }
        }
    }

    /// A message was stored, here or on another node.
    pub fn handle(self: &Arc<Self>, push: &Push) {
        self.handle_in(Room::all_of(push.conversation), |inbox, now, out| {
            inbox.handle(push.clone(), now, out)
        });
    }

    /// A repair has found a message in the store.
    pub fn handle_repaired(self: &Arc<Self>, push: &Push) {
        let rooms = Room::all_of(push.conversation);
        self.handle_in(rooms, |inbox, now, out| inbox.handle_repaired(push.clone(), now, out));
    }

    /// A message was emptied, here or on another node.
    pub fn handle_emptied(&self, conversation: Conversation, seq: u64, json: &Arc<RawValue>) {
        for room in Room::all_of(conversation) {
            if let Some(open) = self.lock(room).get_mut(&room) {
                open.inbox.handle_emptied(conversation, seq, json);
            }
        }
    }

    fn handle_in(
        self: &Arc<Self>,
        rooms: impl Iterator<Item = Room>,
        handle: impl Fn(&mut Inbox, Instant, &mut Vec<Push>) -> bool,
    ) {
        for room in rooms {
            let mut inboxes = self.lock(room);
            let Some(open) = inboxes.get_mut(&room) else { continue };
            let mut out = Vec::new();
            let must_look = handle(&mut open.inbox, Instant::now(), &mut out);
            self.give_out(room, &out);
            drop(inboxes);
            if must_look {
                self.look_after(room, GAP_PATIENCE);
            }
        }
    }

    /// Sends messages to a room's members here. To be called under the lock of its inbox.
    fn give_out(&self, room: Room, pushes: &[Push]) {
        for push in pushes {
            let event = match push.conversation {
                Conversation::Private { .. } => "private_message",
                Conversation::Group(_) => "group_message",
            };
            let members = self.io.to(room.to_string()).local();
            // A private message is pushed to the sender's other devices. Of a group, every member gets everything.
            match push.sender.filter(|_| matches!(push.conversation, Conversation::Private { .. })) {
                Some(sender) => members.except(sender.to_string()).emit(event, &*push.json),
                None => members.emit(event, &*push.json),
            }
        }
    }

    /// Comes back to a room whose inbox waits for something.
    fn look_after(self: &Arc<Self>, room: Room, pause: Duration) {
        let delivery = Arc::clone(self);
        self.runtime.spawn(async move {
            let mut pause = pause;
            loop {
                tokio::time::sleep(pause).await;
                let Some(gaps) = delivery.overdue(room) else { return };
                pause = GAP_PATIENCE;
                for gap in gaps {
                    if let Err(error) = delivery.fill(room, gap).await {
                        tracing::debug!(%room, %error, "what was missed can't be fetched yet");
                        pause = STORE_PAUSE;
                    }
                }
            }
        });
    }

    /// The gaps that have lasted too long; `None` when nothing waits any more.
    fn overdue(&self, room: Room) -> Option<Vec<Gap>> {
        let mut inboxes = self.lock(room);
        let open = inboxes.get_mut(&room).filter(|open| open.inbox.is_waiting())?;
        let mut out = Vec::new();
        let gaps = open.inbox.handle_timeout(Instant::now(), &mut out);
        self.give_out(room, &out);
        Some(gaps)
    }

    /// Fetches what a room has missed.
    async fn fill(self: &Arc<Self>, room: Room, gap: Gap) -> Result<(), StoreError> {
        let mut after = gap.after;
        loop {
            let page = self.store.sync(gap.conversation, after, MAX_SYNC_LIMIT).await?;
            let Some(last) = page.messages.last() else { return Ok(()) };
            let mut previous_at = None;
            after = last.seq;
            for message in &page.messages {
                let Some(push) = Push::of(message, previous_at, None) else { continue };
                previous_at = Some(message.created_at);
                // What is in order, or follows it, is given out; the room's other conversations don't mind.
                self.handle_in(std::iter::once(room), |inbox, now, out| inbox.handle(push.clone(), now, out));
            }
            if !page.has_more {
                return Ok(());
            }
        }
    }

    fn lock(&self, room: Room) -> MutexGuard<'_, Inboxes> {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let lock = &self.inboxes[hasher.finish() as usize % SPREAD];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
