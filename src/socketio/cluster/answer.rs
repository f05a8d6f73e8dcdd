//! Answering what other nodes ask.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::questions::missing;
use super::{Cluster, channel, wire_packet};
use crate::bus::wire;
use crate::ids::{Offset, SocketId};
use crate::socketio::encode::Body;
use crate::socketio::io::IoInner;
use crate::socketio::op::{Op, Selection, Target};
use crate::socketio::payload::EncodeError;
use crate::socketio::recovery::Found;
use crate::socketio::{AckError, Args};

/// A handler that was started.
pub enum Begun {
    Done(Result<Body, EncodeError>),
    Running(JoinHandle<Result<Body, EncodeError>>),
}

/// To whom an answer goes.
pub struct WayBack {
    pub cluster: Arc<Cluster>,
    pub node: String,
    pub question: u64,
}

impl WayBack {
    /// Sends an answer, or a part of one.
    pub fn send(&self, last: bool, what: wire::Answer<'_>) {
        let answer = wire::Body::Answer { question: self.question, last, what };
        // What is lost on the way is what the asking node does not wait for beyond its time.
        self.cluster.publish(&[channel::of_node(&self.node).into()], answer);
    }

    /// Asks sockets for acks, and passes them on as they come.
    pub fn acks(self, io: &Arc<IoInner>, to: Selection, body: Body, timeout: Duration) {
        let (body, target) = (Arc::new(body), Target::Sockets(Arc::new(to)));
        let (waiter, mut answers) = mpsc::unbounded_channel();
        io.post_all(target, |target| Op::RequestMany {
            target,
            body: body.clone(),
            timeout,
            waiter: waiter.clone(),
        });
        drop(waiter);
        let runtime = self.cluster.runtime.clone();
        runtime.spawn(async move {
            let mut batch = Vec::new();
            loop {
                let last = answers.recv_many(&mut batch, ACKS_IN_A_PART).await == 0;
                self.send(last, wire::Answer::Acks(batch.iter().map(ack).collect()));
                if last {
                    return;
                }
                batch.clear();
            }
        });
    }

    /// Names sockets.
    pub fn sockets(self, io: &Arc<IoInner>, of: Selection) {
        let (found, mut sockets) = mpsc::unbounded_channel();
        io.post_all(Target::Sockets(Arc::new(of)), |target| Op::Fetch { target, found: found.clone() });
        drop(found);
        let runtime = self.cluster.runtime.clone();
        runtime.spawn(async move {
            let mut batch = Vec::new();
            loop {
                let last = sockets.recv_many(&mut batch, SOCKETS_IN_A_PART).await == 0;
                self.send(
                    last,
                    wire::Answer::Sockets(batch.iter().map(|(s, rooms)| s.to_wire(rooms)).collect()),
                );
                if last {
                    return;
                }
                batch.clear();
            }
        });
    }

    /// Gives a session up to the node that asks for it, with what its client has missed.
    pub fn missed(self, found: Option<Found>) {
        let Some(Found { session, had, missed }) = found else {
            return self.send(true, wire::Answer::NotKept);
        };
        let events: Vec<_> = missed
            .into_iter()
            .map(|(offset, content)| (offset, content.frames(&session.namespace)))
            .collect();
        let (runtime, rooms) = (self.cluster.runtime.clone(), session.rooms);
        runtime.spawn(async move {
            // What was also sent to the other node must not come there behind this answer.
            self.cluster.settle().await;
            self.missed_in_parts(had, events, &rooms);
        });
    }

    fn missed_in_parts(&self, had: Vec<Offset>, missed: Vec<(Offset, Bytes)>, rooms: &HashSet<Arc<str>>) {
        let (mut had, mut events, mut bytes) = (had, Vec::new(), 0);
        for (offset, frames) in missed {
            bytes += frames.len();
            events.push((offset, frames));
            if bytes > MISSED_IN_A_PART {
                let (had, events) = (std::mem::take(&mut had), std::mem::take(&mut events));
                self.send(false, wire::Answer::Missed { had, events, rooms: Vec::new() });
                bytes = 0;
            }
        }
        let rooms = rooms.iter().map(|room| Cow::Borrowed(&**room)).collect();
        self.send(true, wire::Answer::Missed { had, events, rooms });
    }

    /// Passes the program's answer on.
    pub fn server(self, begun: Option<Begun>) {
        let answer = |way_back: &WayBack, body: Option<Result<Body, EncodeError>>| {
            let body = body.and_then(Result::ok);
            way_back.send(true, wire::Answer::Server(body.as_ref().map(wire_packet)));
        };
        match begun {
            None => answer(&self, None),
            Some(Begun::Done(body)) => answer(&self, Some(body)),
            Some(Begun::Running(running)) => {
                let runtime = self.cluster.runtime.clone();
                runtime.spawn(async move { answer(&self, running.await.ok()) });
            }
        }
    }
}

const ACKS_IN_A_PART: usize = 1000;
const SOCKETS_IN_A_PART: usize = 200;
/// Bytes of events.
const MISSED_IN_A_PART: usize = 256 * 1024;

fn ack(
    answer: &(SocketId, Result<Args, AckError>),
) -> (Cow<'_, str>, Result<wire::Packet<'_>, wire::Missing>) {
    let (socket, answer) = answer;
    let packet = |args| wire::Packet {
        json: Cow::Borrowed(Args::json(args).as_bytes()),
        attachments: args.attachments().to_vec(),
    };
    (Cow::Owned(socket.to_string()), answer.as_ref().map_err(missing).map(packet))
}
