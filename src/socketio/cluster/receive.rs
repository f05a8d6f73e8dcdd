//! What other nodes say, done here.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::questions::Reply;
use super::{Cluster, PATTERN, answer, channel};
use crate::bus::Sink;
use crate::bus::wire::{self, Message};
use crate::close::CloseReason;
use crate::ids::{Offset, Pid};
use crate::proto::sio::Kind;
use crate::socketio::encode::Body;
use crate::socketio::io::IoInner;
use crate::socketio::local;
use crate::socketio::op::{Frames, Op, Selection, Target, Which};
use crate::socketio::recovery::{Claim, Claimer, Content};
use crate::socketio::{Args, RemoteSocket};

/// The sink of a server. It holds nothing alive.
pub struct Receiver {
    io: Weak<IoInner>,
    cluster: Weak<Cluster>,
}

impl Receiver {
    pub fn new(io: Weak<IoInner>, cluster: Weak<Cluster>) -> Self {
        Receiver { io, cluster }
    }
}

impl Sink for Receiver {
    fn message(&self, _: &str, message: Bytes) {
        let (Some(io), Some(cluster)) = (self.io.upgrade(), self.cluster.upgrade()) else { return };
        match Message::decode(&message) {
            // Shards, too, may tell what came, and others tell what came before.
            Ok(message) => local::by_mail(|| receive(&io, &cluster, message)),
            Err(error) => tracing::debug!(%error, "a message of another node is not understood"),
        }
    }

    fn restored(&self) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        cluster.publish(&[channel::ALL.into()], wire::Body::Hello { wants_answer: true });
    }
}

fn receive(io: &Arc<IoInner>, cluster: &Arc<Cluster>, message: Message<'_>) {
    let Message { node, run, number, body } = message;
    let news = match body {
        wire::Body::Bye => cluster.lock_members().handle_bye(&node, run),
        _ => cluster.lock_members().handle_heard(&node, run, Instant::now()),
    };
    cluster.tell(news);
    match body {
        wire::Body::Bye => (),
        wire::Body::Hello { wants_answer } => {
            if wants_answer {
                let here = wire::Body::Hello { wants_answer: false };
                cluster.publish(&[channel::of_node(&node).into()], here);
            }
        }
        wire::Body::Emit { to, volatile, offset, packet } => {
            // What is dropped where nobody is ready is not sent again either.
            if volatile && to.rooms.len() < 2 || cluster.lock_members().is_first(&node, number) {
                emit(io, &to, volatile, offset, &packet);
            }
        }
        wire::Body::Rooms { of, join, leave } => {
            let Some(target) = target(io, &of) else { return };
            let (join, leave) = (shared(&join), shared(&leave));
            io.post_all(target, |target| Op::Rooms { target, join: join.clone(), leave: leave.clone() });
        }
        wire::Body::Disconnect { of, close } => {
            if let Some(target) = target(io, &of) {
                let close = close.then_some(CloseReason::ForcedClose);
                io.post_all(target, |target| Op::Disconnect { target, close });
            }
        }
        wire::Body::Server { packet } => drop(begin(cluster, &node, &packet)),
        wire::Body::Ask { question, timeout_ms, what } => {
            let timeout = Duration::from_millis(timeout_ms).min(MAX_TIMEOUT);
            let way_back = answer::WayBack { cluster: cluster.clone(), node: node.into_owned(), question };
            match what {
                wire::Ask::Acks { to, packet } => match selection(io, &to) {
                    Some(of) => way_back.acks(io, of, body_of(packet, None), timeout),
                    None => way_back.send(true, wire::Answer::Acks(Vec::new())),
                },
                wire::Ask::Sockets { of } => match selection(io, &of) {
                    Some(of) => way_back.sockets(io, of),
                    None => way_back.send(true, wire::Answer::Sockets(Vec::new())),
                },
                wire::Ask::Server { packet } => {
                    let name = way_back.node.clone();
                    way_back.server(begin(cluster, &name, &packet));
                }
                wire::Ask::Release { pid, namespace } => {
                    release(io, &pid, &namespace, way_back, &cluster.runtime);
                }
                wire::Ask::Missed { pid, namespace, offset } => {
                    give(io, &pid, &namespace, offset, way_back, &cluster.runtime)
                }
            }
        }
        wire::Body::Answer { question, last, what } => {
            let reply = match what {
                wire::Answer::Acks(acks) => Reply::Acks(acks.into_iter().filter_map(ack).collect()),
                wire::Answer::Sockets(sockets) => {
                    let of_node: Arc<str> = (*node).into();
                    let socket = |socket| RemoteSocket::of_wire(io, of_node.clone(), &socket);
                    Reply::Sockets(sockets.into_iter().filter_map(socket).collect())
                }
                wire::Answer::Server(answer) => Reply::Server(answer.and_then(|packet| args(&packet))),
                wire::Answer::Missed { had, events, rooms } => {
                    let event = |(offset, frames)| (offset, Content::Frames(frames));
                    let rooms = rooms.iter().map(|room| Arc::from(&**room)).collect();
                    Reply::Missed { had, events: events.into_iter().map(event).collect(), rooms }
                }
                wire::Answer::NotKept => Reply::NotKept,
                wire::Answer::Released(was_here) => Reply::Released(was_here),
            };
            cluster.lock_questions().handle_answer(question, &node, last, reply);
        }
    }
}

