//! Connections come and go.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::Im;
use super::identity::{self, User};
use super::room::Room;
use super::roster::{Arrival, Connection};
use crate::socketio::{Refused, RoomsHeld, Socket};
use crate::store::{StoreError, StoreExt as _, Timestamp, groups};

/// How long a client waits for the bus before it is let in without it. What it then misses is repaired.
const BUS_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait for a store that is away.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A connection between the middleware, which waits, and its arrival, which does not.
struct OnItsWay(Mutex<Option<Ready>>);

struct Ready {
    /// `None`: they could not be read.
    groups: Option<BTreeSet<u64>>,
    arrival: Arrival,
    _rooms: Option<RoomsHeld>,
}

impl Im {
    pub(super) fn serve_connections(self: &Arc<Self>) {
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
        self.io.on_disconnect(move |socket: Socket| {
            im.farewell(&socket);
            async {}
        });
    }

    /// Lets a connection in once all is there that it needs, so that it misses nothing from then on.
    async fn admit(&self, socket: &Socket) -> Result<(), Refused> {
        let user = identity::open(socket)?;
        let arrival = self.roster.arrive(user.id());
        let groups = match self.groups_of(user.id()).await {
            Ok(groups) => Some(groups),
            Err(error) => {
                tracing::debug!(user = user.id(), %error, "a user's groups can't be read yet");
                None
            }
        };
        let of_groups = groups.iter().flatten().map(|group| Room::Group(*group));
        let rooms: Vec<_> = std::iter::once(Room::User(user.id())).chain(of_groups).map(Room::name).collect();
        let (held, in_force) = self.io.hold_rooms(&rooms);
        let _ = tokio::time::timeout(BUS_WITHIN, in_force).await;
        socket.extensions().insert(user);
        socket.extensions().insert(OnItsWay(Mutex::new(Some(Ready { groups, arrival, _rooms: held }))));
        Ok(())
    }

    fn greet(self: &Arc<Self>, socket: &Socket) {
        let Some(user) = User::of(socket) else { return };
        let on_its_way = socket.extensions().remove::<OnItsWay>();
        let ready = on_its_way.and_then(|way| way.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(Ready { groups, arrival, _rooms }) = ready else { return };
        let now = Timestamp::now();
        let connection = Connection { socket: socket.clone(), since: now };
        if !self.options.multi_device {
            self.replace_older(user.id(), &connection);
        }
        let were_read = groups.is_some();
        let may_be_old = self.roster.enter(user.id(), connection, groups.unwrap_or_default());
        if may_be_old || !were_read {
            let im = self.clone();
            self.runtime.spawn(async move { im.reload_groups_of(user.id()).await });
        }
        drop(arrival);
        self.presence.enter(user.id(), now);
        let greeting = json!({ "userId": user.id(), "nodeId": self.options.node_id, "serverTime": now });
        socket.emit("connected", greeting);
    }

    fn farewell(&self, socket: &Socket) {
        let Some(user) = User::of(socket) else { return };
        if self.roster.leave(user.id(), socket.id()) {
            self.presence.leave(user.id(), Timestamp::now());
            self.forget_watcher(socket);
        }
    }

    async fn groups_of(&self, user: u64) -> Result<BTreeSet<u64>, StoreError> {
        let pairs = self.store.reading(move |tx| Box::pin(groups::of_users(tx, vec![user]))).await?;
        Ok(pairs.into_iter().map(|(_, group)| group).collect())
    }

    /// Reads a user's groups until the store answers, and moves the connections accordingly.
    async fn reload_groups_of(&self, user: u64) {
        while !self.roster.connections(user).is_empty() {
            let arrival = self.roster.arrive(user);
            match self.groups_of(user).await {
                Ok(groups) => {
                    self.roster.set_groups(user, groups);
                    if !arrival.has_changed() {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(STORE_PAUSE).await,
            }
        }
    }

    /// Reads the groups of everybody here: changes may have gone unheard.
    pub(super) async fn reload_groups(&self) {
        for user in self.roster.users() {
            self.reload_groups_of(user).await;
        }
    }
}
