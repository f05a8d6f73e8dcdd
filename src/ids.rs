//! Names for things: shards, slots, and the public ids that clients see.
//!
//! A public id carries where its owner lives (shard and slot) beside 112 random bits, so finding a
//! session or a socket is arithmetic and one comparison, never a shared map. It is always ours:
//! random, from the operating system, never taken from a client.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The largest user, group or message id: 2^53 - 1, the largest integer that JavaScript counts exactly.
#[cfg(feature = "auth")]
pub const MAX_ID: u64 = (1 << 53) - 1;

/// A shard's number within its node, from 0.
pub type ShardId = u16;

/// The name of a slot that can be reused: the place, and which tenant of it is meant. A key of a
/// former tenant finds nothing, so a late removal can't hit a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The place.
    pub slot: u32,
    /// Which tenant; counts up with each reuse.
    pub generation: u32,
}

/// Length of a public id in bytes, before its text form.
const BYTES: usize = 20;
/// Length of a public id's text form: 20 bytes in unpadded base64url.
const CHARS: usize = 27;

/// An id that clients see: an Engine.IO session id or a Socket.IO socket id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicId {
    /// The slot on that shard.
    pub slot: u32,
    /// The shard that holds it.
    pub shard: ShardId,
    secret: [u8; 14],
}

/// The id of an Engine.IO session.
pub type Sid = PublicId;
/// The id of a Socket.IO socket, which is also the name of a room that only it is in.
pub type SocketId = PublicId;
/// The private id of a Socket.IO socket, by which its client alone can ask for it again.
pub type Pid = PublicId;

impl PublicId {
    /// A fresh id for the tenant of `slot` on `shard`.
    pub fn random(shard: ShardId, slot: u32) -> Self {
        PublicId { slot, shard, secret: random_bytes() }
    }

    /// Whether this text is its text.
    pub fn is_named(&self, text: &str) -> bool {
        text.len() == CHARS && text.parse() == Ok(*self)
    }

    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&self.shard.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.slot.to_be_bytes());
        bytes[6..].copy_from_slice(&self.secret);
        bytes
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; CHARS];
        // Both lengths are constants that fit each other, so encoding can't fail.
        let n = URL_SAFE_NO_PAD.encode_slice(self.to_bytes(), &mut text).unwrap_or(0);
        f.write_str(std::str::from_utf8(&text[..n]).unwrap_or_default())
    }
}

impl serde::Serialize for PublicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id that this program could have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this server")]
pub struct BadId;

impl FromStr for PublicId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let mut bytes = [0; BYTES];
        if text.len() != CHARS || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(BYTES) {
            return Err(BadId);
        }
        let [s0, s1, n0, n1, n2, n3, secret @ ..] = bytes;
        Ok(PublicId {
            slot: u32::from_be_bytes([n0, n1, n2, n3]),
            shard: u16::from_be_bytes([s0, s1]),
            secret,
        })
    }
}

/// The name of an event that was sent, by which a client says which it had last: when it was sent, and by which thread of
/// all in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offset([u8; Offset::BYTES]);

impl Offset {
    /// Its length in bytes: 7 for microseconds since 1970, 5 for the thread, which is a random number, or for what was sent.
    pub const BYTES: usize = 12;
    /// Length of its text form: unpadded base64url, where 12 bytes leave nothing to pad.
    const CHARS: usize = 16;

    /// A name that was never given.
    pub fn next() -> Offset {
        thread_local! {
            static THREAD: ([u8; 5], Cell<u64>) = (random_bytes(), Cell::new(0));
        }
        THREAD.with(|(thread, last)| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
            // Also where the clock stands still or is put back.
            last.set(now.max(last.get() + 1));
            let mut bytes = [0; Self::BYTES];
            bytes[..7].copy_from_slice(&last.get().to_be_bytes()[1..]);
            bytes[7..].copy_from_slice(thread);
            Offset(bytes)
        })
    }

    /// The name of something that has a number, and that several nodes send, each to its own clients: they all give it the
    /// same name.
    #[cfg(feature = "node")]
    pub fn of(number: u64, since_1970: Duration) -> Offset {
        let microseconds = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let mut bytes = [0; Self::BYTES];
        bytes[..7].copy_from_slice(&microseconds.to_be_bytes()[1..]);
        bytes[7..].copy_from_slice(&number.to_be_bytes()[3..]);
        Offset(bytes)
    }

    /// When it was given, by the clock of the node that gave it.
    pub fn time(&self) -> SystemTime {
        let mut microseconds = [0; 8];
        microseconds[1..].copy_from_slice(&self.0[..7]);
        UNIX_EPOCH + Duration::from_micros(u64::from_be_bytes(microseconds))
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        self.0
    }

    /// The name of these bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Offset {
        Offset(bytes)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::CHARS];
        // Both lengths are constants that fit each other, so encoding can't fail.
        let n = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).unwrap_or(0);
        f.write_str(std::str::from_utf8(&text[..n]).unwrap_or_default())
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Offset {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let mut bytes = [0; Self::BYTES];
        if text.len() != Self::CHARS || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(Self::BYTES) {
            return Err(BadId);
        }
        Ok(Offset(bytes))
    }
}

/// Bytes from the operating system's generator, fetched by the page: one system call serves
/// dozens of ids.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    const PAGE: usize = 1024;
    thread_local! {
        static PAGES: RefCell<([u8; PAGE], usize)> = const { RefCell::new(([0; PAGE], PAGE)) };
    }
    const { assert!(N <= PAGE) };
    PAGES.with_borrow_mut(|(page, used)| {
        if *used + N > PAGE {
            // Without randomness ids could be guessed; there is nothing sensible to do but stop.
            getrandom::fill(page).expect("the operating system gives no random bytes");
            *used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&page[*used..*used + N]);
        page[*used..*used + N].fill(0);
        *used += N;
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = PublicId::random(65_535, u32::MAX);
        let text = id.to_string();
        assert_eq!(text.len(), CHARS);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn other_text_is_no_id() {
        let id = PublicId::random(1, 2).to_string();
        for text in ["", "x", &id[1..], &format!("{id}A"), &"é".repeat(13), &"*".repeat(27)] {
            assert_eq!(text.parse::<PublicId>(), Err(BadId), "{text:?}");
        }
    }

    #[test]
    fn an_offset_is_new_and_survives_its_text_form() {
        let before = SystemTime::now() - Duration::from_secs(1);
        let given = || (0..1000).map(|_| Offset::next()).collect::<Vec<_>>();
        let threads = [std::thread::spawn(given), std::thread::spawn(given)];
        let all: std::collections::HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 2000);
        let now = SystemTime::now() + Duration::from_secs(1);
        for offset in all {
            assert_eq!(offset.to_string().parse(), Ok(offset));
            assert!(before < offset.time() && offset.time() < now);
        }
        for text in ["", "0123456789abcde", "0123456789abcdefg", "0123456789abcd=="] {
            assert_eq!(text.parse::<Offset>(), Err(BadId), "{text:?}");
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| PublicId::random(0, 0)).collect();
        assert_eq!(ids.len(), 1000);
    }
}
