//! From bytes to messages: masks taken off, fragments joined, text checked.
//!
//! A small message that has arrived whole is unmasked where it lies and lent out of the input: nothing is
//! allocated. What is unfinished is kept in one box, which is dropped as soon as nothing is unfinished, so an
//! idle connection's decoder is a null pointer. The box grows with the bytes that have arrived, never with
//! the length that a header claims, and a length over the limit is refused when it is claimed.

use std::borrow::Cow;

use super::close::decode_close;
use super::frame::{FrameHeader, MAX_HEADER_BYTES};
use super::{Fault, Opcode, Utf8, unmask};

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

/// The message decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// What is unfinished.
///
/// ```text
///        ┌── control frame, or last frame: event ──┐
///        ▼                                         │
///  between frames ──▶ in a header ──▶ in a payload ┤
///        ▲                                         │
///        └── frame of a message that goes on ──────┘
/// ```
#[derive(Debug, Default)]
struct Partial {
    /// The bytes of an unfinished header.
    header: [u8; MAX_HEADER_BYTES],
    header_len: u8,
    /// The frame whose payload has not arrived whole.
    frame: Option<Frame>,
    /// The message whose last frame has not arrived whole.
    message: Option<Message>,
    /// The unfinished control frame's payload, which may stand inside the message.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    header: FrameHeader,
    /// Payload bytes that have arrived.
    arrived: usize,
}

#[derive(Debug)]
struct Message {
    kind: Kind,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(Utf8),
    Binary,
    Compressed { text: bool },
}

impl Decoder {
    /// A decoder between two messages.
    pub const fn new() -> Self {
        Self { partial: None }
    }

    /// Whether nothing is unfinished; then the decoder owns no memory.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Decodes at most one event from the front of `input`, which it unmasks in place, and returns how many
    /// bytes that took. Without an event all of `input` was taken.
    #[inline]
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), Fault> {
        if self.partial.is_none()
            && let Some((header, start)) = FrameHeader::decode(input)?
            && header.fin
            && header.len <= (input.len() - start) as u64
        {
            limits.check(&header, None)?;
            let end = start + header.len as usize;
            return Ok((end, Some(whole(header, &mut input[start..end])?)));
        }
        self.resume(input, limits)
    }

    /// The way of everything that is not one whole message in one piece.
    fn resume<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), Fault> {
        if input.is_empty() {
            return Ok((0, None));
        }
        let partial = self.partial.get_or_insert_default();
        let mut at = 0;
        loop {
            let Frame { header, arrived } = match partial.frame {
                Some(frame) => frame,
                None => match partial.read_header(&input[at..])? {
                    Some((header, taken)) => {
                        at += taken;
                        partial.begin(&header, limits)?;
                        Frame { header, arrived: 0 }
                    }
                    None => return Ok((input.len(), None)),
                },
            };
            // `begin` saw that the length fits the limit, which is a usize.
            let missing = header.len as usize - arrived;
            let start = at;
            at += missing.min(input.len() - start);
            let piece = &mut input[start..at];
            if let Some(key) = header.mask {
                unmask(piece, key, arrived);
            }
            if !header.opcode.is_control() {
                partial.extend_message(piece, missing, header.fin, limits)?;
            } else if piece.len() < header.len as usize {
                partial.control.extend_from_slice(piece);
            }
            if at - start < missing {
                partial.frame = Some(Frame { header, arrived: arrived + (at - start) });
                return Ok((at, None));
            }
            partial.frame = None;
            if header.opcode.is_control() {
                let payload = match arrived {
                    0 => Cow::Borrowed(&input[start..at]),
                    _ => Cow::Owned(std::mem::take(&mut partial.control)),
                };
                let event = control(header.opcode, payload)?;
                if partial.message.is_none() {
                    self.partial = None;
                }
                return Ok((at, Some(event)));
            }
            if header.fin {
                let message = partial.message.take();
                self.partial = None;
                return Ok((at, message.map(Message::finish).transpose()?));
            }
        }
    }
}

