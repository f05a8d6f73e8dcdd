//! WebSocket on a connection (protocol document, "WebSocket"): opened for a session, or to take one over.

use super::Shard;
use super::app::App;
use super::conn::Phase;
use super::polling::Refusal;
use super::reply::{Reply, write_upgrade_error};
use crate::close::CloseReason;
use crate::ids::Key;
use crate::proto::eio::Packet;
use crate::proto::http::{RequestHead, Status, encode_response};
use crate::proto::ws::{self, Event, Opcode};
use crate::session::{Link, Transport};

/// What a request for a WebSocket is answered with.
struct Accepted {
    key: [u8; 28],
    subprotocol: Option<Box<str>>,
}

impl<A: App> Shard<A> {
    /// A handshake over WebSocket: the open packet is the first frame.
    pub(super) fn open_websocket(&mut self, conn: Key, mount: usize, head: RequestHead) {
        let Some(accepted) = self.check_websocket(conn, &head) else { return };
        match self.open(conn, mount, head, Transport::WebSocket) {
            Ok(session) => {
                self.switch(conn, session, Link::WebSocket, &accepted);
                if let Some(entry) = self.core.sessions.get_mut(session) {
                    entry.websocket = Some(conn);
                }
                self.core.touch(session);
            }
            Err(Refusal::Error(error)) => {
                self.core.write_conn(conn, |out| write_upgrade_error(out, &error));
                self.core.close_conn(conn);
            }
            Err(Refusal::Full(full)) => self.core.refuse_full(conn, Reply::plain(), full),
        }
    }

    /// A WebSocket for a session that polls.
    pub(super) fn probe(&mut self, conn: Key, session: Key, head: &RequestHead) {
        let Some(accepted) = self.check_websocket(conn, head) else { return };
        let (mounts, now) = (self.core.mounts.clone(), self.core.now);
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        let settings = &mounts[usize::from(entry.mount)].settings;
        let welcome = entry.session.handle_probe(settings, now);
        if welcome.is_ok() {
            entry.probe = Some(conn);
        }
        self.switch(conn, session, Link::Probe, &accepted);
        if let Err(refused) = welcome {
            // As the reference server does: the WebSocket is opened, and closed. The session does not notice.
            self.core.close_websocket(conn, 1002, &refused.to_string());
        }
        self.core.touch(session);
    }

    /// What the request is answered with; or an answer to what is no proper WebSocket request.
    fn check_websocket(&mut self, conn: Key, head: &RequestHead) -> Option<Accepted> {
        let error = match ws::check_upgrade(head) {
            Ok(key) => return Some(Accepted { key, subprotocol: ws::subprotocol(head).map(Box::from) }),
            Err(error) => error,
        };
        self.core.write_conn(conn, |out| {
            Reply::plain().write(out, error.status().0, error.headers(), error.to_string().as_bytes());
        });
        self.core.close_conn(conn);
        None
    }

