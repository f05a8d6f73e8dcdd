//! Threads that go through their tasks in turns, such as those of shards: what such a thread spawns on its own runtime is done
//! soon, behind all else that the turn asks for, and then the thread may give way to others.

use std::cell::Cell;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
    static HERE: Cell<Option<u16>> = const { Cell::new(None) };
}

/// This thread goes through turns until this is dropped.
pub struct Turns(());

/// This thread goes through turns, of a current-thread runtime. `number` tells it from others.
pub fn begin(number: u16) -> Turns {
    HERE.set(Some(number));
    Turns(())
}

/// Once all is done that this turn asks for, other threads that wait for this core go first. The system would let them wait for
/// its next tick, several milliseconds, as long as there is always more to do here; and what comes meanwhile is done together.
pub fn give_way() {
    GIVES_WAY.set(true);
}

/// All is done that the last turn has asked for. To be called by the runtime before it waits.
pub fn is_over() {
    if GIVES_WAY.replace(false) {
        std::thread::yield_now();
    }
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
