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

use super::inbox::{GAP_PATIENCE, Gap, Inbox, Place, Push};
use super::room::Room;
use crate::ids::SocketId;
use crate::socketio::{Io, Socket};
use crate::store::{
    Conversation, MAX_SYNC_LIMIT, Message, Store, StoreError, StoreExt as _, Timestamp, messages,
};
use crate::under_way::UnderWay;

/// The inboxes of this node.
pub struct Delivery {
    io: Io,
    store: Arc<dyn Store>,
    runtime: Handle,
    under_way: Arc<UnderWay>,
    inboxes: [Mutex<Inboxes>; SPREAD],
}

type Inboxes = HashMap<Room, Open>;

/// An inbox, and how many connections it is open for.
struct Open {
    name: Arc<str>,
    connections: usize,
    /// The connection that it was opened for, as long as there was no other one.
    only: Option<SocketId>,
    inbox: Inbox,
}

/// How far a connection was brought up to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroughtUp {
    /// There is more.
    Partly,
    /// To this `seq`, the last that the room was given out.
    To(u64),
    /// The inbox is closed: the connection has gone.
    Closed,
}

/// Locks that the inboxes are spread over.
const SPREAD: usize = 64;
/// How long to wait for a store that is away, before it is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Delivery {
    /// Nothing is open yet. What has to wait, waits on `runtime`. `under_way`: what is being stored here.
    pub fn new(io: Io, store: Arc<dyn Store>, runtime: Handle, under_way: Arc<UnderWay>) -> Arc<Self> {
        Arc::new(Delivery {
            io,
            store,
            runtime,
            under_way,
            inboxes: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// A connection has come that is in this room, which has that name; `None` for one that may come.
    pub fn open(&self, room: Room, name: &Arc<str>, connection: Option<SocketId>) {
        match self.lock(room).entry(room) {
            Entry::Occupied(mut open) => {
                open.get_mut().connections += 1;
                open.get_mut().only = None;
            }
            Entry::Vacant(place) => {
                let (name, inbox) = (name.clone(), Inbox::new(Timestamp::now()));
                place.insert(Open { name, connections: 1, only: connection, inbox });
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
        if self.io.is_anybody_coming_back() {
            // For who is about to have an inbox here.
            for room in Room::all_of(push.conversation) {
                let inboxes = self.lock(room);
                if !inboxes.contains_key(&room) {
                    self.give_out(&room.name(), None, std::slice::from_ref(push));
                }
            }
        }
    }

    /// A repair has found a message in the store.
    pub fn handle_repaired(self: &Arc<Self>, message: &Message) {
        let rooms = Room::all_of(message.conversation);
        let rooms: Vec<_> = rooms.filter(|room| self.lock(*room).contains_key(room)).collect();
        let Some(push) = (!rooms.is_empty()).then(|| Push::of(message, None, None)).flatten() else { return };
        self.handle_in(rooms.into_iter(), |inbox, now, out| inbox.handle_repaired(push.clone(), now, out));
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
            self.give_out(&open.name, open.only, &out);
            drop(inboxes);
            if must_look {
                self.look_after(room, GAP_PATIENCE);
            }
        }
    }

    /// Sends messages to a room's members here, of which there may be but one. To be called under the lock of its inbox.
    fn give_out(&self, room: &Arc<str>, only: Option<SocketId>, pushes: &[Push]) {
        // Who is on the way back may be one more.
        let only = only.filter(|_| !self.io.is_anybody_coming_back());
        for push in pushes {
            // A private message is pushed to the sender's other devices. Of a group, every member gets everything.
            let is_private = matches!(push.conversation, Conversation::Private { .. });
            let except = push.sender.filter(|_| is_private);
            if except.is_some() && except == only {
                continue;
            }
            let mut members = self.io.sockets().in_room(room).local().offset(push.offset());
            if let Some(sender) = except {
                members = members.skip(sender);
            }
            members.emit(if is_private { "private_message" } else { "group_message" }, &*push.json);
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
        Some(open.inbox.handle_timeout(Instant::now()))
    }

    /// Fetches what a room has missed.
    async fn fill(self: &Arc<Self>, room: Room, Gap { conversation, place }: Gap) -> Result<(), StoreError> {
        let only = || std::iter::once(room);
        let mut after = match place {
            Place::After(seq) => seq,
            Place::Before { seq, since } => {
                let last = self
                    .store
                    .reading(move |tx| Box::pin(messages::last_seq_before(tx, conversation, seq, since)));
                let last = last.await?;
                self.handle_in(only(), |inbox, _, out| {
                    inbox.begin_after(conversation, last, out);
                    false
                });
                last
            }
        };
        loop {
            let page = self.store.sync(conversation, after, MAX_SYNC_LIMIT).await?;
            let Some(last) = page.messages.last() else { return Ok(()) };
            after = last.seq;
            self.under_way.wait().await;
            for push in page.messages.iter().filter_map(|message| Push::of(message, None, None)) {
                // What is in order, or follows it, is given out; the room's other conversations don't mind.
                self.handle_in(only(), |inbox, now, out| inbox.handle(push.clone(), now, out));
            }
            if !page.has_more {
                return Ok(());
            }
        }
    }

    /// Sends a connection that came at `since`, and is to be in a group's room only now, what the room was given out since, after
    /// `had` of it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn bring_up(
        self: &Arc<Self>,
        socket: &Socket,
        group: u64,
        since: Timestamp,
        had: &mut Option<u64>,
    ) -> Result<BroughtUp, StoreError> {
        let (room, conversation) = (Room::Group(group), Conversation::Group(group));
        let last_before = |at| {
            self.store.reading(move |tx| Box::pin(messages::last_seq_before(tx, conversation, u64::MAX, at)))
        };
        let after = match *had {
            Some(after) => after,
            None => *had.insert(last_before(since).await?),
        };
        let Some((opened_at, given_out)) = self.state_of(room, conversation) else {
            return Ok(BroughtUp::Closed);
        };
        let Some(given_out) = given_out else {
            let last = last_before(opened_at).await?;
            self.handle_in(std::iter::once(room), |inbox, _, out| {
                inbox.begin_after(conversation, last, out);
                false
            });
            return Ok(BroughtUp::Partly);
        };
        if after >= given_out {
            return Ok(BroughtUp::To(given_out));
        }
        let page = self.store.sync(conversation, after, MAX_SYNC_LIMIT).await?;
        let meant: Vec<_> = page.messages.iter().take_while(|message| message.seq <= given_out).collect();
        *had = Some(meant.last().map_or(given_out, |message| message.seq));
        let itself: Arc<str> = socket.id().to_string().into();
        for push in meant.into_iter().filter_map(|message| Push::of(message, None, None)) {
            let itself = self.io.sockets().in_room(&itself).local().offset(push.offset());
            itself.emit("group_message", &*push.json);
        }
        Ok(BroughtUp::Partly)
    }

    /// Has a connection that was brought up to `seq` join the group's room, if that was given out nothing more meanwhile; whether it
    /// has. What is given out from then on is behind the joining.
    pub fn join_at(&self, group: u64, seq: u64, join: impl FnOnce()) -> bool {
        let (room, conversation) = (Room::Group(group), Conversation::Group(group));
        let inboxes = self.lock(room);
        let is_there = inboxes.get(&room).is_some_and(|open| open.inbox.delivered(conversation) == Some(seq));
        if is_there {
            join();
        }
        is_there
    }

    /// Since when a room's inbox is open, and what it has given out of a conversation, if it knows; `None` where it is closed.
    fn state_of(&self, room: Room, conversation: Conversation) -> Option<(Timestamp, Option<u64>)> {
        let inboxes = self.lock(room);
        let inbox = &inboxes.get(&room)?.inbox;
        Some((inbox.opened_at(), inbox.delivered(conversation)))
    }

    fn lock(&self, room: Room) -> MutexGuard<'_, Inboxes> {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let lock = &self.inboxes[hasher.finish() as usize % SPREAD];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
