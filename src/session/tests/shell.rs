//! A shell without connections: it drives a session as the contract in `engine.rs` says, drains it after
//! every call (or at the end of a turn), and holds it to that contract.

use std::io::IoSlice;

use bytes::Bytes;

use crate::close::CloseReason;
use crate::proto::eio::{Packet, decode_payload};
use crate::proto::ws;
use crate::session::{Link, Message, Outbox, Output, Refused, Session, Settings, Time, Transport};

/// What went out, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// The pending poll was answered; `|` stands for the record separator.
    Answer(String),
    /// A packet left by the WebSocket; binary as `b` and base64.
    Frame(String),
    Probe(&'static str),
    CloseProbe,
    Closed(CloseReason),
}

pub fn answer(body: &str) -> Out {
    Out::Answer(body.to_owned())
}

pub fn frame(packet: &str) -> Out {
    Out::Frame(packet.to_owned())
}

/// HTTP 400: the request did not get to the session, or ended it.
#[derive(Debug, PartialEq, Eq)]
pub struct BadRequest;

pub struct Shell {
    pub session: Session,
    pub settings: Settings,
    pub now: Time,
    /// The messages that the application got.
    pub got: Vec<String>,
    pub closed: Option<CloseReason>,
    /// Since when a poll is pending.
    pub poll: Option<Time>,
    /// Whether a WebSocket is probing.
    pub probe: bool,
    /// Whether the WebSocket takes what is written to it.
    reading: bool,
    /// Outputs are left alone until [`Shell::settle`], as when many things happen in one turn of the loop.
    pub lazy: bool,
    unsent: Outbox,
    out: Vec<Out>,
}

impl Shell {
    pub fn open(transport: Transport, settings: Settings) -> Shell {
        let now = Time(1_000);
        let mut shell = Shell {
            session: Session::open(transport, "the-sid", &settings, now),
            settings,
            now,
            got: Vec::new(),
            closed: None,
            poll: None,
            probe: false,
            reading: true,
            lazy: false,
            unsent: Outbox::default(),
            out: Vec::new(),
        };
        shell.drain();
        shell
    }

    /// A session whose client has its open packet, with nothing pending.
    pub fn opened(transport: Transport, settings: Settings) -> Shell {
        let mut shell = Shell::open(transport, settings);
        if transport == Transport::Polling {
            shell.poll().expect("a first poll");
        }
        let out = shell.take();
        assert!(
            matches!(&out[..], [Out::Answer(text) | Out::Frame(text)] if text.starts_with("0{")),
            "{out:?}"
        );
        shell
    }

    pub fn polling() -> Shell {
        Shell::opened(Transport::Polling, Settings::default())
    }

    pub fn websocket() -> Shell {
        Shell::opened(Transport::WebSocket, Settings::default())
    }

    /// What went out since the last call.
    pub fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    // What the client does.

    pub fn poll(&mut self) -> Result<(), BadRequest> {
        self.takes_requests()?;
        let result = self.session.handle_poll();
        if result.is_ok() {
            self.poll = Some(self.now);
        }
        self.drain();
        result.map_err(|_| BadRequest)
    }

    pub fn post_begins(&mut self) -> Result<(), BadRequest> {
        self.takes_requests()?;
        let result = self.session.handle_post();
        self.drain();
        result.map_err(|_| BadRequest)
    }

    pub fn post_ends(&mut self, payload: &str) {
        let payload = payload.replace('|', "\u{1e}");
        for packet in decode_payload(&payload) {
            self.packet(Link::Post, packet.expect("a packet"));
        }
        self.session.handle_post_end();
        self.drain();
    }

    pub fn post(&mut self, payload: &str) {
        self.post_begins().expect("a POST of its own");
        self.post_ends(payload);
    }

    pub fn probe(&mut self) -> Result<(), Refused> {
        let result = self.session.handle_probe(&self.settings, self.now);
        self.probe |= result.is_ok();
        self.drain();
        result
    }

    pub fn probe_says(&mut self, packet: &str) {
        self.packet(Link::Probe, Packet::decode(packet).expect("a packet"));
    }

    pub fn websocket_says(&mut self, packet: &str) {
        self.packet(Link::WebSocket, Packet::decode(packet).expect("a packet"));
    }

    fn packet(&mut self, link: Link, packet: Packet<'_>) {
        match self.session.handle_packet(link, packet, &self.settings, self.now) {
            Ok(Some(Message::Text(text))) => self.got.push(text.to_owned()),
            Ok(Some(Message::Binary(data))) => {
                self.got.push(String::from_utf8(data.into_owned()).expect("test data"))
            }
            Ok(None) => (),
            Err(_) if link == Link::Probe => (),
            Err(_) => assert!(!self.session.is_open(), "it has closed itself"),
        }
        self.drain();
    }

