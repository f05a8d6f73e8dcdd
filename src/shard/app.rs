//! What runs on a shard: the layer above, seen from below.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::core::Core;
use crate::close::CloseReason;
use crate::ids::{Key, Sid};
use crate::proto::http::RequestHead;
use crate::session::Message;

/// An application on sessions. Each shard has an instance of its own, used by its thread only; instances
/// speak to each other by mail.
pub trait App: Sized + 'static {
    /// What other shards and threads may post to it.
    type Mail: Send + 'static;
    /// What it keeps per session.
    type Client;

    /// Whether a handshake is welcome; the text of a refusal is told to the client.
    fn allow(&mut self, core: &Core<Self>, mount: usize, request: &Request) -> Result<(), String>;
    /// A session has opened.
    fn opened(
        &mut self,
        core: &mut Core<Self>,
        session: Key,
        sid: Sid,
        mount: usize,
        request: Request,
    ) -> Self::Client;
    /// A message came.
    fn message(&mut self, core: &mut Core<Self>, session: Key, message: Message<'_>);
    /// A session is over, and its slot is free.
    fn closed(&mut self, core: &mut Core<Self>, client: Self::Client, reason: CloseReason);
    /// The deadline set with [`Core::set_deadline`] has passed. The next one, if any, is to be set anew.
    fn timeout(&mut self, core: &mut Core<Self>, session: Key);
    /// Mail came.
    fn mail(&mut self, core: &mut Core<Self>, mail: Self::Mail);
    /// Once per turn, before output leaves: whatever else there is to do on this thread.
    fn turn(&mut self, core: &mut Core<Self>);
    /// Whether something is at work on this thread that a shard which is told to stop gives time to end.
    fn is_busy(&self) -> bool;
}

/// The request that opened a session.
#[derive(Debug)]
pub struct Request {
    /// Its head.
    pub head: RequestHead,
    /// The other end of its connection: the client, or a proxy.
    pub remote: SocketAddr,
    /// The client's address: that of `remote`, or what trusted proxies say.
    pub client_ip: IpAddr,
    /// When it came.
    pub time: SystemTime,
}

/// Counts of a shard, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections.
    pub connections: usize,
    /// Engine.IO sessions.
    pub sessions: usize,
}
