//! A node is killed, and all its clients come at once to the others. How long until the last of them is connected
//! again, was anybody refused without being told when to come back, and did those who were there before notice?

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Setup, after, timers::Timers};
use crate::{
    engine::{Engine, Quiet},
    report::{Report, Window, round},
    workload::{Refused, Workload},
};

/// How soon a client tries again that was refused and not told when, and one whose connection broke.
const AGAIN_AFTER_REFUSAL: Duration = Duration::from_secs(1);
const AGAIN_AFTER_BREAK: Duration = Duration::from_millis(100);
const SETTLE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub struct Avalanche {
    /// Clients of the first server, which is the one that is killed.
    pub connections: usize,
    /// Clients of the others.
    pub bystanders: usize,
    pub victim: u32,
    /// How long to watch after all have come back: at least one ping interval shows the bystanders' heartbeats.
    pub hold: Duration,
}

struct Clients {
    plan: Avalanche,
    /// By client of the killed server: whether its first connection is gone.
    fallen: Vec<bool>,
    again: Timers<usize>,
    /// By bystander: when its server was last heard of.
    pinged: Vec<Instant>,
    longest_gap: Duration,
    bystanders_lost: usize,
    told_to_wait: u64,
    refused: u64,
    broken: u64,
}

impl Workload for Clients {
    fn pinged(&mut self, client: usize, now: Instant) {
        let Some(bystander) = client.checked_sub(self.plan.connections) else { return };
        let before = std::mem::replace(&mut self.pinged[bystander], now);
        self.longest_gap = self.longest_gap.max(now - before);
    }

    fn lost(&mut self, client: usize, error: anyhow::Error, now: Instant) -> Result<()> {
        if client >= self.plan.connections {
            eprintln!("a bystander is lost: {error:#}");
            self.bystanders_lost += 1;
            return Ok(());
        }
        let wait = match error.chain().find_map(|cause| cause.downcast_ref::<Refused>()) {
            Some(Refused { retry_after: Some(secs), .. }) => {
                self.told_to_wait += 1;
                Duration::from_secs(*secs)
            }
            Some(_) => {
                self.refused += 1;
                AGAIN_AFTER_REFUSAL
            }
            None if !std::mem::replace(&mut self.fallen[client], true) => Duration::ZERO,
            None => {
                if self.broken == 0 {
                    eprintln!("the first to be cut off again: {error:#}");
                }
                self.broken += 1;
                AGAIN_AFTER_BREAK
            }
        };
        self.again.push(now + wait, client);
        Ok(())
    }

    fn done(&self) -> bool {
        self.again.is_due(Instant::now())
    }
}

impl Clients {
    /// Runs until `until`, and sends clients back whose time has come.
    fn step(&mut self, engine: &mut Engine, until: Instant) -> Result<()> {
        let survivors = engine.places() - 1;
        engine.run(self, self.again.next_within(LOOK_EVERY).min(until))?;
        while let Some(client) = self.again.pop_due(Instant::now()) {
            engine.restart(client, 1 + client % survivors, self)?;
        }
        Ok(())
    }
}

pub fn run(setup: Setup, plan: Avalanche) -> Result<Report> {
    let nodes = setup.targets.len();
    ensure!(nodes > 1, "--url must name the server that is killed, and at least one other");
    let total = plan.connections + plan.bystanders;
    let text = format!(", {} of them of a killed node, to {} others", plan.connections, nodes - 1);
    let mut report = setup.report("avalanche", total, None, &text);
    let (concurrency, stall) = (setup.concurrency, setup.stall);
    let (mut engine, server) = setup.engine()?;
    let first_bystander = plan.connections;
    engine.connect_each_to(total, concurrency, |number| {
        if number < first_bystander { 0 } else { 1 + number % (nodes - 1) }
    })?;
    engine.run(&mut Quiet, after(SETTLE))?;

    let now = Instant::now();
    let mut clients = Clients {
        fallen: vec![false; plan.connections],
        again: Timers::new(),
        pinged: vec![now; plan.bystanders],
        longest_gap: Duration::ZERO,
        bystanders_lost: 0,
        told_to_wait: 0,
        refused: 0,
        broken: 0,
        plan,
    };
    let window = Window::open(&server)?;
    kill(Pid::from_raw(clients.plan.victim as i32), Signal::SIGKILL).context("killing the node")?;
    let mut last = (0, Instant::now());
    let everybody = |clients: &Clients, engine: &Engine| {
        clients.fallen.iter().all(|fallen| *fallen) && engine.tally.joined + clients.bystanders_lost == total
    };
    while !everybody(&clients, &engine) {
        clients.step(&mut engine, after(LOOK_EVERY))?;
        if last.0 != engine.tally.progress {
            last = (engine.tally.progress, Instant::now());
        } else if last.1.elapsed() > stall {
            bail!("{} of {total} are connected, and nothing has arrived for {stall:?}", engine.tally.joined);
        }
    }
    let took = window.start().elapsed();
    window.close(&server, clients.plan.connections as u64, &mut report)?;

    let end = after(clients.plan.hold);
    while Instant::now() < end {
        clients.step(&mut engine, end)?;
    }
    let now = Instant::now();
    let open_gap = clients.pinged.iter().map(|ping| now - *ping).max().unwrap_or_default();
    let missing = total - engine.tally.joined - clients.bystanders_lost;
    report.figures = [
        ("all_connected_again_s", round(took.as_secs_f64(), 3)),
        ("refused_without_retry_after", clients.refused as f64),
        ("told_to_wait", clients.told_to_wait as f64),
        ("cut_off_again", clients.broken as f64),
        ("not_there_at_the_end", missing as f64),
        ("bystanders_lost", clients.bystanders_lost as f64),
    ]
    .map(|(name, value)| (name.into(), value))
    .into();
    if !clients.plan.hold.is_zero() {
        let gap = clients.longest_gap.max(open_gap);
        report.figures.insert("bystanders_longest_ping_gap_s".into(), round(gap.as_secs_f64(), 2));
    }
    Ok(report)
}