    fn switch(&mut self, conn: Key, session: Key, link: Link, accepted: &Accepted) {
        let key = std::str::from_utf8(&accepted.key).unwrap_or_default();
        self.core.write_conn(conn, |out| {
            let mut headers =
                vec![("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)];
            headers.extend(accepted.subprotocol.as_deref().map(|name| ("Sec-WebSocket-Protocol", name)));
            encode_response(out, Status(101), &headers, true, b"");
        });
        let Some(entry) = self.core.conns.get_mut(conn) else { return };
        let phase = Phase::WebSocket { decoder: ws::Decoder::new(), session, link };
        if let Phase::Http(http) = std::mem::replace(&mut entry.phase, phase)
            && !http.input.is_empty()
        {
            let mut early = http.input;
            self.websocket_input(conn, &mut early);
        }
    }

    /// Bytes came on a WebSocket.
    pub(super) fn websocket_input(&mut self, key: Key, mut input: &mut [u8]) {
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        let Phase::WebSocket { decoder, session, .. } = &mut conn.phase else { return };
        let session = *session;
        // The decoder is taken out while it is used: what it yields may borrow from it.
        let mut decoder = std::mem::take(decoder);
        let limits =
            ws::Limits { max_message: self.max_payload(session), allow_rsv1: false, role: ws::Role::Server };
        while !input.is_empty() {
            let used = match decoder.decode(input, &limits) {
                Ok((used, None)) => used,
                Ok((used, Some(event))) => {
                    if !self.websocket_event(key, session, event) {
                        return;
                    }
                    used
                }
                Err(fault) => return self.websocket_fault(key, fault),
            };
            input = &mut input[used..];
        }
        if let Some(conn) = self.core.conns.get_mut(key)
            && let Phase::WebSocket { decoder: place, .. } = &mut conn.phase
        {
            *place = decoder;
        }
    }

    fn max_payload(&self, session: Key) -> usize {
        // A probe whose session has gone is about to be closed; it may still say a few words.
        self.core.settings(session).map_or(125, |settings| settings.max_payload)
    }

    /// One event; whether to go on.
    fn websocket_event(&mut self, key: Key, session: Key, event: Event<'_>) -> bool {
        if !self.within_rate(key, 1, 0) {
            self.fail(session, CloseReason::RateLimited);
            return false;
        }
        let packet = match event {
            Event::Text(text) => return self.websocket_text(key, session, &text),
            Event::Binary(data) => Packet::Binary(data),
            Event::Ping(data) => {
                self.core.write_conn(key, |out| {
                    ws::encode_header(out, Opcode::Pong, data.len(), false);
                    out.extend_from_slice(&data);
                });
                // Pongs that nobody reads must not pile up.
                let limit = self.core.settings(session).map_or(0, |settings| settings.outbox_soft);
                if self.core.conns.get(key).is_some_and(|conn| conn.out.bytes() > limit) {
                    self.conn_ended(key);
                    return false;
                }
                return true;
            }
            Event::Pong(_) => return true,
            Event::Close(code) => {
                // The code comes back (RFC 6455, section 5.5.1), then the session goes.
                self.core.close_websocket(key, code.map_or(1000, |(code, _)| code), "");
                self.link_lost(key, session, CloseReason::TransportClose);
                return false;
            }
            // Never negotiated, so the decoder has refused it already.
            Event::Compressed { .. } => return false,
        };
        self.websocket_packet(key, session, packet)
    }

    fn websocket_text(&mut self, key: Key, session: Key, text: &str) -> bool {
        match Packet::decode(text) {
            Ok(packet) => self.websocket_packet(key, session, packet),
            Err(_) if self.link(key) == Some(Link::WebSocket) => {
                self.fail(session, CloseReason::ParseError);
                false
            }
            Err(error) => {
                self.core.close_websocket(key, 1002, &error.to_string());
                self.link_lost(key, session, CloseReason::ParseError);
                false
            }
        }
    }

    fn websocket_packet(&mut self, key: Key, session: Key, packet: Packet<'_>) -> bool {
        let Some(link) = self.link(key) else { return false };
        let message = matches!(packet, Packet::Text(_) | Packet::Binary(_));
        let handled = self.handle_packet(session, link, packet);
        if !message || handled.is_err() {
            self.core.touch(session);
        }
        if link == Link::Probe && handled.is_ok() {
            self.complete_upgrade(key, session);
        }
        handled.is_ok()
    }

    /// The probe may have become the session's WebSocket.
    fn complete_upgrade(&mut self, key: Key, session: Key) {
        let Some(entry) = self.core.sessions.get_mut(session) else { return };
        if entry.session.transport() == Transport::WebSocket && entry.probe == Some(key) {
            entry.probe = None;
            entry.websocket = Some(key);
            if let Some(conn) = self.core.conns.get_mut(key)
                && let Phase::WebSocket { link, .. } = &mut conn.phase
            {
                *link = Link::WebSocket;
            }
        }
    }

    /// The peer broke the WebSocket protocol.
    fn websocket_fault(&mut self, key: Key, fault: ws::Fault) {
        let Some(Phase::WebSocket { session, .. }) = self.core.conns.get(key).map(|conn| &conn.phase) else {
            return;
        };
        let session = *session;
        let reason = match fault.code {
            1007 => CloseReason::InvalidText,
            1009 => CloseReason::TooLarge,
            _ => CloseReason::TransportError,
        };
        self.core.close_websocket(key, fault.code, fault.reason);
        self.link_lost(key, session, reason);
    }

    fn link(&self, key: Key) -> Option<Link> {
        match self.core.conns.get(key)?.phase {
            Phase::WebSocket { link, .. } => Some(link),
            Phase::Http(_) | Phase::Linger { .. } => None,
        }
    }
}
