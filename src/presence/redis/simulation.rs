//! Nodes on virtual time, with users who come, go and move, slow writes, late answers, lost announcements, drains and deaths.
//! Whatever happens, what each watcher is told must be online and offline in turn, must be true in the end, and
//! must never be "offline" of somebody who was there, or on the way within the grace.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::announcement::Announcement;
use super::ledger::{Entry, Ledger};
use super::roster::Roster;
use super::scripts::Lease;
use crate::presence::desk::State;
use crate::presence::watches::{Question, Seen};
use crate::store::Timestamp;

const NODES: usize = 4;
const USERS: u64 = 4;
/// All in milliseconds.
const GRACE: u64 = 3000;
const LEASE: u64 = 10_000;
const RENEWAL: u64 = 3000;
/// The longest that a write, an announcement, a question or an answer takes, each.
const DELAY: u64 = 60;
/// From when on what a node knows is there for others.
const SEEN: u64 = 3 * DELAY;

#[derive(Clone, Debug)]
enum Action {
    Enter(usize, u64),
    Leave(usize, u64),
    Kill(usize),
    Drain(usize),
    /// The link to the bus breaks, or is there again.
    Cut(usize),
    Mend(usize),
}

enum Event {
    Wake(usize),
    /// A node renews its lease.
    Tick(usize),
    Write(usize),
    Heard(usize, Announcement),
    Look(usize, Vec<Question>),
    /// What was found, and who was there.
    Answer(usize, Vec<(Question, Option<Timestamp>)>, Vec<Lease>),
    /// A dead node's lease runs out.
    Reap(usize),
}

struct Node {
    state: State,
    ledger: Ledger,
    roster: Roster,
    alive: bool,
    cut: bool,
    writing: bool,
    looking: bool,
    /// What each user's watch was told, and when.
    told: HashMap<u64, Vec<(u64, bool)>>,
}

struct World {
    start: Instant,
    now: u64,
    nodes: Vec<Node>,
    /// What is written of each node.
    written: Vec<HashMap<u64, Entry>>,
    /// When each node's lease runs out; `None` if it has none.
    leases: [Option<u64>; NODES],
    agenda: BTreeMap<(u64, u64), Event>,
    events: u64,
    random: u64,
    /// When the last announcement from one node to another arrives: they don't overtake each other.
    last: [[u64; NODES]; NODES],
    /// When users were connected: user, node, from, until.
    stays: Vec<(u64, usize, u64, Option<u64>)>,
    /// When a user must count as online: user, from, until.
    covered: Vec<(u64, u64, u64)>,
}

impl Node {
    /// Draws the conclusions from who is there.
    fn see(&mut self, others: &[Lease], now: Instant) {
        let news = self.roster.update(others, now);
        if !news.left.is_empty() {
            self.state.watches.hold_until(now + Duration::from_millis(GRACE));
        }
        if !news.left.is_empty() || !news.died.is_empty() {
            self.state.watches.look_at_all(now);
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let node = || Node {
            state: State::new(Duration::from_millis(GRACE), false),
            ledger: Ledger::default(),
            roster: Roster::default(),
            alive: true,
            cut: false,
            writing: false,
            looking: false,
            told: HashMap::new(),
        };
        let mut world = Self {
            start: Instant::now(),
            now: 0,
            nodes: (0..NODES).map(|_| node()).collect(),
            written: vec![HashMap::new(); NODES],
            leases: [Some(u64::MAX); NODES],
            agenda: BTreeMap::new(),
            events: 0,
            random: seed | 1,
            last: [[0; NODES]; NODES],
            stays: Vec::new(),
            covered: Vec::new(),
        };
        for node in 0..NODES {
            for user in 1..=USERS {
                let start = world.start;
                world.nodes[node].state.watch(user, start);
            }
            world.happen(Event::Tick(node));
        }
        world
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now as i64)
    }

    fn delay(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        1 + self.random % DELAY
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.events += 1;
        self.agenda.insert((at, self.events), event);
    }

    fn plan_soon(&mut self, event: Event) {
        let at = self.now + self.delay();
        self.plan(at, event);
    }

