//! A session, a client, and the way between them, on virtual time.
//!
//! The client does what engine.io-client does: polls again after each answer, has one POST at a time, and to
//! upgrade it sends "2probe", and after "3probe" lets the pending poll and POST end before it sends "5". It is
//! kinder in one thing: when its probe fails, it goes on polling. What is sent takes as long as
//! `latencies_ms` says, but keeps its order within one WebSocket.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::shell::{Out, Shell};
use crate::proto::eio::{Packet, decode_payload};
use crate::session::{Link, Settings, Time, Transport};

/// Something on its way. `None` is the end of that connection, or HTTP 400.
#[derive(Debug)]
enum Event {
    Get,
    Answer(Option<String>),
    Post(String),
    Posted(bool),
    Connect(u32),
    Up(u32, Option<String>),
    Down(u32, Option<String>),
}

/// How far an upgrade is, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    Idle,
    /// "2probe" was sent, or will never be.
    Probing,
    /// "3probe" came; polling ends.
    Pausing,
    Done,
}

pub struct Client {
    /// It believes that the session is open.
    pub open: bool,
    /// The server's messages, in the order in which they came.
    pub got: Vec<String>,
    pub answers_pings: bool,
    open_packets: u32,
    reading: bool,
    /// Polls that were not answered yet.
    polling: u32,
    posting: bool,
    upgrade: Upgrade,
    /// Packets that wait to be sent.
    outbox: Vec<String>,
}

pub struct Pair {
    pub shell: Shell,
    pub client: Client,
    /// Every message that each side sent.
    pub sent_down: Vec<String>,
    pub sent_up: Vec<String>,
    /// The delay of each next thing that is sent; used over and over.
    pub latencies_ms: VecDeque<u64>,
    /// So many things happen to the server, if they happen at the same time, before it does something.
    pub turn: usize,
    in_turn: usize,
    events: BTreeMap<(Time, u64), Event>,
    counter: u64,
    /// When the last frame in each direction of each WebSocket (0: by polls) will arrive.
    last: HashMap<(u32, bool), Time>,
    /// The client's newest WebSocket, and the one that the server thinks of.
    client_ws: u32,
    server_ws: Option<u32>,
}

impl Pair {
    /// A session whose client has its open packet.
    pub fn new(settings: Settings, latencies_ms: impl IntoIterator<Item = u64>) -> Pair {
        let mut pair = Pair {
            shell: Shell::open(Transport::Polling, settings),
            client: Client {
                open: true,
                got: Vec::new(),
                answers_pings: true,
                open_packets: 0,
                reading: true,
                polling: 0,
                posting: false,
                upgrade: Upgrade::Idle,
                outbox: Vec::new(),
            },
            sent_down: Vec::new(),
            sent_up: Vec::new(),
            latencies_ms: latencies_ms.into_iter().collect(),
            turn: 1,
            in_turn: 0,
            events: BTreeMap::new(),
            counter: 0,
            last: HashMap::new(),
            client_ws: 0,
            server_ws: None,
        };
        pair.shell.lazy = true;
        pair.poll();
        while pair.client.open_packets == 0 {
            pair.run(1);
        }
        pair
    }

    fn emit(&mut self, event: Event) {
        let latency = self.latencies_ms.pop_front().expect("at least one latency");
        self.latencies_ms.push_back(latency);
        let mut at = Time(self.shell.now.0 + latency);
        let wire = match &event {
            Event::Connect(ws) | Event::Up(ws, _) => Some((*ws, true)),
            Event::Down(ws, _) => Some((*ws, false)),
            // One connection for all polls, so that even a client that polls twice reads in order.
            Event::Get => Some((0, true)),
            Event::Answer(_) => Some((0, false)),
            _ => None,
        };
        if let Some(wire) = wire {
            at = at.max(*self.last.get(&wire).unwrap_or(&at));
            self.last.insert(wire, at);
        }
        self.counter += 1;
        self.events.insert((at, self.counter), event);
    }

    // Time.

    pub fn run(&mut self, ms: u64) {
        let end = Time(self.shell.now.0 + ms);
        loop {
            let event = self.events.first_key_value().map_or(Time::NEVER, |(key, _)| key.0);
            let next = event.min(self.shell.session.poll_timeout());
            if next > self.shell.now {
                // Nothing more happens at this moment: the turn ends, which may lead to something.
                if self.settle() {
                    continue;
                }
                if next > end {
                    break;
                }
            }
            self.shell.now = next.max(self.shell.now);
            if event <= self.shell.now {
                let (_, event) = self.events.pop_first().expect("it is there");
                self.happen(event);
            } else {
                self.shell.timeout();
                self.acted();
            }
        }
        self.shell.now = end;
    }

