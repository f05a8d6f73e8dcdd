//! What the bus has lost, the store gives back (SPEC, promise 4): a node that may have missed messages goes through
//! what was stored since, and each room's inbox takes what it lacks.
//!
//! How far back to go is told by marks: the store's last id, noted every few seconds. They need no clock that agrees
//! with another node's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Im;
use super::ties::Failing;
use crate::store::{StoreError, StoreExt as _, messages};

/// How often the store's last id is noted.
const MARK_EVERY: Duration = Duration::from_secs(2);
/// For how long marks are kept. An outage that is noticed later than this is repaired from the oldest mark on.
const KEPT: Duration = Duration::from_secs(120);
/// How long a message may have been lost before the loss is noticed: silence is only suspicious after some time.
pub(super) const NOTICED_LATE: Duration = Duration::from_secs(20);
/// How long to wait for a store or a bus that is away.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a node that is cut off asks the store for its users' ties.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Messages read at a time.
const PAGE: u32 = 1000;

/// The marks, and what is to be done.
#[derive(Default)]
pub struct Repair {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marks: VecDeque<(Instant, u64)>,
    /// What this node has missed is after this id. There while the bus is down.
    missed_after: Option<u64>,
    /// This node is to go through what was stored after this id.
    wanted_after: Option<u64>,
    /// It is at it.
    is_running: bool,
    /// While the bus is down, the store is asked for ties.
    is_looking: bool,
    /// What other nodes may have missed of this one is after this id.
    owed_after: Option<u64>,
}

impl Repair {
    /// Asks for a repair from an id on. `true`: nobody is at it, and the caller has to be.
    fn want(&self, after: u64) -> bool {
        let mut state = self.lock();
        lower(&mut state.wanted_after, after);
        !std::mem::replace(&mut state.is_running, true)
    }

    /// Where whoever is at it has to begin; `None`: it is done.
    fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        state.is_running = state.wanted_after.is_some();
        state.wanted_after.take()
    }

    /// Whether the bus is down.
    pub(super) fn is_cut_off(&self) -> bool {
        self.lock().missed_after.is_some()
    }

    /// Whether ties are still to be looked for. `false` ends that.
    fn is_still_looking(&self) -> bool {
        let mut state = self.lock();
        state.is_looking = state.missed_after.is_some();
        state.is_looking
    }

    /// The last id that the store had so long ago, or somewhat longer.
    fn mark_before(&self, ago: Duration) -> u64 {
        let state = self.lock();
        let then = Instant::now().checked_sub(ago);
        let is_old = |(at, _): &&(Instant, u64)| then.is_some_and(|then| *at <= then);
        let mark = state.marks.iter().rev().find(is_old).or(state.marks.front());
        mark.map_or(0, |(_, id)| *id)
    }

    fn mark(&self, id: u64) {
        let now = Instant::now();
        let mut state = self.lock();
        state.marks.push_back((now, id));
        while state.marks.len() > 1 && now.duration_since(state.marks[0].0) > KEPT {
            state.marks.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Im {
    /// Begins to take marks, for as long as the service lives.
    pub(super) fn keep_marks(self: &Arc<Self>) {
        let im: Weak<Im> = Arc::downgrade(self);
        self.runtime.spawn(async move {
            while let Some(im) = im.upgrade() {
                // While the store is away nothing is stored either.
                if let Ok(id) = im.store.reading(|tx| Box::pin(messages::last_id(tx))).await {
                    im.repair.mark(id);
                }
                drop(im);
                tokio::time::sleep(MARK_EVERY).await;
            }
        });
    }

    /// The bus is down: from some time ago on, nothing came in or went out.
    pub fn bus_lost(self: &Arc<Self>) {
        self.announcements_lost();
        let after = self.repair.mark_before(NOTICED_LATE);
        let mut state = self.repair.lock();
        lower(&mut state.missed_after, after);
        lower(&mut state.owed_after, after);
        let is_looking = std::mem::replace(&mut state.is_looking, true);
        drop(state);
        self.told.cut_off();
        if !is_looking {
            self.look_for_ties();
        }
    }

    /// While no other node can say who was put out of a group, or was blocked, the store is asked every now and then.
    fn look_for_ties(self: &Arc<Self>) {
        let im = Arc::downgrade(self);
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(im) = im.upgrade().filter(|im| im.repair.is_still_looking()) else { return };
                im.reload_ties(Failing::IsLetBe).await;
            }
        });
    }

    /// The bus is back: this node catches up, and tells the others to.
    pub fn bus_restored(self: &Arc<Self>) {
        self.announcements_lost();
        let missed_after = self.repair.lock().missed_after.take();
        if let Some(after) = missed_after {
            let im = self.clone();
            self.runtime.spawn(async move {
                im.reload_ties(Failing::IsRepeated).await;
                im.catch_up(after);
                im.exchange_what_was_told().await;
            });
        }
        self.tell_what_is_owed();
    }

    /// The bus has not taken a message of this node's.
    pub(super) fn not_published(self: &Arc<Self>, id: u64) {
        let mut state = self.repair.lock();
        let is_first = state.owed_after.is_none();
        lower(&mut state.owed_after, id - 1);
        drop(state);
        if is_first {
            self.tell_what_is_owed();
        }
    }

    /// Another node is gone, and with it perhaps what it had stored and not yet published.
    pub fn node_gone(self: &Arc<Self>, lease: Duration) {
        self.catch_up(self.repair.mark_before(lease + NOTICED_LATE));
    }

    fn tell_what_is_owed(self: &Arc<Self>) {
        let im = self.clone();
        self.runtime.spawn(async move {
            loop {
                let owed_after = im.repair.lock().owed_after;
                let Some(after) = owed_after else { return };
                if im.tell_to_catch_up(after) {
                    let mut state = im.repair.lock();
                    if state.owed_after == Some(after) {
                        state.owed_after = None;
                    }
                } else {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
    }

    /// Goes through what was stored after an id, at some time from now on. Who asks while that is going on asks for one
    /// more time: a line that breaks again and again must not leave a queue of repairs behind.
    pub(super) fn catch_up(self: &Arc<Self>, after: u64) {
        if !self.repair.want(after) {
            return;
        }
        let im = self.clone();
        self.runtime.spawn(async move {
            while let Some(after) = im.repair.next() {
                im.go_through(after).await;
            }
        });
    }

    /// Goes through what is stored after an id. Asks the store until it has answered.
    async fn go_through(self: &Arc<Self>, first: u64) {
        let (mut after, mut count) = (first, 0);
        loop {
            match self.store.reading(move |tx| Box::pin(messages::committed_after(tx, after, PAGE))).await {
                Ok(page) => {
                    self.under_way.wait().await;
                    page.iter().for_each(|message| self.delivery.handle_repaired(message));
                    count += page.len();
                    // What is stored from now on comes by the bus.
                    let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) else { break };
                    after = last.id;
                }
                Err(StoreError::Unavailable(_) | StoreError::Overloaded) => tokio::time::sleep(PAUSE).await,
                Err(error) => return tracing::error!(%error, "what was missed can't be read"),
            }
        }
        tracing::info!(after = first, count, "caught up with what other nodes have stored");
    }
}

fn lower(bound: &mut Option<u64>, to: u64) {
    *bound = Some(bound.map_or(to, |bound| bound.min(to)));
}
