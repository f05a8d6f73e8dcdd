//! Request bodies: counted by `Content-Length`, or chunked (RFC 9112 section 7.1).
//!
//! Takes what has arrived, appends what it means, and stops exactly at the body's end, so a pipelined
//! request behind it stays in the input. A size over the limit is refused when it is announced. Chunk
//! extensions and trailers are read past, each within a small fixed budget.

use super::HttpError;
use super::query::hex_digit;

/// The bytes that all chunk extensions of one body may take together, whitespace after a size included.
const MAX_EXTENSION_BYTES: u16 = 1024;
/// The bytes that all trailer fields of one body may take together.
const MAX_TRAILER_BYTES: u16 = 4096;
/// The digits of one chunk size, so that leading zeros come to an end.
const MAX_SIZE_DIGITS: u8 = 16;

/// How the end of a request's body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Decodes one request's body, in any pieces.
///
/// ```text
///  Data ─────────────────────────────────────────────▶ Done      counted
///
///  Size ─▶ Extension ─▶ SizeEnd ─┬─▶ Chunk ─▶ ChunkCr ─▶ ChunkLf ─▶ Size
///    └──────────────────────▶┘   └─▶ Trailer ⇄ TrailerLf ─▶ EndLf ─▶ Done
/// ```
#[derive(Debug, Clone)]
pub struct Body {
    state: State,
    /// Bytes that are left of the body (counted) or of the chunk.
    remaining: usize,
    /// Bytes that may still be announced (chunked).
    allowance: usize,
    extension_bytes: u16,
    trailer_bytes: u16,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Data,
    Size { digits: u8 },
    Extension,
    SizeEnd,
    Chunk,
    ChunkCr,
    ChunkLf,
    Trailer { line_start: bool },
    TrailerLf,
    EndLf,
    Done,
}

impl Body {
    /// A decoder for a body of at most `limit` bytes. `BodyTooLarge` if the length is already over it.
    pub fn new(framing: Framing, limit: usize) -> Result<Body, HttpError> {
        let (state, remaining) = match framing {
            Framing::None | Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= limit => (State::Data, length),
                _ => return Err(HttpError::BodyTooLarge),
            },
            Framing::Chunked => (State::Size { digits: 0 }, 0),
        };
        Ok(Body { state, remaining, allowance: limit, extension_bytes: 0, trailer_bytes: 0 })
    }

    /// Consumes from the front of `input`, appends the body's bytes to `out`, and returns how many bytes
    /// it consumed and whether the body is complete. Unless it is, all of `input` was consumed. After an
    /// error the decoder is of no more use.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), HttpError> {
        let mut at = 0;
        while !matches!(self.state, State::Done) {
            if let State::Data | State::Chunk = self.state {
                let piece = &input[at..];
                let piece = &piece[..piece.len().min(self.remaining)];
                out.extend_from_slice(piece);
                at += piece.len();
                self.remaining -= piece.len();
                if self.remaining > 0 {
                    break;
                }
                self.state = if let State::Data = self.state { State::Done } else { State::ChunkCr };
            } else {
                let Some(&byte) = input.get(at) else { break };
                at += 1;
                self.state = self.step(byte)?;
            }
        }
        Ok((at, matches!(self.state, State::Done)))
    }

    /// One byte of what stands around the data of chunks.
    fn step(&mut self, byte: u8) -> Result<State, HttpError> {
        Ok(match (self.state, byte) {
            (State::Size { digits }, _) => match (hex_digit(byte), byte) {
                (Some(digit), _) if digits < MAX_SIZE_DIGITS => {
                    self.remaining =
                        self.remaining.checked_mul(16).ok_or(HttpError::BodyTooLarge)? + usize::from(digit);
                    if self.remaining > self.allowance {
                        return Err(HttpError::BodyTooLarge);
                    }
                    State::Size { digits: digits + 1 }
                }
                (None, b'\r') if digits > 0 => State::SizeEnd,
                (None, b';' | b' ' | b'\t') if digits > 0 => self.extension_byte()?,
                _ => return Err(HttpError::BadRequest("chunk size")),
            },
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension_byte()?,
            (State::Extension, _) => return Err(HttpError::BadRequest("chunk extension")),
            (State::SizeEnd, b'\n') if self.remaining == 0 => State::Trailer { line_start: true },
            (State::SizeEnd, b'\n') => {
                self.allowance -= self.remaining;
                State::Chunk
            }
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size { digits: 0 },
            (State::SizeEnd | State::ChunkCr | State::ChunkLf, _) => {
                return Err(HttpError::BadRequest("chunk line end"));
            }
            (State::Trailer { line_start: true }, b'\r') => State::EndLf,
            (State::Trailer { .. }, b'\r') => State::TrailerLf,
            (State::Trailer { .. }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > MAX_TRAILER_BYTES {
                    return Err(HttpError::HeadTooLarge);
                }
                State::Trailer { line_start: false }
            }
            (State::TrailerLf, b'\n') => State::Trailer { line_start: true },
            (State::EndLf, b'\n') => State::Done,
            (State::Trailer { .. } | State::TrailerLf | State::EndLf, _) => {
                return Err(HttpError::BadRequest("trailer"));
            }
            (State::Data | State::Chunk | State::Done, _) => self.state,
        })
    }

    fn extension_byte(&mut self) -> Result<State, HttpError> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(HttpError::BadRequest("chunk extension too long"));
        }
        Ok(State::Extension)
    }
}
