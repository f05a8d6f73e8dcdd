//! One Socket.IO packet: `<type>[<attachments>-][<namespace>,][<ack id>][JSON]`
//! (protocol document, "Packet encoding").

use super::{Args, ROOT, is_json};

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0`: to join a namespace, and the answer.
    Connect,
    /// `1`: to leave it.
    Disconnect,
    /// `2`: an event, or `5` with attachments.
    Event,
    /// `3`: the answer to an event, or `6` with attachments.
    Ack,
    /// `4`: a refused CONNECT.
    ConnectError,
}

/// A packet, borrowed from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is for.
    pub kind: Kind,
    /// How many binary frames follow; `None` for the types without attachments.
    pub attachments: Option<usize>,
    /// The namespace, `/` where none is named.
    pub namespace: &'a str,
    /// The ack id: asked for by an event, or answered by an ack.
    pub id: Option<u64>,
    /// The JSON that follows, perhaps empty.
    pub data: &'a str,
}

/// Why a text is no packet. The connection that sent it is closed: "parse error".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first character is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// The attachment count is missing, no number, or 0.
    #[error("illegal attachments")]
    Attachments,
    /// There are more attachments than are allowed.
    #[error("too many attachments")]
    TooManyAttachments,
    /// The ack id is missing where it must be, or too large.
    #[error("illegal ack id")]
    Id,
    /// The JSON is invalid, or not what this type of packet carries.
    #[error("invalid payload")]
    Payload,
    /// The event's name is one of [`RESERVED_EVENTS`](super::RESERVED_EVENTS).
    #[error("reserved event name")]
    ReservedEvent,
}

/// The largest ack id: what JavaScript still counts exactly.
const MAX_ID: u64 = (1 << 53) - 1;

impl<'a> Packet<'a> {
    /// Decodes a packet's header. Of the data only the outer form is checked; see [`Packet::args`].
    pub fn decode(text: &'a str, max_attachments: usize) -> Result<Self, DecodeError> {
        let (kind, binary) = match text.as_bytes().first() {
            Some(b'0') => (Kind::Connect, false),
            Some(b'1') => (Kind::Disconnect, false),
            Some(b'2') => (Kind::Event, false),
            Some(b'3') => (Kind::Ack, false),
            Some(b'4') => (Kind::ConnectError, false),
            Some(b'5') => (Kind::Event, true),
            Some(b'6') => (Kind::Ack, true),
            _ => return Err(DecodeError::UnknownType),
        };
        let mut rest = &text[1..];
        let attachments = if binary {
            let (count, after) = split_digits(rest);
            rest = after.strip_prefix('-').ok_or(DecodeError::Attachments)?;
            let count: usize = count.parse().map_err(|_| DecodeError::Attachments)?;
            match count {
                0 => return Err(DecodeError::Attachments),
                count if count > max_attachments => return Err(DecodeError::TooManyAttachments),
                count => Some(count),
            }
        } else {
            None
        };
        let namespace = if rest.starts_with('/') {
            let end = memchr::memchr(b',', rest.as_bytes());
            let namespace = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or("", |end| &rest[end + 1..]);
            namespace
        } else {
            ROOT
        };
        let (digits, data) = split_digits(rest);
        let id = match digits {
            "" => None,
            digits => Some(digits.parse().ok().filter(|id| *id <= MAX_ID).ok_or(DecodeError::Id)?),
        };
        let packet = Packet { kind, attachments, namespace, id, data };
        packet.check_form()?;
        Ok(packet)
    }

    /// The outer form that each type demands (reference parser, `isPayloadValid`).
    fn check_form(&self) -> Result<(), DecodeError> {
        let first = self.data.bytes().find(|b| !b.is_ascii_whitespace());
        let valid = match self.kind {
            Kind::Connect => self.data.is_empty() || (first == Some(b'{') && is_json(self.data)),
            Kind::Disconnect => self.data.is_empty(),
            Kind::ConnectError => matches!(first, Some(b'{' | b'"')) && is_json(self.data),
            Kind::Event => first == Some(b'['),
            Kind::Ack if self.id.is_none() => return Err(DecodeError::Id),
            Kind::Ack => first == Some(b'['),
        };
        if valid { Ok(()) } else { Err(DecodeError::Payload) }
    }

    /// The arguments of an event (with its name) or of an ack.
    pub fn args(&self) -> Result<Args<'a>, DecodeError> {
        match self.kind {
            Kind::Event => Args::of_event(self.data),
            _ => Args::of_ack(self.data),
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::super::encode_head;
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Result<Packet<'_>, DecodeError> {
        Packet::decode(text, 10)
    }

    fn packet(
        kind: Kind,
        attachments: Option<usize>,
        namespace: &'static str,
        id: Option<u64>,
        data: &'static str,
    ) -> Result<Packet<'static>, DecodeError> {
        Ok(Packet { kind, attachments, namespace, id, data })
    }

    #[test]
    fn the_documents_examples() {
        assert_eq!(decode("0"), packet(Kind::Connect, None, "/", None, ""));
        assert_eq!(
            decode(r#"0/admin,{"token":"1"}"#),
            packet(Kind::Connect, None, "/admin", None, r#"{"token":"1"}"#)
        );
        assert_eq!(decode("0/admin"), packet(Kind::Connect, None, "/admin", None, ""));
        assert_eq!(decode("1/admin,"), packet(Kind::Disconnect, None, "/admin", None, ""));
        assert_eq!(decode(r#"2["foo"]"#), packet(Kind::Event, None, "/", None, r#"["foo"]"#));
        assert_eq!(
            decode(r#"2/admin,12["foo"]"#),
            packet(Kind::Event, None, "/admin", Some(12), r#"["foo"]"#)
        );
        assert_eq!(decode("3/admin,13[]"), packet(Kind::Ack, None, "/admin", Some(13), "[]"));
        assert_eq!(
            decode(r#"51-["baz",{"_placeholder":true,"num":0}]"#),
            packet(Kind::Event, Some(1), "/", None, r#"["baz",{"_placeholder":true,"num":0}]"#)
        );
        assert_eq!(
            decode(r#"61-15[{"_placeholder":true,"num":0}]"#),
            packet(Kind::Ack, Some(1), "/", Some(15), r#"[{"_placeholder":true,"num":0}]"#)
        );
    }

    #[test]
    fn what_is_no_packet() {
        for (text, error) in [
            ("", DecodeError::UnknownType),
            ("7", DecodeError::UnknownType),
            ("abc", DecodeError::UnknownType),
            ("é", DecodeError::UnknownType),
            ("5[\"a\"]", DecodeError::Attachments),
            ("5-[\"a\"]", DecodeError::Attachments),
            ("50-[\"a\"]", DecodeError::Attachments),
            ("51", DecodeError::Attachments),
            ("511-[\"a\"]", DecodeError::TooManyAttachments),
            ("599999999999999999999999-[\"a\"]", DecodeError::Attachments),
            ("299999999999999999999999[\"a\"]", DecodeError::Id),
            ("3[]", DecodeError::Id),
            ("2", DecodeError::Payload),
            ("2{}", DecodeError::Payload),
            ("2abc[\"a\"]", DecodeError::Payload),
            ("0[]", DecodeError::Payload),
            ("0null", DecodeError::Payload),
            ("0{", DecodeError::Payload),
            ("1[]", DecodeError::Payload),
            ("31{}", DecodeError::Payload),
        ] {
            assert_eq!(decode(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = decode(&text).map(|p| p.args().map(|a| a.is_json()));
        }

        #[test]
        fn round_trip(
            (kind, attachments) in prop_oneof![
                Just((Kind::Event, None)), Just((Kind::Ack, None)),
                (1usize..10).prop_map(|n| (Kind::Event, Some(n))), (1usize..10).prop_map(|n| (Kind::Ack, Some(n)))],
            namespace in prop_oneof![Just("/".to_owned()), "/[a-z0-9?=é]{1,9}"],
            id in 0..=MAX_ID,
            data in r#"\["[a-z]*"(,[0-9]{1,5})*\]"#,
        ) {
            let mut out = Vec::new();
            encode_head(&mut out, kind, attachments, &namespace, Some(id));
            out.extend_from_slice(data.as_bytes());
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(decode(&text), Ok(Packet { kind, attachments, namespace: &namespace, id: Some(id), data: &data }));
        }
    }
}
