//! What every kind of presence has on its own node: users and watches under one lock, and one task that lets graces run out
//! and tells the watcher.
//!
//! The watcher is told by that task alone, in order and without the lock, so it may call back. Where a node is alone
//! each question that [`Watches`] asks is answered here; otherwise somebody else takes the questions and what
//! has changed, and is woken for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::users::Users;
use super::watches::{Question, Seen, Watches};
use super::{Device, Load, Watcher};
use crate::store::Timestamp;

/// The state of one node, and those who wait for it.
pub(super) struct Desk {
    node_id: String,
    state: Mutex<State>,
    /// Wakes the task that tells.
    teller: Notify,
    /// Wakes whoever answers questions and carries changes to other nodes.
    pub(super) keeper: Notify,
}

/// What a node knows on its own.
pub(super) struct State {
    pub(super) users: Users,
    pub(super) watches: Watches,
    /// Whether this node is alone. Then nothing below `load` is used.
    alone: bool,
    pub(super) load: Load,
    /// Users whose entry has changed since somebody last took this, and when.
    pub(super) changed: BTreeMap<u64, Timestamp>,
    /// News of this node for its watcher.
    pub(super) news: VecDeque<News>,
    /// The node has given itself up, or whoever held this presence has dropped it.
    closed: bool,
}

/// What happened to the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Reinstated,
    Replaced,
}

impl Desk {
    /// A desk, and its task on the current runtime.
    pub(super) fn start(
        node_id: String,
        grace: Duration,
        alone: bool,
        watcher: Arc<dyn Watcher>,
    ) -> Arc<Self> {
        let state = Mutex::new(State::new(grace, alone));
        let desk = Arc::new(Self { node_id, state, teller: Notify::new(), keeper: Notify::new() });
        tokio::spawn(Arc::clone(&desk).tell(watcher));
        desk
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Changes the state, and wakes those whose next deadline that may have moved.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let done = change(&mut state);
        state.settle(Instant::now());
        drop(state);
        self.wake();
        done
    }

    /// As [`Desk::with`], for the keeper itself, which need not be woken.
    pub(super) fn keep<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state());
        self.teller.notify_one();
        done
    }

    fn wake(&self) {
        self.teller.notify_one();
        self.keeper.notify_one();
    }

    pub(super) fn enter(&self, user: u64, at: Timestamp) {
        self.with(|state| state.enter(user, at));
    }

    pub(super) fn leave(&self, user: u64, at: Timestamp) {
        self.with(|state| state.leave(user, at, Instant::now()));
    }

    pub(super) fn watch(&self, user: u64) {
        self.with(|state| state.watch(user, Instant::now()));
    }

    pub(super) fn unwatch(&self, user: u64) {
        self.with(|state| state.watches.unwatch(user));
    }

    /// Where these users are on this node.
    pub(super) fn locate(&self, users: &[u64]) -> HashMap<u64, Vec<Device>> {
        let state = self.state();
        let device = |user: &u64| {
            let here = state.users.get(*user)?;
            let node_id = self.node_id.clone();
            Some((*user, vec![Device { node_id, connections: here.connections, since: here.since }]))
        };
        users.iter().filter_map(device).collect()
    }

    /// The first users of this node above `after`.
    pub(super) fn online(&self, after: Option<u64>, limit: usize) -> Vec<u64> {
        self.state().users.after(after).take(limit).collect()
    }

    /// Forgets everybody, and ends the task. What is entered afterwards is not counted.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.users.clear();
        state.watches.clear();
        state.changed.clear();
        drop(state);
        self.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    async fn tell(self: Arc<Self>, watcher: Arc<dyn Watcher>) {
        loop {
            let (next, tells, news) = {
                let mut state = self.state();
                if state.closed && state.news.is_empty() {
                    return;
                }
                let now = Instant::now();
                if state.run_out(now) {
                    self.keeper.notify_one();
                }
                state.settle(now);
                let tells: Vec<_> = std::iter::from_fn(|| state.watches.poll_tell()).collect();
                (state.users.poll_timeout(), tells, std::mem::take(&mut state.news))
            };
            for tell in tells {
                watcher.changed(tell.user, tell.online, tell.at);
            }
            for news in news {
                match news {
                    News::Reinstated => watcher.reinstated(),
                    News::Replaced => watcher.replaced(),
                }
            }
            wait(&self.teller, next).await;
        }
    }
}

impl State {
    pub(super) fn new(grace: Duration, alone: bool) -> Self {
        Self {
            users: Users::new(grace),
            watches: Watches::default(),
            alone,
            load: Load::default(),
            changed: BTreeMap::new(),
            news: VecDeque::new(),
            closed: false,
        }
    }

    /// A connection of a user has come. At a closed desk it is not counted.
    pub(super) fn enter(&mut self, user: u64, at: Timestamp) {
        if self.closed {
            return;
        }
        if self.users.enter(user, at) {
            self.watches.here(user, at);
        }
        self.change(user, at);
    }

    /// A connection of a user has gone.
    pub(super) fn leave(&mut self, user: u64, at: Timestamp, now: Instant) {
        self.users.leave(user, at, now);
        self.change(user, at);
    }

    /// Lets graces run out. Whether one did.
    pub(super) fn run_out(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((user, at)) = self.users.handle_timeout(now) {
            self.watches.gone(user, at, now);
            self.change(user, at);
            any = true;
        }
        any
    }

    pub(super) fn watch(&mut self, user: u64, now: Instant) {
        let here = self.users.get(user).is_some();
        self.watches.watch(user, here, now);
    }

    fn change(&mut self, user: u64, at: Timestamp) {
        if !self.alone && !self.closed {
            self.changed.insert(user, at);
        }
    }

    /// Answers the questions where nobody else could.
    fn settle(&mut self, now: Instant) {
        if self.alone {
            for question in self.watches.questions(now, usize::MAX) {
                let seen = self.seen_here(question).unwrap_or(Seen::Nowhere { at: Timestamp::now() });
                self.watches.answer(question, seen, now);
            }
        }
    }

    /// The answer to a question, where the user is on this node.
    pub(super) fn seen_here(&self, question: Question) -> Option<Seen> {
        self.users.get(question.user).map(|here| Seen::Online { since: here.since })
    }
}

/// Waits until woken, or until then.
pub(super) async fn wait(wake: &Notify, until: Option<Instant>) {
    match until {
        Some(until) => {
            tokio::select! {
                () = wake.notified() => (),
                () = tokio::time::sleep_until(until.into()) => (),
            }
        }
        None => wake.notified().await,
    }
}
