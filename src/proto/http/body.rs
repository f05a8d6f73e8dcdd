//! Request bodies: counted by `Content-Length`, or chunked (RFC 9112 section 7.1).
//!
//! Takes what has arrived, appends what it means, and stops exactly at the body's end, so a pipelined
//! request behind it stays in the input. A size over the limit is refused when it is announced. Chunk
//! extensions and trailers are read past, each within a small fixed budget.

use super::query::hex_digit;
use super::{Framing, HttpError};

/// The bytes that all chunk extensions of one body may take together, whitespace after a size included.
const MAX_EXTENSION_BYTES: u16 = 1024;
/// The bytes that all trailer fields of one body may take together.
const MAX_TRAILER_BYTES: u16 = 4096;
/// The digits of one chunk size, so that leading zeros come to an end.
const MAX_SIZE_DIGITS: u8 = 16;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, what was consumed, whether it is done; the same for all at once and for each byte alone.
    fn decode(framing: Framing, limit: usize, input: &[u8]) -> Result<(String, usize, bool), HttpError> {
        let in_pieces = |size: usize| {
            let mut body = Body::new(framing, limit)?;
            let (mut out, mut at) = (Vec::new(), 0);
            loop {
                let piece = &input[at..input.len().min(at + size)];
                let (consumed, done) = body.decode(piece, &mut out)?;
                assert!(done || consumed == piece.len());
                at += consumed;
                if done || piece.is_empty() {
                    return Ok((String::from_utf8_lossy(&out).into_owned(), at, done));
                }
            }
        };
        let whole = in_pieces(input.len().max(1));
        assert_eq!(in_pieces(1), whole);
        whole
    }

    fn chunked(input: &str) -> Result<(String, usize, bool), HttpError> {
        decode(Framing::Chunked, 1000, input.as_bytes())
    }

    #[test]
    fn counted() {
        assert_eq!(decode(Framing::None, 0, b"GET"), Ok((String::new(), 0, true)));
        assert_eq!(decode(Framing::Length(0), 0, b"GET"), Ok((String::new(), 0, true)));
        assert_eq!(decode(Framing::Length(3), 3, b"abcGET"), Ok(("abc".into(), 3, true)));
        assert_eq!(decode(Framing::Length(3), 3, b"ab"), Ok(("ab".into(), 2, false)));
        assert_eq!(decode(Framing::Length(4), 3, b""), Err(HttpError::BodyTooLarge));
        assert_eq!(decode(Framing::Length(u64::MAX), 1000, b""), Err(HttpError::BodyTooLarge));
    }

    #[test]
    fn chunks() {
        let input = "4\r\nWiki\r\n0A;name=\"value\"\r\n0123456789\r\n000 \r\nX-Trailer: y\r\nZ: \r\n\r\n";
        let expected = Ok(("Wiki0123456789".to_owned(), input.len(), true));
        assert_eq!(chunked(&format!("{input}GET / HTTP/1.1")), expected);
        assert_eq!(chunked("0\r\n\r\n\r\n"), Ok((String::new(), 5, true)));
        assert_eq!(chunked("3\r\nabc\r\n"), Ok(("abc".to_owned(), 8, false)));
    }

    #[test]
    fn refusals() {
        for input in [
            "\r\n",
            "x\r\n",
            ";\r\n",
            " 1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1\n",
            "1\rx",
            "1;a\n",
            "1;a\rb",
            "1;\0\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rb",
            "0\r\n\n",
            "0\r\n\rx",
            "0\r\na\n",
            "0\r\na\rb",
            "0\r\n\0",
        ] {
            assert!(
                matches!(chunked(input), Err(HttpError::BadRequest(_))),
                "{input:?}: {:?}",
                chunked(input)
            );
        }
    }

    #[test]
    fn a_size_over_the_limit_is_refused_when_it_is_announced() {
        assert_eq!(chunked("3e9"), Err(HttpError::BodyTooLarge));
        assert_eq!(chunked("3e8\r\n"), Ok((String::new(), 5, false)));
        assert_eq!(chunked("ffffffffffffffff"), Err(HttpError::BodyTooLarge));
        assert_eq!(decode(Framing::Chunked, 5, b"3\r\nabc\r\n3"), Err(HttpError::BodyTooLarge));
        assert_eq!(decode(Framing::Chunked, usize::MAX, b"ffffffffffffffff"), Ok((String::new(), 16, false)));
        assert_eq!(
            decode(Framing::Chunked, usize::MAX, b"1\r\na\r\nffffffffffffffff"),
            Err(HttpError::BodyTooLarge)
        );
    }

    #[test]
    fn what_is_read_past_is_bounded() {
        assert!(matches!(chunked(&format!("{}1", "0".repeat(16))), Err(HttpError::BadRequest(_))));
        let extension = format!("1;{}\r\na\r\n", "x".repeat(99));
        assert!(chunked(&extension.repeat(10)).is_ok());
        assert!(matches!(chunked(&extension.repeat(11)), Err(HttpError::BadRequest(_))));
        let trailer = format!("a: {}\r\n", "x".repeat(97));
        assert!(chunked(&format!("0\r\n{}", trailer.repeat(40))).is_ok());
        assert_eq!(chunked(&format!("0\r\n{}", trailer.repeat(41))), Err(HttpError::HeadTooLarge));
    }
}