    /// Something happened to the server.
    fn acted(&mut self) {
        self.in_turn += 1;
        if self.in_turn >= self.turn {
            self.settle();
        }
    }

    /// Ends the server's turn; whether anything went out.
    fn settle(&mut self) -> bool {
        self.in_turn = 0;
        self.shell.settle();
        let out = self.shell.take();
        let any = !out.is_empty();
        let mut over = false;
        for out in out {
            let ws = self.server_ws;
            match (out, ws) {
                (Out::Answer(body), _) => self.emit(Event::Answer(Some(body))),
                (Out::Frame(text), Some(ws)) => self.emit(Event::Down(ws, Some(text))),
                (Out::Probe(text), Some(ws)) => self.emit(Event::Down(ws, Some(text.to_owned()))),
                (Out::CloseProbe, Some(ws)) => {
                    self.server_ws = None;
                    self.emit(Event::Down(ws, None));
                }
                (Out::Closed(_), _) => over = true,
                (out, None) => panic!("{out:?}, but there is no WebSocket"),
            }
        }
        // The WebSocket closes behind what it still has to send.
        over |= self.shell.closed.is_some();
        if over
            && !self.shell.has_unsent()
            && let Some(ws) = self.server_ws.take()
        {
            self.emit(Event::Down(ws, None));
        }
        any
    }

    // What arrives.

    fn happen(&mut self, event: Event) {
        match event {
            Event::Get => {
                if self.shell.poll().is_err() {
                    self.emit(Event::Answer(None));
                }
                self.acted();
            }
            Event::Post(payload) => {
                let accepted = self.shell.post_begins().is_ok();
                if accepted {
                    self.shell.post_ends(&payload);
                }
                self.emit(Event::Posted(accepted));
                self.acted();
            }
            Event::Connect(ws) => {
                if self.shell.closed.is_none() && self.shell.probe().is_ok() {
                    self.server_ws = Some(ws);
                } else {
                    self.emit(Event::Down(ws, None));
                }
                self.acted();
            }
            Event::Up(ws, packet) if self.server_ws == Some(ws) && self.shell.closed.is_none() => {
                let upgraded = self.shell.session.transport() == Transport::WebSocket;
                match (packet, upgraded) {
                    (Some(packet), true) => self.shell.websocket_says(&packet),
                    (Some(packet), false) => self.shell.probe_says(&packet),
                    (None, _) => {
                        self.server_ws = None;
                        self.shell.lost(if upgraded { Link::WebSocket } else { Link::Probe });
                    }
                }
                self.acted();
            }
            Event::Up(..) => (), // by a WebSocket that the server has closed
            Event::Answer(Some(payload)) => {
                self.client.polling -= 1;
                let payload = payload.replace('|', "\u{1e}");
                for packet in decode_payload(&payload) {
                    self.receive(&packet.expect("a packet"));
                }
                self.proceed();
            }
            Event::Posted(true) => {
                self.client.posting = false;
                self.proceed();
            }
            Event::Answer(None) | Event::Posted(false) => self.client.open = false,
            Event::Down(ws, packet) if ws == self.client_ws => self.down(packet),
            Event::Down(..) => (), // by a WebSocket that the client has given up
        }
    }

    fn down(&mut self, packet: Option<String>) {
        match (self.client.upgrade, packet) {
            (Upgrade::Done, None) => self.client.open = false,
            (Upgrade::Done, Some(packet)) => {
                self.receive(&Packet::decode(&packet).expect("a packet"));
                self.proceed();
            }
            (Upgrade::Probing, Some(packet)) if packet == "3probe" => {
                self.client.upgrade = Upgrade::Pausing;
                self.proceed();
            }
            (Upgrade::Probing | Upgrade::Pausing, None) => {
                self.client.upgrade = Upgrade::Idle;
                self.proceed();
            }
            (Upgrade::Pausing, Some(packet)) if packet == "3probe" => (),
            (Upgrade::Idle, None) => (),
            (upgrade, packet) => panic!("{packet:?} over the WebSocket, when {upgrade:?}"),
        }
    }

