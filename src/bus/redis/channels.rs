//! Which channels are wanted, and which are in force. A table without I/O: the link carries out what it says.
//!
//! ```text
//!              subscribe            begin             confirmed
//!   (absent) ────────────▶ Wanted ─────────▶ Asked ─────────────▶ InForce
//!       ▲                    ▲                 │ down                │ down
//!       │ linger over        └─────────────────┴─────────────────────┘
//!       └──── from any state, while nobody counts
//! ```
//!
//! The link sends what [`Channels::begin`] says in the order in which it says it, on one connection: what is given up
//! first, then what is asked for. An entry that was removed and made again has a new generation, so the confirmation of
//! its former self does not answer for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::bus::BusError;

pub(super) struct Channels {
    linger: Duration,
    /// Subscriptions are asked for now, rather than all together when the link comes up.
    up: bool,
    closed: bool,
    last_generation: u64,
    entries: HashMap<Arc<str>, Entry>,
    /// What came to be wanted since the last [`Channels::begin`], unless it is gone again.
    wanted: Vec<Asked>,
    /// What was given up, the earliest first.
    given_up: VecDeque<(Instant, Arc<str>)>,
}

struct Entry {
    generation: u64,
    count: u64,
    /// When the count became 0.
    idle_since: Option<Instant>,
    state: State,
    waiters: Vec<oneshot::Sender<Result<(), BusError>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Wanted,
    Asked,
    InForce,
}

/// A channel that the server is asked for, and the generation of its entry.
pub(super) type Asked = (Arc<str>, u64);

/// What [`Channels::subscribe`] says.
pub(super) enum Answer {
    Now(Result<(), BusError>),
    Later(oneshot::Receiver<Result<(), BusError>>),
}

/// What the link is to do: give up first, then ask.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Work {
    pub give_up: Vec<Arc<str>>,
    pub ask: Vec<Asked>,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.give_up.is_empty() && self.ask.is_empty()
    }
}

impl Channels {
    pub fn new(linger: Duration) -> Self {
        Self {
            linger,
            up: false,
            closed: false,
            last_generation: 0,
            entries: HashMap::new(),
            wanted: Vec::new(),
            given_up: VecDeque::new(),
        }
    }

    pub fn subscribe(&mut self, channel: &str) -> Answer {
        if self.closed {
            return Answer::Now(Err(BusError::Closed));
        }
        if !self.entries.contains_key(channel) {
            self.last_generation += 1;
            let (channel, generation) = (Arc::<str>::from(channel), self.last_generation);
            self.wanted.push((Arc::clone(&channel), generation));
            let entry =
                Entry { generation, count: 0, idle_since: None, state: State::Wanted, waiters: Vec::new() };
            self.entries.insert(channel, entry);
        }
        let Some(entry) = self.entries.get_mut(channel) else { return Answer::Now(Err(BusError::Down)) };
        entry.count += 1;
        entry.idle_since = None;
        match (self.up, entry.state) {
            (false, _) => Answer::Now(Err(BusError::Down)),
            (true, State::InForce) => Answer::Now(Ok(())),
            (true, _) => {
                let (waiter, answer) = oneshot::channel();
                entry.waiters.push(waiter);
                Answer::Later(answer)
            }
        }
    }

    /// Whether the link has to look at [`Channels::next_due`] again.
    pub fn unsubscribe(&mut self, channel: &str, now: Instant) -> bool {
        let Some((name, entry)) = self.entries.get_key_value(channel) else { return false };
        if entry.count == 0 {
            return false;
        }
        let name = Arc::clone(name);
        let Some(entry) = self.entries.get_mut(channel) else { return false };
        entry.count -= 1;
        if entry.count > 0 {
            return false;
        }
        entry.idle_since = Some(now);
        self.given_up.push_back((now, name));
        true
    }

    /// When there will be something to do even if nobody calls.
    pub fn next_due(&self) -> Option<Instant> {
        self.given_up.front().map(|(since, _)| *since + self.linger)
    }

    /// What is to be done now. From here on the link counts as asking for it.
    pub fn begin(&mut self, now: Instant) -> Work {
        let mut work = Work { give_up: self.forget_idle(now), ask: Vec::new() };
        for (channel, generation) in std::mem::take(&mut self.wanted) {
            if let Some(entry) = self.entries.get_mut(&channel).filter(|entry| entry.generation == generation)
            {
                entry.state = State::Asked;
                work.ask.push((channel, generation));
            }
        }
        work
    }

    /// As [`Channels::begin`], for a link that begins: everything that is wanted, and nothing to give up.
    pub fn begin_all(&mut self, now: Instant) -> Vec<Asked> {
        self.forget_idle(now);
        self.wanted.clear();
        let ask = |(channel, entry): (&Arc<str>, &mut Entry)| {
            entry.state = State::Asked;
            (Arc::clone(channel), entry.generation)
        };
        self.entries.iter_mut().map(ask).collect()
    }

    /// The server has confirmed these.
    pub fn confirmed(&mut self, asked: &[Asked]) {
        for (channel, generation) in asked {
            let Some(entry) = self.entries.get_mut(channel) else { continue };
            if entry.generation == *generation && entry.state == State::Asked {
                entry.state = State::InForce;
                for waiter in entry.waiters.drain(..) {
                    let _ = waiter.send(Ok(()));
                }
            }
        }
    }

    /// Counts the link as up, unless something has come to be wanted that must be asked for before.
    pub fn go_up(&mut self) -> bool {
        self.up = self.wanted.is_empty();
        self.up
    }

    /// The link is gone, and with it every subscription. Whoever waits is told.
    pub fn go_down(&mut self) {
        self.up = false;
        self.answer_all(&BusError::Down);
        for entry in self.entries.values_mut() {
            entry.state = State::Wanted;
        }
    }

    /// Nothing is wanted any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.answer_all(&BusError::Closed);
        self.entries.clear();
        self.wanted.clear();
        self.given_up.clear();
    }

    fn answer_all(&mut self, error: &BusError) {
        for waiter in self.entries.values_mut().flat_map(|entry| entry.waiters.drain(..)) {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// Removes what nobody has counted for the linger; of that, what the server was asked for.
    fn forget_idle(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut forgotten = Vec::new();
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((since, channel)) = self.given_up.pop_front() else { break };
            // It may have been wanted again since, and may even be idle again, and then has a later line of its own.
            if self.entries.get(&channel).is_none_or(|entry| entry.idle_since != Some(since)) {
                continue;
            }
            if self.entries.remove(&channel).is_some_and(|entry| entry.state != State::Wanted) {
                forgotten.push(channel);
            }
        }
        forgotten
    }
}