/// Gives a session up to another node, if it is kept here.
fn give(
    io: &Arc<IoInner>,
    pid: &str,
    namespace: &str,
    offset: Offset,
    way_back: answer::WayBack,
    runtime: &Handle,
) {
    let Ok(pid) = pid.parse::<Pid>() else { return way_back.missed(None) };
    let (io, namespace) = (io.clone(), namespace.into());
    runtime.spawn(async move {
        let Some(recovery) = &io.recovery else { return way_back.missed(None) };
        // What others sent before the question may come by other channels.
        way_back.cluster.settle().await;
        recovery.emits.wait().await;
        let shard = recovery.shard_of(&pid);
        if shard >= io.shards() {
            return way_back.missed(None);
        }
        let by = Claimer::Node(way_back);
        // A shard that has ended says nothing, as a node does that is gone.
        io.post_to(shard, Op::Claim { claim: Claim { pid, offset }, namespace, by });
    });
}

/// Leaves a session for another node, if it is here: its client says there that it has lost its connection to here.
fn release(io: &Arc<IoInner>, pid: &str, namespace: &str, way_back: answer::WayBack, runtime: &Handle) {
    let answer = wire::Answer::Released;
    let (Some(recovery), Ok(pid)) = (&io.recovery, pid.parse::<Pid>()) else {
        return way_back.send(true, answer(false));
    };
    let (done, released) = oneshot::channel();
    io.mail_to(recovery.shard_of(&pid), Op::Release { pid, namespace: namespace.into(), done });
    runtime.spawn(async move {
        // Where there is no such shard, nobody answers, and it is known at once.
        let was_here = released.await.unwrap_or(false);
        if was_here {
            way_back.cluster.released().await;
        }
        way_back.send(true, answer(was_here));
    });
}

/// However long another node would have it wait.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

fn emit(
    io: &Arc<IoInner>,
    to: &wire::Selection<'_>,
    volatile: bool,
    offset: Option<Offset>,
    packet: &wire::Packet<'_>,
) {
    let Some(selection) = selection(io, to) else { return };
    let body = body_of(packet.clone(), offset);
    let named = match &selection.namespace {
        Which::Named(name) => Some(name.clone()),
        Which::Of(_) => None,
    };
    let target = Target::Sockets(Arc::new(selection));
    let _emitting = io.recovery.as_ref().map(|recovery| recovery.emits.begin());
    match named {
        Some(namespace) => {
            let frames = body.frames(Kind::Event, &namespace, None);
            io.post_all(target, |target| Op::Send {
                target,
                frames: Frames::Shared(frames.clone()),
                volatile,
                offset,
            });
        }
        None => {
            let body = Arc::new(body);
            io.post_all(target, |target| Op::SendNamed { target, body: body.clone(), volatile });
        }
    }
}

/// Starts the program's handler of an event, and runs it until it first waits. `None`: there is none.
fn begin(cluster: &Arc<Cluster>, node: &str, packet: &wire::Packet<'_>) -> Option<answer::Begun> {
    let text = std::str::from_utf8(&packet.json).ok()?;
    let event = crate::proto::sio::Args::of_event(text).ok()?;
    let handler = cluster.of_nodes.handler(&event.name)?;
    let args = Args::new(event.list, &packet.attachments);
    let begun = catch_unwind(AssertUnwindSafe(|| {
        // What it spawns does not belong on the bus's thread.
        let _on = cluster.runtime.enter();
        let mut running = handler(node.into(), args);
        match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer::Begun::Done(answer),
            Poll::Pending => answer::Begun::Running(cluster.runtime.spawn(running)),
        }
    }));
    begun
        .inspect_err(
            |_| tracing::error!(event = %event.name, "a handler of another node's event has panicked"),
        )
        .ok()
}

fn target(io: &IoInner, of: &wire::Selection<'_>) -> Option<Target> {
    selection(io, of).map(|selection| Target::Sockets(Arc::new(selection)))
}

fn selection(io: &IoInner, of: &wire::Selection<'_>) -> Option<Selection> {
    let namespace = match of.namespace.strip_prefix(PATTERN) {
        Some(number) => Which::Of(io.pattern(number.parse().ok()?)?),
        None => Which::Named((*of.namespace).into()),
    };
    let names = |names: &[Cow<'_, str>]| names.iter().map(|name| Arc::from(&**name)).collect();
    Some(Selection { namespace, rooms: names(&of.rooms), except: names(&of.except), skip: None })
}

fn shared(names: &[Cow<'_, str>]) -> Arc<[Arc<str>]> {
    names.iter().map(|name| Arc::from(&**name)).collect()
}

fn body_of(packet: wire::Packet<'_>, offset: Option<Offset>) -> Body {
    Body::from_parts(packet.json.into_owned(), packet.attachments, offset)
}

fn args(packet: &wire::Packet<'_>) -> Option<Args> {
    Args::of_array(std::str::from_utf8(&packet.json).ok()?, &packet.attachments)
}

type WireAck<'a> = (Cow<'a, str>, Result<wire::Packet<'a>, wire::Missing>);

fn ack(
    (socket, answer): WireAck<'_>,
) -> Option<(crate::ids::SocketId, Result<Args, crate::socketio::AckError>)> {
    let answer = match answer {
        Ok(packet) => Ok(args(&packet)?),
        Err(missing) => Err(missing.into()),
    };
    Some((socket.parse().ok()?, answer))
}
