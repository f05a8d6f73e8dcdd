//! Presence on a single node: in memory.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::{Device, Load, MAX_ONLINE_PAGE, NodeStatus, OnlinePage, Presence, PresenceFuture, Watcher};
use crate::store::Timestamp;

/// Who a node that is alone is, and how long its graces are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPresenceOptions {
    /// Its name.
    pub node_id: String,
    /// Where its Socket.IO port is.
    pub socketio: String,
    /// Where its HTTP port is.
    pub http: String,
    /// How long a user whose last connection is gone still counts as online.
    pub grace: Duration,
}

/// Presence of a node that is alone.
pub struct LocalPresence {
    desk: Arc<Desk>,
    options: LocalPresenceOptions,
    since: Timestamp,
}

impl LocalPresence {
    /// Starts it, on the current tokio runtime.
    pub fn start(options: LocalPresenceOptions, watcher: Arc<dyn Watcher>) -> Self {
        let desk = Desk::start(options.node_id.clone(), options.grace, true, watcher);
        Self { desk, options, since: Timestamp::now() }
    }
}

impl Presence for LocalPresence {
    fn enter(&self, user: u64, at: Timestamp) {
        self.desk.enter(user, at);
    }

    fn leave(&self, user: u64, at: Timestamp) {
        self.desk.leave(user, at);
    }

    fn watch(&self, user: u64) {
        self.desk.watch(user);
    }

    fn unwatch(&self, user: u64) {
        self.desk.unwatch(user);
    }

    fn locate(&self, users: Vec<u64>) -> PresenceFuture<HashMap<u64, Vec<Device>>> {
        Box::pin(ready(Ok(self.desk.locate(&users))))
    }

    fn online(&self, after: Option<u64>, limit: usize) -> PresenceFuture<OnlinePage> {
        let limit = limit.min(MAX_ONLINE_PAGE);
        Box::pin(ready(Ok(OnlinePage::first(self.desk.online(after, limit + 1), limit))))
    }

    fn nodes(&self) -> PresenceFuture<Vec<NodeStatus>> {
        let nodes = if self.desk.is_closed() {
            Vec::new()
        } else {
            let LocalPresenceOptions { node_id, socketio, http, .. } = self.options.clone();
            let load = self.desk.state().load;
            let epoch = u64::try_from(self.since.unix_ms()).unwrap_or(0);
            vec![NodeStatus { node_id, epoch, socketio, http, since: self.since, lease_ms: 0, load }]
        };
        Box::pin(ready(Ok(nodes)))
    }

    fn set_load(&self, load: Load) {
        self.desk.state().load = load;
    }

    fn release(&self) -> PresenceFuture<()> {
        self.desk.close();
        Box::pin(ready(Ok(())))
    }

    fn is_up(&self) -> bool {
        true
    }
}

impl Drop for LocalPresence {
    fn drop(&mut self) {
        self.desk.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::contract::{GRACE, NODE, contract_tests};

    async fn open(watcher: Arc<dyn Watcher>) -> (LocalPresence, ()) {
        let options = LocalPresenceOptions {
            node_id: NODE.to_owned(),
            socketio: "s:1".to_owned(),
            http: "h:2".to_owned(),
            grace: GRACE,
        };
        (LocalPresence::start(options, watcher), ())
    }

    contract_tests!(open);
}
