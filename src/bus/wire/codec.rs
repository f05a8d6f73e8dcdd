//! Messages as bytes: the version, then every field in the order of its declaration.
//!
//! A number is a LEB128 varint in its shortest form; a text, a blob or a list is its length and then what is in it; a
//! choice is one byte and then its fields. So a message has exactly one encoding. Reading borrows from the input:
//! texts and JSON as slices, attachments as [`Bytes`] that share its buffer. What reading allocates is bounded by the
//! input's true length, for each element of a list has at least one byte there.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Answer, Ask, Body, Message, Missing, Packet, Selection, Session, Socket, VERSION, WireError};
use crate::ids::Offset;

impl Message<'_> {
    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

impl<'a> Message<'a> {
    /// Reads a message, which must be all of the bytes.
    pub fn decode(bytes: &'a Bytes) -> Result<Self, WireError> {
        decode(bytes)
    }
}

impl Session<'_> {
    /// The session as bytes.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

impl<'a> Session<'a> {
    /// Reads a session, which must be all of the bytes.
    pub fn decode(bytes: &'a Bytes) -> Result<Self, WireError> {
        decode(bytes)
    }
}

fn encode<'a>(value: &impl Wire<'a>) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.push(VERSION);
    value.write(&mut out);
    out.into()
}

fn decode<'a, T: Wire<'a>>(bytes: &'a Bytes) -> Result<T, WireError> {
    let mut input = Input { bytes, at: 0 };
    match input.byte()? {
        VERSION => (),
        other => return Err(WireError::Version(other)),
    }
    let value = T::read(&mut input)?;
    match bytes.len() - input.at {
        0 => Ok(value),
        rest => Err(WireError::Trailing(rest)),
    }
}

/// What is still to be read. `at` is never beyond the end.
struct Input<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, WireError> {
        let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// A length or a count: no more than there are bytes left.
    fn length(&mut self) -> Result<usize, WireError> {
        let length = u64::read(self)?;
        match usize::try_from(length) {
            Ok(length) if length <= self.bytes.len() - self.at => Ok(length),
            _ => Err(WireError::Truncated),
        }
    }

    /// Where the next blob lies.
    fn blob(&mut self) -> Result<std::ops::Range<usize>, WireError> {
        let length = self.length()?;
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }
}

/// A thing with an encoding, of at least one byte.
trait Wire<'a>: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(input: &mut Input<'a>) -> Result<Self, WireError>;
}

impl<'a> Wire<'a> for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = input.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                let fits = (bits << shift) >> shift == bits;
                return if shortest && fits { Ok(value) } else { Err(WireError::Number) };
            }
        }
        Err(WireError::Number)
    }
}

impl<'a> Wire<'a> for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            number => Err(WireError::Kind { what: "truth value", number }),
        }
    }
}

impl<'a> Wire<'a> for Offset {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let (bytes, _) = input.bytes[input.at..].split_first_chunk().ok_or(WireError::Truncated)?;
        input.at += Offset::BYTES;
        Ok(Offset::from_bytes(*bytes))
    }
}

fn write_blob(blob: &[u8], out: &mut Vec<u8>) {
    (blob.len() as u64).write(out);
    out.extend_from_slice(blob);
}

impl<'a> Wire<'a> for Cow<'a, [u8]> {
    fn write(&self, out: &mut Vec<u8>) {
        write_blob(self, out);
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let range = input.blob()?;
        Ok(Cow::Borrowed(&input.bytes[range]))
    }
}

impl<'a> Wire<'a> for Cow<'a, str> {
    fn write(&self, out: &mut Vec<u8>) {
        write_blob(self.as_bytes(), out);
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let range = input.blob()?;
        std::str::from_utf8(&input.bytes[range]).map(Cow::Borrowed).map_err(|_| WireError::Text)
    }
}

impl<'a> Wire<'a> for Bytes {
    fn write(&self, out: &mut Vec<u8>) {
        write_blob(self, out);
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let range = input.blob()?;
        Ok(input.bytes.slice(range))
    }
}

