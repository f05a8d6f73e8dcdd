//! One Socket.IO client as a state machine over one or two links. Link 0 carries the WebSocket, or the standing GET
//! of polling; link 1 carries POSTs, or the WebSocket that a polling client upgrades to:
//!
//! ```text
//! ws       0: Switch ─▶ Frames (open, 40, connected)
//! polling  0: Open ─▶ Connect ─▶ Poll ─▶ Poll …        1: Post, when there is something to say
//! upgrade  as polling until connected, then            1: Switch ─▶ Frames (2probe, 3probe)
//!          and when the GET has come back              0: closed; 1: 5, Frames
//! ```
//! What is not in the picture ends the run with an error: a load generator that forgives measures something else.

use std::{io::Write, net::IpAddr};

use anyhow::{Context, Result, bail};
use mio::Token;

use crate::{
    link::{Await, Got, Link},
    proto::{
        http,
        packet::{self, Packet},
        ws,
    },
    workload::{Cx, Out, Refused, Target, Transport, Workload},
};

/// A POST is cut at packet borders to stay below this, and below the server's `maxPayload`.
const POST_LIMIT_BYTES: usize = 100_000;

pub struct Client {
    number: usize,
    from: IpAddr,
    /// Which of the servers it talks to.
    pub place: usize,
    /// Whatever arrives stays in the socket: as if the network had gone.
    pub cut: bool,
    links: [Link; 2],
    /// The link that carries this client's packets as frames, once one does.
    ws: Option<usize>,
    probed: bool,
    joined: bool,
    post_waits: bool,
    key: [u8; 4],
    max_payload: usize,
    sid: String,
    /// Packets that the next POST will carry.
    pending: Vec<u8>,
}

impl Client {
    pub fn new(number: usize, from: IpAddr, place: usize) -> Self {
        let key = ((number as u32).wrapping_mul(0x9E37_79B9) | 1).to_ne_bytes();
        Self {
            number,
            from,
            place,
            cut: false,
            links: [Link::new(), Link::new()],
            ws: None,
            probed: false,
            joined: false,
            post_waits: false,
            key,
            max_payload: 0,
            sid: String::new(),
            pending: Vec::new(),
        }
    }

    /// The same client with nothing of its connection left, for another try at this server. Dropped sockets with
    /// unread data answer the server with a reset, as a host does that has forgotten them.
    pub fn restart(&mut self, place: usize) {
        *self = Self::new(self.number, self.from, place);
    }

    pub fn is_joined(&self) -> bool {
        self.joined
    }

    pub fn token(number: usize, link: usize) -> Token {
        Token(number * 2 + link)
    }

