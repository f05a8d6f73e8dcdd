//! The floor on bare epoll: each thread has a listener, its connections and one read buffer. A broadcast to the
//! connections of another thread, or to members of a room there, is one shared buffer in that thread's mailbox.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result};
use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::protocol::{Answers, Session};
use crate::proto::ws;

const READ_BYTES: usize = 256 * 1024;
const LISTENER: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);

/// For the members of a room, or for everybody.
type Letter = (Option<Box<[u8]>>, Arc<[u8]>);

struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    waker: Waker,
}

/// The connections of a thread.
#[derive(Default)]
struct Conns {
    slots: Vec<Option<Conn>>,
    free: Vec<usize>,
    rooms: HashMap<Box<[u8]>, Vec<usize>>,
    /// Each broadcast with a write of its own, and not all of a turn together.
    write_each: bool,
}

impl Conns {
    fn send(&mut self, room: Option<&[u8]>, data: &[u8]) {
        if let Some(room) = room {
            let members = self.rooms.get(room).into_iter().flatten();
            members.for_each(|slot| self.slots[*slot].iter_mut().for_each(|conn| conn.send(data)));
            return;
        }
        let mut rest = data;
        while !rest.is_empty() {
            let len = if self.write_each { frame_len(rest) } else { rest.len() };
            let (frame, behind) = rest.split_at(len);
            self.slots.iter_mut().flatten().for_each(|conn| conn.send(frame));
            rest = behind;
        }
    }
}

fn frame_len(data: &[u8]) -> usize {
    ws::measure(data).map_or(data.len(), |(header, len)| header + len)
}

struct Conn {
    stream: TcpStream,
    session: Session,
    tail: Vec<u8>,
    unsent: Vec<u8>,
}

impl Conn {
    fn send(&mut self, data: &[u8]) {
        let sent = if self.unsent.is_empty() { self.stream.write(data).unwrap_or(0) } else { 0 };
        self.unsent.extend_from_slice(&data[sent..]);
    }

    fn send_rest(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(_) => return,
            }
        }
    }

    /// Reads all there is and answers it; false at the end of the connection.
    fn receive(&mut self, buf: &mut [u8], answers: &mut Answers) -> Result<bool> {
        loop {
            let held = self.tail.len().min(buf.len());
            buf[..held].copy_from_slice(&self.tail[..held]);
            let count = match self.stream.read(&mut buf[held..]) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let filled = held + count;
            let used = self.session.feed(&mut buf[..filled], answers)?;
            self.tail.clear();
            self.tail.extend_from_slice(&buf[used..filled]);
            if !answers.own.is_empty() {
                self.send(&answers.own);
                answers.own.clear();
            }
            if filled < buf.len() {
                return Ok(true);
            }
        }
    }
}

pub fn serve(listen: SocketAddr, threads: usize, write_each: bool) -> Result<()> {
    let polls: Vec<Poll> = (0..threads).map(|_| Poll::new()).collect::<Result<_, _>>()?;
    let mailboxes: Arc<[Mailbox]> = polls
        .iter()
        .map(|poll| Ok(Mailbox { letters: Mutex::default(), waker: Waker::new(poll.registry(), MAILBOX)? }))
        .collect::<Result<_>>()?;
    // The first listener finds a port when none is named; the others join it.
    let mut listeners = vec![listener(listen)?];
    let bound = listeners[0].local_addr()?;
    for _ in 1..threads {
        listeners.push(listener(bound)?);
    }
    eprintln!("floor on {bound} (epoll, {threads} threads)");
    let workers: Vec<_> = polls
        .into_iter()
        .zip(listeners)
        .enumerate()
        .map(|(own, (poll, listener))| {
            let mailboxes = mailboxes.clone();
            thread::spawn(move || turn_forever(poll, listener, own, &mailboxes, write_each))
        })
        .collect();
    for worker in workers {
        worker.join().expect("a floor thread panicked")?;
    }
    Ok(())
}

fn listener(listen: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&listen.into()).with_context(|| format!("listening on {listen}"))?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn turn_forever(
    mut poll: Poll,
    mut listener: TcpListener,
    own: usize,
    mailboxes: &[Mailbox],
    write_each: bool,
) -> Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut conns = Conns { write_each, ..Conns::default() };
    let (mut buf, mut answers) = (vec![0; READ_BYTES], Answers::default());
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut conns)?,
                MAILBOX => {
                    let letters = std::mem::take(&mut *mailboxes[own].letters.lock().expect("no panics"));
                    letters.iter().for_each(|(room, data)| conns.send(room.as_deref(), data));
                }
                Token(slot) => receive(slot, &mut conns, &mut buf, &mut answers),
            }
        }
        let mut letters: Vec<Letter> = Vec::new();
        if !answers.all.is_empty() {
            letters.push((None, answers.all.as_slice().into()));
            answers.all.clear();
        }
        letters.extend(answers.rooms.drain(..).map(|(room, emit)| (Some(room), emit.into())));
        for (room, data) in &letters {
            conns.send(room.as_deref(), data);
        }
        if !letters.is_empty() {
            for (_, mailbox) in mailboxes.iter().enumerate().filter(|(at, _)| *at != own) {
                mailbox.letters.lock().expect("no panics").extend_from_slice(&letters);
                mailbox.waker.wake()?;
            }
        }
    }
}

fn receive(slot: usize, conns: &mut Conns, buf: &mut [u8], answers: &mut Answers) {
    let Some(conn) = conns.slots.get_mut(slot).and_then(Option::as_mut) else { return };
    conn.send_rest();
    let open = conn.receive(buf, answers).unwrap_or_else(|error| {
        eprintln!("floor: {error:#}");
        false
    });
    answers.joins.drain(..).for_each(|room| conns.rooms.entry(room).or_default().push(slot));
    if !open {
        // A later connection of the slot is in the room, too: nobody leaves while anything is measured.
        conns.slots[slot] = None;
        conns.free.push(slot);
    }
}

fn accept(listener: &TcpListener, poll: &Poll, conns: &mut Conns) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accepting"),
        };
        stream.set_nodelay(true)?;
        let slot = conns.free.pop().unwrap_or_else(|| {
            conns.slots.push(None);
            conns.slots.len() - 1
        });
        poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        conns.slots[slot] =
            Some(Conn { stream, session: Session::default(), tail: Vec::new(), unsent: Vec::new() });
    }
}
