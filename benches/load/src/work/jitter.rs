//! A group gets messages at a steady rate while the network of its members comes and goes: again and again each of them
//! hears nothing for a while, then comes back with a new connection, to any node, and asks for what is after the last
//! message that it has. In the end everybody must have had every message, in order.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Setup, after, timers::Timers};
use crate::{
    engine::Engine,
    groups,
    hist::Histogram,
    proto::im,
    report::{Report, Window},
    workload::{Out, Workload},
};

/// How long a member is there, and how long it is away, in milliseconds: anything between the two.
const THERE_MS: (u64, u64) = (1_000, 10_000);
const AWAY_MS: (u64, u64) = (1_000, 5_000);
const AGAIN_AFTER_BREAK: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub struct Jitter {
    /// The HTTP API of a node.
    pub api: SocketAddr,
    pub clients: usize,
    /// Messages a second.
    pub rate: f64,
    pub size: usize,
    pub time: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Cut(usize),
    Return(usize),
}

/// A member as a client program would keep it.
#[derive(Default)]
struct Member {
    /// The last message that was shown: all up to it were.
    last: u64,
    /// Waits for a page of what it missed.
    syncing: bool,
    /// Messages that came meanwhile.
    held: BTreeSet<u64>,
    /// Since when it is back, until it has caught up.
    back: Option<Instant>,
}

struct Group {
    id: u64,
    members: Vec<Member>,
    /// The members' number is the one who writes, whose network is good.
    due_acks: u64,
    sent: u64,
    acts: Timers<Act>,
    stopping: bool,
    cuts: u64,
    broken: u64,
    /// Messages that were pushed to a member before an earlier one.
    out_of_order: u64,
    catch_up: Histogram,
    random: Random,
    packet: Vec<u8>,
}

impl Group {
    fn send(&mut self, size: usize, out: &mut Out<'_>) {
        self.packet.clear();
        im::put_message(&mut self.packet, self.sent, self.id, im::now_ns(), size);
        out.packet(&self.packet);
        self.sent += 1;
        self.due_acks += 1;
    }

    fn ask(&mut self, client: usize, out: &mut Out<'_>) {
        let member = &mut self.members[client];
        member.syncing = true;
        self.packet.clear();
        im::put_sync(&mut self.packet, 0, self.id, member.last);
        out.packet(&self.packet);
    }

    fn take_page(&mut self, client: usize, page: &im::Page, out: &mut Out<'_>, now: Instant) -> Result<()> {
        let member = &mut self.members[client];
        for seq in &page.seqs {
            ensure!(*seq <= member.last + 1, "a page goes on with {seq} after {}", member.last);
            member.last = member.last.max(*seq);
        }
        if page.has_more {
            self.ask(client, out);
            return Ok(());
        }
        member.syncing = false;
        while let Some(seq) = member.held.first().copied().filter(|seq| *seq <= member.last + 1) {
            member.held.pop_first();
            member.last = member.last.max(seq);
        }
        if !member.held.is_empty() {
            self.out_of_order += 1;
            self.ask(client, out);
        } else if let Some(back) = member.back.take() {
            self.catch_up.record((now - back).as_nanos() as u64);
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.members.iter().map(|member| member.last).sum()
    }

    /// Runs until `until`, and does what is due meanwhile.
    fn step(&mut self, engine: &mut Engine, until: Instant) -> Result<()> {
        engine.run(self, self.acts.next_within(LOOK_EVERY).min(until))?;
        while let Some(act) = self.acts.pop_due(Instant::now()) {
            match act {
                Act::Cut(client) if !self.stopping => {
                    engine.cut(client);
                    self.cuts += 1;
                    self.acts.push(after(self.random.between(AWAY_MS)), Act::Return(client));
                }
                Act::Cut(_) => {}
                Act::Return(client) => {
                    self.members[client].back = Some(Instant::now());
                    let place = self.random.below(engine.places() as u64) as usize;
                    engine.restart(client, place, self)?;
                    self.acts.push(after(self.random.between(THERE_MS)), Act::Cut(client));
                }
            }
        }
        Ok(())
    }
}

impl Workload for Group {
    fn joined(&mut self, client: usize, out: &mut Out<'_>, _: Instant) {
        if client < self.members.len() {
            self.members[client].held.clear();
            self.ask(client, out);
        }
    }