    pub fn out(&mut self) -> Out<'_> {
        match self.ws {
            Some(link) => Out::frames(&mut self.links[link].out, self.key),
            None => Out::parts(&mut self.pending),
        }
    }

    pub fn start<W: Workload>(&mut self, cx: &mut Cx<'_, W>) -> Result<()> {
        if cx.target.transport == Transport::Ws {
            self.ws = Some(0);
            self.switch(0, cx)
        } else {
            self.request(0, "GET", Await::Open, &[], cx)
        }
    }

    pub fn on_writable(&mut self, link: usize) -> Result<()> {
        self.links[link].on_writable().with_context(|| self.whereabouts(link))
    }

    /// Reads and handles all there is. Edge-triggered: returns only when the socket is drained.
    pub fn on_readable<W: Workload>(
        &mut self,
        link: usize,
        scratch: &mut [u8],
        cx: &mut Cx<'_, W>,
    ) -> Result<()> {
        while !self.cut {
            match self.links[link].read(scratch).with_context(|| self.whereabouts(link))? {
                Got::Drained => break,
                Got::End if self.links[link].awaiting == Await::Nothing => {
                    self.close(link, cx);
                    break;
                }
                Got::End => bail!("the server closed the connection; {}", self.whereabouts(link)),
                Got::Bytes(count) => {
                    self.take_in(link, &scratch[..count], cx).with_context(|| self.whereabouts(link))?;
                    if count < scratch.len() {
                        break;
                    }
                }
            }
        }
        self.act(cx)
    }

    /// Sends what is due: the next GET, a POST, the end of an upgrade; then whatever output has gathered.
    pub fn act<W: Workload>(&mut self, cx: &mut Cx<'_, W>) -> Result<()> {
        if self.ws.is_none() && !self.sid.is_empty() {
            if self.links[0].awaiting == Await::Nothing {
                if self.probed {
                    self.close(0, cx);
                    self.ws = Some(1);
                    self.out().packet(b"5");
                    let held_back = std::mem::take(&mut self.pending);
                    for part in
                        held_back.split(|&byte| byte == packet::SEPARATOR).filter(|part| !part.is_empty())
                    {
                        self.out().packet(part);
                    }
                    cx.tally.joined += 1;
                } else {
                    self.request(0, "GET", Await::Poll, &[], cx)?;
                }
            }
            if !self.pending.is_empty() && self.links[1].awaiting == Await::Nothing {
                self.post(cx)?;
            }
        }
        for link in 0..2 {
            self.links[link].flush().with_context(|| self.whereabouts(link))?;
        }
        Ok(())
    }

    pub fn post_may_go(&mut self) {
        self.post_waits = false;
    }

    fn take_in<W: Workload>(&mut self, link: usize, fresh: &[u8], cx: &mut Cx<'_, W>) -> Result<()> {
        if self.links[link].tail.is_empty() {
            let used = self.consume(link, fresh, cx)?;
            self.links[link].tail.extend_from_slice(&fresh[used..]);
            return Ok(());
        }
        let mut tail = std::mem::take(&mut self.links[link].tail);
        tail.extend_from_slice(fresh);
        let used = self.consume(link, &tail, cx)?;
        tail.drain(..used);
        self.links[link].tail = tail;
        Ok(())
    }

    /// Handles the whole items at the start of `data` and says how long they are.
    fn consume<W: Workload>(&mut self, link: usize, data: &[u8], cx: &mut Cx<'_, W>) -> Result<usize> {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            let step = match self.links[link].awaiting {
                Await::Nothing => bail!("unasked bytes {}", packet::show(rest)),
                Await::Frames => self.frame(link, rest, cx)?,
                _ => self.response(link, rest, cx)?,
            };
            if step == 0 {
                break;
            }
            used += step;
        }
        Ok(used)
    }

    fn frame<W: Workload>(&mut self, link: usize, data: &[u8], cx: &mut Cx<'_, W>) -> Result<usize> {
        let Some((frame, used)) = ws::parse(data)? else { return Ok(0) };
        match frame.opcode {
            ws::TEXT => self.packet(frame.payload, cx)?,
            ws::PING => ws::put_masked(&mut self.links[link].out, ws::PONG, self.key, frame.payload),
            ws::PONG => {}
            _ => bail!("WebSocket close {}", packet::show(frame.payload)),
        }
        Ok(used)
    }

    fn response<W: Workload>(&mut self, link: usize, data: &[u8], cx: &mut Cx<'_, W>) -> Result<usize> {
        let Some((response, used)) = http::parse(data)? else { return Ok(0) };
        let asked = std::mem::replace(&mut self.links[link].awaiting, Await::Nothing);
        let expected = if asked == Await::Switch { 101 } else { 200 };
        if response.status != expected {
            return Err(Refused {
                status: response.status,
                retry_after: response.retry_after,
                why: packet::show(response.body),
            }
            .into());
        }
        match asked {
            Await::Switch => {
                if response.accept != Some(ws::ACCEPT) {
                    bail!("Sec-WebSocket-Accept {:?}", response.accept);
                }
                self.links[link].awaiting = Await::Frames;
                if self.ws.is_none() {
                    ws::put_masked(&mut self.links[link].out, ws::TEXT, self.key, b"2probe");
                }
                return Ok(used);
            }
            Await::Open | Await::Poll => {
                for part in response.body.split(|&byte| byte == packet::SEPARATOR) {
                    self.packet(part, cx)?;
                }
            }
            _ if response.body != b"ok" => bail!("a POST was answered {}", packet::show(response.body)),
            _ => {}
        }
        if response.closes || (link == 1 && !cx.target.keep_post) {
            self.close(link, cx);
        }
        if asked == Await::Open {
            self.request(0, "POST", Await::Connect, b"40", cx)?;
        }
        Ok(used)
    }

    fn packet<W: Workload>(&mut self, data: &[u8], cx: &mut Cx<'_, W>) -> Result<()> {
        match packet::parse(data)? {
            Packet::Ping(rest) => {
                cx.tally.pings += 1;
                cx.workload.pinged(self.number, cx.now);
                let pong = [b"3", rest].concat();
                self.out().packet(&pong);
                return Ok(());
            }
            Packet::Open(json) => {
                let handshake = packet::parse_handshake(json)?;
                (self.sid, self.max_payload) = (handshake.sid, handshake.max_payload);
                if self.ws.is_some() {
                    self.out().packet(b"40");
                }
            }
            Packet::Connected if self.joined => bail!("connected twice"),
            Packet::Connected => {
                self.joined = true;
                match cx.target.transport {
                    Transport::Upgrade => self.switch(1, cx)?,
                    _ => {
                        cx.tally.joined += 1;
                        let number = self.number;
                        cx.workload.joined(number, &mut self.out(), cx.now);
                    }
                }
            }
            Packet::ProbeAnswer => self.probed = true,
            Packet::Noop => {}
            Packet::Ack(id, args) => {
                let number = self.number;
                cx.workload.ack(number, id, args, &mut self.out(), cx.now)?;
            }
            Packet::Event(array) => {
                let number = self.number;
                cx.workload.event(number, array, &mut self.out(), cx.now)?;
            }
        }
        cx.tally.progress += 1;
        Ok(())
    }

    fn post<W: Workload>(&mut self, cx: &mut Cx<'_, W>) -> Result<()> {
        if !self.links[1].is_open() {
            if cx.tally.posts_open >= cx.target.post_links {
                if !std::mem::replace(&mut self.post_waits, true) {
                    cx.tally.posts_waiting.push_back(self.number);
                }
                return Ok(());
            }
            cx.tally.posts_open += 1;
        }
        let limit = POST_LIMIT_BYTES.min(self.max_payload).min(self.pending.len());
        let whole = limit == self.pending.len();
        let cut = match memchr::memrchr(packet::SEPARATOR, &self.pending[..limit]) {
            Some(at) if !whole => at,
            None if !whole => bail!("a packet is larger than maxPayload ({} bytes)", self.max_payload),
            _ => limit,
        };
        let mut pending = std::mem::take(&mut self.pending);
        self.request(1, "POST", Await::Post, &pending[..cut], cx)?;
        pending.drain(..if whole { cut } else { cut + 1 });
        self.pending = pending;
        Ok(())
    }

    fn request<W>(
        &mut self,
        link: usize,
        method: &str,
        awaiting: Await,
        body: &[u8],
        cx: &Cx<'_, W>,
    ) -> Result<()> {
        self.ensure_open(link, cx)?;
        let Target { host, path, .. } = cx.target;
        let (sid_name, sid) = if self.sid.is_empty() { ("", "") } else { ("&sid=", self.sid.as_str()) };
        let out = &mut self.links[link].out;
        write!(out, "{method} {path}?EIO=4&transport=polling{sid_name}{sid}")?;
        put_query(out, cx.target, self.number)?;
        write!(out, " HTTP/1.1\r\nHost: {host}\r\n")?;
        if method == "POST" {
            write!(out, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n", body.len())?;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        self.links[link].awaiting = awaiting;
        Ok(())
    }

    fn switch<W>(&mut self, link: usize, cx: &mut Cx<'_, W>) -> Result<()> {
        if link == 1 && self.links[1].is_open() {
            bail!("an upgrade while a POST's connection is open");
        }
        self.ensure_open(link, cx)?;
        let Target { host, path, .. } = cx.target;
        let (sid_name, sid) = if self.sid.is_empty() { ("", "") } else { ("&sid=", self.sid.as_str()) };
        let out = &mut self.links[link].out;
        write!(out, "GET {path}?EIO=4&transport=websocket{sid_name}{sid}")?;
        put_query(out, cx.target, self.number)?;
        write!(
            out,
            " HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            ws::KEY
        )?;
        self.links[link].awaiting = Await::Switch;
        Ok(())
    }

    fn ensure_open<W>(&mut self, link: usize, cx: &Cx<'_, W>) -> Result<()> {
        if self.links[link].is_open() {
            return Ok(());
        }
        self.links[link].open(cx.target.addr, self.from, cx.registry, Self::token(self.number, link))
    }

    fn close<W>(&mut self, link: usize, cx: &mut Cx<'_, W>) {
        if link == 1 && self.links[1].is_open() {
            cx.tally.posts_open -= 1;
        }
        self.links[link].close();
    }

    fn whereabouts(&self, link: usize) -> String {
        format!("client {}, link {link}, awaiting {:?}", self.number, self.links[link].awaiting)
    }
}

fn put_query(out: &mut Vec<u8>, target: &Target, client: usize) -> Result<()> {
    let Target { query, numbers: (first, step), .. } = target;
    if !query.is_empty() {
        write!(out, "&{}", query.replace("{n}", &(first + client * step).to_string()))?;
    }
    Ok(())
}
