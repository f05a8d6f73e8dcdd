//! Connections come and go.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::Im;
use super::identity::{Identity, User};
use super::online::Watching;
use super::room::Room;
use super::roster::{Arrival, Connection, Ties};
use crate::close::CloseReason;
use crate::socketio::{Refused, RoomsHeld, Socket};
use crate::store::Timestamp;

/// How long a client waits for the bus before it is let in without it. What it then misses is repaired.
const BUS_WITHIN: Duration = Duration::from_secs(2);

/// Behind the user's number, where the connection watches somebody.
const WATCHING: &str = " watching";

/// A connection between the middleware, which waits, and its arrival, which does not.
struct OnItsWay(Mutex<Option<Ready>>);

struct Ready {
    identity: Identity,
    ties: Ties,
    /// The ties are those that the store has.
    were_read: bool,
    /// It has come to be in groups whose messages nobody kept for it, or may have.
    has_missed: bool,
    arrival: Arrival,
    _rooms: Option<RoomsHeld>,
}

impl Im {
    pub(super) fn serve_connections(self: &Arc<Self>) {
        self.io.recovery_data(
            |socket| {
                let watching = if socket.extensions().get::<Watching>().is_some() { WATCHING } else { "" };
                User::of(socket).map_or(Vec::new(), |user| format!("{}{watching}", user.id()).into_bytes())
            },
            |socket, data| {
                let data = std::str::from_utf8(data).unwrap_or_default();
                let id = data.strip_suffix(WATCHING);
                if id.is_some() {
                    socket.extensions().insert(Watching);
                }
                let id = crate::auth::parse_user_id(id.unwrap_or(data));
                if let Some(user) = id.and_then(User::new) {
                    socket.extensions().insert(user);
                }
            },
        );
        let im = self.clone();
        self.io.middleware(move |socket: Socket| {
            let im = im.clone();
            async move { im.admit(&socket).await }
        });
        let im = self.clone();
        self.io.on_connect(move |socket: Socket| {
            im.greet(&socket);
            async {}
        });
        let im = self.clone();
        self.io.on_disconnect(move |socket: Socket, reason: CloseReason| {
            im.farewell(&socket, reason);
            async {}
        });
    }

    /// Lets a connection in once all is there that it needs, so that it misses nothing from then on.
    async fn admit(&self, socket: &Socket) -> Result<(), Refused> {
        let identity = self.identities.of(socket)?;
        let user = identity.user;
        // A session that is taken up again stays its user's.
        if User::of(socket).is_some_and(|before| before != user) {
            let code = json!({ "code": "user_mismatch" });
            return Err(Refused::new("this session is another user's").with_data(code));
        }
        let arrival = self.roster.arrive(user.id());
        let back = groups_that_it_comes_back_to(socket).await;
        let (ties, were_read) = match self.ties.read(user.id()).await {
            Ok(ties) => {
                // It may have been put out of some of them meanwhile.
                back.difference(&ties.groups).for_each(|group| socket.leave(Room::Group(*group).name()));
                (ties, true)
            }
            Err(error) => {
                tracing::debug!(user = user.id(), %error, "a user's groups can't be read yet");
                (Ties { groups: back.clone(), ..Ties::default() }, false)
            }
        };
        let has_missed = !were_read || !ties.groups.is_subset(&back);
        let of_groups = ties.groups.iter().map(|group| Room::Group(*group));
        let rooms: Vec<_> = std::iter::once(Room::User(user.id())).chain(of_groups).map(Room::name).collect();
        let (held, in_force) = self.io.hold_rooms(&rooms);
        let _ = tokio::time::timeout(BUS_WITHIN, in_force).await;
        socket.extensions().insert(user);
        let ready = Ready { identity, ties, were_read, has_missed, arrival, _rooms: held };
        socket.extensions().insert(OnItsWay(Mutex::new(Some(ready))));
        Ok(())
    }

    fn greet(self: &Arc<Self>, socket: &Socket) {
        let on_its_way = socket.extensions().remove::<OnItsWay>();
        let ready = on_its_way.and_then(|way| way.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(Ready { identity, ties, were_read, has_missed, arrival, _rooms }) = ready else { return };
        let (user, now) = (identity.user, Timestamp::now());
        let connection =
            Connection { socket: socket.clone(), since: now, is_early: !were_read, late_in: BTreeSet::new() };
        if let Some(at) = identity.expires_at {
            self.expiries.add(at, socket);
        }
        self.bring_in(self.roster.enter(user.id(), connection, ties));
        if arrival.has_changed() || !were_read {
            let im = self.clone();
            self.runtime.spawn(async move { im.reload_ties_of(user.id()).await });
        }
        drop(arrival);
        self.presence.enter(user.id(), now);
        let mut greeting = json!({ "userId": user.id(), "nodeId": self.options.node_id, "serverTime": now });
        // Whom it had watched may have come and gone, and it watches nobody any more.
        let had_watched = socket.extensions().remove::<Watching>().is_some();
        if socket.recovered() && !has_missed && !had_watched {
            greeting["recovered"] = true.into();
        }
        socket.emit("connected", greeting);
        // It may itself be the older one.
        if !self.options.multi_device {
            self.replace_older(user.id());
        }
    }

    fn farewell(self: &Arc<Self>, socket: &Socket, reason: CloseReason) {
        let Some(user) = User::of(socket) else { return };
        if !matches!(reason, CloseReason::ClientDisconnect | CloseReason::ServerDisconnect) {
            self.stay_open_for(user.id());
        }
        if self.roster.leave(user.id(), socket.id()) {
            self.presence.leave(user.id(), Timestamp::now());
            self.forget_watcher(socket);
            if self.roster.connections(user.id()).is_empty() {
                self.twins.forget(user.id());
            }
            self.expiries.remove(socket);
        }
    }

    /// Keeps the inboxes of a user open for as long as the client that was cut off may come back, and be given what it
    /// has missed.
    fn stay_open_for(self: &Arc<Self>, user: u64) {
        let window = self.options.recovery_window;
        if window.is_zero() {
            return;
        }
        let of_groups = self.roster.groups(user).into_iter().map(Room::Group);
        let rooms: Vec<_> = std::iter::once(Room::User(user)).chain(of_groups).collect();
        let names: Vec<_> = rooms.iter().map(|room| room.name()).collect();
        let (held, _) = self.io.hold_rooms(&names);
        rooms.iter().zip(&names).for_each(|(room, name)| self.delivery.open(*room, name, None));
        let im = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(window).await;
            rooms.iter().for_each(|room| im.delivery.close(*room));
            drop(held);
        });
    }
}

/// The groups that a client which was cut off was in; none where it begins anew.
async fn groups_that_it_comes_back_to(socket: &Socket) -> BTreeSet<u64> {
    if !socket.recovered() {
        return BTreeSet::new();
    }
    let group = |room: &Arc<str>| match room.parse() {
        Ok(Room::Group(group)) => Some(group),
        _ => None,
    };
    socket.rooms().await.iter().filter_map(group).collect()
}
