//! Packets as the WebSocket frames that an outbox holds: a text frame, and one for each attachment.
//!
//! A packet is encoded once, however many receive it.

use bytes::Bytes;

use super::binary;
use super::payload::{EncodeError, Payload};
use crate::ids::Offset;
use crate::proto::sio::{Kind, RESERVED_EVENTS, encode_head, encode_string};
use crate::proto::ws::{self, Opcode};

/// Room in front of a text frame's payload for the longest header.
const HEADER_ROOM: usize = 10;
/// Bytes that most events are shorter than: growing a buffer costs more than making it larger at once.
const TYPICAL: usize = 256;
/// Engine.IO's type for a message.
const MESSAGE: u8 = b'4';

/// The JSON array of an event or ack, and its attachments: everything but the header, which may differ from
/// receiver to receiver in its ack id.
#[derive(Clone, Debug)]
pub struct Body {
    json: Vec<u8>,
    attachments: Vec<Bytes>,
    offset: Option<Offset>,
}

impl Body {
    /// `["name",…]`.
    pub fn event(name: &str, payload: &impl Payload) -> Result<Body, EncodeError> {
        if RESERVED_EVENTS.contains(&name) {
            return Err(EncodeError::reserved(name));
        }
        Self::new(|json| encode_string(json, name), payload)
    }

    /// `[…]`.
    pub fn ack(payload: &impl Payload) -> Result<Body, EncodeError> {
        Self::new(|_| (), payload)
    }

    /// What was a body on another node. If it has an offset, that stands in the JSON already.
    pub fn from_parts(json: Vec<u8>, attachments: Vec<Bytes>, offset: Option<Offset>) -> Body {
        Body { json, attachments, offset }
    }

    /// With an offset, if there is one to be given: as one more argument, which is where clients look for it.
    pub fn with_offset(mut self, offset: Option<Offset>) -> Body {
        if let Some(offset) = offset {
            self.json.pop();
            self.json.extend_from_slice(format!(",\"{offset}\"]").as_bytes());
            self.offset = Some(offset);
        }
        self
    }

    /// Its name among the events that a client may have missed, if it has one.
    pub fn offset(&self) -> Option<Offset> {
        self.offset
    }

    /// The JSON array.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The attachments.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    fn new(first: impl FnOnce(&mut Vec<u8>), payload: &impl Payload) -> Result<Body, EncodeError> {
        let mut json = Vec::with_capacity(TYPICAL);
        json.push(b'[');
        first(&mut json);
        let empty = json.len() == 1;
        if !empty {
            json.push(b',');
        }
        let before = json.len();
        let (encoded, attachments) = binary::collect(|| payload.encode(&mut json));
        encoded?;
        if json.len() == before && !empty {
            json.pop();
        }
        json.push(b']');
        Ok(Body { json, attachments, offset: None })
    }

    /// Appends the packet's frames.
    pub fn write(&self, out: &mut Vec<u8>, kind: Kind, namespace: &str, id: Option<u64>) {
        let count = (!self.attachments.is_empty()).then_some(self.attachments.len());
        write_text(out, |out| {
            encode_head(out, kind, count, namespace, id);
            out.extend_from_slice(&self.json);
        });
        for attachment in &self.attachments {
            ws::encode_header(out, Opcode::Binary, attachment.len(), false);
            out.extend_from_slice(attachment);
        }
    }

    /// The packet's frames, to be shared.
    pub fn frames(&self, kind: Kind, namespace: &str, id: Option<u64>) -> Bytes {
        let binary: usize = self.attachments.iter().map(|a| a.len() + HEADER_ROOM).sum();
        let mut out = Vec::with_capacity(HEADER_ROOM * 5 + namespace.len() + self.json.len() + binary);
        self.write(&mut out, kind, namespace, id);
        out.into()
    }
}

/// The frame of a packet with this JSON, or none.
pub fn packet(kind: Kind, namespace: &str, json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_ROOM * 2 + namespace.len() + json.len());
    write_text(&mut out, |out| {
        encode_head(out, kind, None, namespace, None);
        out.extend_from_slice(json);
    });
    out.into()
}

/// The frame of an Engine.IO text message.
pub fn text_message(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_ROOM + 1 + text.len());
    write_text(&mut out, |out| out.extend_from_slice(text.as_bytes()));
    out.into()
}