    /// Runs for so long.
    fn run(&mut self, duration: u64) {
        let until = self.now + duration;
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= until
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    fn act(&mut self, action: &Action) {
        let (now, at) = (self.instant(), self.timestamp());
        match *action {
            Action::Enter(node, user) if self.nodes[node].alive => {
                self.nodes[node].state.enter(user, at);
                self.stays.push((user, node, self.now, None));
                self.settle(node);
            }
            Action::Leave(node, user) if self.nodes[node].alive => {
                let ours = |stay: &&mut (u64, usize, u64, Option<u64>)| {
                    (stay.0, stay.1, stay.3) == (user, node, None)
                };
                if let Some(stay) = self.stays.iter_mut().find(ours) {
                    stay.3 = Some(self.now);
                    self.covered.push((user, stay.2 + SEEN, self.now + GRACE));
                    self.nodes[node].state.leave(user, at, now);
                    self.settle(node);
                }
            }
            // Somebody is always left.
            Action::Kill(node) if self.nodes[node].alive && node > 0 => {
                self.end(node, LEASE * 2 / 3);
                self.nodes[node].cut = false;
                let lapse = self.now + LEASE * 2 / 3 + 50 * self.delay();
                self.leases[node] = Some(lapse);
                self.plan(lapse, Event::Reap(node));
            }
            Action::Drain(node) if self.nodes[node].alive && !self.nodes[node].cut && node > 0 => {
                self.end(node, GRACE);
                self.written[node].clear();
                self.leases[node] = None;
                self.announce(node, &Announcement::look("", Duration::from_millis(GRACE)));
            }
            Action::Cut(node) => self.nodes[node].cut = true,
            Action::Mend(node) if self.nodes[node].cut => {
                self.nodes[node].cut = false;
                self.nodes[node].state.watches.look_at_all(now);
                self.announce(node, &Announcement::look("", Duration::ZERO));
                self.settle(node);
            }
            _ => (),
        }
    }

    /// A node ends; its users count for so long.
    fn end(&mut self, node: usize, covered: u64) {
        self.nodes[node].alive = false;
        for (user, at, from, until) in &mut self.stays {
            if *at == node && until.is_none() {
                *until = Some(self.now);
                // Whom others never saw there does not count.
                if *from + SEEN <= self.now {
                    self.covered.push((*user, *from + SEEN, self.now + covered));
                }
            }
        }
    }

    fn announce(&mut self, from: usize, announcement: &Announcement) {
        if self.nodes[from].cut {
            return;
        }
        for to in (0..NODES).filter(|to| *to != from) {
            let at = (self.now + self.delay()).max(self.last[from][to]);
            self.last[from][to] = at;
            self.plan(at, Event::Heard(to, announcement.clone()));
        }
    }

    fn happen(&mut self, event: Event) {
        let (now, at) = (self.instant(), self.timestamp());
        match event {
            Event::Reap(dead) => {
                self.written[dead].clear();
                self.leases[dead] = None;
                for node in (0..NODES).filter(|node| *node != dead) {
                    self.nodes[node].state.watches.look_at_all(now);
                    self.settle(node);
                }
            }
            Event::Wake(node)
            | Event::Tick(node)
            | Event::Write(node)
            | Event::Heard(node, _)
            | Event::Look(node, _)
            | Event::Answer(node, ..)
                if !self.nodes[node].alive => {}
            Event::Wake(node) => self.settle(node),
            Event::Tick(node) => {
                let leases = self.leases(node);
                self.nodes[node].see(&leases, now);
                self.settle(node);
                self.plan(self.now + RENEWAL, Event::Tick(node));
            }
            Event::Write(node) => {
                let Node { state: State { changed, users, .. }, ledger, writing, .. } = &mut self.nodes[node];
                let batch = ledger.batch(changed, users, 2);
                *writing = false;
                let written = &mut self.written[node];
                written.extend(batch.add.iter().copied());
                for (user, entry) in &batch.remove {
                    if written.get(user) == Some(entry) {
                        written.remove(user);
                    }
                }
                self.announce(node, &Announcement::of_users("", &batch));
                self.settle(node);
            }
            Event::Heard(node, announcement) => {
                if !self.nodes[node].cut {
                    let watches = &mut self.nodes[node].state.watches;
                    announcement.here().for_each(|(user, at)| watches.here(user, at));
                    announcement.gone().for_each(|(user, at)| watches.gone(user, at, now));
                    if let Some(hold) = announcement.hold(Duration::MAX) {
                        watches.hold_until(now + hold);
                        watches.look_at_all(now);
                    }
                    self.settle(node);
                }
            }
            Event::Look(node, questions) => {
                let others = || self.written.iter().enumerate().filter(|(other, _)| *other != node);
                let find = |question: &Question| {
                    others().find_map(|(_, users)| users.get(&question.user)).map(|entry| entry.since)
                };
                let answers = questions.into_iter().map(|question| (question, find(&question))).collect();
                let leases = self.leases(node);
                self.plan_soon(Event::Answer(node, answers, leases));
            }
            Event::Answer(node, answers, leases) => {
                self.nodes[node].see(&leases, now);
                let Node { state, looking, .. } = &mut self.nodes[node];
                *looking = false;
                for (question, since) in answers {
                    let elsewhere = since.map(|since| Seen::Online { since });
                    let seen = state.seen_here(question).or(elsewhere).unwrap_or(Seen::Nowhere { at });
                    state.watches.answer(question, seen, now);
                }
                self.settle(node);
            }
        }
    }

    /// Does what a node's tasks would do now.
    fn settle(&mut self, node: usize) {
        let now = self.instant();
        let ms = self.now;
        let Node { state, told, writing, looking, .. } = &mut self.nodes[node];
        state.run_out(now);
        while let Some(tell) = state.watches.poll_tell() {
            told.entry(tell.user).or_default().push((ms, tell.online));
        }
        let write = !*writing && !state.changed.is_empty();
        *writing |= write;
        let questions = if *looking { Vec::new() } else { state.watches.questions(now, 2) };
        *looking |= !questions.is_empty();
        let due = state.watches.poll_timeout().filter(|_| !*looking);
        let next = [state.users.poll_timeout(), due].into_iter().flatten().min();
        let next = next.map(|next| next.saturating_duration_since(self.start).as_millis() as u64);
        if write {
            self.plan_soon(Event::Write(node));
        }
        if !questions.is_empty() {
            self.plan_soon(Event::Look(node, questions));
        }
        if let Some(next) = next {
            self.plan(next.max(self.now + 1), Event::Wake(node));
        }
    }

    /// The leases of the other nodes.
    fn leases(&self, node: usize) -> Vec<Lease> {
        let lease = |(other, until): (usize, &Option<u64>)| {
            let left = until.filter(|_| other != node)?.saturating_sub(self.now).min(LEASE);
            Some(Lease::of(&other.to_string(), 1, Duration::from_millis(left)))
        };
        self.leases.iter().enumerate().filter_map(lease).collect()
    }

    fn is_connected(&self, user: u64) -> bool {
        self.stays.iter().any(|(other, _, _, until)| *other == user && until.is_none())
    }
}

fn actions() -> impl Strategy<Value = Vec<(u64, Action)>> {
    let place = (0..NODES, 1..=USERS);
    let action = prop_oneof![
        10 => place.clone().prop_map(|(node, user)| Action::Enter(node, user)),
        10 => place.prop_map(|(node, user)| Action::Leave(node, user)),
        1 => (0..NODES).prop_map(Action::Kill),
        1 => (0..NODES).prop_map(Action::Drain),
        1 => (0..NODES).prop_map(Action::Cut),
        2 => (0..NODES).prop_map(Action::Mend),
    ];
    // Often many at once, often near the grace.
    let pause = prop_oneof![0..100u64, 0..100u64, 0..1500u64, GRACE - 100..GRACE + 100];
    prop::collection::vec((pause, action), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_told_is_true_and_in_turn(seed: u64, actions in actions()) {
        let mut world = World::new(seed);
        world.run(10 * DELAY);
        for (pause, action) in &actions {
            world.run(*pause);
            world.act(action);
        }
        (0..NODES).for_each(|node| world.act(&Action::Mend(node)));
        world.run(3 * LEASE);
        let mut covered = world.covered.clone();
        let open = world.stays.iter().filter(|stay| stay.3.is_none());
        covered.extend(open.map(|(user, _, from, _)| (*user, from + SEEN, u64::MAX)));
        for (n, node) in world.nodes.iter().enumerate() {
            for user in 1..=USERS {
                let told = node.told.get(&user).map_or(&[][..], Vec::as_slice);
                prop_assert!(
                    told.windows(2).all(|pair| pair[0].1 != pair[1].1),
                    "node {n} was not told of user {user} in turn: {told:?}"
                );
                for (at, _) in told.iter().filter(|(_, online)| !online) {
                    let there = covered.iter().find(|(other, from, until)| {
                        *other == user && (from..until).contains(&at)
                    });
                    prop_assert!(
                        there.is_none(),
                        "node {n} was told at {at} that user {user} is offline, who counts: {there:?}, {told:?}"
                    );
                }
                if node.alive {
                    prop_assert_eq!(
                        told.last().is_some_and(|(_, online)| *online), world.is_connected(user),
                        "node {} ends wrong about user {}: {:?}", n, user, told
                    );
                }
            }
        }
    }
}
