//! An Engine.IO session: open, heartbeat, upgrade, close, and the outbox (protocol document, headings
//! "Handshake", "Heartbeat", "Upgrade").
//!
//! ```text
//!             close(), with things left to send
//!     Open ────────────────────────────────────▶ Closing
//!       │                                           │ sent, or out of time
//!       │ the peer goes, breaks a rule, or is silent  ▼
//!       └────────────────────────────────────────▶ Closed
//! ```
//!
//! The shell owns the connections. It names the one that something came by with a [`Link`], and after each
//! call, or once after all calls of a turn, it does what [`Session::poll_output`] says until that says
//! nothing more, and comes back at [`Session::poll_timeout`]. A session never touches a connection, so nothing
//! of it can leak in one.

use bytes::Bytes;

use super::outbox::Outbox;
use super::settings::Settings;
use super::time::Time;
use super::upgrade::{Refused, Upgrade};
use crate::close::CloseReason;
use crate::proto::eio::{Open, Packet, Upgrades};

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// Its name in the query.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }
}

/// Which of a session's connections something came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A GET that waits for its answer.
    Poll,
    /// A POST.
    Post,
    /// The WebSocket that carries the session.
    WebSocket,
    /// A WebSocket that tries to take over.
    Probe,
}

/// A message for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(std::borrow::Cow<'a, [u8]>),
}

/// A second request of a kind that may only be pending once. It is answered with 400, and the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another request of this kind is pending")]
pub struct Overlap;

/// What the shell is to do.
#[derive(Debug)]
pub enum Output {
    /// Send these frames over the session's WebSocket.
    Frames(Outbox),
    /// Answer the pending poll with this payload.
    AnswerPoll(Vec<u8>),
    /// Send this text packet over the probe.
    Probe(&'static str),
    /// Close the probe; the session goes on without it.
    CloseProbe,
    /// The session is over: forget it, and close its WebSocket behind what that still has to send. Nothing
    /// comes after this.
    Closed(CloseReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// What is in the outbox still goes out, then the session is `Closed`.
    Closing {
        reason: CloseReason,
        by: Time,
    },
    /// Over; a pending poll is still to be told.
    Closed {
        reason: CloseReason,
    },
    /// Over, and all was said.
    Gone,
}

/// A probe's share of the next outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeOutput {
    Nothing,
    Pong,
    Close,
}

/// An Engine.IO session.
///
/// | what happens | what is to be done | what it wants |
/// |---|---|---|
/// | `handle_packet`, `handle_poll`, `handle_post`, `handle_post_end`, `handle_probe`, `handle_lost`, `handle_timeout` | `poll_output` | `poll_timeout` |
/// | `send`, `close` | | |
#[derive(Debug)]
pub struct Session {
    outbox: Outbox,
    /// When the next ping, or the pong to the last one, is due.
    heartbeat_at: Time,
    upgrade: Upgrade,
    state: State,
    transport: Transport,
    awaiting_pong: bool,
    /// A GET waits for its answer.
    poll: bool,
    /// A POST is being read.
    post: bool,
    probe_output: ProbeOutput,
}

impl Session {
    /// Opens a session; the open packet is the first thing that it sends.
    pub fn open(transport: Transport, sid: &str, settings: &Settings, now: Time) -> Session {
        let upgrades = match transport {
            Transport::Polling if settings.allow_upgrades => Upgrades::WebSocket,
            _ => Upgrades::None,
        };
        let mut packet = Vec::with_capacity(160);
        Open {
            sid,
            upgrades,
            ping_interval: settings.ping_interval,
            ping_timeout: settings.ping_timeout,
            max_payload: settings.max_payload,
        }
        .encode(&mut packet);
        let mut outbox = Outbox::default();
        outbox.write_text(&packet);
        Session {
            outbox,
            heartbeat_at: now + settings.ping_interval,
            upgrade: match transport {
                Transport::Polling => Upgrade::Idle,
                Transport::WebSocket => Upgrade::Done,
            },
            state: State::Open,
            transport,
            awaiting_pong: false,
            poll: false,
            post: false,
            probe_output: ProbeOutput::Nothing,
        }
    }

    /// What carries the session now.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether the application can still hear from it and speak to it.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is over, and takes no further request.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Closed { .. } | State::Gone)
    }

    /// Bytes that wait to be sent.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Whether something sent now could leave at once; if not, a volatile event is dropped.
    pub fn is_writable(&self) -> bool {
        match self.transport {
            Transport::Polling => self.poll && self.outbox.is_empty(),
            Transport::WebSocket => true,
        }
    }

    // What happens.

