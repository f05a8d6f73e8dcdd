//! From node to node: what the service on one node tells the service on the others.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::Im;
use super::inbox::Push;
use super::room::Room;
use super::roster::Connection;
use crate::socketio::{Args, Broadcast};
use crate::store::{Conversation, Message, Timestamp};

/// A stored message, to the nodes with the room.
const MESSAGE: &str = "im.message";
/// A stored message was emptied, to the nodes with the room.
const EMPTIED: &str = "im.emptied";
/// A user has a newer connection, and may have only one: to the nodes with the user.
const REPLACE: &str = "im.replace";
/// Others may have missed messages: to all.
const CATCH_UP: &str = "im.catch_up";

impl Im {
    /// Listens to the other nodes.
    pub(super) fn hear_others(self: &Arc<Self>) {
        self.hear(MESSAGE, |im, (id, conversation, seq, created_at, previous_at, json): PushArgs| {
            im.delivery.handle(&Push {
                id,
                conversation,
                seq,
                created_at,
                previous_at,
                json: json.into(),
                sender: None,
            });
        });
        self.hear(EMPTIED, |im, (conversation, seq, json): (Conversation, u64, Box<RawValue>)| {
            im.delivery.handle_emptied(conversation, seq, &json.into());
        });
        self.hear(REPLACE, |im, (user, since, id): (u64, Timestamp, String)| {
            im.put_out_older(user, since, &id);
            im.insist_on_newer(user, since, id);
        });
        self.hear(CATCH_UP, |im, (after,): (u64,)| im.catch_up(after));
    }

    pub(super) fn hear<T: serde::de::DeserializeOwned + 'static>(
        self: &Arc<Self>,
        event: &str,
        handle: impl Fn(&Arc<Im>, T) + Send + Sync + 'static,
    ) {
        let im = Arc::downgrade(self);
        let event_name = event.to_owned();
        self.io.on_server_side_emit(event, move |node: Arc<str>, args: Args| {
            match (im.upgrade(), args.decode()) {
                (Some(im), Ok(said)) => handle(&im, said),
                (None, _) => (),
                (_, Err(error)) => {
                    tracing::warn!(%node, event = event_name, %error, "what another node says is not understood");
                }
            }
            async {}
        });
    }

    /// Sends a message that was stored here to the nodes whose users it is for.
    pub(super) fn publish(self: &Arc<Self>, push: &Push, message: &Message) {
        let sender = message.from_user_id;
        let is_for_recipient_only = matches!(push.conversation, Conversation::Private { low, high } if low != high)
            && !self.is_needed_elsewhere(sender, push);
        let rooms = Room::all_of(push.conversation);
        let rooms = rooms.filter(|room| !is_for_recipient_only || *room != Room::User(sender));
        if !self.publish_in(rooms, push) {
            self.not_published(message.id);
        }
    }

    /// Sends a message to the nodes with other devices of its sender.
    pub(super) fn publish_to_devices_of(&self, user: u64, push: &Push) {
        self.publish_in(std::iter::once(Room::User(user)), push);
    }

    /// `false`: the bus does not take it now.
    fn publish_in(&self, rooms: impl Iterator<Item = Room>, push: &Push) -> bool {
        let args = (push.id, push.conversation, push.seq, push.created_at, push.previous_at, &*push.json);
        self.in_rooms(rooms).is_none_or(|nodes| nodes.server_side_emit(MESSAGE, args))
    }

    /// Tells all whom a message concerns that it was emptied. Where it still waits to be given out, it is given out like that.
    pub(super) fn tell_emptied(&self, message: &Message, event: &str, what: Value) {
        let conversation = message.conversation;
        let Some(all) = self.in_rooms(Room::all_of(conversation)) else { return };
        if let Ok(json) = to_raw_value(message) {
            all.server_side_emit(EMPTIED, (conversation, message.seq, &*json));
            self.delivery.handle_emptied(conversation, message.seq, &json.into());
        }
        self.tell_clients(&all, event, what);
    }

    /// Everybody in any of the rooms; `None` where there are none.
    fn in_rooms(&self, mut rooms: impl Iterator<Item = Room>) -> Option<Broadcast> {
        let first = rooms.next()?;
        Some(rooms.fold(self.io.to(first.to_string()), |all, room| all.to(room.to_string())))
    }

    /// Puts out all connections of a user but the newest, on every node. To be called when one has come.
    pub(super) fn replace_older(&self, user: u64) {
        // Another shard may let in another one at the same time, and either may be the newer.
        if let Some(newest) = self.newest(user) {
            let (since, id) = newest.age();
            self.put_out_older(user, since, &id);
            self.tell_of(user, &newest);
        }
    }

    /// Of two that come at the same time, the older may be here only after it was to be put out. It tells of itself then; who is
    /// newer answers.
    fn insist_on_newer(&self, user: u64, since: Timestamp, id: String) {
        let than = (since, id);
        if let Some(newest) = self.newest(user).filter(|newest| newest.age() > than) {
            self.tell_of(user, &newest);
        }
    }

    fn newest(&self, user: u64) -> Option<Connection> {
        self.roster.connections(user).into_iter().max_by_key(Connection::age)
    }

    fn tell_of(&self, user: u64, newest: &Connection) {
        let (since, id) = newest.age();
        self.io.to(Room::User(user).to_string()).server_side_emit(REPLACE, (user, since, id));
    }

    /// `false`: the bus does not take it now.
    pub(super) fn tell_to_catch_up(&self, after: u64) -> bool {
        self.io.sockets().server_side_emit(CATCH_UP, (after,))
    }

    fn put_out_older(&self, user: u64, since: Timestamp, id: &str) {
        for connection in self.roster.connections(user) {
            if connection.is_older(since, id) {
                super::kick(&connection.socket, "replaced");
            }
        }
    }
}

type PushArgs = (u64, Conversation, u64, Timestamp, Option<Timestamp>, Box<RawValue>);