/// The frame of an Engine.IO binary message.
pub fn binary_message(data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_ROOM + data.len());
    ws::encode_header(&mut out, Opcode::Binary, data.len(), false);
    out.extend_from_slice(data);
    out.into()
}

/// Appends a text frame around what `write` writes behind the message type. The length is only known
/// afterwards: small payloads, which have the shortest header, are not moved for it.
fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    const SHORTEST: usize = 2;
    let start = out.len();
    out.extend_from_slice(&[0; SHORTEST]);
    out.push(MESSAGE);
    write(out);
    let payload = out.len() - start - SHORTEST;
    let (header, length) = ws::server_header(Opcode::Text, payload, false);
    if length > SHORTEST {
        out.splice(start..start + SHORTEST, header[..length].iter().copied());
    } else {
        out[start..start + SHORTEST].copy_from_slice(&header[..SHORTEST]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketio::{Args, Binary};

    fn frames(body: &Body, kind: Kind, namespace: &str, id: Option<u64>) -> Vec<(Opcode, Vec<u8>)> {
        let bytes = body.frames(kind, namespace, id);
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while let Some((header, length)) = ws::FrameHeader::decode(rest).unwrap() {
            let end = length + header.len as usize;
            frames.push((header.opcode, rest[length..end].to_vec()));
            rest = &rest[end..];
        }
        frames
    }

    #[test]
    fn an_offset_is_the_last_argument() {
        let offset: Offset = "0123456789abcdef".parse().unwrap();
        let json = |body: Body| String::from_utf8(body.json).unwrap();
        let event = |payload: Option<u8>| match payload {
            Some(payload) => Body::event("e", &payload).unwrap(),
            None => Body::event("e", &()).unwrap(),
        };
        assert_eq!(json(event(None).with_offset(Some(offset))), r#"["e","0123456789abcdef"]"#);
        assert_eq!(json(event(Some(1)).with_offset(Some(offset))), r#"["e",1,"0123456789abcdef"]"#);
        assert_eq!(json(event(Some(1)).with_offset(None)), r#"["e",1]"#);
    }

    #[test]
    fn an_event_and_an_ack() {
        let event = Body::event("a\"b", &(1, "x")).unwrap();
        assert_eq!(frames(&event, Kind::Event, "/", None), [(Opcode::Text, br#"42["a\"b",1,"x"]"#.to_vec())]);
        assert_eq!(
            frames(&event, Kind::Event, "/n", Some(12)),
            [(Opcode::Text, br#"42/n,12["a\"b",1,"x"]"#.to_vec())]
        );
        let ack = Body::ack(&()).unwrap();
        assert_eq!(frames(&ack, Kind::Ack, "/", Some(3)), [(Opcode::Text, b"433[]".to_vec())]);
        assert!(Body::event("connect", &()).is_err());
    }

    #[test]
    fn long_payloads_have_long_headers() {
        for length in [100, 125, 126, 65_535, 65_536] {
            let event = Body::event("e", &"x".repeat(length)).unwrap();
            let frames = frames(&event, Kind::Event, "/", None);
            assert_eq!(frames[0].1, format!(r#"42["e","{}"]"#, "x".repeat(length)).into_bytes());
        }
    }

    #[test]
    fn bytes_become_attachments() {
        let two = (Binary::from(&b"one"[..]), serde_json::json!(1), vec![Binary::from(&b"two"[..])]);
        let event = Body::event("e", &two).unwrap();
        assert_eq!(
            frames(&event, Kind::Event, "/", None),
            [
                (
                    Opcode::Text,
                    br#"452-["e",{"_placeholder":true,"num":0},1,[{"_placeholder":true,"num":1}]]"#.to_vec()
                ),
                (Opcode::Binary, b"one".to_vec()),
                (Opcode::Binary, b"two".to_vec())
            ]
        );
        let again = Args::new(r#"{"_placeholder":true,"num":0}]"#, &[Bytes::from_static(b"one")]);
        let ack = Body::ack(&again).unwrap();
        assert_eq!(
            frames(&ack, Kind::Ack, "/", Some(1)),
            [
                (Opcode::Text, br#"461-1[{"_placeholder":true,"num":0}]"#.to_vec()),
                (Opcode::Binary, b"one".to_vec())
            ]
        );
    }
}