impl<'a, T: Wire<'a>> Wire<'a> for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        self.iter().for_each(|element| element.write(out));
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        let count = input.length()?;
        (0..count).map(|_| T::read(input)).collect()
    }
}

impl<'a, A: Wire<'a>, B: Wire<'a>> Wire<'a> for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
        Ok((A::read(input)?, B::read(input)?))
    }
}

macro_rules! structs {
    ($($name:ident $(<$life:lifetime>)? { $($field:ident),* })*) => { $(
        impl<'a> Wire<'a> for $name $(<$life>)? {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
                Ok(Self { $($field: Wire::read(input)?),* })
            }
        }
    )* };
}

macro_rules! choices {
    ($($type:ty, $what:literal: {
        $($number:literal $variant:ident $(($inner:ident))? $({ $($field:ident),* })?,)*
    })*) => { $(
        impl<'a> Wire<'a> for $type {
            fn write(&self, out: &mut Vec<u8>) {
                match self { $(
                    Self::$variant $(($inner))? $({ $($field),* })? => {
                        out.push($number);
                        $($inner.write(out);)?
                        $($($field.write(out);)*)?
                    }
                )* }
            }

            fn read(input: &mut Input<'a>) -> Result<Self, WireError> {
                match input.byte()? {
                    $($number => {
                        $(let $inner = Wire::read(input)?;)?
                        $($(let $field = Wire::read(input)?;)*)?
                        Ok(Self::$variant $(($inner))? $({ $($field),* })?)
                    })*
                    number => Err(WireError::Kind { what: $what, number }),
                }
            }
        }
    )* };
}

structs! {
    Message<'a> { node, run, number, body }
    Socket<'a> { id, namespace, rooms, url, address, auth, time_ms }
    Selection<'a> { namespace, rooms, except }
    Packet<'a> { json, attachments }
    Session<'a> { node, run, namespace, id, rooms, data, time_ms }
}