    fn event(&mut self, client: usize, array: &[u8], out: &mut Out<'_>, _: Instant) -> Result<()> {
        let Some(message) = im::read_message(array)? else { return Ok(()) };
        let Some(member) = self.members.get_mut(client) else { return Ok(()) };
        if message.seq <= member.last {
            // It was in the page, too.
        } else if member.syncing {
            member.held.insert(message.seq);
        } else if message.seq == member.last + 1 {
            member.last = message.seq;
        } else {
            member.held.insert(message.seq);
            self.out_of_order += 1;
            self.ask(client, out);
        }
        Ok(())
    }

    fn ack(&mut self, client: usize, _: u64, args: &[u8], out: &mut Out<'_>, now: Instant) -> Result<()> {
        if client < self.members.len() {
            return self.take_page(client, &im::read_page(args)?, out, now);
        }
        im::read_answer(args)?;
        self.due_acks = self.due_acks.checked_sub(1).context("an answer to no message")?;
        Ok(())
    }

    fn lost(&mut self, client: usize, error: anyhow::Error, now: Instant) -> Result<()> {
        ensure!(client < self.members.len(), "the writer is lost: {error:#}");
        if self.broken == 0 {
            eprintln!("the first that was cut off by its server: {error:#}");
        }
        self.broken += 1;
        self.acts.push(now + AGAIN_AFTER_BREAK, Act::Return(client));
        Ok(())
    }

    fn done(&self) -> bool {
        self.acts.is_due(Instant::now())
            || self.stopping
                && self.due_acks == 0
                && self.members.iter().all(|member| member.last == self.sent)
    }
}

pub fn run(setup: Setup, plan: &Jitter) -> Result<Report> {
    ensure!(plan.rate > 0.0 && plan.rate <= 1000.0, "--rate must be above 0 and at most 1000");
    let text = format!(", {} messages a second, each member away for 1 to 5 s again and again", plan.rate);
    let mut report = setup.report("jitter", plan.clients, Some(plan.size), &text);
    let (concurrency, stall) = (setup.concurrency, setup.stall);
    let (mut engine, server) = setup.engine()?;
    let writer = plan.clients;
    let members: Vec<u64> = (1..=plan.clients as u64).collect();
    let id = groups::create(plan.api, writer as u64 + 1, &members)?;
    engine.connect_to(plan.clients + 1, concurrency)?;

    let mut group = Group {
        id,
        members: (0..plan.clients).map(|_| Member::default()).collect(),
        due_acks: 0,
        sent: 0,
        acts: Timers::new(),
        stopping: false,
        cuts: 0,
        broken: 0,
        out_of_order: 0,
        catch_up: Histogram::new(),
        random: Random(0x9E37_79B9_7F4A_7C15),
        packet: Vec::new(),
    };
    for client in 0..plan.clients {
        let away = group.random.between((0, THERE_MS.1));
        group.acts.push(after(away), Act::Cut(client));
    }
    let window = Window::open(&server)?;
    let (end, mut next) = (window.start() + plan.time, window.start());
    while next < end {
        engine.say(writer, &mut group, |group, out| group.send(plan.size, out))?;
        next += Duration::from_secs_f64(1.0 / plan.rate);
        while Instant::now() < next.min(end) {
            group.step(&mut engine, next.min(end))?;
        }
    }
    window.close(&server, group.delivered(), &mut report)?;

    group.stopping = true;
    let mut last = (0, Instant::now());
    let expected = group.sent * plan.clients as u64;
    while group.delivered() < expected || group.due_acks > 0 {
        group.step(&mut engine, after(LOOK_EVERY))?;
        if last.0 != group.delivered() {
            last = (group.delivered(), Instant::now());
        } else if last.1.elapsed() > stall {
            break;
        }
    }
    report.latency_us = group.catch_up.percentiles_us();
    report.note = "latency: from coming back to having caught up".into();
    report.figures = [
        ("expected", expected as f64),
        ("delivered", group.delivered() as f64),
        ("pushed_out_of_order", group.out_of_order as f64),
        ("times_away", group.cuts as f64),
        ("cut_off_by_the_server", group.broken as f64),
    ]
    .map(|(name, value)| (name.into(), value))
    .into();
    Ok(report)
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn between(&mut self, (low, high): (u64, u64)) -> Duration {
        Duration::from_millis(low + self.below(high - low + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_spread() {
        let mut random = Random(1);
        let mut seen = [0; 5];
        (0..5000).for_each(|_| seen[random.below(5) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }
}
