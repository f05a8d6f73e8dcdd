//! The floor on bare epoll: each thread has a listener, its connections and one read buffer. A broadcast to the
//! connections of another thread is one shared buffer in that thread's mailbox.

use std::{
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

use super::protocol::Session;

const READ_BYTES: usize = 256 * 1024;
const LISTENER: Token = Token(usize::MAX);
const MAILBOX: Token = Token(usize::MAX - 1);

struct Mailbox {
    letters: Mutex<Vec<Arc<[u8]>>>,
    waker: Waker,
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
    fn receive(&mut self, buf: &mut [u8], own: &mut Vec<u8>, all: &mut Vec<u8>) -> Result<bool> {
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
            let used = self.session.feed(&mut buf[..filled], own, all)?;
            self.tail.clear();
            self.tail.extend_from_slice(&buf[used..filled]);
            if !own.is_empty() {
                self.send(own);
                own.clear();
            }
            if filled < buf.len() {
                return Ok(true);
            }
        }
    }
}

pub fn serve(listen: SocketAddr, threads: usize) -> Result<()> {
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
            thread::spawn(move || turn_forever(poll, listener, own, &mailboxes))
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

fn turn_forever(mut poll: Poll, mut listener: TcpListener, own: usize, mailboxes: &[Mailbox]) -> Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let (mut buf, mut out, mut every) = (vec![0; READ_BYTES], Vec::new(), Vec::new());
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut conns, &mut free)?,
                MAILBOX => {
                    let letters = std::mem::take(&mut *mailboxes[own].letters.lock().expect("no panics"));
                    let data = letters.concat();
                    conns.iter_mut().flatten().for_each(|conn| conn.send(&data));
                }
                Token(slot) => {
                    let Some(conn) = conns.get_mut(slot).and_then(Option::as_mut) else { continue };
                    conn.send_rest();
                    let open = conn.receive(&mut buf, &mut out, &mut every).unwrap_or_else(|error| {
                        eprintln!("floor: {error:#}");
                        false
                    });
                    if !open {
                        conns[slot] = None;
                        free.push(slot);
                    }
                }
            }
        }
        if !every.is_empty() {
            conns.iter_mut().flatten().for_each(|conn| conn.send(&every));
            let letter: Arc<[u8]> = every.as_slice().into();
            for mailbox in
                mailboxes.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, mailbox)| mailbox)
            {
                mailbox.letters.lock().expect("no panics").push(letter.clone());
                mailbox.waker.wake()?;
            }
            every.clear();
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    conns: &mut Vec<Option<Conn>>,
    free: &mut Vec<usize>,
) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accepting"),
        };
        stream.set_nodelay(true)?;
        let slot = free.pop().unwrap_or_else(|| {
            conns.push(None);
            conns.len() - 1
        });
        poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        conns[slot] =
            Some(Conn { stream, session: Session::default(), tail: Vec::new(), unsent: Vec::new() });
    }
}
