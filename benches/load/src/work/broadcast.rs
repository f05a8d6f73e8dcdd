//! One sender, everybody receives, itself included. Either as fast as goes (a fixed number of broadcasts on their
//! way, counted by the sender's own receipt) or paced. Each client must get each broadcast once, and in order unless
//! that is waived.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Received, Setup, after, check_size};
use crate::{
    engine::Engine,
    hist::Histogram,
    proto::{packet::show, payload::Payload},
    report::{Report, Window},
    workload::{Out, Workload},
};

const SENDER: usize = 0;

#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many broadcasts on their way at any time.
    Outstanding(usize),
    /// So many broadcasts a second.
    Rate(f64),
}

struct Broadcast {
    payload: Payload,
    /// By client.
    received: Vec<Received>,
    any_order: bool,
    out_of_order: u64,
    /// By broadcast: when it was sent.
    sent: Vec<Instant>,
    delivered: u64,
    refill: bool,
    stopping: bool,
    record_from: Option<Instant>,
    latency: Histogram,
    packet: Vec<u8>,
}

impl Broadcast {
    fn send(&mut self, out: &mut Out<'_>, now: Instant) {
        self.packet.clear();
        self.payload.put_bcast(&mut self.packet, SENDER, self.sent.len() as u64);
        out.packet(&self.packet);
        self.sent.push(now);
    }

    fn missing(&self) -> u64 {
        self.sent.len() as u64 * self.received.len() as u64 - self.delivered
    }
}

impl Workload for Broadcast {
    fn event(&mut self, client: usize, array: &[u8], out: &mut Out<'_>, now: Instant) -> Result<()> {
        let Some(read) = self.payload.read_bcast(array) else { return Ok(()) };
        let received = &mut self.received[client];
        let awaited = received.next;
        let Some((SENDER, seq)) = read else {
            bail!("client {client} awaits broadcast {awaited} and got {}", show(array));
        };
        let in_order = seq == awaited;
        if seq >= self.sent.len() as u64 || !(in_order || self.any_order) || !received.mark(seq) {
            bail!("client {client} awaits broadcast {awaited} and got {seq}");
        }
        self.delivered += 1;
        self.out_of_order += u64::from(!in_order);
        let sent = self.sent[seq as usize];
        if self.record_from.is_some_and(|from| sent >= from) {
            self.latency.record((now - sent).as_nanos() as u64);
        }
        if self.refill && client == SENDER && !self.stopping {
            self.send(out, now);
        }
        Ok(())
    }

    fn done(&self) -> bool {
        self.stopping && self.missing() == 0
    }
}

pub fn run(
    setup: Setup,
    clients: usize,
    size: usize,
    pace: Pace,
    any_order: bool,
    time: Duration,
) -> Result<Report> {
    check_size(size)?;
    ensure!(clients > 0, "--clients must be positive");
    let pace_text = match pace {
        Pace::Outstanding(count) => format!(", {count} outstanding"),
        Pace::Rate(rate) => format!(", {rate}/s"),
    };
    let mut report = setup.report("broadcast", clients, Some(size), &pace_text);
    let (concurrency, warmup) = (setup.concurrency, setup.warmup);
    let (mut engine, server) = setup.engine()?;
    engine.connect_to(clients, concurrency)?;

    let mut bcast = Broadcast {
        payload: Payload::new(size),
        received: vec![Received::default(); clients],
        any_order,
        out_of_order: 0,
        sent: Vec::with_capacity(1 << 20),
        delivered: 0,
        refill: matches!(pace, Pace::Outstanding(_)),
        stopping: false,
        record_from: None,
        latency: Histogram::new(),
        packet: Vec::new(),
    };
    if let Pace::Outstanding(count) = pace {
        ensure!(count > 0, "--outstanding must be positive");
        engine
            .say(SENDER, &mut bcast, |bcast, out| (0..count).for_each(|_| bcast.send(out, Instant::now())))?;
    }
    advance(&mut engine, &mut bcast, pace, after(warmup))?;
    let window = Window::open(&server)?;
    bcast.record_from = Some(window.start());
    let before = bcast.delivered;
    advance(&mut engine, &mut bcast, pace, window.start() + time)?;
    window.close(&server, bcast.delivered - before, &mut report)?;
    bcast.stopping = true;
    engine.finish(&mut bcast).with_context(|| format!("{} deliveries are missing", bcast.missing()))?;
    report.latency_us = bcast.latency.percentiles_us();
    report.out_of_order = any_order.then_some(bcast.out_of_order);
    Ok(report)
}

fn advance(engine: &mut Engine, bcast: &mut Broadcast, pace: Pace, until: Instant) -> Result<()> {
    let Pace::Rate(rate) = pace else { return engine.run(bcast, until) };
    ensure!(rate > 0.0 && rate <= 1000.0, "--rate must be above 0 and at most 1000");
    let mut next = Instant::now();
    while next < until {
        engine.say(SENDER, bcast, |bcast, out| bcast.send(out, Instant::now()))?;
        next += Duration::from_secs_f64(1.0 / rate);
        engine.run(bcast, next.min(until))?;
    }
    Ok(())
}
