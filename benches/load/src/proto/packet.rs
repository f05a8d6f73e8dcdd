//! Engine.IO 4 packets with Socket.IO 5 inside, main namespace and text only: told apart by their first bytes,
//! borrowed from the read buffer, no JSON parsed except the open packet's (once per connection).

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Parts packets in a polling body (Engine.IO 4, "Packet encoding", payload).
pub const SEPARATOR: u8 = 0x1E;

#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Open(&'a [u8]),
    /// With what stands behind the type, which the pong repeats.
    Ping(&'a [u8]),
    ProbeAnswer,
    Noop,
    Connected,
    /// The JSON array: name and arguments.
    Event(&'a [u8]),
    /// The id and the JSON array of the answer.
    Ack(u64, &'a [u8]),
}

/// The fields of the open packet that a client acts on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    pub sid: String,
    #[serde(default = "unnamed_max_payload")]
    pub max_payload: usize,
}

/// netty-socketio names none; its default is 64 KiB.
fn unnamed_max_payload() -> usize {
    65_536
}

pub fn parse(data: &[u8]) -> Result<Packet<'_>> {
    Ok(match data {
        [b'0', json @ ..] => Packet::Open(json),
        [b'2', rest @ ..] => Packet::Ping(rest),
        b"3probe" => Packet::ProbeAnswer,
        b"6" => Packet::Noop,
        [b'4', b'0', ..] => Packet::Connected,
        [b'4', b'2', rest @ ..] => Packet::Event(split_id(rest).1),
        [b'4', b'3', rest @ ..] => match split_id(rest) {
            (Some(id), args) => Packet::Ack(id, args),
            (None, _) => bail!("an ack without an id: {}", show(data)),
        },
        b"1" => bail!("the server closed the session"),
        [b'4', b'1', ..] => bail!("the server disconnected the namespace"),
        [b'4', b'4', rest @ ..] => bail!("connect_error {}", show(rest)),
        _ => bail!("unexpected packet {}", show(data)),
    })
}

pub fn parse_handshake(json: &[u8]) -> Result<Handshake> {
    serde_json::from_slice(json).with_context(|| format!("open packet {}", show(json)))
}

fn split_id(data: &[u8]) -> (Option<u64>, &[u8]) {
    let mut id = None;
    let mut rest = data;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        id = Some(id.unwrap_or(0u64).wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        rest = tail;
    }
    (id, rest)
}

/// The start of some bytes, for a message to a person.
pub fn show(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(&data[..data.len().min(120)]).into_owned();
    if data.len() > 120 { format!("{text:?}…({} bytes)", data.len()) } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_told_apart() {
        for (wire, expected) in [
            (&b"0{\"sid\":1}"[..], Packet::Open(b"{\"sid\":1}")),
            (b"2", Packet::Ping(b"")),
            (b"2x", Packet::Ping(b"x")),
            (b"3probe", Packet::ProbeAnswer),
            (b"6", Packet::Noop),
            (b"40{\"sid\":\"a\"}", Packet::Connected),
            (b"42[\"e\",1]", Packet::Event(b"[\"e\",1]")),
            (b"427[\"e\",1]", Packet::Event(b"[\"e\",1]")),
            (b"43120[1]", Packet::Ack(120, b"[1]")),
            (b"430[]", Packet::Ack(0, b"[]")),
        ] {
            assert_eq!(parse(wire).unwrap(), expected, "{}", show(wire));
        }
    }

    #[test]
    fn an_end_and_what_is_unknown_are_errors() {
        for wire in [&b""[..], b"1", b"41", b"44{\"message\":\"no\"}", b"43[1]", b"9", b"4", b"451-[]"] {
            assert!(parse(wire).is_err(), "{}", show(wire));
        }
    }

    #[test]
    fn the_handshake_is_read() {
        let open =
            br#"{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let got = parse_handshake(open).unwrap();
        assert_eq!((got.sid.as_str(), got.max_payload), ("abc", 1_000_000));
        assert!(parse_handshake(b"{}").is_err());
    }
}
