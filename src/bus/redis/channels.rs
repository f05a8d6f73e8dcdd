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
    link: Link,
    closed: bool,
    last_generation: u64,
    entries: HashMap<Arc<str>, Entry>,
    /// What came to be wanted since the last [`Channels::begin`], unless it is gone again. Nothing while the link is
    /// down: all that is wanted is asked for together when it begins.
    wanted: Vec<Asked>,
    /// What was given up, the earliest first.
    given_up: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    /// All that was wanted is asked for; what has come since is yet to be.
    Beginning,
    Up,
}

struct Entry {
    generation: u64,
    /// Who has asked for it first.
    thread: Option<u16>,
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

/// A channel that the server is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub channel: Arc<str>,
    /// Of its entry.
    generation: u64,
    /// The thread that has asked for it first, if it goes through turns.
    pub thread: Option<u16>,
}

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
            link: Link::Down,
            closed: false,
            last_generation: 0,
            entries: HashMap::new(),
            wanted: Vec::new(),
            given_up: VecDeque::new(),
        }
    }

    /// `thread`: of the one that asks, if it goes through turns.
    pub fn subscribe(&mut self, channel: &str, thread: Option<u16>) -> Answer {
        if self.closed {
            return Answer::Now(Err(BusError::Closed));
        }
        if !self.entries.contains_key(channel) {
            self.last_generation += 1;
            let (channel, generation) = (Arc::<str>::from(channel), self.last_generation);
            if self.link != Link::Down {
                self.wanted.push(Asked { channel: Arc::clone(&channel), generation, thread });
            }
            let entry = Entry {
                generation,
                thread,
                count: 0,
                idle_since: None,
                state: State::Wanted,
                waiters: Vec::new(),
            };
            self.entries.insert(channel, entry);
        }
        let Some(entry) = self.entries.get_mut(channel) else { return Answer::Now(Err(BusError::Down)) };
        entry.count += 1;
        entry.idle_since = None;
        match (self.link, entry.state) {
            (Link::Down | Link::Beginning, _) => Answer::Now(Err(BusError::Down)),
            (Link::Up, State::InForce) => Answer::Now(Ok(())),
            (Link::Up, _) => {
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
        if self.link == Link::Down {
            // Nobody else looks meanwhile, and an outage may be long.
            self.forget_idle(now);
        }
        true
    }

    /// When there will be something to do even if nobody calls.
    pub fn next_due(&self) -> Option<Instant> {
        self.given_up.front().map(|(since, _)| *since + self.linger)
    }

    /// What is to be done now. From here on the link counts as asking for it.
    pub fn begin(&mut self, now: Instant) -> Work {
        let mut work = Work { give_up: self.forget_idle(now), ask: Vec::new() };
        for asked in std::mem::take(&mut self.wanted) {
            let entry = self.entries.get_mut(&asked.channel);
            if let Some(entry) = entry.filter(|entry| entry.generation == asked.generation) {
                entry.state = State::Asked;
                work.ask.push(asked);
            }
        }
        work
    }

    /// As [`Channels::begin`], for a link that begins: everything that is wanted, and nothing to give up.
    pub fn begin_all(&mut self, now: Instant) -> Vec<Asked> {
        self.forget_idle(now);
        self.link = Link::Beginning;
        let ask = |(channel, entry): (&Arc<str>, &mut Entry)| {
            entry.state = State::Asked;
            Asked { channel: Arc::clone(channel), generation: entry.generation, thread: entry.thread }
        };
        self.entries.iter_mut().map(ask).collect()
    }

    /// The server has confirmed these.
    pub fn confirmed(&mut self, asked: &[Asked]) {
        for Asked { channel, generation, .. } in asked {
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
        if self.wanted.is_empty() {
            self.link = Link::Up;
        }
        self.link == Link::Up
    }

    /// The link is gone, and with it every subscription. Whoever waits is told.
    pub fn go_down(&mut self) {
        self.link = Link::Down;
        self.wanted.clear();
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    /// A table that is up, and the time.
    fn up() -> (Channels, Instant) {
        let mut channels = Channels::new(LINGER);
        assert!(channels.go_up());
        (channels, Instant::now())
    }

    fn later(channels: &mut Channels, name: &str) -> oneshot::Receiver<Result<(), BusError>> {
        match channels.subscribe(name, None) {
            Answer::Later(answer) => answer,
            Answer::Now(result) => panic!("{name} is answered at once: {result:?}"),
        }
    }

    fn now(channels: &mut Channels, name: &str) -> Result<(), BusError> {
        match channels.subscribe(name, None) {
            Answer::Now(result) => result,
            Answer::Later(_) => panic!("{name} is not answered at once"),
        }
    }

    fn names(asked: &[Asked]) -> Vec<&str> {
        asked.iter().map(|asked| &*asked.channel).collect()
    }

    fn in_force(channels: &mut Channels, name: &str, at: Instant) {
        let _answer = later(channels, name);
        let work = channels.begin(at);
        channels.confirmed(&work.ask);
        assert_eq!(now(channels, name), Ok(()));
        assert!(!channels.unsubscribe(name, at), "one count is left");
    }

    #[test]
    fn everybody_who_asks_is_answered_by_one_confirmation() {
        let (mut channels, t) = up();
        let mut first = later(&mut channels, "x");
        let work = channels.begin(t);
        assert_eq!((names(&work.ask), work.give_up.len()), (vec!["x"], 0));
        let mut second = later(&mut channels, "x");
        assert!(channels.begin(t).is_empty(), "it is asked for once");
        assert!(first.try_recv().is_err(), "nothing is confirmed yet");
        channels.confirmed(&work.ask);
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
        assert_eq!(now(&mut channels, "x"), Ok(()));
    }

    #[test]
    fn what_is_given_up_lingers() {
        let (mut channels, t) = up();
        in_force(&mut channels, "x", t);
        assert!(channels.unsubscribe("x", t));
        assert!(!channels.unsubscribe("x", t), "nothing is left to give up");
        assert_eq!(channels.next_due(), Some(t + LINGER));
        assert!(channels.begin(t + LINGER / 2).is_empty());
        let work = channels.begin(t + LINGER);
        assert_eq!((work.give_up, work.ask), (vec![Arc::<str>::from("x")], vec![]));
        assert_eq!(channels.next_due(), None);
    }

    #[test]
    fn a_return_within_the_linger_keeps_it() {
        let (mut channels, t) = up();
        in_force(&mut channels, "x", t);
        channels.unsubscribe("x", t);
        assert_eq!(now(&mut channels, "x"), Ok(()));
        assert!(channels.begin(t + LINGER).is_empty());
        // Given up again, it lingers from then on.
        channels.unsubscribe("x", t + LINGER);
        assert!(channels.begin(t + LINGER * 3 / 2).is_empty());
        assert_eq!(channels.begin(t + LINGER * 2).give_up, [Arc::<str>::from("x")]);
    }

    #[test]
    fn a_late_confirmation_does_not_answer_for_a_newer_subscription() {
        let (mut channels, t) = up();
        let mut first = later(&mut channels, "x");
        let asked = channels.begin(t).ask;
        channels.unsubscribe("x", t);
        assert_eq!(channels.begin(t + LINGER).give_up, [Arc::<str>::from("x")]);
        assert!(first.try_recv().is_err(), "given up before it was in force");
        let mut second = later(&mut channels, "x");
        let asked_again = channels.begin(t + LINGER).ask;
        channels.confirmed(&asked);
        assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        channels.confirmed(&asked_again);
        assert_eq!(second.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn what_is_gone_before_it_was_asked_for_costs_nothing() {
        let (mut channels, t) = up();
        let _answer = later(&mut channels, "x");
        channels.unsubscribe("x", t);
        assert!(channels.begin(t + LINGER).is_empty());
    }

    #[test]
    fn a_return_before_the_link_has_looked_keeps_it() {
        let (mut channels, t) = up();
        in_force(&mut channels, "x", t);
        channels.unsubscribe("x", t);
        // The linger may be over by the time, but nobody has looked yet.
        assert_eq!(now(&mut channels, "x"), Ok(()));
        let _answer = later(&mut channels, "y");
        let work = channels.begin(t + LINGER);
        assert_eq!((work.give_up.len(), names(&work.ask)), (0, vec!["y"]));
    }

    #[test]
    fn an_outage_answers_whoever_waits_and_keeps_what_is_wanted() {
        let (mut channels, t) = up();
        in_force(&mut channels, "x", t);
        let mut waiting = later(&mut channels, "y");
        let asked = channels.begin(t).ask;
        channels.go_down();
        assert_eq!(waiting.try_recv(), Ok(Err(BusError::Down)));
        channels.confirmed(&asked);
        assert_eq!(
            now(&mut channels, "x"),
            Err(BusError::Down),
            "nothing is in force, whatever a late word says"
        );
        assert_eq!(now(&mut channels, "z"), Err(BusError::Down));
        channels.unsubscribe("y", t);

        let all = channels.begin_all(t + LINGER);
        let mut sorted = names(&all);
        sorted.sort_unstable();
        assert_eq!(sorted, ["x", "z"]);
        assert_eq!(now(&mut channels, "late"), Err(BusError::Down));
        channels.confirmed(&all);
        assert!(!channels.go_up(), "one more must be asked for");
        let work = channels.begin(t + LINGER);
        assert_eq!(names(&work.ask), ["late"]);
        channels.confirmed(&work.ask);
        assert!(channels.go_up());
        assert_eq!(now(&mut channels, "x"), Ok(()));
        assert_eq!(now(&mut channels, "late"), Ok(()));
    }

    #[test]
    fn who_comes_and_goes_during_an_outage_leaves_nothing_behind() {
        let (mut channels, t) = up();
        in_force(&mut channels, "stays", t);
        channels.go_down();
        for n in 0..1000 {
            let (name, at) = (n.to_string(), t + LINGER * n);
            assert_eq!(now(&mut channels, &name), Err(BusError::Down));
            assert_eq!(now(&mut channels, "returns"), Err(BusError::Down));
            channels.unsubscribe(&name, at);
            channels.unsubscribe("returns", at);
            let Channels { entries, given_up, wanted, .. } = &channels;
            assert!(
                entries.len() <= 3 && given_up.len() <= 2 && wanted.is_empty(),
                "after {n}: {:?}, {given_up:?}, {}",
                entries.keys(),
                wanted.len()
            );
        }
        let mut all = channels.begin_all(t + LINGER * 999);
        all.sort_unstable_by_key(|asked| Arc::clone(&asked.channel));
        assert_eq!(names(&all), ["999", "returns", "stays"], "these two linger still");
    }

    #[test]
    fn a_closed_table_wants_nothing() {
        let (mut channels, t) = up();
        in_force(&mut channels, "x", t);
        let mut waiting = later(&mut channels, "y");
        channels.unsubscribe("x", t);
        channels.close();
        assert_eq!(waiting.try_recv(), Ok(Err(BusError::Closed)));
        assert_eq!(now(&mut channels, "x"), Err(BusError::Closed));
        assert!(!channels.unsubscribe("x", t));
        assert!(channels.begin(t + LINGER).is_empty());
        assert!(channels.begin_all(t).is_empty());
    }
}
