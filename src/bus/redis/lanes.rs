//! The threads on which a bus reads and writes.

use std::thread::{self, ThreadId};

use tokio::runtime::Handle;

use crate::reactor::Reactor;

/// The runtime that the bus was started on, and reactors. A **lane** is a number: 0 for that runtime and all threads that are not a
/// reactor, then one for each reactor.
pub(super) struct Lanes {
    home: Handle,
    reactors: Vec<Reactor>,
}

/// Which threads the reactors are, for those who must not keep them going.
pub(super) struct Threads(Vec<ThreadId>);

impl Threads {
    /// The lane of this thread.
    pub fn here(&self) -> usize {
        let here = thread::current().id();
        self.0.iter().position(|thread| *thread == here).map_or(0, |reactor| reactor + 1)
    }
}

impl Lanes {
    pub fn new(home: Handle, reactors: Vec<Reactor>) -> Self {
        Self { home, reactors }
    }

    pub fn threads(&self) -> Threads {
        Threads(self.reactors.iter().map(Reactor::thread).collect())
    }

    pub fn count(&self) -> usize {
        1 + self.reactors.len()
    }

    /// Where tasks of a lane run: where it should, as long as its thread goes on.
    pub fn runtime_of(&self, lane: usize) -> &Handle {
        let reactor = lane.checked_sub(1).and_then(|reactor| self.reactors.get(reactor));
        reactor.filter(|reactor| reactor.is_running()).map_or(&self.home, Reactor::runtime)
    }

    /// Where tasks of this thread's lane run.
    pub fn runtime(&self) -> &Handle {
        self.reactors.iter().find(|reactor| reactor.is_here()).map_or(&self.home, Reactor::runtime)
    }
}
