//! HTTP on a connection: requests one after the other, each answered before the next is looked at, and where
//! each one goes.

use std::net::SocketAddr;

use super::Shard;
use super::app::App;
use super::conn::Phase;
use super::core::{Core, Timer};
use super::mail::{HandOff, Mail};
use super::options::HttpOptions;
use super::polling::Post;
use super::reply::{HandshakeError, Reply, write_upgrade_error};
use super::tally::Limit;
use crate::ids::{Key, Sid};
use crate::proto::http::{HttpError, Method, RequestHead};
use crate::session::{Time, Transport};

/// The Engine.IO protocol that is spoken, as the query's `EIO`.
const PROTOCOL: &str = "4";

/// A connection that requests come by.
#[derive(Debug)]
pub struct Http {
    /// What was read and not yet understood.
    pub input: Vec<u8>,
    pub state: State,
    pub remote: SocketAddr,
    /// When patience ends.
    pub deadline: Time,
    /// The earliest timer in the wheel that names this connection.
    armed: Time,
}

/// Where the request stands.
///
/// ```text
///            GET of a session
///     Head ──────────────────▶ Poll ─┐
///      ▲ └───────▶ Body ─────┐       │
///      │    POST             │ whole │ there is something to say
///      └─────────────────────┴───────┘
/// ```
#[derive(Debug)]
pub enum State {
    /// A head is due.
    Head,
    /// The body of a POST is due.
    Body(Box<Post>),
    /// A GET waits for its answer. What comes meanwhile waits in `input`.
    Poll { session: Key, reply: Box<Reply> },
}

impl Http {
    pub fn new(remote: SocketAddr) -> Self {
        Http { input: Vec::new(), state: State::Head, remote, deadline: Time::NEVER, armed: Time::NEVER }
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.input.is_empty() && matches!(self.state, State::Head)
    }
}

impl<A: App> Core<A> {
    pub(super) fn http_mut(&mut self, conn: Key) -> Option<&mut Http> {
        match &mut self.conns.get_mut(conn)?.phase {
            Phase::Http(http) => Some(http),
            Phase::WebSocket { .. } | Phase::Linger { .. } => None,
        }
    }

    /// Sets when the connection is to be closed unless something happens.
    pub(super) fn set_conn_deadline(&mut self, conn: Key, deadline: Time) {
        let Some(http) = self.http_mut(conn) else { return };
        http.deadline = deadline;
        if deadline < http.armed {
            http.armed = deadline;
            self.wheel.insert(Timer::Conn(conn), deadline);
        }
    }

    /// A timer of a connection fired.
    pub(super) fn conn_timeout(&mut self, key: Key) {
        let (now, Some(conn)) = (self.now, self.conns.get_mut(key)) else { return };
        match &mut conn.phase {
            Phase::Linger { until } if *until <= now => self.drop_conn(key),
            Phase::Linger { .. } | Phase::WebSocket { .. } => (),
            Phase::Http(http) => {
                http.armed = Time::NEVER;
                let deadline = http.deadline;
                if deadline > now {
                    return self.set_conn_deadline(key, deadline);
                }
                // Idle between two requests is the peer's right to a quiet close; in the middle of one it is told.
                if !http.input.is_empty() || matches!(http.state, State::Body(_)) {
                    self.reach(Limit::HeadTimeout);
                    self.write_conn(key, |out| Reply::plain().write(out, 408, &[], b""));
                }
                self.close_conn(key);
            }
        }
    }

    /// Answers, and closes the connection behind the answer unless that says that it goes on.
    pub(super) fn reply(&mut self, conn: Key, reply: &Reply, write: impl FnOnce(&Reply, &mut Vec<u8>)) {
        self.write_conn(conn, |out| write(reply, out));
        if !reply.keeps_alive() || !self.accepting {
            self.close_conn(conn);
        }
    }
}

