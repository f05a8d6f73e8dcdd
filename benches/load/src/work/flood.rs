//! Every client sends all its events at once and then collects the acks: how fast is a backlog worked off.

use anyhow::{Context, Result, bail, ensure};
use std::time::Instant;

use super::{Setup, check_size};
use crate::{
    proto::{packet::show, payload::Payload},
    report::{Report, Window},
    workload::{Out, Workload},
};

struct Flood {
    payload: Payload,
    events: u64,
    /// By client and id: whether the ack came.
    seen: Vec<bool>,
    missing: u64,
    packet: Vec<u8>,
}

impl Flood {
    fn begin(&mut self, client: usize, out: &mut Out<'_>) {
        for id in 0..self.events {
            self.packet.clear();
            self.payload.put_echo(&mut self.packet, client, id);
            out.packet(&self.packet);
        }
    }
}

impl Workload for Flood {
    fn ack(&mut self, client: usize, id: u64, args: &[u8], _: &mut Out<'_>, _: Instant) -> Result<()> {
        if id >= self.events {
            bail!("client {client} got ack {id}, which it never asked for");
        }
        if std::mem::replace(&mut self.seen[client * self.events as usize + id as usize], true) {
            bail!("client {client} got ack {id} twice");
        }
        if self.payload.read_ack(args) != Some((client, id)) {
            bail!("client {client} got a wrong answer to {id}: {}", show(args));
        }
        self.missing -= 1;
        Ok(())
    }

    fn done(&self) -> bool {
        self.missing == 0
    }
}

pub fn run(setup: Setup, clients: usize, events: u64, size: usize) -> Result<Report> {
    check_size(size)?;
    ensure!(clients > 0 && events > 0, "--clients and --events must be positive");
    let mut report = setup.report("flood", clients, Some(size), &format!(", {events} events each"));
    let concurrency = setup.concurrency;
    let (mut engine, server) = setup.engine()?;
    engine.connect_to(clients, concurrency)?;

    let mut flood = Flood {
        payload: Payload::new(size),
        events,
        seen: vec![false; clients * events as usize],
        missing: clients as u64 * events,
        packet: Vec::new(),
    };
    let window = Window::open(&server)?;
    for client in 0..clients {
        engine.say(client, &mut flood, |flood, out| flood.begin(client, out))?;
    }
    engine.finish(&mut flood).with_context(|| format!("{} answers are missing", flood.missing))?;
    window.close(&server, clients as u64 * events, &mut report)?;
    Ok(report)
}
