//! The bus of nodes that live in one process: for clusters without Redis, in tests above all.
//!
//! A message is delivered by the thread that publishes it, before `publish` returns, unless another thread is at that
//! sink just then: that one delivers it, too. No sink is called while a lock is held that a bus needs, so a sink may
//! publish and subscribe. Nothing is queued beyond what sinks publish from within, so nothing is ever overloaded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Bus, BusError, BusFuture, Sink};

/// What the buses of one process have in common. Clones are the same exchange.
#[derive(Clone, Debug, Default)]
pub struct LocalExchange {
    linger: Duration,
    state: Arc<Mutex<State>>,
}

/// One node's bus on a [`LocalExchange`]. Dropping it closes it.
pub struct LocalBus {
    exchange: LocalExchange,
    id: u64,
    inbox: Arc<Inbox>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    members: HashMap<u64, Member>,
    channels: HashMap<Arc<str>, HashMap<u64, Subscription>>,
    /// Subscriptions that were given up, the earliest first.
    given_up: VecDeque<(Instant, Arc<str>, u64)>,
}

#[derive(Debug)]
struct Member {
    inbox: Arc<Inbox>,
    cut: bool,
}

#[derive(Debug)]
struct Subscription {
    count: u64,
    /// Without a count, until when it stays in force.
    until: Instant,
}

impl LocalExchange {
    /// An exchange whose buses keep a channel for so long after it was given up. The default is not at all.
    pub fn with_linger(linger: Duration) -> Self {
        Self { linger, ..Self::default() }
    }

    /// A bus for one more node.
    pub fn join(&self, sink: Arc<dyn Sink>) -> LocalBus {
        let mut state = self.state();
        state.last_id += 1;
        let id = state.last_id;
        let inbox =
            Arc::new(Inbox(Mutex::new(Queue { sink: Some(sink), busy: false, events: VecDeque::new() })));
        state.members.insert(id, Member { inbox: Arc::clone(&inbox), cut: false });
        LocalBus { exchange: self.clone(), id, inbox }
    }

    /// Cuts one bus off, as a broken link would: what it publishes is refused, what others publish does not reach it,
    /// until [`LocalExchange::mend`]. Its sink is told.
    pub fn cut(&self, bus: &LocalBus) {
        self.set_cut(bus, true, Event::Lost);
    }

    /// Undoes [`LocalExchange::cut`]. The sink is told.
    pub fn mend(&self, bus: &LocalBus) {
        self.set_cut(bus, false, Event::Restored);
    }

    fn set_cut(&self, bus: &LocalBus, cut: bool, event: Event) {
        {
            let mut state = self.state();
            let Some(member) = state.members.get_mut(&bus.id) else { return };
            if std::mem::replace(&mut member.cut, cut) == cut {
                return;
            }
            bus.inbox.push(event);
        }
        bus.inbox.deliver();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn member(&self, id: u64) -> Result<&Member, BusError> {
        self.members.get(&id).ok_or(BusError::Closed)
    }

    /// Forgets subscriptions whose linger is over.
    fn expire(&mut self, now: Instant) {
        while self.given_up.front().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, channel, id)) = self.given_up.pop_front() else { return };
            let Some(subscribers) = self.channels.get_mut(&channel) else { continue };
            if subscribers.get(&id).is_some_and(|it| it.count == 0 && it.until <= now) {
                subscribers.remove(&id);
            }
            if subscribers.is_empty() {
                self.channels.remove(&channel);
            }
        }
    }
}

impl Bus for LocalBus {
    fn publish(&self, channel: &str, message: Bytes) -> Result<(), BusError> {
        let mut reached = Vec::new();
        {
            let mut state = self.exchange.state();
            if state.member(self.id)?.cut {
                return Err(BusError::Down);
            }
            state.expire(Instant::now());
            let Some((channel, subscribers)) = state.channels.get_key_value(channel) else { return Ok(()) };
            for id in subscribers.keys().filter(|id| **id != self.id) {
                let Some(member) = state.members.get(id).filter(|member| !member.cut) else { continue };
                member.inbox.push(Event::Message(Arc::clone(channel), message.clone()));
                reached.push(Arc::clone(&member.inbox));
            }
        }
        reached.iter().for_each(|inbox| inbox.deliver());
        Ok(())
    }

    fn subscribe(&self, channel: &str) -> BusFuture<Result<(), BusError>> {
        let result = (|| {
            let mut state = self.exchange.state();
            let cut = state.member(self.id)?.cut;
            let now = Instant::now();
            state.expire(now);
            let subscribers = state.channels.entry(channel.into()).or_default();
            subscribers.entry(self.id).or_insert(Subscription { count: 0, until: now }).count += 1;
            if cut { Err(BusError::Down) } else { Ok(()) }
        })();
        Box::pin(std::future::ready(result))
    }

