//! Connection state recovery: a client that was cut off comes back to its id, its rooms, what the program kept with it,
//! and the events that it has missed (reference: socket.io 4.6, "connection state recovery").
//!
//! Events carry their [`Offset`] as one more argument, which is how the client knows where it was. Each shard keeps a log
//! of what it has sent lately, and the sessions of its clients that were cut off (`hub/log.rs`, `hub/kept.rs`). Whoever
//! keeps a session gives it up exactly once: to a client of the same shard, to another shard, or to another node.
//! Where that node is gone, the program can vouch for what it has sent (see [`Io::on_recover_elsewhere`](super::Io)).
//!
//! Here stands what all shards share. It costs nothing where recovery is off.

mod coming;
pub(super) mod find;
mod recovered;
mod session;

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::oneshot;

use super::Socket;
use super::cluster::WayBack;
use super::encode::Body;
use crate::ids::{Offset, Pid, ShardId, SocketId};
use crate::proto::sio::Kind;

use crate::under_way::UnderWay;

pub(super) use coming::{Coming, ComingBack};
pub use recovered::RecoveredSession;
#[cfg(test)]
pub(super) use session::tests as test_sessions;
pub(super) use session::{Found, Luggage, Session, Who};

/// How clients are taken back.
#[derive(Clone, Debug)]
pub struct RecoveryOptions {
    /// How long a client may take to come back; 0, the default, for recovery switched off.
    pub window: Duration,
    /// Whether middleware, which has let the client in before, is skipped for one that comes back. Default: yes.
    pub skip_middleware: bool,
    /// Bytes of events that the node may remember. Beyond that the oldest are forgotten before their time, and clients
    /// that have missed them begin anew. Default: 64 MiB.
    pub log_bytes: usize,
    /// Sessions of absent clients that the node may keep. Default: 100,000.
    pub max_sessions: usize,
}

impl Default for RecoveryOptions {
    fn default() -> Self {
        RecoveryOptions {
            window: Duration::ZERO,
            skip_middleware: true,
            log_bytes: 64 * 1024 * 1024,
            max_sessions: 100_000,
        }
    }
}

type Save = Box<dyn Fn(&Socket) -> Vec<u8> + Send + Sync>;
type Restore = Box<dyn Fn(&Socket, &[u8]) + Send + Sync>;
type Vouch = Arc<dyn Fn(RecoveredSession) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What all shards of a server share.
pub struct Recovery {
    pub options: RecoveryOptions,
    /// Sessions that have moved, and so are not on the shard, or in the slot, that their private id names.
    moved: Mutex<HashMap<Pid, (ShardId, SocketId)>>,
    data: RwLock<Option<(Save, Restore)>>,
    vouch: RwLock<Option<Vouch>>,
    pub emits: UnderWay,
    pub coming: Coming,
}

impl Recovery {
    pub fn new(options: RecoveryOptions) -> Self {
        Recovery {
            options,
            moved: Mutex::default(),
            data: RwLock::default(),
            vouch: RwLock::default(),
            emits: UnderWay::default(),
            coming: Coming::default(),
        }
    }

    /// The shard that a session is on, if it is on this node.
    pub fn shard_of(&self, pid: &Pid) -> ShardId {
        self.moved_to(pid).map_or(pid.shard, |(shard, _)| shard)
    }

    /// Where a session is, if it is not where its private id says, and the id of its socket.
    pub fn moved_to(&self, pid: &Pid) -> Option<(ShardId, SocketId)> {
        self.moved().get(pid).copied()
    }

    /// A session is not, or not any more, where its private id says.
    pub fn has_moved(&self, pid: Pid, to: ShardId, socket: SocketId) {
        self.moved().insert(pid, (to, socket));
    }

    /// A session that was on this shard is no more.
    pub fn forget(&self, pid: &Pid, shard: ShardId) {
        let mut moved = self.moved();
        if moved.get(pid).is_some_and(|(at, _)| *at == shard) {
            moved.remove(pid);
        }
    }

