//! Several packets in one HTTP body, separated by the record separator U+001E
//! (protocol document, "HTTP long-polling").

use super::packet::{DecodeError, Packet, encode_binary};

const SEPARATOR: u8 = 0x1e;

/// The packets of a payload, in order. A payload has at least one packet, so an empty one is an error.
pub fn decode_payload(text: &str) -> impl Iterator<Item = Result<Packet<'_>, DecodeError>> {
    text.split(char::from(SEPARATOR)).map(Packet::decode)
}

/// Writes packets into one body.
#[derive(Debug, Default)]
pub struct PayloadWriter {
    body: Vec<u8>,
}

impl PayloadWriter {
    /// A writer that expects a body of about `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        PayloadWriter { body: Vec::with_capacity(bytes) }
    }

    /// Appends a packet that is already encoded as text, its type digit included.
    pub fn push_text(&mut self, packet: &[u8]) {
        self.separate();
        self.body.extend_from_slice(packet);
    }

    /// Appends a binary message.
    pub fn push_binary(&mut self, data: &[u8]) {
        self.separate();
        encode_binary(data, &mut self.body);
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        self.body
    }

    fn separate(&mut self) {
        if !self.body.is_empty() {
            self.body.push(SEPARATOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documents_example() {
        let packets: Result<Vec<_>, _> = decode_payload("4hello\u{1e}2\u{1e}4world").collect();
        assert_eq!(packets.unwrap(), [Packet::Text("hello"), Packet::Ping(""), Packet::Text("world")]);
    }

    #[test]
    fn an_empty_payload_is_an_error() {
        assert_eq!(decode_payload("").next(), Some(Err(DecodeError::Empty)));
    }

    proptest! {
        #[test]
        fn round_trip(packets in proptest::collection::vec(
            prop_oneof!["[^\u{1e}]*".prop_map(Ok), any::<Vec<u8>>().prop_map(Err)], 1..20)) {
            let mut writer = PayloadWriter::default();
            for packet in &packets {
                match packet {
                    Ok(text) => writer.push_text(format!("4{text}").as_bytes()),
                    Err(data) => writer.push_binary(data),
                }
            }
            let body = String::from_utf8(writer.finish()).unwrap();
            let decoded: Vec<_> = decode_payload(&body).map(|p| match p.unwrap() {
                Packet::Text(text) => Ok(text.to_owned()),
                Packet::Binary(data) => Err(data.into_owned()),
                other => panic!("{other:?} out of nowhere"),
            }).collect();
            prop_assert_eq!(decoded, packets);
        }
    }
}
