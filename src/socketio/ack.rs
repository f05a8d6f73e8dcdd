//! Acks: answers that we give, and answers that we wait for.

use tokio::sync::{mpsc, oneshot};

use super::encode::Body;
use super::op::{Op, Target};
use super::{Args, ArgsError, FromArgs, Payload, Socket};
use crate::ids::SocketId;
use crate::proto::sio::Kind;

/// The way to answer an event. Taken as a parameter by a handler that answers before it ends, later, or from
/// elsewhere. It answers once; dropped, it never does.
#[derive(Debug)]
pub struct Ack {
    socket: Socket,
    id: Option<u64>,
}

impl Ack {
    pub(super) fn new(socket: Socket, id: Option<u64>) -> Self {
        Ack { socket, id }
    }

    /// Whether the client wants an answer. If not, sending one does nothing.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers.
    pub fn send(self, payload: impl Payload) {
        let Some(id) = self.id else { return };
        match Body::ack(&payload) {
            Ok(body) => self.socket.send_frames(Kind::Ack, Some(id), &body, false),
            Err(error) => tracing::error!(socket = %self.socket.id(), %error, "an ack can't be encoded"),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// None came in time.
    #[error("no answer came in time")]
    Timeout,
    /// The socket is gone, or went before it answered.
    #[error("the socket has disconnected")]
    Disconnected,
    /// The socket owes as many answers as it may.
    #[error("the socket owes too many answers")]
    TooMany,
    /// The answer is not of the type that was asked for.
    #[error("the answer is not what was expected: {0}")]
    Unexpected(#[from] ArgsError),
    /// The event can't be encoded.
    #[error("the event can't be encoded: {0}")]
    Encode(String),
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiter {
    One(oneshot::Sender<Result<Args, AckError>>),
    /// One of many that the same event was sent to. The stream of answers ends with the last waiter.
    Many(SocketId, mpsc::UnboundedSender<(SocketId, Result<Args, AckError>)>),
}

impl Waiter {
    /// Whether somebody still wants to know.
    pub fn is_waiting(&self) -> bool {
        match self {
            Waiter::One(waiter) => !waiter.is_closed(),
            Waiter::Many(_, waiter) => !waiter.is_closed(),
        }
    }

    /// Tells whoever waits. Nobody may be there any more, which is fine.
    pub fn tell(self, answer: Result<Args, AckError>) {
        match self {
            Waiter::One(waiter) => drop(waiter.send(answer)),
            Waiter::Many(socket, waiter) => drop(waiter.send((socket, answer))),
        }
    }
}

/// The answers of many sockets to one event.
#[derive(Clone, Debug)]
pub struct Answers<T> {
    /// Those that came.
    pub received: Vec<(SocketId, T)>,
    /// Those that did not, and why.
    pub missing: Vec<(SocketId, AckError)>,
    /// The names of the nodes that did not say in time that they are done.
    pub silent: Vec<String>,
}

/// Sends an event to one socket, and waits for its answer.
pub(super) async fn request<T: FromArgs>(
    socket: &Socket,
    event: &str,
    payload: &impl Payload,
    timeout: std::time::Duration,
) -> Result<T, AckError> {
    let body = Body::event(event, payload).map_err(|error| AckError::Encode(error.to_string()))?;
    let (waiter, answer) = oneshot::channel();
    let target = Target::Socket(socket.id());
    socket.ask(Op::Request { target, body: body.into(), timeout, waiter: Waiter::One(waiter) });
    Ok(T::from_args(answer.await.unwrap_or(Err(AckError::Disconnected))?)?)
}
