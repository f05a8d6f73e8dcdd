//! What the bus calls: each message goes to whom it is for, and all are told when the link breaks and when it is back.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use crate::bus::Sink;
use crate::im::Im;
use crate::presence::redis::{self, RedisPresence};

/// The sink of a node. Its parts are there one after the other; what comes before is for nobody.
pub struct Ear {
    server: Arc<dyn Sink>,
    presence: OnceLock<Weak<RedisPresence>>,
    im: OnceLock<Weak<Im>>,
}

impl Ear {
    pub fn new(server: Arc<dyn Sink>) -> Arc<Self> {
        Arc::new(Ear { server, presence: OnceLock::new(), im: OnceLock::new() })
    }

    pub fn set_presence(&self, presence: &Arc<RedisPresence>) {
        let _ = self.presence.set(Arc::downgrade(presence));
    }

    pub fn set_im(&self, im: &Arc<Im>) {
        let _ = self.im.set(Arc::downgrade(im));
    }

    fn presence(&self) -> Option<Arc<RedisPresence>> {
        self.presence.get()?.upgrade()
    }

    fn im(&self) -> Option<Arc<Im>> {
        self.im.get()?.upgrade()
    }
}

impl Sink for Ear {
    fn message(&self, channel: &str, message: Bytes) {
        if channel != redis::CHANNEL {
            return self.server.message(channel, message);
        }
        if let Some(presence) = self.presence() {
            presence.heard(&message);
        }
        match (self.im(), redis::arrivals(&message)) {
            (None, _) => (),
            (Some(im), Some(users)) => im.announced_elsewhere(users.into_iter()),
            (Some(im), None) => im.announcements_lost(),
        }
    }

    fn lost(&self) {
        self.server.lost();
        if let Some(im) = self.im() {
            im.bus_lost();
        }
    }

    fn restored(&self) {
        self.server.restored();
        if let Some(presence) = self.presence() {
            presence.bus_restored();
        }
        if let Some(im) = self.im() {
            im.bus_restored();
        }
    }
}
