//! What is said on a direct connection: a length of four bytes, a kind, and what that kind has. Numbers are big-endian.
//!
//! Who publishes dials, and speaks first. Its messages to a node are numbered from 1, whatever lane they take.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

use super::Id;

/// What a connection begins with; the last byte is the version of what follows.
const MAGIC: &[u8; 8] = b"sio-bus\x01";
/// Bytes of the length.
const HEAD: usize = 4;
/// The longest frame: Redis takes no longer text either.
const MAX: usize = 512 << 20;
/// The longest before the other end has shown who it is.
pub const MAX_OF_STRANGERS: usize = 64;

/// Only who can read the registry in Redis knows it. It is never sent.
pub type Token = [u8; 16];
/// What nobody could know before.
pub type Nonce = [u8; 16];
/// That somebody knows a token.
pub type Proof = [u8; 20];

/// Who proves something.
#[derive(Clone, Copy)]
pub enum Side {
    Dialing = b'd' as isize,
    Dialed = b'a' as isize,
}

/// What `side` says to show that it knows a token: SHA-1 of things whose lengths are fixed, the token at both ends.
pub fn proof(token: &Token, side: Side, dialing: &Nonce, dialed: &Nonce) -> Proof {
    let mut hash = Sha1::new();
    let parts: [&[u8]; 5] = [token, &[side as u8], dialing, dialed, token];
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Whether they are the same, in a time that does not depend on where they differ.
pub fn is_same(one: &Proof, other: &Proof) -> bool {
    one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// From who dials: who it is.
    Hello { from: Id, peer: u64, lane: u16, stamp: u64, nonce: Nonce },
    /// To who dials: that it has reached whom it wanted.
    Welcome { nonce: Nonce, proof: Proof },
    /// From who dials: that it may.
    Proof { proof: Proof },
    /// From who dials: a message.
    Message { number: u64, channel: Bytes, message: Bytes },
    /// From who dials: what it publishes from here on heeds the wishes up to this one.
    Heeded { wish: u64 },
    /// From who dials: are you there?
    Ping { stamp: u64 },
    /// To who dials: channels that are wanted from now on, and that are not any more, by their hashes.
    Wish { number: u64, add: Vec<u64>, drop: Vec<u64> },
    /// To who dials: so many threads hear by themselves, each on a connection of its own, its lane, from 1.
    Lanes { count: u16 },
    /// To who dials: so many messages were heard, and so late a ping.
    Heard { count: u64, stamp: u64 },
    /// Either: it ends here, and nothing is lost.
    Bye,
}

/// What came is none of these.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what another node says is not what it should be")]
pub struct Malformed;

/// A message without its number, as it goes to each node that wants it.
#[derive(Clone)]
pub struct Shared(Bytes);

impl Shared {
    pub fn new(channel: &str, message: &[u8]) -> Self {
        let mut out = BytesMut::with_capacity(4 + channel.len() + message.len());
        out.put_u32(channel.len() as u32);
        out.put_slice(channel.as_bytes());
        out.put_slice(message);
        Self(out.freeze())
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts it behind what waits, as [`Frame::Message`].
    pub fn encode(&self, number: u64, out: &mut Vec<u8>) {
        out.put_u32((1 + size_of::<u64>() + self.0.len()) as u32);
        out.put_u8(b'M');
        out.put_u64(number);
        out.put_slice(&self.0);
    }
}

impl Frame {
    /// Puts it behind what waits.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u32(0);
        match self {
            Self::Hello { from, peer, lane, stamp, nonce } => {
                out.put_u8(b'H');
                out.put_slice(MAGIC);
                [*from, *peer, *stamp].iter().for_each(|number| out.put_u64(*number));
                out.put_u16(*lane);
                out.put_slice(nonce);
            }
            Self::Welcome { nonce, proof } => {
                out.put_u8(b'V');
                out.put_slice(nonce);
                out.put_slice(proof);
            }
            Self::Proof { proof } => {
                out.put_u8(b'Q');
                out.put_slice(proof);
            }
            Self::Message { number, channel, message } => {
                out.put_u8(b'M');
                out.put_u64(*number);
                out.put_u32(channel.len() as u32);
                out.put_slice(channel);
                out.put_slice(message);
            }
            Self::Heeded { wish } => {
                out.put_u8(b'T');
                out.put_u64(*wish);
            }
            Self::Ping { stamp } => {
                out.put_u8(b'P');
                out.put_u64(*stamp);
            }
            Self::Wish { number, add, drop } => {
                out.put_u8(b'W');
                out.put_u64(*number);
                out.put_u32(add.len() as u32);
                add.iter().chain(drop).for_each(|hash| out.put_u64(*hash));
            }
            Self::Lanes { count } => {
                out.put_u8(b'L');
                out.put_u16(*count);
            }
            Self::Heard { count, stamp } => {
                out.put_u8(b'A');
                out.put_u64(*count);
                out.put_u64(*stamp);
            }
            Self::Bye => out.put_u8(b'B'),
        }
        let length = (out.len() - start - HEAD) as u32;
        out[start..start + HEAD].copy_from_slice(&length.to_be_bytes());
    }

    /// Takes the next one off what came; none, as long as it is not all there.
    pub fn decode(input: &mut BytesMut, max: usize) -> Result<Option<Self>, Malformed> {
        let Some(head) = input.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length == 0 || length > max.min(MAX) {
            return Err(Malformed);
        }
        if input.len() < HEAD + length {
            return Ok(None);
        }
        let mut body = input.split_to(HEAD + length).freeze();
        body.advance(HEAD);
        Self::body(body).ok_or(Malformed).map(Some)
    }

    fn body(mut body: Bytes) -> Option<Self> {
        let frame = match body.try_get_u8().ok()? {
            b'H' => {
                if array(&mut body)? != *MAGIC {
                    return None;
                }
                let [from, peer, stamp] = [number(&mut body)?, number(&mut body)?, number(&mut body)?];
                Self::Hello { from, peer, lane: body.try_get_u16().ok()?, stamp, nonce: array(&mut body)? }
            }
            b'V' => Self::Welcome { nonce: array(&mut body)?, proof: array(&mut body)? },
            b'Q' => Self::Proof { proof: array(&mut body)? },
            b'M' => {
                let number = number(&mut body)?;
                let length = body.try_get_u32().ok()? as usize;
                if length > body.len() {
                    return None;
                }
                let channel = body.split_to(length);
                return Some(Self::Message { number, channel, message: body });
            }
            b'T' => Self::Heeded { wish: number(&mut body)? },
            b'P' => Self::Ping { stamp: number(&mut body)? },
            b'W' => {
                let number_of_it = number(&mut body)?;
                let added = body.try_get_u32().ok()? as usize;
                let mut hashes = std::iter::from_fn(|| number(&mut body));
                let add: Vec<_> = hashes.by_ref().take(added).collect();
                let drop: Vec<_> = hashes.collect();
                if add.len() < added {
                    return None;
                }
                Self::Wish { number: number_of_it, add, drop }
            }
            b'L' => Self::Lanes { count: body.try_get_u16().ok()? },
            b'A' => Self::Heard { count: number(&mut body)?, stamp: number(&mut body)? },
            b'B' => Self::Bye,
            _ => return None,
        };
        body.is_empty().then_some(frame)
    }
}

fn array<const N: usize>(body: &mut Bytes) -> Option<[u8; N]> {
    let mut array = [0; N];
    body.try_copy_to_slice(&mut array).ok()?;
    Some(array)
}

fn number(body: &mut Bytes) -> Option<u64> {
    body.try_get_u64().ok()
}

/// What a channel is called in wishes: FNV-1a of 64 bits, as its authors define it. Of two channels with one hash, a node
/// that wants either is sent both, as it may be what it wants no more.
pub fn hash(channel: &str) -> u64 {
    channel.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Frame> {
        vec![
            Frame::Hello { from: 1, peer: 2, lane: 3, stamp: 4, nonce: [5; 16] },
            Frame::Welcome { nonce: [6; 16], proof: [7; 20] },
            Frame::Proof { proof: [8; 20] },
            Frame::Message { number: 1, channel: "room:/#a".into(), message: Bytes::from_static(&[0, 255]) },
            Frame::Message { number: 2, channel: Bytes::new(), message: Bytes::new() },
            Frame::Heeded { wish: 4 },
            Frame::Ping { stamp: u64::MAX },
            Frame::Wish { number: 1, add: vec![5, 6], drop: vec![7] },
            Frame::Wish { number: 2, add: vec![], drop: vec![] },
            Frame::Lanes { count: 2 },
            Frame::Heard { count: 8, stamp: 9 },
            Frame::Bye,
        ]
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let mut bytes = Vec::new();
        all().iter().for_each(|frame| frame.encode(&mut bytes));
        for step in [1, 3, 7, bytes.len()] {
            let (mut input, mut read) = (BytesMut::new(), Vec::new());
            for chunk in bytes.chunks(step) {
                input.extend_from_slice(chunk);
                while let Some(frame) = Frame::decode(&mut input, MAX).unwrap() {
                    read.push(frame);
                }
            }
            assert_eq!(read, all());
        }
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        Frame::Message { number: 7, channel: "c".into(), message: "m".into() }.encode(&mut one);
        Shared::new("c", b"m").encode(7, &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn nothing_else_is_read_and_no_length_believed() {
        let read = |bytes: &[u8], max| Frame::decode(&mut BytesMut::from(bytes), max);
        assert_eq!(read(&[0xff; 4], MAX), Err(Malformed), "too long");
        assert_eq!(read(&[0, 0, 0, 65], MAX_OF_STRANGERS), Err(Malformed));
        assert_eq!(read(&[0, 0, 0, 0], MAX), Err(Malformed), "no kind");
        assert_eq!(read(&[0, 0, 0, 1, b'?'], MAX), Err(Malformed));
        assert_eq!(read(b"GET / HTTP/1.1\r\n", MAX_OF_STRANGERS), Err(Malformed));
        for frame in all() {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            assert!(
                matches!(frame, Frame::Message { .. } | Frame::Wish { .. })
                    || bytes.len() <= HEAD + MAX_OF_STRANGERS
            );
            for cut in 1..bytes.len() - HEAD {
                // A shorter body with a length that says so is another frame, or none; it never panics.
                let mut shorter = bytes[..bytes.len() - cut].to_vec();
                let length = (shorter.len() - HEAD) as u32;
                shorter[..HEAD].copy_from_slice(&length.to_be_bytes());
                let _ = read(&shorter, MAX);
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_the_same_however_it_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kinds in proptest::collection::vec(proptest::sample::select(&b"HVQMTPWLAB"[..]), 1..4),
            step in 1..20_usize,
        ) {
            // Frames of kinds that there are, of whatever content.
            let mut all = Vec::new();
            for (kind, content) in kinds.iter().zip(bytes.chunks(70)) {
                all.put_u32(1 + content.len() as u32);
                all.put_u8(*kind);
                all.put_slice(content);
            }
            let read = |step: usize| {
                let (mut input, mut frames) = (BytesMut::new(), Vec::new());
                for chunk in all.chunks(step) {
                    input.extend_from_slice(chunk);
                    loop {
                        match Frame::decode(&mut input, MAX) {
                            Ok(Some(frame)) => frames.push(frame),
                            Ok(None) => break,
                            Err(error) => return (frames, Some(error)),
                        }
                    }
                }
                (frames, None)
            };
            prop_assert_eq!(read(step), read(usize::MAX));
        }
    }

    #[test]
    fn hashes_are_those_of_the_authors() {
        // Test vectors of draft-eastlake-fnv.
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
