//! Sessions of clients that were cut off, between nodes: left for the others, and taken over from them.
//!
//! The node that keeps a session leaves a short record of it in the [`Sessions`] that all nodes share. A node that the
//! client comes to takes that record, which one of them gets, and asks the keeper for the session and for what the client
//! has missed. Only where the keeper is gone does the record have to do.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::questions::Reply;
use super::{Cluster, channel};
use crate::bus::{BusError, BusFuture, Sessions, wire};
use crate::ids::{Offset, Pid};
use crate::socketio::RecoveredSession;
use crate::socketio::io::IoInner;
use crate::socketio::recovery::{Claim, Content, Found, Luggage, Session};
use crate::socketio::remote::MAX_TIME_MS;

/// The way to the sessions that nodes share: what is asked of them is done in the order of asking, by a task of its own.
pub struct Records {
    sessions: Arc<dyn Sessions>,
    work: mpsc::UnboundedSender<Work>,
}

enum Work {
    Put {
        pid: Pid,
        record: Bytes,
        keep: Duration,
    },
    TakeBack {
        pid: Pid,
    },
    /// All that was asked for before is done.
    Done(oneshot::Sender<()>),
}

/// A client is kept waiting for so long at most by a node that does not say whether it has its session. Such a node has
/// likely died, with all its clients, who come here now.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(500);

/// So many are asked for at once.
const BATCH: usize = 256;

impl Records {
    pub fn new(sessions: Arc<dyn Sessions>, runtime: &Handle) -> Self {
        let (work, todo) = mpsc::unbounded_channel();
        runtime.spawn(do_all(sessions.clone(), todo));
        Records { sessions, work }
    }

    fn ask(&self, work: Work) {
        // The task lives as long as its runtime.
        let _ = self.work.send(work);
    }

    /// Waits until all is done that was asked for.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        self.ask(Work::Done(done));
        let _ = is_done.await;
    }
}

async fn do_all(sessions: Arc<dyn Sessions>, mut todo: mpsc::UnboundedReceiver<Work>) {
    let (mut batch, mut failing) = (Vec::new(), false);
    while todo.recv_many(&mut batch, BATCH).await > 0 {
        let mut begun: Vec<BusFuture<Result<(), BusError>>> = Vec::with_capacity(batch.len());
        let mut told = Vec::new();
        for work in batch.drain(..) {
            match work {
                Work::Put { pid, record, keep } => begun.push(sessions.put(&pid.to_string(), record, keep)),
                Work::TakeBack { pid } => {
                    let taken = sessions.take(&pid.to_string());
                    begun.push(Box::pin(async move { taken.await.map(drop) }));
                }
                Work::Done(done) => told.push(done),
            }
        }
        for begun in begun {
            match begun.await {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => tracing::warn!(
                    %error,
                    "sessions of clients that were cut off can't be left for other nodes: they recover on this node only"
                ),
                Err(_) => (),
            }
        }
        // Nobody may wait any more, which is fine.
        told.into_iter().for_each(|done| _ = done.send(()));
    }
}

/// What the keeper of a session answers.
enum Answer {
    Missed {
        had: Vec<Offset>,
        events: Vec<(Offset, Content)>,
        rooms: Vec<Arc<str>>,
    },
    NotKept,
    /// Nothing: it is gone, or cut off.
    Silence,
}

impl Cluster {
    /// Leaves a session that this node keeps for the other nodes.
    pub fn leave_session(&self, session: &Session, keep: Duration) {
        let Some(records) = &self.records else { return };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = wire::Session {
            node: Cow::Borrowed(&self.node),
            run: self.run,
            namespace: Cow::Borrowed(&session.namespace),
            id: Cow::Owned(session.id.to_string()),
            rooms: session.rooms.iter().map(|room| Cow::Borrowed(&**room)).collect(),
            data: Cow::Borrowed(&session.luggage.saved),
            time_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        };
        records.ask(Work::Put { pid: session.pid, record: record.encode(), keep });
    }

    /// A session is not to be had by other nodes any more.
    pub fn take_back_session(&self, pid: &Pid) {
        if let Some(records) = &self.records {
            records.ask(Work::TakeBack { pid: *pid });
        }
    }

    /// Whether sessions are left for other nodes, and by them.
    pub fn shares_sessions(&self) -> bool {
        self.records.is_some()
    }

    /// Gets a session that another node keeps, or has left behind.
    pub async fn find_session(
        self: &Arc<Self>,
        io: &Arc<IoInner>,
        claim: Claim,
        namespace: Arc<str>,
    ) -> Option<Found> {
        let (cluster, io) = (self.clone(), io.clone());
        let finding = self.runtime.spawn(async move { cluster.take_over(&io, claim, namespace).await });
        // A program's handler that panics does not vouch.
        finding.await.ok().flatten()
    }

