//! The loop of a shard, turn by turn.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::app::App;
use super::conn::{Phase, Read, Written};
use super::core::Timer;
use super::mail::Mail;
use super::{Shard, ready};
use crate::close::CloseReason;
use crate::ids::Key;
use crate::proto::ws::{self, Opcode};
use crate::session::{Output, Time};
use crate::turns;

/// So many connections are accepted in one turn, that those already there are not kept waiting.
const ACCEPTS_PER_TURN: usize = 64;
/// A turn that does so much is followed by giving way. Two: what comes alone is not kept waiting by a call more.
const MUCH: usize = 2;
/// How long to wait when the system has no more files or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<A: App> Shard<A> {
    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let mut sleep = Box::pin(tokio::time::sleep_until(Instant::from_std(self.start)));
        // The budget that tokio gives a task is meant for tasks of one connection.
        tokio::task::unconstrained(poll_fn(|context| self.turn(context, sleep.as_mut()))).await;
    }

    fn turn(&mut self, context: &mut Context<'_>, sleep: Pin<&mut Sleep>) -> Poll<()> {
        ready::begin_turn();
        self.core.now = Time(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
        let came = self.read_mail(context.waker()) + self.read_ready();
        if let Some(busy_poll) = self.busy_poll.as_ref().filter(|_| came > 0) {
            busy_poll.something_came();
        }
        self.fire_timers();
        self.accept(context);
        self.settle_all();
        if self.is_stopped() {
            return Poll::Ready(());
        }
        if came >= MUCH {
            turns::give_way();
        }
        self.sleep(context, sleep);
        ready::end_turn(context.waker());
        Poll::Pending
    }

    /// How much there was.
    fn read_mail(&mut self, waker: &Waker) -> usize {
        let mut mail = std::mem::take(&mut self.mail);
        self.core.mailboxes.take(self.core.id, waker, &mut mail);
        let came = mail.len();
        for mail in mail.drain(..) {
            match mail {
                Mail::App(mail) => self.app.mail(&mut self.core, mail),
                Mail::HandOff(hand_off) => self.taken_over(*hand_off),
                Mail::Close => self.close_sessions(),
                Mail::Stop { by } => self.stop(by),
            }
        }
        self.mail = mail;
        came
    }

    fn accept(&mut self, context: &mut Context<'_>) {
        if !self.core.accepting || self.accept_at > self.core.now {
            return;
        }
        for index in 0..self.listeners.len() {
            for n in 0.. {
                if n == ACCEPTS_PER_TURN {
                    context.waker().wake_by_ref();
                    break;
                }
                match self.listeners[index].poll_accept(context) {
                    Poll::Pending => break,
                    Poll::Ready(Ok((stream, remote))) => {
                        self.accept_failing = false;
                        self.accepted(stream, remote);
                    }
                    Poll::Ready(Err(error)) if is_of_one_connection(&error) => (),
                    Poll::Ready(Err(error)) => {
                        if !std::mem::replace(&mut self.accept_failing, true) {
                            tracing::warn!(shard = self.core.id, %error, "can't accept, trying on until it works");
                        }
                        self.accept_at = self.core.now + ACCEPT_PAUSE;
                        return;
                    }
                }
            }
        }
    }

    /// How many connections were ready.
    fn read_ready(&mut self) -> usize {
        let mut list = std::mem::take(&mut self.ready);
        ready::take(&mut list);
        let came = list.len();
        for key in list.drain(..) {
            if self.core.conns.get(key).is_some_and(|conn| !conn.out.is_empty()) {
                self.core.touch_conn(key);
            }
            self.conn_ready(key);
        }
        self.ready = list;
        came
    }

    /// Reads what there is on a connection, a scratch buffer's worth per turn.
    pub(super) fn conn_ready(&mut self, key: Key) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(conn) = self.core.conns.get_mut(key) {
            match conn.read(key, &mut scratch) {
                Read::Nothing => break,
                Read::End => {
                    self.conn_ended(key);
                    break;
                }
                Read::Some(n) => {
                    self.input(key, &mut scratch[..n]);
                    if n == scratch.len() {
                        // There is more; the others come first.
                        ready::push(key);
                        break;
                    }
                }
            }
        }
        self.scratch = scratch;
    }

    fn input(&mut self, key: Key, bytes: &mut [u8]) {
        let websocket_of = match self.core.conns.get(key).map(|conn| &conn.phase) {
            Some(Phase::Http(_)) => None,
            Some(Phase::WebSocket { session, .. }) => Some(*session),
            Some(Phase::Linger { .. }) | None => return,
        };
        match (self.within_rate(key, 0, bytes.len()), websocket_of) {
            (true, None) => self.http_input(key, bytes),
            (true, Some(_)) => self.websocket_input(key, bytes),
            (false, None) => self.conn_ended(key),
            (false, Some(session)) => self.fail(session, CloseReason::RateLimited),
        }
    }

    fn fire_timers(&mut self) {
        let mut fired = std::mem::take(&mut self.fired);
        self.core.wheel.advance(self.core.now, &mut fired);
        for timer in fired.drain(..) {
            match timer {
                Timer::Conn(key) => self.core.conn_timeout(key),
                Timer::Session(key) => self.session_timeout(key),
                Timer::Wake => (),
            }
        }
        self.fired = fired;
    }

    fn session_timeout(&mut self, key: Key) {
        let now = self.core.now;
        let Some(entry) = self.core.sessions.get_mut(key) else { return };
        entry.armed = Time::NEVER;
        if entry.session.poll_timeout() <= now {
            let settings = &self.core.mounts[usize::from(entry.mount)].settings;
            entry.session.handle_timeout(settings, now);
        }
        if entry.deadline <= now {
            entry.deadline = Time::NEVER;
            self.app.timeout(&mut self.core, key);
        }
        // Not with the others at the end: when many pings are due, each leaves while its session is in the caches.
        self.settle(key);
        self.flush_all();
    }

    /// Carries out what the sessions want, and writes what there is to write, until there is nothing.
    fn settle_all(&mut self) {
        loop {
            self.app.turn(&mut self.core);
            if self.core.dirty_sessions.is_empty() && self.core.dirty_conns.is_empty() {
                return;
            }
            let mut next = 0;
            while let Some(key) = self.core.dirty_sessions.get(next).copied() {
                next += 1;
                self.settle(key);
            }
            self.core.dirty_sessions.clear();
            self.flush_all();
        }
    }

    /// In the order in which they were listed: a client that hears the noop of an upgrade before the probe's answer would
    /// poll once more.
    fn flush_all(&mut self) {
        let mut next = 0;
        while let Some(key) = self.core.dirty_conns.get(next).copied() {
            next += 1;
            self.flush(key);
        }
        self.core.dirty_conns.clear();
    }

    fn settle(&mut self, key: Key) {
        if let Some(entry) = self.core.sessions.get_mut(key) {
            entry.dirty = false;
        }
        loop {
            let Some(entry) = self.core.sessions.get_mut(key) else { return };
            let websocket = entry.websocket.and_then(|conn| self.core.conns.get_mut(conn).map(|c| (conn, c)));
            let writable = websocket.as_ref().is_some_and(|(_, conn)| conn.out.is_empty());
            match entry.session.poll_output(writable) {
                None => break,
                Some(Output::Frames(mut frames)) => {
                    if let Some((key, conn)) = websocket {
                        conn.out.append(&mut frames);
                        self.core.touch_conn(key);
                    }
                }
                Some(Output::AnswerPoll(payload)) => self.answer_poll(key, &payload),
                Some(Output::Probe(packet)) => {
                    // The client may have completed its upgrade in the same turn.
                    if let Some(probe) = entry.probe.or(entry.websocket) {
                        self.core.write_conn(probe, |out| {
                            ws::encode_header(out, Opcode::Text, packet.len(), false);
                            out.extend_from_slice(packet.as_bytes());
                        });
                    }
                }
                Some(Output::CloseProbe) => {
                    if let Some(probe) = entry.probe.take() {
                        self.core.close_websocket(probe, 1002, "the upgrade was given up");
                    }
                }
                Some(Output::Closed(reason)) => return self.session_closed(key, reason),
            }
        }
        self.core.arm(key);
    }

    fn session_closed(&mut self, key: Key, reason: CloseReason) {
        let Some(entry) = self.core.sessions.remove(key) else { return };
        self.core.node.session_closed(reason);
        if let Some(ip) = entry.ip {
            self.core.node.address_left(*ip);
        }
        if let Some(websocket) = entry.websocket {
            self.core.close_websocket(websocket, reason.ws_code(), reason.as_str());
        }
        if let Some(probe) = entry.probe {
            self.core.close_websocket(probe, 1002, "the session is over");
        }
        if let Some(post) = entry.post {
            // Nobody is there for the rest of its body.
            self.core.drop_conn(post);
        }
        if let Some(client) = entry.client {
            self.app.closed(&mut self.core, client, reason);
        }
    }

    fn flush(&mut self, key: Key) {
        let Some(conn) = self.core.conns.get_mut(key) else { return };
        conn.dirty = false;
        match conn.flush(key) {
            Written::Blocked => (),
            Written::Broken => self.conn_ended(key),
            Written::All => {
                if conn.closing {
                    conn.closing = false;
                    conn.shutdown();
                }
                // What the session kept back while the connection was blocked can go now.
                if let Phase::WebSocket { session, .. } = conn.phase
                    && let Some(entry) = self.core.sessions.get(session)
                    && (entry.session.queued_bytes() > 0 || !entry.session.is_open())
                {
                    self.core.touch(session);
                }
            }
        }
    }

    fn close_sessions(&mut self) {
        for session in self.core.session_keys() {
            self.core.close(session, CloseReason::ShuttingDown);
        }
    }

    fn stop(&mut self, by: Time) {
        self.core.accepting = false;
        self.listeners.clear();
        self.stop_by = Some(by);
        for conn in self.core.conns.keys() {
            if self.core.http_mut(conn).is_some_and(|http| http.is_idle()) {
                self.core.close_conn(conn);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        let Some(by) = self.stop_by else { return false };
        by <= self.core.now || (self.core.conns.is_empty() && !self.app.is_busy())
    }

    fn sleep(&mut self, context: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) {
        let mut next = self.core.wheel.next();
        if self.core.accepting && self.accept_at > self.core.now {
            next = next.min(self.accept_at);
        }
        if let Some(by) = self.stop_by {
            // What the application is busy with does not wake the shard when it is over.
            next = next.min(by).min(self.core.now + super::STOP_CHECK);
        }
        if next == Time::NEVER {
            return;
        }
        let at = Instant::from_std(self.start) + Duration::from_millis(next.0);
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        if sleep.poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

/// The connection was gone before it was accepted: nothing is wrong here.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
