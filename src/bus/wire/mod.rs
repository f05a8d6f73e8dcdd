//! What nodes say to each other: versioned, compact, and nothing but bytes in, values out, and back.
//!
//! The first byte is the version. A node drops what has a version that it does not know, or what it cannot decode:
//! other nodes may be newer. No claimed length is believed before the bytes are there.

mod codec;

use std::borrow::Cow;

use bytes::Bytes;

use crate::ids::Offset;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u8 = 1;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It has a version that this program does not read.
    #[error("version {0} of the cluster's messages is unknown here")]
    Version(u8),
    /// A kind of something has a number that this version does not have.
    #[error("no {what} has the number {number}")]
    Kind {
        /// Of what.
        what: &'static str,
        /// The number.
        number: u8,
    },
    /// It ends too early, or claims more than there is.
    #[error("the message is cut off")]
    Truncated,
    /// Something follows its end.
    #[error("{0} bytes follow the message's end")]
    Trailing(usize),
    /// A number has more than 64 bits, or is longer than it need be.
    #[error("a number is not written as it should be")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

/// A message from one node to others.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// The name of the node that sends it.
    pub node: Cow<'a, str>,
    /// Which run of that node: a random number, so that a restarted node is not mistaken for its former self.
    pub run: u64,
    /// Number of the message within that run, from 1, the same on every channel that it is sent on.
    pub number: u64,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// "I am here", at start, in answer to a newcomer, and every few seconds.
    Hello {
        /// Whether those who hear it should answer with theirs.
        wants_answer: bool,
    },
    /// "I leave": nobody need wait for this node any more.
    Bye,
    /// An event for sockets.
    Emit {
        /// For which sockets.
        to: Selection<'a>,
        /// It is dropped rather than queued for those who are not ready for it.
        volatile: bool,
        /// Its name among the events that a client may have missed, if it has one; it is the last argument, too.
        offset: Option<Offset>,
        /// The event.
        packet: Packet<'a>,
    },
    /// Sockets join and leave rooms.
    Rooms {
        /// Which sockets.
        of: Selection<'a>,
        /// The rooms that they join.
        join: Vec<Cow<'a, str>>,
        /// The rooms that they leave.
        leave: Vec<Cow<'a, str>>,
    },
    /// Sockets are taken out of their namespace.
    Disconnect {
        /// Which sockets.
        of: Selection<'a>,
        /// Their connections are closed, too.
        close: bool,
    },
    /// An event from node to node, for the program and not for sockets.
    Server {
        /// Its arguments, and its name in front.
        packet: Packet<'a>,
    },
    /// A question that every node answers with [`Body::Answer`], on the asking node's own channel.
    Ask {
        /// Number of the question, of the asking node.
        question: u64,
        /// How long the asking node waits, in milliseconds.
        timeout_ms: u64,
        /// What is asked.
        what: Ask<'a>,
    },
    /// An answer, or a part of one.
    Answer {
        /// Number of the question.
        question: u64,
        /// Nothing more follows from this node.
        last: bool,
        /// The answer.
        what: Answer<'a>,
    },
}

/// What a node can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask<'a> {
    /// Send this event to sockets, and answer with their acks.
    Acks {
        /// For which sockets.
        to: Selection<'a>,
        /// The event.
        packet: Packet<'a>,
    },
    /// Which sockets are there?
    Sockets {
        /// Which of them.
        of: Selection<'a>,
    },
    /// An event for the program, which answers it.
    Server {
        /// Its arguments, and its name in front.
        packet: Packet<'a>,
    },
    /// If you have this session, and be it that its client is still there as far as you know: leave it where I find it.
    Release {
        /// The session's private id.
        pid: Cow<'a, str>,
        /// The session's namespace.
        namespace: Cow<'a, str>,
    },
    /// Give up a session that you keep, to me: what was sent to it behind this event?
    Missed {
        /// The session's private id.
        pid: Cow<'a, str>,
        /// The session's namespace.
        namespace: Cow<'a, str>,
        /// The last event that its client had.
        offset: Offset,
    },
}

/// Answers to [`Ask`], in the same order.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Acks of sockets: each socket's id, and its answer, or why there is none.
    Acks(Vec<(Cow<'a, str>, Result<Packet<'a>, Missing>)>),
    /// Sockets.
    Sockets(Vec<Socket<'a>>),
    /// The program's answer; `None` where it has no handler for the event.
    Server(Option<Packet<'a>>),
    /// Whether the session was here, and now stands where the asking node finds it.
    Released(bool),
    /// What a client has missed, in parts.
    Missed {
        /// Of the events of the last seconds, those that it has had. The asking node may hear of some of them only now.
        had: Vec<Offset>,
        /// What it has missed, in order: each event with its frames, as the client would have got them.
        events: Vec<(Offset, Bytes)>,
        /// The rooms that its session is in by now; it may have been taken out of some while it was away.
        rooms: Vec<Cow<'a, str>>,
    },
    /// The session is not kept here, or its client has missed more than is known here.
    NotKept,
}

/// A session whose client was cut off, as the node that keeps it leaves it to whichever node its client comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Session<'a> {
    /// The name of the node that keeps it.
    pub node: Cow<'a, str>,
    /// Which run of that node.
    pub run: u64,
    /// Its namespace.
    pub namespace: Cow<'a, str>,
    /// The id of its socket.
    pub id: Cow<'a, str>,
    /// The rooms that its socket was in, without that of its id.
    pub rooms: Vec<Cow<'a, str>>,
    /// What the program kept with it.
    pub data: Cow<'a, [u8]>,
    /// When its client was cut off, in milliseconds since 1970.
    pub time_ms: u64,
}

/// Why a socket did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Not in time.
    Timeout,
    /// It went.
    Disconnected,
    /// It owes too many answers.
    TooMany,
}

/// A socket as other nodes see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Socket<'a> {
    /// Its id.
    pub id: Cow<'a, str>,
    /// Its namespace.
    pub namespace: Cow<'a, str>,
    /// The rooms that it is in, without that of its id.
    pub rooms: Vec<Cow<'a, str>>,
    /// Path and query of the request that it came with.
    pub url: Cow<'a, str>,
    /// Where it came from: address and port.
    pub address: Cow<'a, str>,
    /// What it gave as `auth`, as JSON.
    pub auth: Cow<'a, str>,
    /// When it came, in milliseconds since 1970.
    pub time_ms: u64,
}

/// Sockets by namespace and rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// Their namespace.
    pub namespace: Cow<'a, str>,
    /// In any of these rooms; all, if there are none.
    pub rooms: Vec<Cow<'a, str>>,
    /// In none of these.
    pub except: Vec<Cow<'a, str>>,
}

/// Arguments: a JSON array (an event's name is its first element), and attachments for its placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet<'a> {
    /// A JSON array.
    pub json: Cow<'a, [u8]>,
    /// The attachments.
    pub attachments: Vec<Bytes>,
}
