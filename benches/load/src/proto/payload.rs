//! The events that the generator sends and how it knows them again. The one argument is a string: sixteen hex
//! digits that name sender and sequence number, then a fixed filler, so a swapped, cut or foreign answer shows.

use std::io::Write;

const STAMP: usize = 16;
const CLIENT_BITS: u32 = 20;
/// The smallest argument that carries the stamp.
pub const MIN_SIZE: usize = STAMP;
/// Clients are named with 20 bits of the stamp.
pub const MAX_CLIENTS: usize = 1 << CLIENT_BITS;

pub struct Payload {
    filler: Vec<u8>,
}

impl Payload {
    /// For arguments of `size` bytes between the quotes, at least [`MIN_SIZE`].
    pub fn new(size: usize) -> Self {
        Self { filler: (b'a'..=b'z').chain(b'0'..=b'9').cycle().take(size.saturating_sub(STAMP)).collect() }
    }

    /// Appends the Engine.IO packet of an event with an ack id.
    pub fn put_echo(&self, out: &mut Vec<u8>, client: usize, id: u64) {
        out.extend_from_slice(b"42");
        write!(out, "{id}").expect("writing to memory");
        out.extend_from_slice(b"[\"echo\",\"");
        self.put_argument(out, client, id);
        out.extend_from_slice(b"\"]");
    }

    /// Appends the Engine.IO packet of a broadcast request.
    pub fn put_bcast(&self, out: &mut Vec<u8>, client: usize, seq: u64) {
        out.extend_from_slice(b"42[\"bcast\",\"");
        self.put_argument(out, client, seq);
        out.extend_from_slice(b"\"]");
    }

    /// Appends the Engine.IO packet that asks for an emit to a room; the room takes the client's place in the stamp.
    pub fn put_room(&self, out: &mut Vec<u8>, room: usize, seq: u64) {
        write!(out, "42[\"room\",\"room-{room}\",\"").expect("writing to memory");
        self.put_argument(out, room, seq);
        out.extend_from_slice(b"\"]");
    }

    /// Client and sequence number of an ack's array, if it is one of ours to the byte.
    pub fn read_ack(&self, args: &[u8]) -> Option<(usize, u64)> {
        self.read_argument(args.strip_prefix(b"[\"")?)
    }

    /// Client and sequence number of a `bcast` event's array. Outer `None`: another event. Inner `None`: damaged.
    pub fn read_bcast(&self, array: &[u8]) -> Option<Option<(usize, u64)>> {
        Some(self.read_argument(array.strip_prefix(b"[\"bcast\",\"")?))
    }

    fn put_argument(&self, out: &mut Vec<u8>, client: usize, seq: u64) {
        let stamp = (client as u64) << (64 - CLIENT_BITS) | (seq & (u64::MAX >> CLIENT_BITS));
        let mut digits = [0; STAMP];
        for (at, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(stamp >> (60 - 4 * at)) as usize & 15];
        }
        out.extend_from_slice(&digits);
        out.extend_from_slice(&self.filler);
    }

    fn read_argument(&self, rest: &[u8]) -> Option<(usize, u64)> {
        let (digits, rest) = rest.split_at_checked(STAMP)?;
        if rest.strip_prefix(self.filler.as_slice())? != b"\"]" {
            return None;
        }
        let mut stamp = 0u64;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            stamp = stamp << 4 | u64::from(value);
        }
        Some(((stamp >> (64 - CLIENT_BITS)) as usize, stamp & (u64::MAX >> CLIENT_BITS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_known_again_and_a_damaged_one_is_not() {
        let payload = Payload::new(64);
        let mut out = Vec::new();
        payload.put_echo(&mut out, 77, 123_456);
        let text = String::from_utf8(out).unwrap();
        let args = text.strip_prefix("42123456[\"echo\",").unwrap();
        assert_eq!(args.len(), 64 + 3, "quotes, bracket and the size asked for: {args}");
        let answer = format!("[{args}").into_bytes();
        assert_eq!(payload.read_ack(&answer), Some((77, 123_456)));
        for at in 0..answer.len() {
            let mut damaged = answer.clone();
            damaged[at] ^= 1;
            assert_ne!(payload.read_ack(&damaged), Some((77, 123_456)), "byte {at}");
            assert_eq!(payload.read_ack(&answer[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_room_is_named_outside_and_inside_of_the_argument() {
        let payload = Payload::new(MIN_SIZE);
        let mut out = Vec::new();
        payload.put_room(&mut out, 10, 3);
        assert_eq!(out, b"42[\"room\",\"room-10\",\"0000a00000000003\"]");
    }

    #[test]
    fn a_bcast_is_known_again() {
        let payload = Payload::new(MIN_SIZE);
        let mut out = Vec::new();
        payload.put_bcast(&mut out, MAX_CLIENTS - 1, 9);
        assert_eq!(payload.read_bcast(&out[2..]), Some(Some((MAX_CLIENTS - 1, 9))));
        assert_eq!(payload.read_bcast(b"[\"bcast\",\"short\"]"), Some(None));
        assert_eq!(payload.read_bcast(b"[\"connected\",{}]"), None);
    }
}
