//! Questions to the other nodes, and who waits for the answers.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::bus::wire;
use crate::ids::{Offset, SocketId};
use crate::socketio::recovery::Content;
use crate::socketio::{AckError, Args, RemoteSocket};

/// What a node answers, taken out of its message.
pub enum Reply {
    Acks(Vec<(SocketId, Result<Args, AckError>)>),
    Sockets(Vec<RemoteSocket>),
    Server(Option<Args>),
    Missed { had: Vec<Offset>, events: Vec<(Offset, Content)>, rooms: Vec<Arc<str>> },
    NotKept,
    Released(bool),
}

/// A part of an answer.
pub struct Part {
    pub node: Arc<str>,
    pub last: bool,
    /// `None`: the node is gone, and will not answer.
    pub answer: Option<Reply>,
}

/// Pending questions by number.
#[derive(Default)]
pub struct Questions {
    next: u64,
    pending: HashMap<u64, Pending>,
}

struct Pending {
    /// Who may answer.
    asked: Vec<Arc<str>>,
    answers: mpsc::UnboundedSender<Part>,
}

impl Questions {
    /// A question to these nodes: its number, and where the answers arrive.
    pub fn begin(&mut self, asked: Vec<Arc<str>>) -> (u64, mpsc::UnboundedReceiver<Part>) {
        self.next += 1;
        let (answers, receiver) = mpsc::unbounded_channel();
        self.pending.insert(self.next, Pending { asked, answers });
        (self.next, receiver)
    }

    /// Nobody waits any more.
    pub fn end(&mut self, question: u64) {
        self.pending.remove(&question);
    }

    /// A node has answered. What nobody waits for is dropped, as is what nobody asked that node.
    pub fn handle_answer(&mut self, question: u64, node: &str, last: bool, answer: Reply) {
        let Some(pending) = self.pending.get(&question) else { return };
        if let Some(node) = pending.asked.iter().find(|name| ***name == *node) {
            let _ = pending.answers.send(Part { node: node.clone(), last, answer: Some(answer) });
        }
    }

    /// A node will not answer any more.
    pub fn gone(&mut self, node: &Arc<str>) {
        for pending in self.pending.values().filter(|pending| pending.asked.contains(node)) {
            let _ = pending.answers.send(Part { node: node.clone(), last: true, answer: None });
        }
    }
}

/// Between the reasons here and those on the wire.
pub fn missing(error: &AckError) -> wire::Missing {
    match error {
        AckError::Timeout => wire::Missing::Timeout,
        AckError::TooMany => wire::Missing::TooMany,
        AckError::Disconnected | AckError::Unexpected(_) | AckError::Encode(_) => wire::Missing::Disconnected,
    }
}

impl From<wire::Missing> for AckError {
    fn from(missing: wire::Missing) -> Self {
        match missing {
            wire::Missing::Timeout => AckError::Timeout,
            wire::Missing::Disconnected => AckError::Disconnected,
            wire::Missing::TooMany => AckError::TooMany,
        }
    }
}
