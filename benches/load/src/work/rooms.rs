//! Many rooms of a few members each. A fixed number of emits is on its way at any time: who receives its own emit lets
//! the next room have one. Each member must get each emit of its room once, and in order unless that is waived.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Received, Setup, after, check_size};
use crate::{
    hist::Histogram,
    proto::{packet::show, payload::Payload},
    report::{Report, Window},
    workload::{Out, Workload},
};

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub clients: usize,
    pub rooms: usize,
    pub members: usize,
    /// Emits on their way at a time, of as many rooms.
    pub outstanding: usize,
}

impl Shape {
    /// Room `r` has the members `r * members + k`, and clients are counted round and round: so a client is in one room,
    /// or in many where there are more places than clients, or in none.
    fn client(&self, room: usize, member: usize) -> usize {
        (room * self.members + member) % self.clients
    }

    /// Which member of the room a client is.
    fn member(&self, room: usize, client: usize) -> Option<usize> {
        let first = room * self.members % self.clients;
        Some((client + self.clients - first) % self.clients).filter(|member| *member < self.members)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.members > 0 && self.rooms > 0 && self.outstanding > 0, "none of the numbers may be 0");
        ensure!(self.members <= self.clients, "a room has more members than there are clients");
        // Else two emits of one room would be on their way, and their order would be anybody's guess.
        ensure!(self.rooms.is_multiple_of(self.outstanding), "--outstanding must divide --rooms");
        Ok(())
    }
}

struct Rooms {
    shape: Shape,
    payload: Payload,
    any_order: bool,
    /// Answers to `join` that are due.
    joining: usize,
    /// By room: how many emits it had, and when the last two of them were sent.
    sent: Vec<(u64, [Instant; 2])>,
    /// By room, then member.
    received: Vec<Received>,
    emits: u64,
    delivered: u64,
    out_of_order: u64,
    stopping: bool,
    record_from: Option<Instant>,
    latency: Histogram,
    /// Rooms whose turn it is.
    due: Vec<usize>,
    packet: Vec<u8>,
}

impl Rooms {
    fn join(&mut self, room: usize, out: &mut Out<'_>) {
        self.packet.clear();
        write!(self.packet, "42{room}[\"join\",\"room-{room}\"]").expect("writing to memory");
        out.packet(&self.packet);
        self.joining += 1;
    }

    fn missing(&self) -> u64 {
        self.emits * self.shape.members as u64 - self.delivered
    }
}

impl Workload for Rooms {
    fn ack(&mut self, client: usize, id: u64, args: &[u8], _: &mut Out<'_>, _: Instant) -> Result<()> {
        if args != format!("[\"room-{id}\"]").as_bytes() {
            bail!("client {client} joins room {id} and is answered {}", show(args));
        }
        self.joining = self.joining.checked_sub(1).context("an answer to no join")?;
        Ok(())
    }

    fn event(&mut self, client: usize, array: &[u8], _: &mut Out<'_>, now: Instant) -> Result<()> {
        let Some(read) = self.payload.read_bcast(array) else { return Ok(()) };
        let place = read.and_then(|(room, seq)| {
            (room < self.shape.rooms)
                .then(|| self.shape.member(room, client))
                .flatten()
                .map(|member| (room, seq, member))
        });
        let Some((room, seq, member)) = place else {
            bail!("client {client} got what is not for it: {}", show(array));
        };
        let received = &mut self.received[room * self.shape.members + member];
        let awaited = received.next;
        let (count, times) = self.sent[room];
        let sent = times[seq as usize % 2];
        if seq >= count || !(seq == awaited || self.any_order) || !received.mark(seq) {
            bail!("client {client} awaits emit {awaited} of room {room} and got {seq}");
        }
        self.delivered += 1;
        self.out_of_order += u64::from(seq != awaited);
        if seq + 2 >= count && self.record_from.is_some_and(|from| sent >= from) {
            self.latency.record((now - sent).as_nanos() as u64);
        }
        if member == 0 && !self.stopping {
            self.due.push((room + self.shape.outstanding) % self.shape.rooms);
        }
        Ok(())
    }

    fn due(&mut self) -> Option<usize> {
        self.due.last().map(|room| self.shape.client(*room, 0))
    }

    fn speak(&mut self, _: usize, out: &mut Out<'_>, now: Instant) {
        let Some(room) = self.due.pop() else { return };
        let seq = self.sent[room].0;
        self.sent[room].0 += 1;
        self.sent[room].1[seq as usize % 2] = now;
        self.emits += 1;
        self.packet.clear();
        self.payload.put_room(&mut self.packet, room, seq);
        out.packet(&self.packet);
    }

    fn done(&self) -> bool {
        self.joining == 0 && (self.stopping && self.missing() == 0 || self.emits == 0)
    }
}

pub fn run(setup: Setup, shape: Shape, size: usize, any_order: bool, time: Duration) -> Result<Report> {
    check_size(size)?;
    shape.check()?;
    let text =
        format!(", {} rooms of {}, {} emits outstanding", shape.rooms, shape.members, shape.outstanding);
    let mut report = setup.report("rooms", shape.clients, Some(size), &text);
    report.scale = Some(shape.rooms as u64);
    let (concurrency, warmup) = (setup.concurrency, setup.warmup);
    let (mut engine, server) = setup.engine()?;
    engine.connect_to(shape.clients, concurrency)?;

    let places = shape.rooms * shape.members;
    let mut rooms = Rooms {
        shape,
        payload: Payload::new(size),
        any_order,
        joining: 0,
        sent: vec![(0, [Instant::now(); 2]); shape.rooms],
        received: vec![Received::default(); places],
        emits: 0,
        delivered: 0,
        out_of_order: 0,
        stopping: false,
        record_from: None,
        latency: Histogram::new(),
        due: Vec::new(),
        packet: Vec::new(),
    };
    for place in 0..places {
        let room = place / shape.members;
        engine.say(place % shape.clients, &mut rooms, |rooms, out| rooms.join(room, out))?;
    }
    engine.finish(&mut rooms).with_context(|| format!("{} joins have no answer", rooms.joining))?;

    rooms.due.extend(0..shape.outstanding);
    engine.let_speak(&mut rooms)?;
    engine.run(&mut rooms, after(warmup))?;
    let window = Window::open(&server)?;
    rooms.record_from = Some(window.start());
    let before = rooms.delivered;
    engine.run(&mut rooms, window.start() + time)?;
    window.close(&server, rooms.delivered - before, &mut report)?;
    rooms.stopping = true;
    engine.finish(&mut rooms).with_context(|| format!("{} deliveries are missing", rooms.missing()))?;
    report.latency_us = rooms.latency.percentiles_us();
    report.out_of_order = any_order.then_some(rooms.out_of_order);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_by_their_place() {
        for (clients, rooms, members) in [(10, 100, 10), (25, 7, 4), (1000, 10, 10)] {
            let shape = Shape { clients, rooms, members, outstanding: 1 };
            for room in 0..rooms {
                for member in 0..members {
                    assert_eq!(shape.member(room, shape.client(room, member)), Some(member));
                }
                let inside = (0..clients).filter(|client| shape.member(room, *client).is_some()).count();
                assert_eq!(inside, members, "room {room} of {shape:?}");
            }
        }
    }
}
