//! A database that is there and takes no messages: its disk is full, it is read-only, a table is missing. The log says so once,
//! and whoever asks whether the node can do its work is told.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so long without a refusal nobody knows any more: perhaps nobody has written.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Whether messages were refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusing {
    /// The log says so.
    is_said: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Refusing {
    /// A message could not be stored. Logged when it is news.
    pub fn refused(&self, error: &dyn Display) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if !self.is_said.swap(true, Relaxed) {
            tracing::error!(%error, "the database takes no messages. Trying again");
        }
    }

    /// Messages were stored.
    pub fn stored(&self) {
        if self.is_said.load(Relaxed) && self.is_said.swap(false, Relaxed) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!("the database takes messages again");
        }
    }

    /// Whether the last ones were refused, not long ago.
    pub fn is_refusing(&self) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < KNOWN_FOR)
    }
}
