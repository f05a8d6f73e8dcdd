//! The canned answers, as bytes in and bytes out, for both floor servers.

use anyhow::{Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use crate::proto::ws;

const OPEN: &[u8] =
    br#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &[u8] = br#"40{"sid":"floor"}"#;
const JOIN: &[u8] = b"[\"join\",";
const ROOM: &[u8] = b"42[\"room\",";
/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What is to be written where.
#[derive(Default)]
pub struct Answers {
    /// To this client.
    pub own: Vec<u8>,
    /// To every client.
    pub all: Vec<u8>,
    /// To the members of rooms.
    pub rooms: Vec<(Box<[u8]>, Vec<u8>)>,
    /// Rooms that this client joins.
    pub joins: Vec<Box<[u8]>>,
}

/// One connection: whether its upgrade is done is all that is remembered.
#[derive(Default)]
pub struct Session {
    upgraded: bool,
}

impl Session {
    /// Answers the whole items at the start of `data` (unmasking them there) and says how long they are.
    pub fn feed(&mut self, data: &mut [u8], answers: &mut Answers) -> Result<usize> {
        let mut used = 0;
        if !self.upgraded {
            let Some(end) = memchr::memmem::find(data, b"\r\n\r\n") else { return Ok(0) };
            switch(&data[..end], &mut answers.own)?;
            self.upgraded = true;
            used = end + 4;
        }
        while let Some((header, len)) = ws::measure(&data[used..]) {
            let (from, to) = (used + header, used.saturating_add(header).saturating_add(len));
            if to > data.len() {
                break;
            }
            if header < 6 {
                bail!("a client frame without a mask");
            }
            let key = data[from - 4..from].try_into().expect("four bytes");
            ws::mask(&mut data[from..to], key);
            answer(&data[from..to], answers);
            used = to;
        }
        Ok(used)
    }
}

fn switch(head: &[u8], own: &mut Vec<u8>) -> Result<()> {
    let head = std::str::from_utf8(head)?;
    let key = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim()));
    let Some(key) = key else { bail!("only WebSocket is served") };
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    own.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    own.extend_from_slice(format!("Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
    ws::put_plain(own, ws::TEXT, &[OPEN]);
    Ok(())
}

fn answer(packet: &[u8], answers: &mut Answers) {
    let Answers { own, all, rooms, joins } = answers;
    match packet {
        [b'4', b'2', digit, ..] if digit.is_ascii_digit() => {
            let bracket = memchr::memchr(b'[', packet).unwrap_or(packet.len());
            let args = memchr::memchr(b',', packet).map_or(&b"]"[..], |comma| &packet[comma + 1..]);
            ws::put_plain(own, ws::TEXT, &[b"43", &packet[2..bracket], b"[", args]);
            if packet[bracket..].starts_with(JOIN) {
                joins.push(args.strip_suffix(b"]").unwrap_or(args).into());
            }
        }
        _ if packet.starts_with(ROOM) => {
            let rest = &packet[ROOM.len()..];
            let comma = memchr::memchr(b',', rest).unwrap_or(rest.len());
            let mut emit = Vec::new();
            ws::put_plain(&mut emit, ws::TEXT, &[b"42[\"bcast\"", &rest[comma..]]);
            rooms.push((rest[..comma].into(), emit));
        }
        [b'4', b'2', ..] => ws::put_plain(all, ws::TEXT, &[packet]),
        [b'4', b'0', ..] => ws::put_plain(own, ws::TEXT, &[CONNECTED]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_bytes() -> Vec<u8> {
        let mut wire = format!("GET / HTTP/1.1\r\nsec-websocket-key: {}\r\n\r\n", ws::KEY).into_bytes();
        for packet in [
            &b"40"[..],
            b"4217[\"echo\",\"a,b\"]",
            b"42[\"bcast\",1]",
            b"3",
            b"425[\"join\",\"r\"]",
            b"42[\"room\",\"r\",\"x\"]",
        ] {
            ws::put_masked(&mut wire, ws::TEXT, [1, 2, 3, 4], packet);
        }
        wire
    }

    #[test]
    fn answers_are_the_same_however_the_input_is_cut() {
        let wire = client_bytes();
        for chunk in 1..=wire.len() {
            let (mut session, mut tail) = (Session::default(), Vec::new());
            let mut got = Answers::default();
            for part in wire.chunks(chunk) {
                tail.extend_from_slice(part);
                let used = session.feed(&mut tail, &mut got).unwrap();
                tail.drain(..used);
            }
            assert!(tail.is_empty(), "chunks of {chunk} left {} bytes", tail.len());
            let head_end = memchr::memmem::find(&got.own, b"\r\n\r\n").unwrap() + 4;
            assert!(memchr::memmem::find(&got.own[..head_end], ws::ACCEPT.as_bytes()).is_some());
            let mut expected = Vec::new();
            for packet in [OPEN, CONNECTED, b"4317[\"a,b\"]", b"435[\"r\"]"] {
                ws::put_plain(&mut expected, ws::TEXT, &[packet]);
            }
            assert_eq!(got.own[head_end..], expected, "chunks of {chunk}");
            let mut expected = Vec::new();
            ws::put_plain(&mut expected, ws::TEXT, &[b"42[\"bcast\",1]"]);
            assert_eq!(got.all, expected, "chunks of {chunk}");
            let room: Box<[u8]> = (*b"\"r\"").into();
            let mut emit = Vec::new();
            ws::put_plain(&mut emit, ws::TEXT, &[b"42[\"bcast\",\"x\"]"]);
            assert_eq!((got.joins, got.rooms), (vec![room.clone()], vec![(room, emit)]), "chunks of {chunk}");
        }
    }

    #[test]
    fn what_is_no_websocket_client_is_refused() {
        let mut answers = Answers::default();
        let mut plain = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
        assert!(Session::default().feed(&mut plain, &mut answers).is_err());
        let mut unmasked = Session { upgraded: true };
        assert!(unmasked.feed(&mut [0x81, 0x01, b'2'], &mut answers).is_err());
    }
}
