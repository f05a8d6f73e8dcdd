//! Threads that go through their tasks in turns, such as those of shards: what such a thread spawns on its own runtime is done
//! soon, behind all else that the turn asks for.

use std::cell::Cell;

thread_local! {
    static HERE: Cell<Option<u16>> = const { Cell::new(None) };
}

/// This thread goes through turns until this is dropped.
pub struct Turns(());

/// This thread goes through turns, of a current-thread runtime. `number` tells it from others.
pub fn begin(number: u16) -> Turns {
    HERE.set(Some(number));
    Turns(())
}

impl Drop for Turns {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

/// The number of this thread, if it is one of those.
#[cfg(feature = "redis")]
pub fn here() -> Option<u16> {
    HERE.get()
}