    async fn take_over(
        self: &Arc<Self>,
        io: &Arc<IoInner>,
        claim: Claim,
        namespace: Arc<str>,
    ) -> Option<Found> {
        let record = match self.take_record(&claim.pid).await {
            Some(record) => record,
            // The node that has the client may not have noticed yet that it is gone.
            None if self.ask_for_release(&claim.pid, &namespace).await => {
                self.take_record(&claim.pid).await?
            }
            None => return None,
        };
        let record = wire::Session::decode(&record)
            .inspect_err(|error| tracing::debug!(%error, "a session of another node is not understood"))
            .ok()?;
        if *record.namespace != *namespace {
            return None;
        }
        let (id, (definition, _)) = (record.id.parse().ok()?, io.definition(&namespace)?);
        let rooms: Vec<Arc<str>> = record.rooms.iter().map(|room| Arc::from(&**room)).collect();
        // First the channels: what is sent from now on is known here, what was sent before is known there.
        let (held, in_force) = self.hold(&namespace, &rooms);
        in_force.await;
        let (had, missed, rooms) = match self.ask_keeper(&record, claim).await {
            Answer::Missed { had, events, rooms } => (had, events, rooms),
            Answer::NotKept => return None,
            Answer::Silence => {
                let vouch = io.recovery.as_ref()?.vouch()?;
                let data = Bytes::copy_from_slice(&record.data);
                let since = UNIX_EPOCH + Duration::from_millis(record.time_ms.min(MAX_TIME_MS));
                let session =
                    RecoveredSession::new(id, namespace.clone(), rooms.clone(), data, claim.offset, since);
                if !vouch(session.clone()).await {
                    return None;
                }
                (Vec::new(), session.take_emitted(), rooms)
            }
        };
        let luggage = Luggage { extensions: None, saved: Bytes::copy_from_slice(&record.data) };
        let (rooms, held) = (rooms.into_iter().collect::<HashSet<_>>(), Some(held));
        let session = Session { pid: claim.pid, id, namespace, definition, rooms, luggage, held, since: 0 };
        Some(Found { session, had, missed })
    }

    async fn take_record(&self, pid: &Pid) -> Option<Bytes> {
        let record = self.records.as_ref()?.sessions.take(&pid.to_string()).await;
        record.inspect_err(|error| tracing::debug!(%error, "a session can't be asked for")).ok()?
    }

    /// Whether another node had the session, and has left it now.
    async fn ask_for_release(&self, pid: &Pid, namespace: &str) -> bool {
        let what =
            wire::Ask::Release { pid: Cow::Owned(pid.to_string()), namespace: Cow::Borrowed(namespace) };
        let by = self.answers_by(Duration::ZERO).min(Instant::now() + RELEASE_TIMEOUT);
        let mut released = false;
        let all = |_: &Arc<str>, reply| released |= matches!(reply, Reply::Released(true));
        self.ask_some(self.others(), channel::ALL.into(), what, Duration::ZERO, by, all).await;
        released
    }

    /// Leaves a session for the other nodes that is kept here by now.
    pub async fn released(&self) {
        if let Some(records) = &self.records {
            records.flush().await;
        }
    }

    async fn ask_keeper(&self, record: &wire::Session<'_>, claim: Claim) -> Answer {
        let Some(keeper) = self.lock_members().get(&record.node, record.run) else { return Answer::Silence };
        let what = wire::Ask::Missed {
            pid: Cow::Owned(claim.pid.to_string()),
            namespace: Cow::Borrowed(&record.namespace),
            offset: claim.offset,
        };
        let via = channel::of_node(&keeper);
        let (mut had, mut events, mut rooms, mut is_kept) = (Vec::new(), Vec::new(), Vec::new(), true);
        let all = |_: &Arc<str>, reply| match reply {
            Reply::Missed { had: more_had, events: more_events, rooms: in_the_end } => {
                rooms = in_the_end;
                had.extend(more_had);
                events.extend(more_events);
            }
            _ => is_kept = false,
        };
        let by = self.answers_by(Duration::ZERO);
        let silent = self.ask_some(vec![keeper], via.into(), what, Duration::ZERO, by, all).await;
        match (silent.is_empty(), is_kept) {
            (false, _) => Answer::Silence,
            (true, true) => {
                // What the keeper knew when it answered, and this node was sent, too, may have come by other channels.
                self.settle().await;
                Answer::Missed { had, events, rooms }
            }
            (true, false) => Answer::NotKept,
        }
    }
}