impl<A: App> Shard<A> {
    /// Bytes came on a connection that speaks HTTP.
    pub(super) fn http_input(&mut self, conn: Key, bytes: &[u8]) {
        let max_head = self.core.limits.head.max_bytes;
        let Some(http) = self.core.http_mut(conn) else { return };
        http.input.extend_from_slice(bytes);
        if matches!(http.state, State::Poll { .. }) && http.input.len() > max_head {
            // Requests pile up behind a poll: more than any client has to say.
            return self.conn_ended(conn);
        }
        self.http_advance(conn);
    }

    /// Goes on with what is in the input, as far as that goes.
    pub(super) fn http_advance(&mut self, conn: Key) {
        loop {
            let now = self.core.now;
            let limits = self.core.limits.clone();
            let Some(http) = self.core.http_mut(conn) else { return };
            match &mut http.state {
                State::Poll { .. } => {
                    return self.core.set_conn_deadline(conn, Time::NEVER);
                }
                State::Body(post) => match post.read(&mut http.input) {
                    Ok(true) => self.finish_post(conn),
                    Ok(false) => return self.core.set_conn_deadline(conn, now + limits.request_timeout),
                    Err(error) => return self.refuse_post(conn, &error),
                },
                State::Head if http.input.is_empty() => {
                    http.input = Vec::new();
                    return self.core.set_conn_deadline(conn, now + limits.keep_alive_timeout);
                }
                State::Head => match RequestHead::decode(&http.input, &limits.head) {
                    Ok(Some((head, used))) => self.route(conn, head, used),
                    Ok(None) => {
                        // From the first byte of a head on, however slowly the others follow.
                        if http.deadline > now + limits.request_timeout {
                            self.core.set_conn_deadline(conn, now + limits.request_timeout);
                        }
                        return;
                    }
                    Err(error) => return self.refuse(conn, Reply::plain(), &error),
                },
            }
        }
    }

    /// Answers what is no request, and closes: where the next would begin is not known.
    pub(super) fn refuse(&mut self, conn: Key, reply: Reply, error: &HttpError) {
        match error {
            HttpError::HeadTooLarge => self.core.reach(Limit::HeadBytes),
            HttpError::BodyTooLarge => self.core.reach(Limit::Payload),
            _ => (),
        }
        self.core.reply(conn, &reply.last(), |reply, out| {
            let body = error.to_string();
            reply.write(out, error.status().0, &[("Content-Type", "text/plain")], body.as_bytes());
        });
    }

    /// Finds out what a request wants. `used`: the length of its head in the input.
    fn route(&mut self, conn: Key, head: RequestHead, used: usize) {
        let path = head.path().trim_end_matches('/');
        let mounts = self.core.mounts.clone();
        let upgrade = head.has_token("Connection", "upgrade") && head.has_token("Upgrade", "websocket");
        let Some(mount) = mounts.iter().position(|mount| mount.path.trim_end_matches('/') == path) else {
            self.consume(conn, used);
            let reply = without_body(Reply::to(&head, &HttpOptions::default()), &head);
            let reply = if upgrade { reply.last() } else { reply };
            return self.core.reply(conn, &reply, |reply, out| {
                reply.write(out, 404, &[("Content-Type", "text/plain")], b"Not found\n");
            });
        };
        let options = &mounts[mount].http;
        let reply = Reply::to(&head, options);
        if head.method() == Method::Options && options.cors.is_some() {
            self.consume(conn, used);
            return self
                .core
                .reply(conn, &without_body(reply, &head), |reply, out| reply.write_preflight(out, &head));
        }
        match self.verify(&head, mount, upgrade) {
            Ok(Wants::OtherShard(sid)) => self.hand_off(conn, sid),
            Ok(Wants::Open(transport)) => {
                self.consume(conn, used);
                match transport {
                    Transport::Polling => self.open_polling(conn, mount, head, reply),
                    Transport::WebSocket => self.open_websocket(conn, mount, head),
                }
            }
            Ok(Wants::Probe(session)) => {
                self.consume(conn, used);
                self.probe(conn, session, &head);
            }
            Ok(Wants::Polling(session)) => {
                self.consume(conn, used);
                match head.method() {
                    Method::Get => self.poll(conn, session, without_body(reply, &head)),
                    Method::Post => self.post(conn, session, &head, reply),
                    // The reference server's answer, odd as it is.
                    _ => self.core.reply(conn, &without_body(reply, &head), |reply, out| {
                        reply.write(out, 500, &[], b"")
                    }),
                }
            }
            Err(error) if upgrade => {
                self.consume(conn, used);
                self.core.write_conn(conn, |out| write_upgrade_error(out, &error));
                self.core.close_conn(conn);
            }
            Err(error) => {
                self.consume(conn, used);
                self.core
                    .reply(conn, &without_body(reply, &head), |reply, out| reply.write_error(out, &error));
            }
        }
    }

