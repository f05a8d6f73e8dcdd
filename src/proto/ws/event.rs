//! What comes out of the decoder, and what may go in: a frame that is sound by itself is judged here by where
//! it stands and by the connection's limits.

use std::borrow::Cow;

use super::{Fault, FrameHeader, Opcode};

/// Whose input is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We are the server: frames must be masked.
    Server,
    /// We are a client (tests, load): frames must not be masked.
    Client,
}

/// What a peer may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one message, all its fragments together, as they come (before they are inflated).
    pub max_message: usize,
    /// permessage-deflate was negotiated.
    pub allow_rsv1: bool,
    /// Whose input it is.
    pub role: Role,
}

impl Limits {
    /// Whether a frame may stand where it stands. `before`: the length of the fragments so far, if a message
    /// has begun.
    #[inline]
    pub(super) fn check(&self, header: &FrameHeader, before: Option<usize>) -> Result<(), Fault> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(Fault::protocol("frame not masked")),
            (Role::Client, Some(_)) => return Err(Fault::protocol("frame masked")),
            _ => {}
        }
        if header.rsv1 && !self.allow_rsv1 {
            return Err(Fault::protocol("reserved bit"));
        }
        let before = match (header.opcode, before) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, None) => return Err(Fault::protocol("continuation of no message")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Fault::protocol("message inside a message"));
            }
            (_, before) => before.unwrap_or(0),
        };
        if header.len > self.max_message.saturating_sub(before) as u64 {
            return Err(Fault::TOO_BIG);
        }
        Ok(())
    }
}

/// What a peer has sent. Borrowed from the input where it came in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A message whose first frame had RSV1 set: still deflated, and if `text`, not yet checked as UTF-8.
    Compressed {
        /// It is a text message.
        text: bool,
        /// The deflated payload.
        data: Cow<'a, [u8]>,
    },
    /// A ping, to be answered with a pong of the same payload.
    Ping(Cow<'a, [u8]>),
    /// A pong.
    Pong(Cow<'a, [u8]>),
    /// The peer closes, with its code and reason if it gave one. What follows in the input is to be ignored.
    Close(Option<(u16, Cow<'a, str>)>),
}
