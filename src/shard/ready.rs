//! Which connections are ready: wakers that carry a connection's key in place of a pointer.
//!
//! A task per connection would cost each its future, its task header and a trip through the scheduler. Here
//! the shard is one task, and what tokio wakes for a connection is a [`Waker`] whose data *is* the
//! connection's key. Waking it writes the key down in the thread's ready list and wakes the shard. So a connection
//! owns nothing for being waited for.

use std::cell::{Cell, RefCell};
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::ids::Key;

const _: () = assert!(usize::BITS == 64, "a key is packed into a pointer's 64 bits");

thread_local! {
    static READY: RefCell<Vec<Key>> = const { RefCell::new(Vec::new()) };
    /// `None` while it runs: it looks for what is to be done before it waits.
    static SHARD: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// The shard's task runs: until it waits again there is no need to wake it.
pub fn begin_turn() {
    SHARD.set(None);
}

/// The shard's task waits, and runs again when a connection of this thread is ready, or is so already.
pub fn end_turn(waker: &Waker) {
    SHARD.set(Some(waker.clone()));
    if READY.with_borrow(|ready| !ready.is_empty()) {
        wake_shard();
    }
}

/// Wakes this thread's shard, if it waits.
pub fn wake_shard() {
    SHARD.with(|shard| {
        let waker = shard.take();
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        shard.set(waker);
    });
}

/// Notes that a connection is ready.
pub fn push(key: Key) {
    let first = READY.with_borrow_mut(|ready| {
        ready.push(key);
        ready.len() == 1
    });
    if first {
        wake_shard();
    }
}

/// Moves the ready list into `into`, which must be empty.
pub fn take(into: &mut Vec<Key>) {
    READY.with_borrow_mut(|ready| std::mem::swap(ready, into));
}

/// A waker for the connection with this key, on the thread that makes it.
pub fn waker(key: Key) -> Waker {
    // SAFETY: the vtable's functions never dereference the data pointer, so any value is valid. All
    // of them may be called from any thread, any number of times, in any order: clone and drop do nothing,
    // wake touches only the calling thread's own list. Called on another thread than the connection's (tokio
    // has no reason to: a current-thread runtime drives its I/O on its own thread) it would note a key that
    // finds nothing or a connection that is not ready, both of which the shard takes in its stride.
    unsafe { Waker::from_raw(raw(pack(key))) }
}

fn pack(key: Key) -> *const () {
    std::ptr::without_provenance((key.slot as usize) << 32 | key.generation as usize)
}

fn unpack(data: *const ()) -> Key {
    let data = data.addr();
    Key { slot: (data >> 32) as u32, generation: data as u32 }
}

fn raw(data: *const ()) -> RawWaker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(raw, wake, wake, |_| ());
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    push(unpack(data));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn waking_notes_the_key_and_wakes_the_shard_once() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let woken = || count.0.load(Ordering::Relaxed);
        let shard = Waker::from(count.clone());
        let keys = [Key { slot: 7, generation: u32::MAX }, Key { slot: u32::MAX, generation: 0 }];
        let wakers = keys.map(waker);
        end_turn(&shard);
        wakers[0].wake_by_ref();
        wakers[1].wake_by_ref();
        assert_eq!(woken(), 1, "the shard is woken for the first only");
        let mut ready = Vec::new();
        take(&mut ready);
        assert_eq!(ready, keys);
        begin_turn();
        wakers[0].wake_by_ref();
        assert_eq!(woken(), 1, "it runs");
        end_turn(&shard);
        assert_eq!(woken(), 2, "it is not to wait");
        assert!(wakers[0].will_wake(&waker(keys[0])) && !wakers[0].will_wake(&wakers[1]));
    }
}