    fn unsubscribe(&self, channel: &str) {
        let mut state = self.exchange.state();
        let now = Instant::now();
        let until = now + self.exchange.linger;
        let Some((channel, _)) = state.channels.get_key_value(channel) else { return };
        let channel = Arc::clone(channel);
        let Some(subscription) = state.channels.get_mut(&channel).and_then(|all| all.get_mut(&self.id))
        else {
            return;
        };
        match subscription.count {
            0 => (),
            1 => {
                *subscription = Subscription { count: 0, until };
                state.given_up.push_back((until, channel, self.id));
            }
            more => subscription.count = more - 1,
        }
        state.expire(now);
    }

    fn settle(&self) -> BusFuture<()> {
        let (told, is_told) = oneshot::channel();
        self.inbox.push(Event::Told(told));
        self.inbox.deliver();
        // An error means that the bus was closed, which tells nothing any more.
        Box::pin(async move { drop(is_told.await) })
    }

    fn is_up(&self) -> bool {
        self.exchange.state().member(self.id).is_ok_and(|member| !member.cut)
    }

    fn close(&self) -> BusFuture<()> {
        {
            let mut state = self.exchange.state();
            state.members.remove(&self.id);
            state.channels.retain(|_, subscribers| {
                subscribers.remove(&self.id);
                !subscribers.is_empty()
            });
        }
        self.inbox.close();
        Box::pin(std::future::ready(()))
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus").field("id", &self.id).finish_non_exhaustive()
    }
}

enum Event {
    Message(Arc<str>, Bytes),
    /// All before it was told.
    Told(oneshot::Sender<()>),
    Lost,
    Restored,
}

/// What a sink is still to be told: in order, by one thread at a time.
struct Inbox(Mutex<Queue>);

struct Queue {
    /// None once the bus is closed.
    sink: Option<Arc<dyn Sink>>,
    /// A thread is telling, and will go on until nothing is left.
    busy: bool,
    events: VecDeque<Event>,
}

impl Inbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        self.queue().events.push_back(event);
    }

    fn deliver(&self) {
        if std::mem::replace(&mut self.queue().busy, true) {
            return;
        }
        loop {
            let (sink, event) = {
                let mut queue = self.queue();
                match (queue.sink.clone(), queue.events.pop_front()) {
                    (Some(sink), Some(event)) => (sink, event),
                    _ => {
                        queue.busy = false;
                        return;
                    }
                }
            };
            match event {
                Event::Message(channel, message) => sink.message(&channel, message),
                // Nobody may wait for it any more.
                Event::Told(told) => drop(told.send(())),
                Event::Lost => sink.lost(),
                Event::Restored => sink.restored(),
            }
        }
    }

    fn close(&self) {
        let mut queue = self.queue();
        queue.events.clear();
        let sink = queue.sink.take();
        drop(queue);
        // Outside the lock: it may be the last of what owns other buses.
        drop(sink);
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{self, Recorder};
    use super::*;

    impl contract::Cluster for LocalExchange {
        async fn join(&self, sink: Arc<dyn Sink>) -> Arc<dyn Bus> {
            Arc::new(LocalExchange::join(self, sink))
        }
    }

    contract::contract_tests!(LocalExchange::default(), LocalExchange::with_linger(contract::LINGER));
    contract::fence_tests!(LocalExchange::default());

    #[tokio::test]
    async fn a_cut_bus_hears_and_says_nothing_until_it_is_mended() {
        let exchange = LocalExchange::default();
        let (a, b) = (Recorder::new(), Recorder::new());
        let (bus_a, bus_b) = (exchange.join(a.clone()), exchange.join(b.clone()));
        bus_a.subscribe("before").await.unwrap();
        bus_b.subscribe("before").await.unwrap();

        exchange.cut(&bus_a);
        exchange.cut(&bus_a);
        assert_eq!((bus_a.is_up(), bus_b.is_up()), (false, true));
        assert_eq!(bus_a.publish("before", "unsaid".into()), Err(BusError::Down));
        bus_b.publish("before", "unheard".into()).unwrap();
        assert_eq!(bus_a.subscribe("meanwhile").await, Err(BusError::Down));

        exchange.mend(&bus_a);
        assert!(bus_a.is_up());
        bus_b.publish("before", "1".into()).unwrap();
        bus_b.publish("meanwhile", "2".into()).unwrap();
        bus_a.publish("before", "3".into()).unwrap();
        assert_eq!(a.told(), ["lost", "restored", "before: 1", "meanwhile: 2"]);
        assert_eq!(b.told(), ["before: 3"]);
    }
}
