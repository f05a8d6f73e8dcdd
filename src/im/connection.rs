//! Connections come and go.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::Im;
use super::identity::{Identity, User};
use super::room::Room;
use super::roster::{Arrival, Connection, Ties};
use crate::close::CloseReason;
use crate::socketio::{Refused, RoomsHeld, Socket};
use crate::store::{StoreError, StoreExt as _, Timestamp, blocks, groups};

/// How long a client waits for the bus before it is let in without it. What it then misses is repaired.
const BUS_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait for a store that is away.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A connection between the middleware, which waits, and its arrival, which does not.
struct OnItsWay(Mutex<Option<Ready>>);

struct Ready {
    identity: Identity,
    /// `None`: they could not be read.
    ties: Option<Ties>,
    arrival: Arrival,
    _rooms: Option<RoomsHeld>,
}

impl Im {
    pub(super) fn serve_connections(self: &Arc<Self>) {
        self.io.recovery_data(
            |socket| User::of(socket).map_or(Vec::new(), |user| user.id().to_string().into_bytes()),
            |socket, data| {
                let id = std::str::from_utf8(data).ok().and_then(crate::auth::parse_user_id);
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
        let ties = match self.read_ties(user.id()).await {
            Ok(ties) => Some(ties),
            Err(error) => {
                tracing::debug!(user = user.id(), %error, "a user's groups can't be read yet");
                None
            }
        };
        let of_groups = ties.iter().flat_map(|ties| &ties.groups).map(|group| Room::Group(*group));
        let rooms: Vec<_> = std::iter::once(Room::User(user.id())).chain(of_groups).map(Room::name).collect();
        let (held, in_force) = self.io.hold_rooms(&rooms);
        let _ = tokio::time::timeout(BUS_WITHIN, in_force).await;
        socket.extensions().insert(user);
        let ready = Ready { identity, ties, arrival, _rooms: held };
        socket.extensions().insert(OnItsWay(Mutex::new(Some(ready))));
        Ok(())
    }

    fn greet(self: &Arc<Self>, socket: &Socket) {
        let on_its_way = socket.extensions().remove::<OnItsWay>();
        let ready = on_its_way.and_then(|way| way.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(Ready { identity, ties, arrival, _rooms }) = ready else { return };
        let (user, now) = (identity.user, Timestamp::now());
        let connection = Connection { socket: socket.clone(), since: now };
        if !self.options.multi_device {
            self.replace_older(user.id(), &connection);
        }
        if let Some(at) = identity.expires_at {
            self.expiries.add(at, socket);
        }
        let were_read = ties.is_some();
        let may_be_old = self.roster.enter(user.id(), connection, ties.unwrap_or_default());
        if may_be_old || !were_read {
            let im = self.clone();
            self.runtime.spawn(async move { im.reload_ties_of(user.id()).await });
        }
        drop(arrival);
        self.presence.enter(user.id(), now);
        let mut greeting = json!({ "userId": user.id(), "nodeId": self.options.node_id, "serverTime": now });
        if socket.recovered() {
            greeting["recovered"] = true.into();
            self.leave_former_groups(user.id(), socket);
        }
        socket.emit("connected", greeting);
    }

    /// Makes a socket leave the rooms that it has come back to, of groups that its user is no member of any more.
    fn leave_former_groups(self: &Arc<Self>, user: u64, socket: &Socket) {
        let (im, socket) = (self.clone(), socket.clone());
        self.runtime.spawn(async move {
            let groups: HashSet<_> =
                im.roster.groups(user).into_iter().map(|group| Room::Group(group).name()).collect();
            let rooms = socket.rooms().await;
            let of_groups = rooms.into_iter().filter(|room| Room::is_of_group(room));
            of_groups.filter(|room| !groups.contains(room)).for_each(|room| socket.leave(room));
        });
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
        rooms.iter().for_each(|room| self.delivery.open(*room));
        let im = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(window).await;
            rooms.iter().for_each(|room| im.delivery.close(*room));
            drop(held);
        });
    }

    async fn read_ties(&self, user: u64) -> Result<Ties, StoreError> {
        self.store
            .reading(move |tx| {
                Box::pin(async move {
                    let groups = groups::of_users(tx, vec![user]).await?;
                    let blocked_by = blocks::blockers_of(tx, user).await?;
                    Ok(Ties {
                        groups: groups.into_iter().map(|(_, group)| group).collect(),
                        blocked_by: blocked_by.into_iter().collect(),
                    })
                })
            })
            .await
    }

    /// Reads a user's ties until the store answers, and moves the connections accordingly.
    async fn reload_ties_of(&self, user: u64) {
        while !self.roster.connections(user).is_empty() {
            let arrival = self.roster.arrive(user);
            match self.read_ties(user).await {
                Ok(ties) => {
                    self.roster.set_ties(user, ties);
                    if !arrival.has_changed() {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(STORE_PAUSE).await,
            }
        }
    }

    /// Reads the ties of everybody here: changes may have gone unheard.
    pub(super) async fn reload_ties(&self) {
        for user in self.roster.users() {
            self.reload_ties_of(user).await;
        }
    }
}
