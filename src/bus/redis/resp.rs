//! RESP3, the protocol of Redis (its "Redis serialization protocol specification"): commands out, values in. Without I/O.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

use crate::proto::push_decimal;

/// What a server says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    /// Any kind of text: simple, bulk, verbatim; numbers that are not integers, too.
    Text(Bytes),
    /// An answer that is a refusal.
    Error(String),
    /// Arrays and sets; maps, of which each key is followed by its value.
    Array(Vec<Value>),
    /// What is no answer: it comes by itself.
    Push(Vec<Value>),
}

/// What came is not RESP3.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server says is not RESP3")]
pub(super) struct Malformed;

/// The longest text, Redis' own `proto-max-bulk-len`.
const MAX_TEXT: usize = 512 << 20;
/// The longest line of a header.
const MAX_LINE: usize = 64 << 10;
/// How deep values stand in each other. What we ask for is 3 deep.
const MAX_DEPTH: usize = 8;

/// Writes a command of so many arguments; the arguments follow.
pub(super) fn command(out: &mut Vec<u8>, arguments: usize) {
    header(out, b'*', arguments);
}

/// Writes an argument, which may consist of parts.
pub(super) fn argument(out: &mut Vec<u8>, parts: &[&[u8]]) {
    header(out, b'$', parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    push_decimal(out, number as u64);
    out.extend_from_slice(b"\r\n");
}

/// Takes the next value off what came; none, as long as it is not all there. Texts are parts of what came, not copies.
pub(super) fn decode(input: &mut BytesMut) -> Result<Option<Value>, Malformed> {
    let Some(end) = end_of(input, 0, 0)? else { return Ok(None) };
    let mut whole = input.split_to(end).freeze();
    value(&mut whole).map(Some)
}

/// A line's first letter, what stands behind it, and where the next line begins.
type Line<'a> = (u8, &'a [u8], usize);

/// The line that begins there; none, as long as it is not whole.
fn line(input: &[u8], at: usize) -> Result<Option<Line<'_>>, Malformed> {
    let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    match memchr(b'\n', &rest[..rest.len().min(MAX_LINE)]) {
        Some(end) if end >= 2 && rest[end - 1] == b'\r' => {
            Ok(Some((rest[0], &rest[1..end - 1], at + end + 1)))
        }
        Some(_) => Err(Malformed),
        None if rest.len() >= MAX_LINE => Err(Malformed),
        None => Ok(None),
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Result<T, Malformed> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}

/// How many values follow such a header, and the length of the text that does.
fn follows(kind: u8, digits: &[u8]) -> Result<(usize, Option<usize>), Malformed> {
    Ok(match kind {
        // Before RESP3, a length of -1 was null.
        b'*' | b'$' if digits == b"-1" => (0, None),
        b'*' | b'~' | b'>' => (number(digits)?, None),
        b'%' => (number::<usize>(digits)?.checked_mul(2).ok_or(Malformed)?, None),
        // Attributes stand before the value that they are about.
        b'|' => {
            (number::<usize>(digits)?.checked_mul(2).and_then(|n| n.checked_add(1)).ok_or(Malformed)?, None)
        }
        b'$' | b'=' | b'!' => match number(digits)? {
            0..=MAX_TEXT => (0, Some(number(digits)?)),
            _ => return Err(Malformed),
        },
        b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => (0, None),
        _ => return Err(Malformed),
    })
}

