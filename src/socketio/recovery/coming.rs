//! Who is on the way back: sockets that claim to be one that was cut off, until the program has heard of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts them, on a shard and on the node.
#[derive(Default)]
pub struct Coming {
    here: Arc<AtomicUsize>,
    on_node: Arc<AtomicUsize>,
}

/// One of them, until it is dropped.
pub struct ComingBack {
    counts: [Arc<AtomicUsize>; 2],
}

impl Coming {
    /// The count of one more shard.
    pub fn on_shard(&self) -> Coming {
        Coming { here: Arc::default(), on_node: self.on_node.clone() }
    }

    /// One is on the way.
    pub fn begin(&self) -> ComingBack {
        let counts = [self.here.clone(), self.on_node.clone()];
        for count in &counts {
            count.fetch_add(1, Relaxed);
        }
        ComingBack { counts }
    }

    /// Whether one is on the way to this shard.
    pub fn is_any(&self) -> bool {
        self.here.load(Relaxed) > 0
    }

    /// Whether one is on the way to this node.
    #[cfg(feature = "node")]
    pub fn is_any_on_node(&self) -> bool {
        self.on_node.load(Relaxed) > 0
    }
}

impl Drop for ComingBack {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(1, Relaxed);
        }
    }
}
