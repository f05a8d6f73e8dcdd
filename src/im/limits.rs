//! How often users and connections may do what costs something.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::answer::Refusal;
use crate::limiter::{Bucket, Limiter, Rate, RetryIn};
use crate::socketio::Socket;

/// Users whose rate is kept: those beyond are forgotten first that have done nothing for longest.
const USERS: usize = 100_000;

/// The limits of the service.
pub struct Limits {
    /// Messages, by user.
    pub messages: Limiter,
    typing: Option<Rate>,
    refused_typing: AtomicU64,
    refused_watching: AtomicU64,
}

impl Limits {
    /// Messages of a user in a second and at once, `typing` of a connection in a second; 0 for no limit.
    pub fn new(messages_per_second: u32, message_burst: u32, typing_per_second: u32) -> Self {
        Limits {
            messages: Limiter::new(Rate::per_second(messages_per_second, message_burst), USERS),
            typing: Rate::per_second(typing_per_second, typing_per_second),
            refused_typing: AtomicU64::new(0),
            refused_watching: AtomicU64::new(0),
        }
    }

    /// Lets a connection say that its user types.
    pub fn take_typing(&self, socket: &Socket) -> Result<(), Refusal> {
        let Some(rate) = &self.typing else { return Ok(()) };
        let bucket = match socket.extensions().get::<Typing>() {
            Some(bucket) => bucket,
            None => {
                socket.extensions().insert(Typing::default());
                socket.extensions().get::<Typing>().unwrap_or_default()
            }
        };
        let mut bucket = bucket.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        bucket.take(rate, 1, Instant::now()).map_err(|RetryIn(after)| {
            self.refused_typing.fetch_add(1, Relaxed);
            Refusal::rate_limited(after)
        })
    }

    /// A connection that wants to watch more users than it may.
    pub fn too_many_watched(&self, limit: usize) -> Refusal {
        self.refused_watching.fetch_add(1, Relaxed);
        Refusal::new("too_many", format!("one connection can watch at most {limit} users"))
    }

    /// How often each was reached since the start, by the name of its setting.
    pub fn reached(&self) -> [(&'static str, u64); 3] {
        [
            ("messages_per_second", self.messages.refused()),
            ("typing_per_second", self.refused_typing.load(Relaxed)),
            ("watch_limit", self.refused_watching.load(Relaxed)),
        ]
    }
}

/// What is kept with a connection.
#[derive(Default)]
struct Typing(Mutex<Bucket>);
