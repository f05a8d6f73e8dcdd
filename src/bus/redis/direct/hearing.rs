//! What is heard: by the intakes of other nodes' lines, and by Redis.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Buf as _;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::frame::{self, Frame};
use super::intake::{self, Intake};
use super::order::{Message, Order};
use super::{Direct, ENDED, FIRST_PAUSE, Id, NUDGE, REST, USED};
use crate::bus::redis::add;
use crate::bus::redis::channels::Asked;

/// Connections that have not shown yet who they are, at most.
const MAX_STRANGERS: usize = 512;
/// How long the rest of what came by a line may come by Redis, after its end.
const REMEMBERED: Duration = Duration::from_secs(60);
/// After so long, what came by other lanes does not wait for it any more.
const HOLES_FOR: Duration = Duration::from_secs(5);

/// What is heard, and of whom.
#[derive(Default)]
pub struct Intakes {
    /// How often what has this hash is wanted.
    wanted: HashMap<u64, u32>,
    pub all: Vec<Arc<Intake>>,
}

impl Direct {
    /// What came by Redis: gives what is meant for the sink, without what stands before it.
    pub fn sift<'a>(&self, channel: &str, payload: &'a [u8]) -> Option<&'a [u8]> {
        let message = not_reached(payload, self.own.id)?;
        if channel == NUDGE {
            self.nudged.notify_one();
            return None;
        }
        if channel == self.channel {
            self.told(message);
            return None;
        }
        Some(message)
    }

    fn told(&self, mut message: &[u8]) {
        let (Ok(what), Ok(from), Ok(peer)) =
            (message.try_get_u8(), message.try_get_u64(), message.try_get_u64())
        else {
            return;
        };
        let of_it: Vec<_> = {
            let intakes = self.intakes();
            intakes.all.iter().filter(|intake| (intake.from, intake.peer) == (from, peer)).cloned().collect()
        };
        let Some(first) = of_it.first() else {
            // Nobody remembers what was heard of it.
            if what == REST {
                self.gap.notify_one();
            }
            return;
        };
        if what == USED {
            first.order.begin(|message| self.hear(message));
            return of_it.iter().for_each(|intake| intake.open());
        }
        if what == REST
            && let Ok(Some(Frame::Message { number, channel, message })) =
                Frame::decode(&mut message.into(), usize::MAX)
        {
            // However much waits: this is what it waits for.
            first.order.take(number, (channel, message), |message| self.hear(message));
        }
        of_it.iter().for_each(|intake| intake.close());
        if what == ENDED && first.order.give_up_holes(|message| self.hear(message)) {
            self.gap.notify_one();
        }
    }

    /// What came by lines that have ended waits no more for what has not come by Redis either.
    pub(super) fn give_up_holes(&self) {
        let ended: Vec<_> =
            self.intakes().all.iter().filter(|intake| intake.is_old(HOLES_FOR)).cloned().collect();
        // One that has ended ends the others of its node.
        if ended.iter().any(|intake| intake.order.give_up_holes(|message| self.hear(message))) {
            self.gap.notify_one();
        }
    }

    /// The next message of a node that reaches this one.
    pub(super) fn hear(&self, (channel, message): Message) {
        if let Ok(channel) = std::str::from_utf8(&channel) {
            add(&self.listener().shared.counters.received_directly, 1);
            self.listener().tell(channel, message);
        }
    }

    /// In which a node's messages are told that come by a lane; none, if it has none yet and this is not the first lane.
    pub(super) fn order_of(&self, from: Id, peer: u64, lane: u16) -> Option<Arc<Order>> {
        if lane == 0 {
            return Some(Arc::default());
        }
        let intakes = self.intakes();
        let first = intakes.all.iter().find(|it| (it.from, it.peer, it.lane) == (from, peer, 0))?;
        Some(Arc::clone(&first.order))
    }

    /// Something came by the bus's own thread.
    pub(super) fn stay_awake(&self) {
        self.listener().stay_awake();
    }

    /// The thread that hears a lane.
    pub(super) fn thread_of(&self, lane: u16) -> Option<Handle> {
        self.listener().shared.threads().get(usize::from(lane) - 1).map(|(_, runtime)| runtime.clone())
    }

    /// More threads hear by themselves.
    pub fn tell_lanes(&self) {
        let count = self.listener().shared.threads().len() as u16;
        let intakes = self.intakes();
        intakes.all.iter().filter(|intake| intake.lane == 0).for_each(|intake| intake.say_lanes(count));
    }

    pub(super) fn begin_intake(&self, intake: &Arc<Intake>) {
        let mut intakes = self.intakes();
        intakes.all.retain(|other| !other.is_old(REMEMBERED));
        if intake.lane == 0 {
            // It begins anew when it has given up the others.
            intakes.all.iter().filter(|other| other.from == intake.from).for_each(|other| other.close());
        }
        // What a node hears by one lane it does not hear by another from then on.
        let all = if intake.lane == 0 { intakes.wanted.keys().copied().collect() } else { Vec::new() };
        intake.want(all);
        intakes.all.push(Arc::clone(intake));
        drop(intakes);
        if intake.lane == 0 {
            self.tell_lanes();
        }
    }

    /// Wants channels, each to be heard by the thread that has asked for it if that hears by itself; resolves once all that may
    /// send directly heed it.
    pub async fn want(&self, asked: &[Asked]) {
        let lanes: HashMap<u16, u16> = {
            let threads = self.listener().shared.threads();
            threads.iter().zip(1..).map(|((thread, _), lane)| (*thread, lane)).collect()
        };
        let wishes = {
            let mut intakes = self.intakes();
            let mut new: HashMap<u16, Vec<u64>> = HashMap::new();
            for Asked { channel, thread, .. } in asked {
                let hash = frame::hash(channel);
                let count = intakes.wanted.entry(hash).or_default();
                *count += 1;
                if *count == 1 {
                    let lane = thread.and_then(|thread| lanes.get(&thread)).copied().unwrap_or(0);
                    new.entry(lane).or_default().push(hash);
                }
            }
            intakes.want(&new)
        };
        for (intake, wish) in wishes {
            intake.heeds(wish).await;
        }
    }

    /// Wants channels no more.
    pub fn unwant(&self, channels: &[Arc<str>]) {
        let mut intakes = self.intakes();
        let mut is_last = |hash: &u64| match intakes.wanted.get_mut(hash) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => intakes.wanted.remove(hash).is_some(),
        };
        let gone: Vec<_> = channels.iter().map(|channel| frame::hash(channel)).filter(&mut is_last).collect();
        intakes.all.iter().for_each(|intake| intake.unwant(&gone));
    }

    pub(super) async fn keep_intakes(self: &Arc<Self>) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(socket) = socket else { return std::future::pending().await };
        let mut tasks = JoinSet::new();
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        loop {
            while tasks.try_join_next().is_some() {}
            match socket.accept().await {
                Ok((stream, _)) => {
                    if let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() {
                        tasks.spawn(intake::serve(Arc::clone(self), stream, permit));
                    }
                }
                // Of a connection that is gone, or for want of files.
                Err(_) => sleep(FIRST_PAUSE).await,
            }
        }
    }
}