    /// A packet came. `Ok(Some(_))` is for the application.
    ///
    /// # Errors
    /// The packet breaks the rules; the session has closed itself, or the probe was given up.
    pub fn handle_packet<'a>(
        &mut self,
        link: Link,
        packet: Packet<'a>,
        settings: &Settings,
        now: Time,
    ) -> Result<Option<Message<'a>>, CloseReason> {
        if link == Link::Probe {
            return self.handle_probe_packet(&packet);
        }
        if !self.is_open() {
            return Ok(None);
        }
        match packet {
            Packet::Text(text) => return Ok(Some(Message::Text(text))),
            Packet::Binary(data) => return Ok(Some(Message::Binary(data))),
            Packet::Pong(_) => {
                if self.awaiting_pong {
                    self.awaiting_pong = false;
                    self.heartbeat_at = now + settings.ping_interval;
                }
            }
            Packet::Close => self.end(CloseReason::TransportClose),
            // The reference lets both pass: an upgrade that crosses its own time-out must do no harm.
            Packet::Upgrade | Packet::Noop => (),
            // Pings come from the server in protocol 4, and only the server opens.
            Packet::Ping(_) | Packet::Open(_) => {
                self.end(CloseReason::TransportError);
                return Err(CloseReason::TransportError);
            }
        }
        Ok(None)
    }

    fn handle_probe_packet<'a>(&mut self, packet: &Packet<'_>) -> Result<Option<Message<'a>>, CloseReason> {
        match (self.upgrade, packet) {
            (Upgrade::Open { by } | Upgrade::Probed { by }, Packet::Ping("probe")) => {
                self.upgrade = Upgrade::Probed { by };
                self.probe_output = ProbeOutput::Pong;
                Ok(None)
            }
            (Upgrade::Probed { .. }, Packet::Upgrade) => {
                self.upgrade = Upgrade::Done;
                self.transport = Transport::WebSocket;
                Ok(None)
            }
            _ => {
                self.give_up_probe();
                Err(CloseReason::TransportError)
            }
        }
    }

    /// A GET for this session came, and waits for its answer.
    pub fn handle_poll(&mut self) -> Result<(), Overlap> {
        if self.poll {
            self.end(CloseReason::TransportError);
            return Err(Overlap);
        }
        self.poll = true;
        Ok(())
    }

    /// A POST for this session came; its packets follow when its body is complete.
    pub fn handle_post(&mut self) -> Result<(), Overlap> {
        if self.post {
            self.end(CloseReason::TransportError);
            return Err(Overlap);
        }
        self.post = true;
        Ok(())
    }

    /// The POST was read to its end.
    pub fn handle_post_end(&mut self) {
        self.post = false;
    }

    /// A WebSocket wants to take over from polling.
    pub fn handle_probe(&mut self, settings: &Settings, now: Time) -> Result<(), Refused> {
        match self.upgrade {
            // The shell still holds the last one.
            Upgrade::Idle if self.probe_output == ProbeOutput::Close => Err(Refused::UnderWay),
            Upgrade::Idle if self.is_open() && settings.allow_upgrades => {
                self.upgrade = Upgrade::Open { by: now + settings.upgrade_timeout };
                Ok(())
            }
            Upgrade::Idle => Err(Refused::NotPossible),
            Upgrade::Open { .. } | Upgrade::Probed { .. } => Err(Refused::UnderWay),
            Upgrade::Done => Err(Refused::Upgraded),
        }
    }

    /// A connection of this session is gone, or broke the transport's rules.
    pub fn handle_lost(&mut self, link: Link, reason: CloseReason) {
        match link {
            Link::Probe => {
                if matches!(self.upgrade, Upgrade::Open { .. } | Upgrade::Probed { .. }) {
                    self.upgrade = Upgrade::Idle;
                }
                self.probe_output = ProbeOutput::Nothing;
            }
            Link::Poll => self.poll = false,
            Link::Post => self.post = false,
            Link::WebSocket => (),
        }
        let carries = match link {
            Link::Probe => false,
            Link::Poll | Link::Post => self.transport == Transport::Polling,
            Link::WebSocket => true,
        };
        if carries {
            self.end(reason);
        }
    }

    /// Time has passed; see [`Session::poll_timeout`].
    pub fn handle_timeout(&mut self, settings: &Settings, now: Time) {
        match self.state {
            State::Open if self.heartbeat_at <= now => {
                if self.awaiting_pong {
                    return self.end(CloseReason::PingTimeout);
                }
                self.awaiting_pong = true;
                self.heartbeat_at = now + settings.ping_timeout;
                self.outbox.write_text(b"2");
            }
            State::Closing { reason, by } if by <= now => return self.end(reason),
            State::Open | State::Closing { .. } | State::Closed { .. } | State::Gone => (),
        }
        if self.upgrade.deadline() <= now {
            self.give_up_probe();
        }
    }

    // What the application wants.

    /// Queues frames; see [`Outbox`]. A client that does not read is closed rather than queued for beyond
    /// the limit.
    pub fn send(&mut self, frames: &Bytes, settings: &Settings) {
        if self.is_open() {
            self.outbox.push(frames);
            self.check_limit(settings);
        }
    }

    /// Queues frames that `write` writes, sparing a buffer for small ones.
    pub fn send_with(&mut self, settings: &Settings, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_open() {
            self.outbox.write(write);
            self.check_limit(settings);
        }
    }

    fn check_limit(&mut self, settings: &Settings) {
        if self.outbox.bytes() > settings.outbox_hard {
            self.end(CloseReason::SlowReader);
        }
    }

    /// Ends the session after what is queued was sent.
    pub fn close(&mut self, reason: CloseReason, settings: &Settings, now: Time) {
        if self.is_open() {
            self.state = State::Closing { reason, by: now + settings.close_timeout };
            // Once probed, the client may have let go of polling: what is queued then leaves by the upgrade.
            if matches!(self.upgrade, Upgrade::Open { .. }) {
                self.give_up_probe();
            }
        }
    }

    /// Ends the session at once. What is queued is not sent; a pending poll is told.
    pub fn abort(&mut self, reason: CloseReason) {
        self.end(reason);
    }

    // What is to be done.

    /// The next thing to do, or `None`. `writable`: the WebSocket has nothing unsent.
    pub fn poll_output(&mut self, writable: bool) -> Option<Output> {
        if self.state == State::Gone {
            return None;
        }
        match std::mem::replace(&mut self.probe_output, ProbeOutput::Nothing) {
            ProbeOutput::Pong => return Some(Output::Probe("3probe")),
            ProbeOutput::Close => return Some(Output::CloseProbe),
            ProbeOutput::Nothing => (),
        }
        match self.transport {
            Transport::Polling => self.poll_polling(),
            Transport::WebSocket => self.poll_websocket(writable),
        }
    }

    fn poll_polling(&mut self) -> Option<Output> {
        match self.state {
            // Also while closing: a client acts on a payload's events after it has read the whole of it, and would
            // drop those that came together with the close. That takes the next poll, as the reference has it.
            State::Open | State::Closing { .. } if self.poll && !self.outbox.is_empty() => {
                Some(self.answer_poll(None))
            }
            State::Open if self.poll && matches!(self.upgrade, Upgrade::Probed { .. }) => {
                Some(self.answer_poll(Some(b"6")))
            }
            State::Closing { reason, .. } if self.poll => {
                self.state = State::Closed { reason };
                self.give_up_probe();
                Some(self.answer_poll(Some(b"1")))
            }
            // Who closes need not be told (protocol test suite, "forcefully closes the session").
            State::Closed { reason: CloseReason::TransportClose } if self.poll => {
                Some(self.answer_poll(Some(b"6")))
            }
            State::Closed { .. } if self.poll => Some(self.answer_poll(Some(b"1"))),
            State::Closed { reason } => self.gone(reason),
            State::Open | State::Closing { .. } | State::Gone => None,
        }
    }

    fn poll_websocket(&mut self, writable: bool) -> Option<Output> {
        if self.poll {
            // The client completed its upgrade without waiting for this poll.
            self.poll = false;
            return Some(Output::AnswerPoll(b"6".to_vec()));
        }
        match self.state {
            State::Open | State::Closing { .. } if writable && !self.outbox.is_empty() => {
                Some(Output::Frames(std::mem::take(&mut self.outbox)))
            }
            State::Closing { reason, .. } if writable => self.gone(reason),
            State::Closed { reason } => self.gone(reason),
            State::Open | State::Closing { .. } | State::Gone => None,
        }
    }

    fn gone(&mut self, reason: CloseReason) -> Option<Output> {
        self.state = State::Gone;
        Some(Output::Closed(reason))
    }

    fn answer_poll(&mut self, last: Option<&[u8]>) -> Output {
        self.poll = false;
        let mut payload = self.outbox.take_payload();
        if let Some(packet) = last {
            payload.push_text(packet);
        }
        Output::AnswerPoll(payload.finish())
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Time {
        let at = match self.state {
            State::Open => self.heartbeat_at,
            State::Closing { by, .. } => by,
            State::Closed { .. } | State::Gone => Time::NEVER,
        };
        at.min(self.upgrade.deadline())
    }

    fn end(&mut self, reason: CloseReason) {
        if matches!(self.state, State::Open | State::Closing { .. }) {
            self.give_up_probe();
            self.outbox.clear();
            self.state = State::Closed { reason };
        }
    }

    fn give_up_probe(&mut self) {
        if matches!(self.upgrade, Upgrade::Open { .. } | Upgrade::Probed { .. }) {
            self.upgrade = Upgrade::Idle;
            self.probe_output = ProbeOutput::Close;
        }
    }
}
