//! Round trips in a closed loop: each client keeps a fixed number of acks in flight, and an answer sends the next. Or
//! a few speak at a time and hand the word on, so that the number of clients grows and the work does not.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Setup, after, check_size};
use crate::{
    hist::Histogram,
    proto::{packet::show, payload::Payload},
    report::{Report, Window},
    workload::{Out, Workload},
};

/// The event of one slot of one client that waits for its ack. Its ids are `slot + k * in_flight`.
#[derive(Clone, Copy)]
struct Waiting {
    id: u64,
    since: Instant,
}

pub struct Echo {
    payload: Payload,
    in_flight: usize,
    /// By client, then slot; `None` when no answer is due.
    slots: Vec<Option<Waiting>>,
    due: usize,
    answered: u64,
    latency: Histogram,
    /// Latency counts for events that were sent after this.
    record_from: Option<Instant>,
    stopping: bool,
    /// An answer lets the client speak that is so many places further, and not the same one.
    turns: Option<usize>,
    due_to_speak: Vec<usize>,
    packet: Vec<u8>,
}

impl Echo {
    pub fn new(clients: usize, in_flight: usize, size: usize) -> Self {
        Self {
            payload: Payload::new(size),
            in_flight,
            slots: vec![None; clients * in_flight],
            due: 0,
            answered: 0,
            latency: Histogram::new(),
            record_from: None,
            stopping: false,
            turns: None,
            due_to_speak: Vec::new(),
            packet: Vec::new(),
        }
    }

    /// Fills all slots of a client.
    pub fn begin(&mut self, client: usize, out: &mut Out<'_>) {
        let now = Instant::now();
        (0..self.in_flight).for_each(|slot| self.send(client, slot as u64, out, now));
    }

    pub fn stop(&mut self) {
        self.stopping = true;
    }

    pub fn missing(&self) -> usize {
        self.due
    }

    fn send(&mut self, client: usize, id: u64, out: &mut Out<'_>, now: Instant) {
        self.packet.clear();
        self.payload.put_echo(&mut self.packet, client, id);
        out.packet(&self.packet);
        let slot = client * self.in_flight + (id % self.in_flight as u64) as usize;
        self.slots[slot] = Some(Waiting { id, since: now });
        self.due += 1;
    }
}

impl Workload for Echo {
    fn ack(&mut self, client: usize, id: u64, args: &[u8], out: &mut Out<'_>, now: Instant) -> Result<()> {
        let slot = client * self.in_flight + (id % self.in_flight as u64) as usize;
        let Some(waiting) = self.slots[slot].take().filter(|waiting| waiting.id == id) else {
            bail!("client {client} got ack {id}, which it does not wait for");
        };
        if self.payload.read_ack(args) != Some((client, id)) {
            bail!("client {client} got a wrong answer to {id}: {}", show(args));
        }
        self.due -= 1;
        self.answered += 1;
        if self.record_from.is_some_and(|from| waiting.since >= from) {
            self.latency.record((now - waiting.since).as_nanos() as u64);
        }
        match self.turns {
            _ if self.stopping => {}
            Some(step) => self.due_to_speak.push((client + step) % self.slots.len()),
            None => self.send(client, id + self.in_flight as u64, out, now),
        }
        Ok(())
    }

    fn due(&mut self) -> Option<usize> {
        self.due_to_speak.pop()
    }

    fn speak(&mut self, client: usize, out: &mut Out<'_>, now: Instant) {
        // Its number of the event is of no weight: it is alone in its slot.
        self.send(client, self.answered, out, now);
    }

    fn done(&self) -> bool {
        self.stopping && self.due == 0
    }
}

/// Who speaks, and how much at a time.
#[derive(Debug, Clone, Copy)]
pub enum Talk {
    /// Every client, with so many acks in flight.
    All(usize),
    /// So many clients at a time, with one ack in flight each.
    Turns(usize),
}

pub fn run(setup: Setup, clients: usize, talk: Talk, size: usize, time: Duration) -> Result<Report> {
    check_size(size)?;
    let (in_flight, speaking, text) = match talk {
        Talk::All(in_flight) => (in_flight, clients, format!(", {in_flight} in flight")),
        Talk::Turns(speaking) => (1, speaking, format!(", {speaking} speak at a time")),
    };
    ensure!(clients > 0 && in_flight > 0 && speaking > 0, "clients and acks in flight must be positive");
    // Else the clients whose turn it is would meet.
    ensure!(clients.is_multiple_of(speaking), "--speaking must divide --clients");
    let mut report = setup.report("echo", clients, Some(size), &text);
    report.scale = matches!(talk, Talk::Turns(_)).then_some(clients as u64);
    let (concurrency, warmup) = (setup.concurrency, setup.warmup);
    let (mut engine, server) = setup.engine()?;
    engine.connect_to(clients, concurrency)?;

    let mut echo = Echo::new(clients, in_flight, size);
    echo.turns = matches!(talk, Talk::Turns(_)).then_some(speaking);
    for client in 0..speaking {
        engine.say(client, &mut echo, |echo, out| echo.begin(client, out))?;
    }
    engine.run(&mut echo, after(warmup))?;
    let window = Window::open(&server)?;
    echo.record_from = Some(window.start());
    let before = echo.answered;
    engine.run(&mut echo, window.start() + time)?;
    window.close(&server, echo.answered - before, &mut report)?;
    echo.record_from = None;
    echo.stop();
    engine.finish(&mut echo).with_context(|| format!("{} answers are missing", echo.due))?;
    report.latency_us = echo.latency.percentiles_us();
    Ok(report)
}
