//! HTTP long-polling (protocol document, "HTTP long-polling"): the handshake, polls and POSTs.

use super::Shard;
use super::app::App;
use super::core::Core;
use super::http::State;
use super::node::Full;
use super::reply::{HandshakeError, Reply};
use crate::close::CloseReason;
use crate::ids::Key;
use crate::proto::eio;
use crate::proto::http::{Body, HttpError, RequestHead};
use crate::session::{Link, Transport};

/// A POST whose body is being read.
#[derive(Debug)]
pub struct Post {
    body: Body,
    data: Vec<u8>,
    session: Key,
    reply: Reply,
}

impl Post {
    /// Takes what is there of the body off the input; whether it is whole.
    pub fn read(&mut self, input: &mut Vec<u8>) -> Result<bool, HttpError> {
        let (used, done) = self.body.decode(input, &mut self.data)?;
        input.drain(..used);
        Ok(done)
    }

    /// The session that it is for.
    pub fn session(&self) -> Key {
        self.session
    }
}

impl<A: App> Shard<A> {
    /// A handshake: the answer is the open packet.
    pub(super) fn open_polling(&mut self, conn: Key, mount: usize, head: RequestHead, reply: Reply) {
        let mut reply = super::http::without_body(reply, &head);
        let session = match self.open(conn, mount, head, Transport::Polling) {
            Ok(session) => session,
            Err(refused) => return self.refuse_handshake(conn, reply, &refused),
        };
        reply.cookie = self.core.sid(session);
        self.poll(conn, session, reply);
    }

    /// A poll: answered when there is something to say.
    pub(super) fn poll(&mut self, conn: Key, session: Key, reply: Reply) {
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        let overlap = entry.session.handle_poll();
        if overlap.is_ok() {
            entry.poll = Some(conn);
            if let Some(http) = self.core.http_mut(conn) {
                http.state = State::Poll { session, reply: Box::new(reply) };
            }
        } else {
            self.core.reply(conn, &reply, |reply, out| reply.write(out, 400, &[], b""));
        }
        self.core.touch(session);
    }

    /// Answers the poll that waits.
    pub(super) fn answer_poll(&mut self, session: Key, payload: &[u8]) {
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        let (Some(conn), mount) = (entry.poll.take(), usize::from(entry.mount)) else { return };
        let Some(http) = self.core.http_mut(conn) else { return };
        if let State::Poll { reply, .. } = std::mem::replace(&mut http.state, State::Head) {
            let mounts = self.core.mounts.clone();
            self.core.reply(conn, &reply, |reply, out| reply.write_poll(out, &mounts[mount].http, payload));
        }
        // The next request may be waiting behind it.
        self.http_advance(conn);
    }

    /// A POST begins.
    pub(super) fn post(&mut self, conn: Key, session: Key, head: &RequestHead, reply: Reply) {
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        if entry.session.handle_post().is_err() {
            self.core.touch(session);
            return self.core.reply(conn, &reply.last(), |reply, out| reply.write(out, 400, &[], b""));
        }
        entry.post = Some(conn);
        let limit = self.core.mounts[usize::from(entry.mount)].settings.max_payload;
        let binary = head.header("Content-Type").is_some_and(|kind| kind == "application/octet-stream");
        let body = Body::new(head.framing(), limit);
        let Some(http) = self.core.http_mut(conn) else { return };
        match body {
            Ok(body) => http.state = State::Body(Box::new(Post { body, data: Vec::new(), session, reply })),
            Err(error) => {
                // The session goes on: the client learns that this was too much.
                if let Some(entry) = self.core.sessions.get_mut(session) {
                    entry.post = None;
                    entry.session.handle_post_end();
                }
                return self.refuse(conn, reply, &error);
            }
        }
        if binary {
            // Protocol 3 had bodies of bytes; protocol 4 has text only.
            return self.fail_post(conn, CloseReason::TransportError);
        }
        if head.expects_continue() {
            self.core.write_conn(conn, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
        }
    }

    /// The body is whole: its packets are handled, then it is answered.
    pub(super) fn finish_post(&mut self, conn: Key) {
        let Some(post) = self.take_post(conn) else { return };
        match self.handle_payload(conn, post.session, &post.data) {
            Ok(()) => self.core.reply(conn, &post.reply, |reply, out| {
                reply.write(out, 200, &[("Content-Type", "text/html")], b"ok");
            }),
            Err(_) => self.core.reply(conn, &post.reply, |reply, out| reply.write(out, 400, &[], b"")),
        }
    }

    fn handle_payload(&mut self, conn: Key, session: Key, body: &[u8]) -> Result<(), CloseReason> {
        let handled = self.handle_packets(conn, session, body);
        if let Err(reason) = handled {
            self.fail(session, reason);
        }
        self.core.touch(session);
        handled
    }

    fn handle_packets(&mut self, conn: Key, session: Key, body: &[u8]) -> Result<(), CloseReason> {
        let text = std::str::from_utf8(body).map_err(|_| CloseReason::ParseError)?;
        for packet in eio::decode_payload(text) {
            let packet = packet.map_err(|_| CloseReason::ParseError)?;
            if !self.within_rate(conn, 1, 0) {
                return Err(CloseReason::RateLimited);
            }
            self.handle_packet(session, Link::Post, packet)?;
            if !self.core.is_open(session) {
                break;
            }
        }
        Ok(())
    }

    /// The body can't be read to its end.
    pub(super) fn refuse_post(&mut self, conn: Key, error: &HttpError) {
        let reply = self.take_post(conn).map_or_else(Reply::plain, |post| post.reply);
        self.refuse(conn, reply, error);
    }

    /// The POST breaks the rules: its session ends, and it is told.
    fn fail_post(&mut self, conn: Key, reason: CloseReason) {
        if let Some(post) = self.take_post(conn) {
            self.fail(post.session, reason);
            self.core.reply(conn, &post.reply.last(), |reply, out| reply.write(out, 400, &[], b""));
        }
    }

    fn take_post(&mut self, conn: Key) -> Option<Post> {
        let http = self.core.http_mut(conn)?;
        let State::Body(post) = std::mem::replace(&mut http.state, State::Head) else { return None };
        if let Some(entry) = self.core.sessions.get_mut(post.session) {
            entry.post = None;
            entry.session.handle_post_end();
        }
        Some(*post)
    }

    pub(super) fn refuse_handshake(&mut self, conn: Key, reply: Reply, refused: &Refusal) {
        match refused {
            Refusal::Error(error) => {
                self.core.reply(conn, &reply, |reply, out| reply.write_error(out, error))
            }
            Refusal::Full(full) => self.core.refuse_full(conn, reply, *full),
        }
    }
}

impl<A: App> Core<A> {
    /// Not now. The connection ends with the answer, so that the next try may reach another node.
    pub(super) fn refuse_full(&mut self, conn: Key, reply: Reply, full: Full) {
        self.reply(conn, &reply.last(), |reply, out| {
            reply.write(out, 503, &[("Retry-After", "1")], full.to_string().as_bytes());
        });
    }
}

/// Why a handshake gets no session.
#[derive(Debug)]
pub enum Refusal {
    /// The program does not want it.
    Error(HandshakeError),
    /// There is no room for it.
    Full(Full),
}
