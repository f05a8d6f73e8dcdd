//! Raw Engine.IO: messages on sessions, without Socket.IO on top.

use std::future::Future;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::encode::{binary_message, text_message};
use super::handler::BoxFuture;
use super::io::IoInner;
use super::op::Op;
use crate::close::CloseReason;
use crate::ids::Sid;
use crate::shard::Request;

/// What a raw Engine.IO endpoint does. Mounted with [`IoBuilder::engine`](super::IoBuilder::engine).
#[derive(Clone, Default)]
pub struct Engine {
    pub(super) on_open: Option<OnOpen>,
    pub(super) on_message: Option<OnMessage>,
    pub(super) on_close: Option<OnClose>,
}

type OnOpen = Arc<dyn Fn(EngineSocket) -> BoxFuture + Send + Sync>;
type OnMessage = Arc<dyn Fn(EngineSocket, Data) -> BoxFuture + Send + Sync>;
type OnClose = Arc<dyn Fn(EngineSocket, CloseReason) -> BoxFuture + Send + Sync>;

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An endpoint that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Called with each session that has opened.
    pub fn on_open<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(EngineSocket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_open = Some(Arc::new(move |socket| Box::pin(handler(socket))));
        self
    }

    /// Called with each message. The handlers of one session start in the order of its messages.
    pub fn on_message<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(EngineSocket, Data) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_message = Some(Arc::new(move |socket, data| Box::pin(handler(socket, data))));
        self
    }

    /// Called when a session is over.
    pub fn on_close<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(EngineSocket, CloseReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_close = Some(Arc::new(move |socket, reason| Box::pin(handler(socket, reason))));
        self
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Data::Text(text.to_owned())
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Data::Text(text)
    }
}

impl From<Bytes> for Data {
    fn from(data: Bytes) -> Self {
        Data::Binary(data)
    }
}

impl From<Vec<u8>> for Data {
    fn from(data: Vec<u8>) -> Self {
        Data::Binary(data.into())
    }
}

/// A session of a raw endpoint: a handle, cheap to clone, good on any thread.
#[derive(Clone, Debug)]
pub struct EngineSocket {
    pub(super) sid: Sid,
    pub(super) request: Arc<Request>,
    pub(super) io: Weak<IoInner>,
}

impl EngineSocket {
    /// The session's id.
    pub fn id(&self) -> Sid {
        self.sid
    }

    /// The request that opened it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Sends a message.
    pub fn send(&self, data: impl Into<Data>) {
        let frames = match data.into() {
            Data::Text(text) => text_message(&text),
            Data::Binary(data) => binary_message(&data),
        };
        self.post(Op::SendRaw { sid: self.sid, frames });
    }

    /// Closes the session once what was sent has left.
    pub fn close(&self) {
        self.post(Op::CloseRaw { sid: self.sid });
    }

    fn post(&self, op: Op) {
        if let Some(io) = self.io.upgrade() {
            io.post_to(self.sid.shard, op);
        }
    }
}
