//! A session whose keeper is gone, as the program sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use super::Content;
use crate::ids::{Offset, SocketId};
use crate::proto::sio::Kind;
use crate::socketio::Payload;
use crate::socketio::encode::Body;

/// A session that a client wants back, and whose node does not answer: what that node has left behind. What the
/// client has missed is not known to the library any more; the program may know. A handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct RecoveredSession(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: SocketId,
    namespace: Arc<str>,
    rooms: Vec<Arc<str>>,
    data: Bytes,
    offset: Offset,
    disconnected_at: SystemTime,
    emitted: Mutex<Vec<(Offset, Content)>>,
}

impl RecoveredSession {
    pub(in crate::socketio) fn new(
        id: SocketId,
        namespace: Arc<str>,
        rooms: Vec<Arc<str>>,
        data: Bytes,
        offset: Offset,
        disconnected_at: SystemTime,
    ) -> Self {
        let emitted = Mutex::default();
        RecoveredSession(Arc::new(Inner { id, namespace, rooms, data, offset, disconnected_at, emitted }))
    }

    /// The id that its socket had, and has again if the program vouches for it.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The name of its namespace.
    pub fn namespace_name(&self) -> &str {
        &self.0.namespace
    }

    /// The rooms that its socket was in, without that of its id. This node has their channels already.
    pub fn rooms(&self) -> &[Arc<str>] {
        &self.0.rooms
    }

    /// What the program has saved of it (see [`Io::recovery_data`](crate::socketio::Io::recovery_data)).
    pub fn data(&self) -> &[u8] {
        &self.0.data
    }

    /// The last event that its client had.
    pub fn offset(&self) -> String {
        self.0.offset.to_string()
    }

    /// When that event was sent, by the clock of the node that sent it.
    pub fn offset_time(&self) -> SystemTime {
        self.0.offset.time()
    }

    /// When the client was cut off, by the clock of its former node.
    pub fn disconnected_at(&self) -> SystemTime {
        self.0.disconnected_at
    }

    /// Sends an event that the client has missed: as soon as it is let in, before all that comes from then on, and in the
    /// order of these calls.
    pub fn emit(&self, event: &str, payload: impl Payload) {
        let offset = Offset::next();
        match Body::event(event, &payload) {
            Ok(body) => {
                let frames = body.with_offset(Some(offset)).frames(Kind::Event, &self.0.namespace, None);
                self.emitted().push((offset, Content::Frames(frames)));
            }
            Err(error) => tracing::error!(socket = %self.0.id, event, %error, "an event can't be encoded"),
        }
    }

    /// What was emitted so far.
    pub(in crate::socketio) fn take_emitted(&self) -> Vec<(Offset, Content)> {
        std::mem::take(&mut self.emitted())
    }

    fn emitted(&self) -> std::sync::MutexGuard<'_, Vec<(Offset, Content)>> {
        self.0.emitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
