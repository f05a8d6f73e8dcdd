//! Tokens expire while their connections live: those are then put out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Im, kick};
use crate::ids::SocketId;
use crate::socketio::Socket;
use crate::store::Timestamp;

/// How often it is looked for tokens that have expired.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Connections by when their token expires.
#[derive(Default)]
pub struct Expiries(Mutex<BTreeMap<(Timestamp, Order), Socket>>);

/// Any order of sockets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order(u16, u32);

impl From<SocketId> for Order {
    fn from(id: SocketId) -> Self {
        Order(id.shard, id.slot)
    }
}

impl Expiries {
    /// A connection whose token expires then.
    pub fn add(&self, at: Timestamp, socket: &Socket) {
        socket.extensions().insert(ExpiresAt(at));
        self.lock().insert((at, socket.id().into()), socket.clone());
    }

    /// It is gone.
    pub fn remove(&self, socket: &Socket) {
        let Some(at) = socket.extensions().get::<ExpiresAt>() else { return };
        let (key, mut sockets) = ((at.0, socket.id().into()), self.lock());
        if sockets.get(&key).is_some_and(|other| other.id() == socket.id()) {
            sockets.remove(&key);
        }
    }

    fn take_expired(&self, now: Timestamp) -> Vec<Socket> {
        let mut sockets = self.lock();
        let valid = sockets.split_off(&(now, Order(u16::MAX, u32::MAX)));
        std::mem::replace(&mut *sockets, valid).into_values().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Timestamp, Order), Socket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a connection's token expires.
struct ExpiresAt(Timestamp);

impl Im {
    /// Begins to look for expired tokens, for as long as the service lives.
    pub(super) fn watch_expiries(self: &Arc<Self>) {
        let im = Arc::downgrade(self);
        self.runtime.spawn(async move {
            while let Some(im) = im.upgrade() {
                for socket in im.expiries.take_expired(Timestamp::now()) {
                    kick(&socket, "token_expired");
                }
                drop(im);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }
}