    /// The client reads what its WebSocket gets, or not.
    pub fn reads(&mut self, reading: bool) {
        self.reading = reading;
        self.drain();
    }

    pub fn lost(&mut self, link: Link) {
        match link {
            Link::Probe => self.probe = false,
            Link::Poll => self.poll = None,
            Link::Post => (),
            Link::WebSocket => self.unsent.clear(),
        }
        self.session.handle_lost(link, CloseReason::TransportClose);
        self.drain();
    }

    /// Time passes, with a call of `handle_timeout` whenever the session wants one.
    pub fn wait(&mut self, ms: u64) {
        self.wait_until(Time(self.now.0 + ms));
    }

    pub fn wait_until(&mut self, at: Time) {
        while self.session.poll_timeout() <= at {
            self.now = self.session.poll_timeout().max(self.now);
            self.timeout();
        }
        self.now = at;
    }

    /// One call of `handle_timeout`.
    pub fn timeout(&mut self) {
        self.session.handle_timeout(&self.settings, self.now);
        assert!(self.session.poll_timeout() > self.now, "a deadline stays in the past");
        self.drain();
    }

    // What the application does.

    pub fn send(&mut self, text: &str) {
        let mut frames = Vec::new();
        ws::encode_header(&mut frames, ws::Opcode::Text, text.len() + 1, false);
        frames.push(b'4');
        frames.extend_from_slice(text.as_bytes());
        self.session.send(&Bytes::from(frames), &self.settings);
        self.drain();
    }

    pub fn send_binary(&mut self, data: &[u8]) {
        self.session.send_with(&self.settings, |out| {
            ws::encode_header(out, ws::Opcode::Binary, data.len(), false);
            out.extend_from_slice(data);
        });
        self.drain();
    }

    pub fn close(&mut self) {
        self.session.close(CloseReason::ForcedClose, &self.settings, self.now);
        self.drain();
    }

    /// Requests for a session that is over, or has upgraded, are answered without asking it.
    fn takes_requests(&self) -> Result<(), BadRequest> {
        let takes = self.closed.is_none() && self.session.transport() == Transport::Polling;
        if takes { Ok(()) } else { Err(BadRequest) }
    }

    fn drain(&mut self) {
        if !self.lazy {
            self.settle();
        }
    }

    /// Does what the session says until it says nothing more.
    pub fn settle(&mut self) {
        if self.session.transport() == Transport::WebSocket {
            self.probe = false;
        }
        self.flush();
        while let Some(output) = self.session.poll_output(self.unsent.is_empty()) {
            assert_eq!(self.closed, None, "{output:?} after Closed");
            match output {
                Output::Frames(mut frames) => {
                    assert_eq!(self.session.transport(), Transport::WebSocket, "frames without a WebSocket");
                    assert!(
                        self.unsent.is_empty() && !frames.is_empty(),
                        "only when writable, and not empty"
                    );
                    self.unsent.append(&mut frames);
                }
                Output::AnswerPoll(body) => {
                    assert!(self.poll.take().is_some(), "an answer, but no poll");
                    let body = String::from_utf8(body).expect("a payload is text").replace('\u{1e}', "|");
                    assert!(!body.is_empty(), "a payload has a packet");
                    self.out.push(Out::Answer(body));
                }
                Output::Probe(text) => {
                    let upgraded = self.session.transport() == Transport::WebSocket;
                    assert!(self.probe || upgraded, "{text} for a probe, but there is none");
                    self.out.push(Out::Probe(text));
                }
                Output::CloseProbe => {
                    assert!(std::mem::take(&mut self.probe), "CloseProbe, but there is none");
                    self.out.push(Out::CloseProbe);
                }
                Output::Closed(reason) => {
                    assert!(self.poll.is_none(), "the pending poll was left alone");
                    assert!(!self.probe, "the probe was left alone");
                    self.closed = Some(reason);
                    self.out.push(Out::Closed(reason));
                }
            }
            self.flush();
        }
        if self.closed.is_some() {
            assert_eq!(self.session.poll_timeout(), Time::NEVER, "it is over, and wants nothing");
            assert!(!self.session.is_open());
        }
    }

    /// Whether the WebSocket was given something that it has not sent.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    fn flush(&mut self) {
        while self.reading && !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.unsent.io_slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            self.unsent.advance(bytes.len());
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (header, length) = ws::FrameHeader::decode(rest).expect("a frame").expect("a whole one");
                let (data, behind) = rest[length..].split_at(header.len as usize);
                self.out.push(Out::Frame(match header.opcode {
                    ws::Opcode::Text => String::from_utf8(data.to_vec()).expect("text"),
                    _ => {
                        let mut text = Vec::new();
                        Packet::Binary(data.into()).encode_text(&mut text);
                        String::from_utf8(text).expect("base64")
                    }
                }));
                rest = behind;
            }
        }
    }
}
