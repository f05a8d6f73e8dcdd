//! The connections of a link that publish, one to each server.

use std::sync::Arc;

use super::connection::Connection;
use super::listener::Listener;
use super::topology::Topology;
use crate::bus::BusError;

pub(super) struct Publishers {
    pub listener: Listener,
    pub topology: Topology,
    pub connections: Vec<Arc<Connection>>,
}

impl Publishers {
    /// Sends a message on its way, behind what stands before it.
    pub fn publish(&self, channel: &str, before: &[u8], message: &[u8]) -> Result<(), BusError> {
        let command = if self.topology.sharded { "SPUBLISH" } else { "PUBLISH" };
        let payload = [&self.listener.origin[..], before, message];
        self.server_of(channel).publish(command, channel, &payload, self.limit())
    }

    /// How many messages may be on their way to a server that has not answered for them.
    pub fn limit(&self) -> usize {
        self.listener.shared.queue_limit
    }

    /// The connection to the server that has a channel, or a key.
    pub fn server_of(&self, channel: &str) -> &Arc<Connection> {
        &self.connections[self.index_of(channel)]
    }

    pub fn index_of(&self, channel: &str) -> usize {
        match self.connections.len() {
            1 => 0,
            _ => self.topology.server_of(&self.full(channel)),
        }
    }

    /// What a channel, or a key, is called in Redis.
    pub fn full(&self, channel: &str) -> String {
        format!("{}{channel}", self.listener.prefix)
    }
}
