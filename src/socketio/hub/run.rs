//! Running handlers: at once as far as they go, and as a task of their own from where they wait.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::ids::PublicId;
use crate::socketio::args::ArgsError;
use crate::socketio::handler::BoxFuture;

/// Calls a handler, and runs it until it first waits. It goes on by itself from there. A panic in it is logged.
///
/// # Errors
/// Those of `call`.
pub fn start(
    event: &str,
    socket: PublicId,
    call: impl FnOnce() -> Result<BoxFuture, ArgsError>,
) -> Result<(), ArgsError> {
    let begun = catch_unwind(AssertUnwindSafe(|| {
        let _inside = Inside::enter();
        let mut future = call()?;
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => Ok(None),
            Poll::Pending => Ok(Some(future)),
        }
    }));
    match begun {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(future))) => {
            // It is polled again from there, which is when its wakers come to be the task's.
            tokio::spawn(Guarded { event: event.to_owned(), socket, future, _running: Running::begin() });
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(panic) => {
            log(event, &socket, &*panic);
            Ok(())
        }
    }
}

/// As [`start`], for handlers that take nothing that could be wrong.
pub fn begin(event: &str, socket: PublicId, call: impl FnOnce() -> Result<BoxFuture, ArgsError>) {
    if let Err(error) = start(event, socket, call) {
        tracing::error!(event, %socket, %error, "a handler did not start");
    }
}

struct Guarded {
    event: String,
    socket: PublicId,
    future: BoxFuture,
    _running: Running,
}

thread_local! {
    /// Handlers of this thread's shard that wait for something, less those that wait for the shard's end.
    static RUNNING: Cell<isize> = const { Cell::new(0) };
    /// A handler is being run.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A handler that waits for something.
struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.set(RUNNING.get() + 1);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

/// Whether handlers are at work that a shard which ends has to wait for.
pub fn is_any_running() -> bool {
    RUNNING.get() > 0
}

/// A handler waits for the end of a server, perhaps that of its own shard, and is not waited for meanwhile.
pub struct WaitsForTheEnd;

impl WaitsForTheEnd {
    /// `None` where no handler is being run on this thread.
    pub fn begin() -> Option<Self> {
        INSIDE.get().then(|| {
            RUNNING.set(RUNNING.get() - 1);
            Self
        })
    }
}

impl Drop for WaitsForTheEnd {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() + 1);
    }
}

/// A handler is being run on this thread, until this is dropped.
struct Inside(bool);

impl Inside {
    fn enter() -> Self {
        Inside(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _inside = Inside::enter();
            self.future.as_mut().poll(context)
        }));
        polled.unwrap_or_else(|panic| {
            log(&self.event, &self.socket, &*panic);
            Poll::Ready(())
        })
    }
}

fn log(event: &str, socket: &PublicId, panic: &(dyn std::any::Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(event, %socket, message, "a handler has panicked");
}
