//! What comes from other nodes for the program: `server_side_emit`, and that a node is gone.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use crate::socketio::Args;
use crate::socketio::encode::Body;
use crate::socketio::payload::{EncodeError, Payload};

/// A handler of any type.
pub(super) type Erased = Arc<dyn Fn(Arc<str>, Args) -> Running + Send + Sync>;

/// A handler at work. What it gives is its answer.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Body, EncodeError>> + Send>>;

/// The program's handlers. They may be there before the cluster is.
#[derive(Default)]
pub struct OfNodes {
    events: RwLock<HashMap<Box<str>, Erased>>,
    on_gone: RwLock<Option<OnGone>>,
}

type OnGone = Arc<dyn Fn(&str) + Send + Sync>;

impl OfNodes {
    /// Handles an event.
    pub fn on(&self, event: &str, handler: impl ServerSideHandler) {
        let handler: Erased = Arc::new(move |node, args| handler.call(node, args));
        self.events.write().unwrap_or_else(PoisonError::into_inner).insert(event.into(), handler);
    }

    /// Called with the name of each node that is gone.
    pub fn on_gone(&self, handler: OnGone) {
        *self.on_gone.write().unwrap_or_else(PoisonError::into_inner) = Some(handler);
    }

    /// What handles an event.
    pub(super) fn handler(&self, event: &str) -> Option<Erased> {
        self.events.read().unwrap_or_else(PoisonError::into_inner).get(event).cloned()
    }

    /// A node is gone.
    pub(super) fn gone(&self, node: &str) {
        let handler = self.on_gone.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(handler) = handler {
            handler(node);
        }
    }
}

/// A function that handles events from other nodes: async, of the name of the node that sends it and its arguments.
/// What it returns is the answer, where the other node wants one.
///
/// Those of one node start in the order in which it sent them, each running until it first waits.
pub trait ServerSideHandler: Send + Sync + 'static {
    /// Begins.
    #[doc(hidden)]
    fn call(
        &self,
        node: Arc<str>,
        args: Args,
    ) -> Pin<Box<dyn Future<Output = Result<Body, EncodeError>> + Send>>;
}

impl<F, Fut, Ret> ServerSideHandler for F
where
    F: Fn(Arc<str>, Args) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Ret> + Send + 'static,
    Ret: Payload,
{
    fn call(&self, node: Arc<str>, args: Args) -> Running {
        let answer = self(node, args);
        Box::pin(async move { Body::ack(&answer.await) })
    }
}
