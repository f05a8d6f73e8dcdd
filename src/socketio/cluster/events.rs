//! Events from node to node, for the program: `server_side_emit` and its handlers.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::socketio::Args;
use crate::socketio::encode::Body;
use crate::socketio::payload::{EncodeError, Payload};

/// A handler of any type.
pub(super) type Erased = Arc<dyn Fn(Arc<str>, Args) -> Running + Send + Sync>;

/// A handler at work. What it gives is its answer.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<Body, EncodeError>> + Send>>;

/// The handlers by event.
pub(super) type Handlers = HashMap<Box<str>, Erased>;

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

pub(super) fn erase(handler: impl ServerSideHandler) -> Erased {
    Arc::new(move |node, args| handler.call(node, args))
}
