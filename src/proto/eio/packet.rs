//! One Engine.IO packet: a type digit, then its data (protocol document, "Packet encoding").

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// Base64 as clients write it: with or without its padding, and whatever the last character's unused bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An Engine.IO packet, borrowed from where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the session's parameters, from the server.
    Open(&'a str),
    /// `1`: this transport is to be closed.
    Close,
    /// `2`: heartbeat from the server; `probe` from a client that tries an upgrade.
    Ping(&'a str),
    /// `3`: the answer to a ping, with the same data.
    Pong(&'a str),
    /// `4`: a text message.
    Text(&'a str),
    /// A binary message: a frame of its own over WebSocket, `b` and base64 over HTTP.
    Binary(Cow<'a, [u8]>),
    /// `5`: the client completes its upgrade.
    Upgrade,
    /// `6`: nothing; ends a pending poll.
    Noop,
}

/// Why a text is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing where a packet was due.
    #[error("empty packet")]
    Empty,
    /// The first character is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// `b` is not followed by base64.
    #[error("invalid base64")]
    Base64,
}

impl<'a> Packet<'a> {
    /// Decodes a packet from a text frame or from one part of a payload.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let kind = *text.as_bytes().first().ok_or(DecodeError::Empty)?;
        if !kind.is_ascii() {
            return Err(DecodeError::UnknownType);
        }
        let data = &text[1..];
        Ok(match kind {
            b'0' => Packet::Open(data),
            b'1' => Packet::Close,
            b'2' => Packet::Ping(data),
            b'3' => Packet::Pong(data),
            b'4' => Packet::Text(data),
            b'5' => Packet::Upgrade,
            b'6' => Packet::Noop,
            b'b' => Packet::Binary(Cow::Owned(decode_base64(data)?)),
            _ => return Err(DecodeError::UnknownType),
        })
    }

    /// Appends the packet in its text form, in which a binary message is base64.
    pub fn encode_text(&self, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Packet::Open(data) => (b'0', *data),
            Packet::Close => (b'1', ""),
            Packet::Ping(data) => (b'2', *data),
            Packet::Pong(data) => (b'3', *data),
            Packet::Text(data) => (b'4', *data),
            Packet::Upgrade => (b'5', ""),
            Packet::Noop => (b'6', ""),
            Packet::Binary(data) => return encode_binary(data, out),
        };
        out.push(kind);
        out.extend_from_slice(data.as_bytes());
    }
}

/// Appends a binary message in its text form: `b` and padded base64.
pub(super) fn encode_binary(data: &[u8], out: &mut Vec<u8>) {
    out.push(b'b');
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    // The room made is exactly what padded base64 needs, so this can't fail.
    let written = general_purpose::STANDARD.encode_slice(data, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Decodes base64, which may be broken into lines (RFC 2045, section 6.8): the Java client's is, every 76 characters and
/// at its end.
fn decode_base64(data: &str) -> Result<Vec<u8>, DecodeError> {
    let is_break = |c: char| matches!(c, '\r' | '\n' | ' ' | '\t');
    let decoded = match BASE64.decode(data) {
        Err(_) if data.contains(is_break) => BASE64.decode(data.replace(is_break, "")),
        decoded => decoded,
    };
    decoded.map_err(|_| DecodeError::Base64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documents_examples() {
        assert_eq!(Packet::decode("4hello"), Ok(Packet::Text("hello")));
        assert_eq!(Packet::decode("bAQIDBA=="), Ok(Packet::Binary(Cow::Owned(vec![1, 2, 3, 4]))));
        assert_eq!(Packet::decode("bAQIDBA"), Ok(Packet::Binary(Cow::Owned(vec![1, 2, 3, 4]))));
        for java in ["bAQIDBA==\n", "bAQID\r\nBA==\r\n", "bAQ ID\tBB"] {
            assert_eq!(Packet::decode(java), Ok(Packet::Binary(Cow::Owned(vec![1, 2, 3, 4]))), "{java:?}");
        }
        assert_eq!(Packet::decode("2probe"), Ok(Packet::Ping("probe")));
        assert_eq!(Packet::decode("4"), Ok(Packet::Text("")));
    }

    #[test]
    fn what_is_no_packet() {
        assert_eq!(Packet::decode(""), Err(DecodeError::Empty));
        for text in ["7", "abc", "é4", "-1", "\u{1e}"] {
            assert_eq!(Packet::decode(text), Err(DecodeError::UnknownType), "{text:?}");
        }
        for text in ["b?", "b=", "bA", "bAQIDBA==AQ", "bAQ\u{a0}ID"] {
            assert_eq!(Packet::decode(text), Err(DecodeError::Base64), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(text in ".*", data: Vec<u8>) {
            for packet in [Packet::Open(&text), Packet::Ping(&text), Packet::Pong(&text), Packet::Text(&text),
                           Packet::Close, Packet::Upgrade, Packet::Noop, Packet::Binary(Cow::Borrowed(&data))] {
                let mut out = Vec::new();
                packet.encode_text(&mut out);
                let out = String::from_utf8(out).unwrap();
                prop_assert_eq!(Packet::decode(&out), Ok(packet));
            }
        }
    }
}
