//! The cluster bus: how nodes reach each other. At most once, and in order from each sender on each channel, as
//! publish/subscribe is by nature; what must not be lost is repaired from the store by the layer above.
//!
//! A [`Bus`] carries bytes on named channels; [`wire`] is what the bytes say. The bus calls inward through a
//! [`Sink`] that it was given at its start, and knows nothing else about the node. [`Sessions`] is where nodes leave the
//! sessions of clients that were cut off.

#[cfg(test)]
mod contract;
mod local;
#[cfg(feature = "redis")]
pub mod redis;
mod sessions;
#[cfg(test)]
mod sessions_contract;
pub mod wire;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::runtime::Handle;

pub use local::{LocalBus, LocalExchange};
pub use sessions::{LocalSessions, Sessions};

/// What waits for the bus. The operation begins when the method is called, not at the first poll, and goes on if the
/// future is dropped.
pub type BusFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A way to the other nodes. The methods may be called from any thread, and none blocks.
pub trait Bus: Send + Sync + 'static {
    /// Sends a message to the sinks of all *other* buses that are subscribed to the channel; never to this bus's own.
    ///
    /// At most once. Messages that one thread publishes on one channel arrive in that order. `Err` means that it was
    /// certainly not sent (the link is down, or the bounded queue is full); `Ok` only that it was queued.
    fn publish(&self, channel: &str, message: Bytes) -> Result<(), BusError>;

    /// Asks for a channel's messages from now on. Counted: a channel that was asked for twice must be given up twice.
    ///
    /// Resolves once the subscription is in force: what is published after that arrives. While the link is down it
    /// resolves with an error at once, and the subscription still comes into force as soon as the link is back.
    fn subscribe(&self, channel: &str) -> BusFuture<Result<(), BusError>>;

    /// Lets a thread hear by itself, named by its number among a server's shards and by its current-thread runtime: it may tell the
    /// sink of what it subscribes to, in place of a thread of the bus, so that what comes for it wakes it alone. A bus need not make
    /// use of that, and by default it does not.
    fn hear_on(&self, thread: u16, runtime: Handle) {
        let _ = (thread, runtime);
    }

    /// Gives a channel up. Takes effect after a linger, so that a quick return costs nothing.
    fn unsubscribe(&self, channel: &str);

    /// Resolves once all has reached the others' way that this bus published before, and the sink has been told all that they
    /// had published before: a fence across channels, which know no order among each other. What does not pass at all is not
    /// waited for.
    fn settle(&self) -> BusFuture<()>;

    /// Whether messages pass now, as far as known.
    fn is_up(&self) -> bool;

    /// Sends what is queued, then lets go of everything. Later calls fail with [`BusError::Closed`].
    fn close(&self) -> BusFuture<()>;
}

/// What a bus calls inward. It must not block: the next message waits for it.
pub trait Sink: Send + Sync + 'static {
    /// A message came. Messages of one channel are told one at a time, in order; where threads hear by themselves
    /// ([`Bus::hear_on`]), those that one other bus has published.
    fn message(&self, channel: &str, message: Bytes);

    /// Messages may have been lost from some time ago until now: the link broke, or fell silent.
    /// Told once per outage, when it is noticed.
    fn lost(&self) {}

    /// The link is back, and every subscription is in force again.
    fn restored(&self) {}
}

/// Why the bus does not carry a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The link to the other nodes is down.
    #[error("the cluster bus is down")]
    Down,
    /// More waits to be sent than may wait.
    #[error("the cluster bus is overloaded: its queue is full")]
    Overloaded,
    /// The bus was closed.
    #[error("the cluster bus is closed")]
    Closed,
}