    fn moved(&self) -> MutexGuard<'_, HashMap<Pid, (ShardId, SocketId)>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_data(&self, save: Save, restore: Restore) {
        *self.data.write().unwrap_or_else(PoisonError::into_inner) = Some((save, restore));
    }

    pub fn set_vouch(&self, vouch: Vouch) {
        *self.vouch.write().unwrap_or_else(PoisonError::into_inner) = Some(vouch);
    }

    pub fn vouch(&self) -> Option<Vouch> {
        self.vouch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the program keeps with a socket, as bytes for another node.
    pub fn save(&self, socket: &Socket) -> Bytes {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        let saved = data.as_ref().and_then(|(save, _)| guarded(socket, || save(socket)));
        saved.map(Bytes::from).unwrap_or_default()
    }

    /// Gives a socket back what the program has kept with it on another node.
    pub fn restore(&self, socket: &Socket, saved: &[u8]) {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, restore)) = data.as_ref() {
            guarded(socket, || restore(socket, saved));
        }
    }
}

/// Runs the program's code, which must not end the shard.
fn guarded<T>(socket: &Socket, run: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(run));
    done.inspect_err(
        |_| tracing::error!(socket = %socket.id(), "saving or restoring a socket's data has panicked"),
    )
    .ok()
}

/// What a client says to be let in as who it was.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub pid: Pid,
    /// The last event that it had.
    pub offset: Offset,
}

impl Claim {
    /// A claim out of what a client gives as `auth`, if it makes one.
    pub fn of(auth: &str) -> Option<Claim> {
        #[derive(Deserialize)]
        struct Auth<'a> {
            #[serde(borrow)]
            pid: Cow<'a, str>,
            #[serde(borrow)]
            offset: Cow<'a, str>,
        }
        let auth: Auth<'_> = serde_json::from_str(auth).ok()?;
        Some(Claim { pid: auth.pid.parse().ok()?, offset: auth.offset.parse().ok()? })
    }
}

/// To whom a shard gives a session up.
pub enum Claimer {
    /// To another shard.
    Shard(oneshot::Sender<Option<Found>>),
    /// To another node, which knows the rest.
    Node(WayBack),
}

/// An event as it was sent.
#[derive(Clone, Debug)]
pub enum Content {
    /// None: it marks a place.
    Nothing,
    Frames(Bytes),
    /// To several namespaces, whose names are in the frames.
    Named(Arc<Body>),
}

impl Content {
    /// The frames for a client in this namespace.
    pub fn frames(&self, namespace: &str) -> Bytes {
        match self {
            Content::Nothing => Bytes::new(),
            Content::Frames(frames) => frames.clone(),
            Content::Named(body) => body.frames(Kind::Event, namespace, None),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Content::Nothing => 0,
            Content::Frames(frames) => frames.len(),
            Content::Named(body) => {
                body.json().len() + body.attachments().iter().map(Bytes::len).sum::<usize>()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_two_texts_of_our_own_making() {
        let (pid, offset) = (Pid::random(1, 2), Offset::next());
        let claim =
            Claim::of(&format!(r#"{{"token":"x","pid":"{pid}","offset":"{offset}","n":1}}"#)).unwrap();
        assert_eq!((claim.pid, claim.offset), (pid, offset));
        for auth in [
            String::new(),
            "{}".into(),
            format!(r#"{{"pid":"{pid}"}}"#),
            format!(r#"{{"pid":"{pid}","offset":null}}"#),
            format!(r#"{{"pid":1,"offset":"{offset}"}}"#),
            format!(r#"{{"pid":"x","offset":"{offset}"}}"#),
            format!(r#"{{"pid":"{pid}","offset":"last"}}"#),
        ] {
            assert!(Claim::of(&auth).is_none(), "{auth}");
        }
    }
}
