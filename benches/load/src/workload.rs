//! What stands between the event loop and a command: where clients connect to, what they say, and what a command
//! makes of what they hear.

use std::{collections::VecDeque, net::SocketAddr, time::Instant};

use anyhow::{Result, bail};
use mio::Registry;

use crate::proto::{packet, ws};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    Ws,
    Polling,
    Upgrade,
}

/// Where and how clients connect.
#[derive(Clone)]
pub struct Target {
    pub addr: SocketAddr,
    pub host: String,
    pub path: String,
    /// Further query parameters; `{n}` stands for the client's number.
    pub query: String,
    /// The number of the first client, and how far it is from one to the next.
    pub numbers: (usize, usize),
    pub transport: Transport,
    /// Whether a POST's connection is kept for the next one. Off where 16,000 clients must do with 20,000 files.
    pub keep_post: bool,
    pub post_links: usize,
}

/// What a command does with what its clients receive. Answers go into `out` and are flushed together.
pub trait Workload {
    fn ack(
        &mut self,
        _client: usize,
        id: u64,
        _args: &[u8],
        _out: &mut Out<'_>,
        _now: Instant,
    ) -> Result<()> {
        bail!("an ack {id} that nobody asked for")
    }
    fn event(&mut self, _client: usize, _array: &[u8], _out: &mut Out<'_>, _now: Instant) -> Result<()> {
        Ok(())
    }
    /// A client is connected to the namespace.
    fn joined(&mut self, _client: usize, _out: &mut Out<'_>, _now: Instant) {}
    fn pinged(&mut self, _client: usize, _now: Instant) {}
    /// A connection has broken or was refused. Most commands end with that.
    fn lost(&mut self, _client: usize, error: anyhow::Error, _now: Instant) -> Result<()> {
        Err(error)
    }
    /// A client that has something to say, though it was not the one that heard something.
    fn due(&mut self) -> Option<usize> {
        None
    }
    /// The client that was just named as due says it.
    fn speak(&mut self, _client: usize, _out: &mut Out<'_>, _now: Instant) {}
    fn done(&self) -> bool {
        false
    }
}

/// Where packets to the server are put.
pub struct Out<'a> {
    buf: &'a mut Vec<u8>,
    ws: Option<[u8; 4]>,
}

impl<'a> Out<'a> {
    /// As WebSocket frames under this mask.
    pub fn frames(buf: &'a mut Vec<u8>, key: [u8; 4]) -> Self {
        Self { buf, ws: Some(key) }
    }

    /// As parts of a polling body.
    pub fn parts(buf: &'a mut Vec<u8>) -> Self {
        Self { buf, ws: None }
    }

    pub fn packet(&mut self, data: &[u8]) {
        match self.ws {
            Some(key) => ws::put_masked(self.buf, ws::TEXT, key, data),
            None => {
                if !self.buf.is_empty() {
                    self.buf.push(packet::SEPARATOR);
                }
                self.buf.extend_from_slice(data);
            }
        }
    }
}

/// Counted over all clients.
#[derive(Default)]
pub struct Tally {
    /// Clients that are connected to the namespace by their final transport.
    pub joined: usize,
    pub pings: u64,
    /// Packets received, pings apart: moves as long as the run does.
    pub progress: u64,
    pub posts_open: usize,
    pub posts_waiting: VecDeque<usize>,
}

/// What a client needs from the event loop to act.
pub struct Cx<'a, W> {
    pub workload: &'a mut W,
    pub tally: &'a mut Tally,
    pub target: &'a Target,
    pub registry: &'a Registry,
    pub now: Instant,
}

/// The server answered a request with another status than the one that was due.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    /// Seconds, where the server names them.
    pub retry_after: Option<u64>,
    pub why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {} {}", self.status, self.why)
    }
}

impl std::error::Error for Refused {}