    /// The reference server's `verify`, in its order.
    fn verify(&mut self, head: &RequestHead, mount: usize, upgrade: bool) -> Result<Wants, HandshakeError> {
        let transport = match head.query_get("transport").as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => return Err(HandshakeError::UnknownTransport),
        };
        if !self.core.mounts[mount].http.transports.contains(&transport) {
            return Err(HandshakeError::UnknownTransport);
        }
        if let Some(sid) = head.query_get("sid").filter(|sid| !sid.is_empty()) {
            let sid: Sid = sid.parse().map_err(|_| HandshakeError::UnknownSid)?;
            if sid.shard != self.core.id && sid.shard < self.core.mailboxes.shards() {
                return Ok(Wants::OtherShard(sid));
            }
            let session = self.core.find(&sid).ok_or(HandshakeError::UnknownSid)?;
            let entry = self.core.sessions.get(session);
            let entry = entry.filter(|entry| usize::from(entry.mount) == mount && !entry.session.is_over());
            if head.query_get("EIO").as_deref() != Some(PROTOCOL) {
                return Err(HandshakeError::BadRequest);
            }
            let carried_by = entry.ok_or(HandshakeError::UnknownSid)?.session.transport();
            return match (upgrade, transport) {
                (true, Transport::WebSocket) => Ok(Wants::Probe(session)),
                (false, Transport::Polling) if carried_by == Transport::Polling => {
                    Ok(Wants::Polling(session))
                }
                _ => Err(HandshakeError::BadRequest),
            };
        }
        if head.method() != Method::Get {
            return Err(HandshakeError::BadMethod);
        }
        if upgrade != (transport == Transport::WebSocket) {
            return Err(HandshakeError::BadRequest);
        }
        if head.query_get("EIO").as_deref() != Some(PROTOCOL) {
            return Err(HandshakeError::UnsupportedVersion);
        }
        Ok(Wants::Open(transport))
    }

    /// Sends a connection to the shard that its request's session lives on, the request included.
    fn hand_off(&mut self, key: Key, sid: Sid) {
        let Some(mut conn) = self.core.conns.remove(key) else { return };
        let ip = conn.ip.take();
        let Phase::Http(http) = std::mem::replace(&mut conn.phase, Phase::Linger { until: self.core.now })
        else {
            return self.core.node.disconnected(ip.map(|ip| *ip));
        };
        let out = std::mem::take(&mut conn.out);
        let address = ip.as_deref().copied();
        let sent = conn.into_stream().is_ok_and(|stream| {
            let hand_off = HandOff { stream, remote: http.remote, ip, input: http.input, out };
            self.core.mailboxes.post(sid.shard, Mail::HandOff(Box::new(hand_off))).is_ok()
        });
        if !sent {
            self.core.node.disconnected(address);
        }
    }

    /// Takes the request's head off the input.
    fn consume(&mut self, conn: Key, used: usize) {
        if let Some(http) = self.core.http_mut(conn) {
            http.input.drain(..used);
        }
    }
}

/// What a valid request is for.
enum Wants {
    /// A new session.
    Open(Transport),
    /// A poll, or a POST.
    Polling(Key),
    /// To take a session over from polling.
    Probe(Key),
    /// Another shard must tell.
    OtherShard(Sid),
}

/// A body that nobody reads would be taken for the next request: the connection ends with the answer.
pub(super) fn without_body(reply: Reply, head: &RequestHead) -> Reply {
    match head.framing() {
        crate::proto::http::Framing::None | crate::proto::http::Framing::Length(0) => reply,
        _ => reply.last(),
    }
}