    fn receive(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Open(_) => self.client.open_packets += 1,
            Packet::Text(text) => self.client.got.push((*text).to_owned()),
            Packet::Binary(data) => {
                self.client.got.push(String::from_utf8(data.to_vec()).expect("test data"))
            }
            Packet::Ping("") if self.client.answers_pings => self.client.outbox.push("3".to_owned()),
            Packet::Ping("") | Packet::Noop => (),
            Packet::Close => self.client.open = false,
            packet => panic!("{packet:?} from a server"),
        }
        assert_eq!(self.client.open_packets, 1, "one open packet, and first of all");
    }

    /// The client does what it can do now.
    fn proceed(&mut self) {
        let client = &mut self.client;
        if client.upgrade == Upgrade::Pausing && client.open && client.polling == 0 && !client.posting {
            client.upgrade = Upgrade::Done;
            self.emit(Event::Up(self.client_ws, Some("5".to_owned())));
        }
        self.flush();
        self.poll();
    }

    fn flush(&mut self) {
        let client = &mut self.client;
        if !client.open || client.outbox.is_empty() {
            return;
        }
        match client.upgrade {
            Upgrade::Done => {
                for packet in std::mem::take(&mut client.outbox) {
                    self.emit(Event::Up(self.client_ws, Some(packet)));
                }
            }
            Upgrade::Idle | Upgrade::Probing if !client.posting => {
                client.posting = true;
                let payload = std::mem::take(&mut client.outbox).join("|");
                self.emit(Event::Post(payload));
            }
            _ => (),
        }
    }

    fn poll(&mut self) {
        let client = &mut self.client;
        let polls = matches!(client.upgrade, Upgrade::Idle | Upgrade::Probing);
        if client.open && polls && client.reading && client.polling == 0 {
            client.polling += 1;
            self.emit(Event::Get);
        }
    }

    // What is asked for.

    /// The server sends; every third message is binary.
    pub fn send_down(&mut self) {
        let message = format!("s{}", self.sent_down.len());
        if self.shell.session.is_open() {
            self.sent_down.push(message.clone());
        }
        match self.sent_down.len() % 3 {
            0 => self.shell.send_binary(message.as_bytes()),
            _ => self.shell.send(&message),
        }
        self.acted();
    }

    pub fn send_up(&mut self) {
        let message = format!("c{}", self.sent_up.len());
        self.client.outbox.push(format!("4{message}"));
        self.sent_up.push(message);
        self.flush();
    }

    /// The server closes the session.
    pub fn close(&mut self) {
        self.shell.close();
        self.acted();
    }

    /// The client opens a WebSocket and begins with this, if it has not got one.
    pub fn probe_with(&mut self, packets: &[&str]) {
        if self.client.open && self.client.upgrade == Upgrade::Idle {
            self.client.upgrade = Upgrade::Probing;
            self.client_ws += 1;
            self.emit(Event::Connect(self.client_ws));
            for packet in packets {
                self.emit(Event::Up(self.client_ws, Some((*packet).to_owned())));
            }
        }
    }

    pub fn probe(&mut self) {
        self.probe_with(&["2probe"]);
    }

    /// The client gives up its probe, if it has one.
    pub fn abandon(&mut self) {
        if matches!(self.client.upgrade, Upgrade::Probing | Upgrade::Pausing) {
            self.client.upgrade = Upgrade::Idle;
            self.emit(Event::Up(self.client_ws, None));
            self.client_ws += 1; // what still comes over the old one is not heard
            self.proceed();
        }
    }

    /// The client reads what there is, or not.
    pub fn reads(&mut self, reading: bool) {
        self.client.reading = reading;
        self.shell.reads(reading);
        self.proceed();
    }

    /// The server finds a connection lost, if there is one of that kind. The client does not notice.
    pub fn lose(&mut self, link: Link) {
        let upgraded = self.shell.session.transport() == Transport::WebSocket;
        let there = match link {
            Link::Poll => self.shell.poll.is_some(),
            Link::Post => false, // this client's are whole
            Link::Probe => self.shell.probe && !upgraded,
            Link::WebSocket => upgraded,
        };
        if there && self.shell.closed.is_none() {
            if link != Link::Poll {
                self.server_ws = None;
            }
            self.shell.lost(link);
            self.acted();
        }
    }

    /// The client sends a packet over whatever it uses, now.
    pub fn says(&mut self, packet: &str) {
        self.client.outbox.push(packet.to_owned());
        self.flush();
    }

    /// A second poll, whatever became of the first one. (Not after the upgrade: who polls beside its WebSocket
    /// has two streams at once, and can't know which is ahead.)
    pub fn polls_twice(&mut self) {
        if self.client.upgrade != Upgrade::Done {
            self.client.polling += 1;
            self.emit(Event::Get);
        }
    }

    /// Whether the client is on its WebSocket, and the server thinks so too.
    pub fn upgraded(&self) -> bool {
        self.client.upgrade == Upgrade::Done && self.shell.session.transport() == Transport::WebSocket
    }
}