/// Where the value ends that begins at `at`, if that has come.
fn end_of(input: &[u8], at: usize, depth: usize) -> Result<Option<usize>, Malformed> {
    let Some((kind, rest, mut at)) = line(input, at)? else { return Ok(None) };
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let (values, text) = follows(kind, rest)?;
    if let Some(length) = text {
        at += length + 2;
        return match input.get(at - 2..at) {
            Some(b"\r\n") => Ok(Some(at)),
            Some(_) => Err(Malformed),
            None => Ok(None),
        };
    }
    for _ in 0..values {
        match end_of(input, at, depth + 1)? {
            Some(end) => at = end,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Reads a value that is there to its end.
fn value(input: &mut Bytes) -> Result<Value, Malformed> {
    let (kind, start, next) = match line(input, 0)? {
        Some((kind, _, next)) => (kind, 1, next),
        None => return Err(Malformed),
    };
    let head = input.split_to(next).slice(start..next - 2);
    let (values, text) = follows(kind, &head)?;
    if let Some(length) = text {
        let text = input.split_to(length);
        input.advance(2);
        return Ok(match kind {
            b'!' => Value::Error(lossy(&text)),
            // A verbatim text names its format in four bytes.
            b'=' => Value::Text(text.get(4..).map(|_| text.slice(4..)).ok_or(Malformed)?),
            _ => Value::Text(text),
        });
    }
    Ok(match kind {
        b':' => Value::Integer(number(&head)?),
        b'+' | b',' | b'(' => Value::Text(head),
        b'-' => Value::Error(lossy(&head)),
        b'#' => Value::Integer((&*head == b"t").into()),
        b'_' | b'$' => Value::Null,
        b'*' if &*head == b"-1" => Value::Null,
        b'|' => {
            for _ in 1..values {
                value(input)?;
            }
            value(input)?
        }
        kind => {
            // Each of them takes three bytes at least, and all of them have come.
            let mut all = Vec::with_capacity(values);
            for _ in 0..values {
                all.push(value(input)?);
            }
            if kind == b'>' { Value::Push(all) } else { Value::Array(all) }
        }
    })
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// All values in it, fed in pieces of such a size.
    fn decode_all(input: &[u8], piece: usize) -> Result<Vec<Value>, Malformed> {
        let (mut came, mut all) = (BytesMut::new(), Vec::new());
        for piece in input.chunks(piece) {
            came.extend_from_slice(piece);
            while let Some(value) = decode(&mut came)? {
                all.push(value);
            }
        }
        assert!(came.is_empty(), "all was read");
        Ok(all)
    }

    #[test]
    fn commands() {
        let mut out = Vec::new();
        command(&mut out, 3);
        argument(&mut out, &[b"PUBLISH"]);
        argument(&mut out, &[b"a:", b"room"]);
        argument(&mut out, &[b"", &[0; 10], b"\r\n"]);
        assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$6\r\na:room\r\n$12\r\n\0\0\0\0\0\0\0\0\0\0\r\n\r\n");
    }

    #[test]
    fn values() {
        let input = b"+OK\r\n-MOVED 1 h:1\r\n:-5\r\n$3\r\na\r\n\r\n$0\r\n\r\n_\r\n$-1\r\n*-1\r\n#t\r\n,1.5\r\n(12\r\n!3\r\nERR\r\n\
            =6\r\ntxt:ab\r\n*2\r\n:1\r\n*0\r\n%1\r\n+k\r\n:2\r\n~1\r\n+x\r\n|1\r\n+ttl\r\n:3\r\n+v\r\n\
            >3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
        let all = vec![
            text("OK"),
            Value::Error("MOVED 1 h:1".into()),
            Value::Integer(-5),
            text("a\r\n"),
            text(""),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Integer(1),
            text("1.5"),
            text("12"),
            Value::Error("ERR".into()),
            text("ab"),
            Value::Array(vec![Value::Integer(1), Value::Array(vec![])]),
            Value::Array(vec![text("k"), Value::Integer(2)]),
            Value::Array(vec![text("x")]),
            text("v"),
            Value::Push(vec![text("message"), text("c"), text("m")]),
        ];
        for piece in [1, 2, 7, input.len()] {
            assert_eq!(decode_all(input, piece).as_ref(), Ok(&all), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_none() {
        for input in [
            "x\r\n",
            "\r\n",
            "+\n",
            "\n",
            ":\r\n",
            ":1x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "*-2\r\n",
            "=1\r\nx\r\n",
            "$536870913\r\n",
            "%9223372036854775808\r\n",
            "?\r\n",
        ] {
            let mut came = BytesMut::from(input);
            assert_eq!(decode(&mut came), Err(Malformed), "{input:?}");
        }
        let mut deep = BytesMut::from("*1\r\n".repeat(100).as_str());
        assert_eq!(decode(&mut deep), Err(Malformed));
        let mut endless = BytesMut::from(&[b'+'; MAX_LINE][..]);
        assert_eq!(decode(&mut endless), Err(Malformed));
    }

    proptest! {
        #[test]
        fn never_panics_and_pieces_make_no_difference(input in "[-+:$*%~>|_#!=0-9a\r\n]{0,40}", piece in 1_usize..9) {
            let (mut whole, mut came) = (BytesMut::from(input.as_str()), BytesMut::new());
            let mut all = Vec::new();
            let end = loop {
                match decode(&mut whole) {
                    Ok(Some(value)) => all.push(value),
                    other => break other,
                }
            };
            let (mut again, mut failed) = (Vec::new(), false);
            'pieces: for piece in input.as_bytes().chunks(piece) {
                came.extend_from_slice(piece);
                loop {
                    match decode(&mut came) {
                        Ok(Some(value)) => again.push(value),
                        Ok(None) => break,
                        Err(_) => {
                            failed = true;
                            break 'pieces;
                        }
                    }
                }
            }
            prop_assert_eq!((again, failed), (all, end.is_err()));
        }
    }
}