impl Intakes {
    /// Wants what is new, by lane, of all that may send directly; of those that have no such lane, on their first.
    fn want(&self, new: &HashMap<u16, Vec<u64>>) -> Vec<(Arc<Intake>, u64)> {
        let wish = |intake: &Arc<Intake>| {
            let of_it = (intake.from, intake.peer);
            let has = |lane: u16| {
                self.all.iter().any(|it| it.lane == lane && (it.from, it.peer) == of_it && it.is_used())
            };
            let is_mine = |lane: u16| lane == intake.lane || intake.lane == 0 && !has(lane);
            let add = new.iter().filter(|(lane, _)| is_mine(**lane)).flat_map(|(_, hashes)| hashes).copied();
            let add: Vec<_> = add.collect();
            (!add.is_empty()).then(|| (Arc::clone(intake), intake.want(add)))
        };
        self.all.iter().filter_map(wish).collect()
    }
}

/// What stands behind the names of those that have a message already, unless one of them is this.
fn not_reached(payload: &[u8], id: Id) -> Option<&[u8]> {
    let (count, rest) = payload.split_first()?;
    let (reached, message) = rest.split_at_checked(usize::from(*count) * size_of::<Id>())?;
    let is_reached = reached.chunks_exact(size_of::<Id>()).any(|name| name == id.to_be_bytes());
    (!is_reached).then_some(message)
}

/// The same where there is no such name.
pub fn sift(payload: &[u8]) -> Option<&[u8]> {
    not_reached(payload, 0)
}
