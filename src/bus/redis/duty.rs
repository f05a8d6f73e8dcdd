//! Whose duty it is to write what several threads have said on one connection: whoever has said something, at the end of what
//! it is at, so that what else it says leaves with it.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::turns;

/// The bit of the runtime among those who have promised to write.
const OF_RUNTIME: u64 = 1 << 63;

/// A connection that what waits can be written on.
pub(super) trait Write: Send + Sync + 'static {
    /// Writes as much as the system takes.
    fn write(&self);
}

/// The bit of this thread among those who promise to write.
pub(super) fn bit() -> u64 {
    turns::here().map_or(OF_RUNTIME, |thread| 1 << (thread % OF_RUNTIME.trailing_zeros() as u16))
}

/// Has it written at the end of this thread's turn; where there are no turns, soon, by `runtime`.
pub(super) fn write_soon(connection: Arc<impl Write>, runtime: &Handle) {
    let writing = Writing(connection);
    let writing = async move { drop(writing) };
    match turns::here() {
        Some(_) => drop(tokio::spawn(writing)),
        None => drop(runtime.spawn(writing)),
    }
}

/// Somebody's duty to write, done when it is dropped: also by a runtime that ends before it comes to it.
struct Writing<T: Write>(Arc<T>);

impl<T: Write> Drop for Writing<T> {
    fn drop(&mut self) {
        self.0.write();
    }
}