// A number is for ever: one that goes out of use is not given to something else within the same version.
choices! {
    Body<'a>, "message": {
        0 Hello { wants_answer },
        1 Bye,
        2 Emit { to, volatile, offset, packet },
        3 Rooms { of, join, leave },
        4 Disconnect { of, close },
        5 Server { packet },
        6 Ask { question, timeout_ms, what },
        7 Answer { question, last, what },
    }
    Ask<'a>, "question": {
        0 Acks { to, packet },
        1 Sockets { of },
        2 Server { packet },
        3 Release { pid, namespace },
        4 Missed { pid, namespace, offset },
    }
    Answer<'a>, "answer": {
        0 Acks(acks),
        1 Sockets(sockets),
        2 Server(packet),
        3 Released(was_here),
        6 Missed { had, events, rooms },
        5 NotKept,
    }
    Missing, "reason": {
        0 Timeout,
        1 Disconnected,
        2 TooMany,
    }
    Option<Packet<'a>>, "option": {
        0 None,
        1 Some(packet),
    }
    Option<Offset>, "option": {
        0 None,
        1 Some(offset),
    }
    Result<Packet<'a>, Missing>, "result": {
        0 Ok(packet),
        1 Err(missing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Cow<'static, str>> {
        ".{0,12}".prop_map(Cow::Owned)
    }

    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
    }

    fn selection() -> impl Strategy<Value = Selection<'static>> {
        (text(), vec(text(), 0..4), vec(text(), 0..4)).prop_map(|(namespace, rooms, except)| Selection {
            namespace,
            rooms,
            except,
        })
    }

    fn packet() -> impl Strategy<Value = Packet<'static>> {
        (vec(any::<u8>(), 0..300), vec(vec(any::<u8>(), 0..300), 0..3)).prop_map(|(json, attachments)| {
            Packet { json: Cow::Owned(json), attachments: attachments.into_iter().map(Bytes::from).collect() }
        })
    }

    fn socket() -> impl Strategy<Value = Socket<'static>> {
        (text(), text(), vec(text(), 0..4), text(), text(), text(), number()).prop_map(
            |(id, namespace, rooms, url, address, auth, time_ms)| Socket {
                id,
                namespace,
                rooms,
                url,
                address,
                auth,
                time_ms,
            },
        )
    }

    fn offset() -> impl Strategy<Value = Offset> {
        any::<[u8; Offset::BYTES]>().prop_map(Offset::from_bytes)
    }

    fn session() -> impl Strategy<Value = Session<'static>> {
        (text(), number(), text(), text(), vec(text(), 0..4), vec(any::<u8>(), 0..300), number()).prop_map(
            |(node, run, namespace, id, rooms, data, time_ms)| Session {
                node,
                run,
                namespace,
                id,
                rooms,
                data: data.into(),
                time_ms,
            },
        )
    }

    fn ask() -> impl Strategy<Value = Ask<'static>> {
        prop_oneof![
            (selection(), packet()).prop_map(|(to, packet)| Ask::Acks { to, packet }),
            selection().prop_map(|of| Ask::Sockets { of }),
            packet().prop_map(|packet| Ask::Server { packet }),
            (text(), text()).prop_map(|(pid, namespace)| Ask::Release { pid, namespace }),
            (text(), text(), offset()).prop_map(|(pid, namespace, offset)| Ask::Missed {
                pid,
                namespace,
                offset
            }),
        ]
    }

    fn answer() -> impl Strategy<Value = Answer<'static>> {
        let missing = proptest::sample::select(&[Missing::Timeout, Missing::Disconnected, Missing::TooMany]);
        let ack = prop_oneof![packet().prop_map(Ok), missing.prop_map(Err)];
        prop_oneof![
            vec((text(), ack), 0..4).prop_map(Answer::Acks),
            vec(socket(), 0..4).prop_map(Answer::Sockets),
            proptest::option::of(packet()).prop_map(Answer::Server),
            (
                vec(offset(), 0..4),
                vec((offset(), vec(any::<u8>(), 0..300).prop_map(Bytes::from)), 0..4),
                vec(text(), 0..4)
            )
                .prop_map(|(had, events, rooms)| Answer::Missed { had, events, rooms }),
            any::<bool>().prop_map(Answer::Released),
            Just(Answer::NotKept),
        ]
    }

    fn body() -> impl Strategy<Value = Body<'static>> {
        prop_oneof![
            any::<bool>().prop_map(|wants_answer| Body::Hello { wants_answer }),
            Just(Body::Bye),
            (selection(), any::<bool>(), proptest::option::of(offset()), packet())
                .prop_map(|(to, volatile, offset, packet)| Body::Emit { to, volatile, offset, packet }),
            (selection(), vec(text(), 0..4), vec(text(), 0..4)).prop_map(|(of, join, leave)| Body::Rooms {
                of,
                join,
                leave
            }),
            (selection(), any::<bool>()).prop_map(|(of, close)| Body::Disconnect { of, close }),
            packet().prop_map(|packet| Body::Server { packet }),
            (number(), number(), ask()).prop_map(|(question, timeout_ms, what)| Body::Ask {
                question,
                timeout_ms,
                what
            }),
            (number(), any::<bool>(), answer()).prop_map(|(question, last, what)| Body::Answer {
                question,
                last,
                what
            }),
        ]
    }

    fn message() -> impl Strategy<Value = Message<'static>> {
        (text(), number(), number(), body()).prop_map(|(node, run, number, body)| Message {
            node,
            run,
            number,
            body,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn a_session_is_read_as_it_was_written(session in session(), extra in any::<u8>()) {
            let bytes = session.encode();
            for end in 0..bytes.len() {
                prop_assert!(Session::decode(&bytes.slice(..end)).is_err());
            }
            prop_assert!(Session::decode(&[&bytes[..], &[extra]].concat().into()).is_err());
            prop_assert_eq!(Session::decode(&bytes), Ok(session));
        }

        /// No end but the last byte is a message's end.
        #[test]
        fn what_is_cut_off_is_refused(message in message(), extra in any::<u8>()) {
            let bytes = message.encode();
            for end in 0..bytes.len() {
                prop_assert_eq!(read(&[&bytes[..end]]), Err(WireError::Truncated), "cut to {}", end);
            }
            prop_assert_eq!(read(&[&bytes, &[extra]]), Err(WireError::Trailing(1)));
        }

        #[test]
        fn damage_does_not_panic_and_what_is_read_has_one_encoding(
            message in message(),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = message.encode().to_vec();
            for (place, byte) in damage {
                *place.get_mut(&mut bytes) = byte;
            }
            let bytes = Bytes::from(bytes);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..200), proper_version in any::<bool>()) {
            let mut bytes = bytes;
            if proper_version {
                bytes.insert(0, VERSION);
            }
            let bytes = Bytes::from(bytes);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    fn read(parts: &[&[u8]]) -> Result<(), WireError> {
        Message::decode(&parts.concat().into()).map(drop)
    }

    #[test]
    fn the_encoding_is_this() {
        let message = Message {
            node: "n1".into(),
            run: 300,
            number: 1,
            body: Body::Emit {
                to: Selection { namespace: "/".into(), rooms: vec!["r".into()], except: vec![] },
                volatile: true,
                offset: Some(Offset::from_bytes(*b"microsthread")),
                packet: Packet {
                    json: Cow::Borrowed(b"[\"e\"]"),
                    attachments: vec![Bytes::from_static(b"\xff")],
                },
            },
        };
        assert_eq!(
            message.encode(),
            &b"\x01\x02n1\xac\x02\x01\x02\x01/\x01\x01r\x00\x01\x01microsthread\x05[\"e\"]\x01\x01\xff"[..]
        );
    }

    #[test]
    fn attachments_share_the_input() {
        let packet = Packet { json: Cow::Borrowed(b"[]"), attachments: vec![Bytes::from(vec![7; 1000])] };
        let bytes = Message { node: "n".into(), run: 1, number: 1, body: Body::Server { packet } }.encode();
        let Body::Server { packet } = Message::decode(&bytes).unwrap().body else { panic!("a server event") };
        let offset = packet.attachments[0].as_ptr().addr() - bytes.as_ptr().addr();
        assert_eq!(offset, bytes.len() - 1000, "it lies in the input's buffer");
    }

    #[test]
    fn what_is_refused() {
        let head: &[u8] = b"\x01\x01n\x01\x01";
        assert_eq!(read(&[head, b"\x01"]), Ok(()));
        assert_eq!(read(&[]), Err(WireError::Truncated));
        assert_eq!(read(&[b"\x00\x01n\x01\x01\x01"]), Err(WireError::Version(0)));
        assert_eq!(read(&[b"\x02anything"]), Err(WireError::Version(2)));
        assert_eq!(read(&[head, b"\x08"]), Err(WireError::Kind { what: "message", number: 8 }));
        assert_eq!(read(&[head, b"\x00\x02"]), Err(WireError::Kind { what: "truth value", number: 2 }));
        assert_eq!(read(&[b"\x01\x01\xff\x01\x01\x01"]), Err(WireError::Text));
        assert_eq!(read(&[b"\x01\x01n\x81\x00\x01\x01"]), Err(WireError::Number), "a padded number");
        let most: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(read(&[b"\x01\x01n", most, b"\x01\x01"]), Ok(()), "2^64 - 1");
        let more: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
        assert_eq!(read(&[b"\x01\x01n", more, b"\x01\x01"]), Err(WireError::Number), "above 2^64 - 1");
        // Lengths and counts that claim what is not there.
        assert_eq!(read(&[b"\x01", most, b"n\x01\x01\x01"]), Err(WireError::Truncated));
        assert_eq!(read(&[head, b"\x05\x02[]", most]), Err(WireError::Truncated));
    }
}