impl Limits {
    /// Whether a frame may stand where it stands. `before`: the length of the fragments so far, if a message
    /// has begun.
    #[inline]
    fn check(&self, header: &FrameHeader, before: Option<usize>) -> Result<(), Fault> {
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

impl Partial {
    /// Completes the unfinished header: `None` if all of `input` was not enough, else the header and how much
    /// of `input` it took.
    fn read_header(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, Fault> {
        let begun = usize::from(self.header_len);
        let end = MAX_HEADER_BYTES.min(begun + input.len());
        self.header[begun..end].copy_from_slice(&input[..end - begun]);
        let decoded = FrameHeader::decode(&self.header[..end])?;
        self.header_len = if decoded.is_some() { 0 } else { end as u8 };
        Ok(decoded.map(|(header, length)| (header, length - begun)))
    }

    /// Checks the frame that now begins, and begins its message.
    fn begin(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Fault> {
        limits.check(header, self.message.as_ref().map(|message| message.data.len()))?;
        let kind = match header.opcode {
            Opcode::Text | Opcode::Binary if header.rsv1 => {
                Kind::Compressed { text: header.opcode == Opcode::Text }
            }
            Opcode::Text => Kind::Text(Utf8::default()),
            Opcode::Binary => Kind::Binary,
            _ => return Ok(()),
        };
        self.message = Some(Message { kind, data: Vec::new() });
        Ok(())
    }

    /// Appends a piece of the frame of which `missing` bytes, the piece included, have not been appended.
    fn extend_message(
        &mut self,
        piece: &[u8],
        missing: usize,
        fin: bool,
        limits: &Limits,
    ) -> Result<(), Fault> {
        let Some(Message { kind, data }) = &mut self.message else { return Ok(()) };
        if let Kind::Text(utf8) = kind {
            utf8.push(piece).map_err(|_| Fault::NOT_UTF8)?;
        }
        let length = data.len() + piece.len();
        if length > data.capacity() {
            // Doubled, but never past what the message can still become.
            let most = if fin { data.len() + missing } else { limits.max_message };
            let capacity = data.capacity().saturating_mul(2).min(most).max(length);
            data.reserve_exact(capacity - data.len());
        }
        data.extend_from_slice(piece);
        Ok(())
    }
}

impl Message {
    fn finish(self) -> Result<Event<'static>, Fault> {
        Ok(match self.kind {
            Kind::Text(_) => {
                Event::Text(Cow::Owned(String::from_utf8(self.data).map_err(|_| Fault::NOT_UTF8)?))
            }
            Kind::Binary => Event::Binary(Cow::Owned(self.data)),
            Kind::Compressed { text } => Event::Compressed { text, data: Cow::Owned(self.data) },
        })
    }
}

/// The event of a frame that is a whole message, or a control frame, and has arrived whole.
#[inline]
fn whole<'a>(header: FrameHeader, payload: &'a mut [u8]) -> Result<Event<'a>, Fault> {
    if let Some(key) = header.mask {
        unmask(payload, key, 0);
    }
    let payload: &'a [u8] = payload;
    Ok(match header.opcode {
        opcode @ (Opcode::Text | Opcode::Binary) if header.rsv1 => {
            Event::Compressed { text: opcode == Opcode::Text, data: Cow::Borrowed(payload) }
        }
        Opcode::Text => {
            Event::Text(Cow::Borrowed(std::str::from_utf8(payload).map_err(|_| Fault::NOT_UTF8)?))
        }
        Opcode::Binary => Event::Binary(Cow::Borrowed(payload)),
        opcode => control(opcode, Cow::Borrowed(payload))?,
    })
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Event<'_>, Fault> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => decode_close(payload),
        _ => Err(Fault::protocol("not a control frame")),
    }
}
