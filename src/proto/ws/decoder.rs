//! From bytes to messages: masks taken off, fragments joined, text checked.
//!
//! A small message that has arrived whole is unmasked where it lies and lent out of the input: nothing is
//! allocated. What is unfinished is kept in one box, which is dropped as soon as nothing is unfinished, so an
//! idle connection's decoder is a null pointer. The box grows with the bytes that have arrived, never with
//! the length that a header claims, and a length over the limit is refused when it is claimed.

use std::borrow::Cow;

use super::close::decode_close;
use super::frame::{FrameHeader, MAX_HEADER_BYTES};
use super::{Event, Fault, Limits, Opcode, Utf8, unmask};

/// The message decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

/// What is unfinished.
///
/// ```text
///        ┌── control frame, or last frame: event ──┐
///        ▼                                         │
///  between frames ──▶ in a header ──▶ in a payload ┤
///        ▲                                         │
///        └── frame of a message that goes on ──────┘
/// ```
#[derive(Debug, Default)]
struct Partial {
    /// The bytes of an unfinished header.
    header: [u8; MAX_HEADER_BYTES],
    header_len: u8,
    /// The frame whose payload has not arrived whole.
    frame: Option<Frame>,
    /// The message whose last frame has not arrived whole.
    message: Option<Message>,
    /// The unfinished control frame's payload, which may stand inside the message.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    header: FrameHeader,
    /// Payload bytes that have arrived.
    arrived: usize,
}

#[derive(Debug)]
struct Message {
    kind: Kind,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(Utf8),
    Binary,
    Compressed { text: bool },
}

impl Decoder {
    /// A decoder between two messages.
    pub const fn new() -> Self {
        Self { partial: None }
    }

    /// Whether nothing is unfinished; then the decoder owns no memory.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Decodes at most one event from the front of `input`, which it unmasks in place, and returns how many
    /// bytes that took. Without an event all of `input` was taken.
    #[inline]
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), Fault> {
        if self.partial.is_none()
            && let Some((header, start)) = FrameHeader::decode(input)?
            && header.fin
            && header.len <= (input.len() - start) as u64
        {
            limits.check(&header, None)?;
            let end = start + header.len as usize;
            return Ok((end, Some(whole(header, &mut input[start..end])?)));
        }
        self.resume(input, limits)
    }

    /// The way of everything that is not one whole message in one piece.
    fn resume<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Event<'a>>), Fault> {
        if input.is_empty() {
            return Ok((0, None));
        }
        let partial = self.partial.get_or_insert_default();
        let mut at = 0;
        loop {
            let Frame { header, arrived } = match partial.frame {
                Some(frame) => frame,
                None => match partial.read_header(&input[at..])? {
                    Some((header, taken)) => {
                        at += taken;
                        partial.begin(&header, limits)?;
                        Frame { header, arrived: 0 }
                    }
                    None => return Ok((input.len(), None)),
                },
            };
            // `begin` saw that the length fits the limit, which is a usize.
            let missing = header.len as usize - arrived;
            let start = at;
            at += missing.min(input.len() - start);
            let piece = &mut input[start..at];
            if let Some(key) = header.mask {
                unmask(piece, key, arrived);
            }
            if !header.opcode.is_control() {
                partial.extend_message(piece, missing, header.fin, limits)?;
            } else if piece.len() < header.len as usize {
                partial.control.extend_from_slice(piece);
            }
            if at - start < missing {
                partial.frame = Some(Frame { header, arrived: arrived + (at - start) });
                return Ok((at, None));
            }
            partial.frame = None;
            if header.opcode.is_control() {
                let payload = match arrived {
                    0 => Cow::Borrowed(&input[start..at]),
                    _ => Cow::Owned(std::mem::take(&mut partial.control)),
                };
                let event = control(header.opcode, payload)?;
                if partial.message.is_none() {
                    self.partial = None;
                }
                return Ok((at, Some(event)));
            }
            if header.fin {
                let message = partial.message.take();
                self.partial = None;
                return Ok((at, message.map(Message::finish).transpose()?));
            }
        }
    }
}

impl Partial {
    /// Completes the unfinished header: `None` if all of `input` was not enough, else the header and how much
    /// of `input` it took.
    fn read_header(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, Fault> {
        let begun = usize::from(self.header_len);
        let end = MAX_HEADER_BYTES.min(begun + input.len());
        self.header[begun..end].copy_from_slice(&input[..end - begun]);
        let decoded = FrameHeader::decode(&self.header[..end])?;
        self.header_len = if decoded.is_some() { 0 } else { end as u8 };
        Ok(decoded.map(|(header, length)| (header, length - begun)))
    }

    /// Checks the frame that now begins, and begins its message.
    fn begin(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Fault> {
        limits.check(header, self.message.as_ref().map(|message| message.data.len()))?;
        let kind = match header.opcode {
            Opcode::Text | Opcode::Binary if header.rsv1 => {
                Kind::Compressed { text: header.opcode == Opcode::Text }
            }
            Opcode::Text => Kind::Text(Utf8::default()),
            Opcode::Binary => Kind::Binary,
            _ => return Ok(()),
        };
        self.message = Some(Message { kind, data: Vec::new() });
        Ok(())
    }

    /// Appends a piece of the frame of which `missing` bytes, the piece included, have not been appended.
    fn extend_message(
        &mut self,
        piece: &[u8],
        missing: usize,
        fin: bool,
        limits: &Limits,
    ) -> Result<(), Fault> {
        let Some(Message { kind, data }) = &mut self.message else { return Ok(()) };
        if let Kind::Text(utf8) = kind {
            utf8.push(piece).map_err(|_| Fault::NOT_UTF8)?;
        }
        let length = data.len() + piece.len();
        if length > data.capacity() {
            // Doubled, but never past what the message can still become.
            let most = if fin { data.len() + missing } else { limits.max_message };
            let capacity = data.capacity().saturating_mul(2).min(most).max(length);
            data.reserve_exact(capacity - data.len());
        }
        data.extend_from_slice(piece);
        Ok(())
    }
}

impl Message {
    fn finish(self) -> Result<Event<'static>, Fault> {
        Ok(match self.kind {
            Kind::Text(_) => {
                Event::Text(Cow::Owned(String::from_utf8(self.data).map_err(|_| Fault::NOT_UTF8)?))
            }
            Kind::Binary => Event::Binary(Cow::Owned(self.data)),
            Kind::Compressed { text } => Event::Compressed { text, data: Cow::Owned(self.data) },
        })
    }
}

/// The event of a frame that is a whole message, or a control frame, and has arrived whole.
#[inline]
fn whole<'a>(header: FrameHeader, payload: &'a mut [u8]) -> Result<Event<'a>, Fault> {
    if let Some(key) = header.mask {
        unmask(payload, key, 0);
    }
    let payload: &'a [u8] = payload;
    Ok(match header.opcode {
        opcode @ (Opcode::Text | Opcode::Binary) if header.rsv1 => {
            Event::Compressed { text: opcode == Opcode::Text, data: Cow::Borrowed(payload) }
        }
        Opcode::Text => {
            Event::Text(Cow::Borrowed(std::str::from_utf8(payload).map_err(|_| Fault::NOT_UTF8)?))
        }
        Opcode::Binary => Event::Binary(Cow::Borrowed(payload)),
        opcode => control(opcode, Cow::Borrowed(payload))?,
    })
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Event<'_>, Fault> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong(payload)),
        Opcode::Close => decode_close(payload),
        _ => Err(Fault::protocol("not a control frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ws::Role;
    use proptest::prelude::*;

    const KEY: [u8; 4] = [0x9A, 0x01, 0xF0, 0x3C];
    const SERVER: Limits = Limits { max_message: 1000, allow_rsv1: false, role: Role::Server };

    fn frame(fin: bool, rsv1: bool, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut out = Vec::new();
        FrameHeader { fin, rsv1, opcode, mask, len: payload.len() as u64 }.encode(&mut out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            unmask(&mut out[start..], key, 0);
        }
        out
    }

    fn masked(fin: bool, opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
        frame(fin, false, opcode, payload.as_ref(), Some(KEY))
    }

    fn owned(event: Event<'_>) -> Event<'static> {
        let bytes = |data: Cow<'_, [u8]>| Cow::Owned(data.into_owned());
        let text = |data: Cow<'_, str>| Cow::Owned(data.into_owned());
        match event {
            Event::Text(data) => Event::Text(text(data)),
            Event::Binary(data) => Event::Binary(bytes(data)),
            Event::Compressed { text, data } => Event::Compressed { text, data: bytes(data) },
            Event::Ping(data) => Event::Ping(bytes(data)),
            Event::Pong(data) => Event::Pong(bytes(data)),
            Event::Close(reason) => Event::Close(reason.map(|(code, reason)| (code, text(reason)))),
        }
    }

    /// All events of a stream that arrives in pieces of these sizes, over and over, and how it ended.
    fn events(stream: &[u8], sizes: &[usize], limits: &Limits) -> (Vec<Event<'static>>, Option<Fault>, bool) {
        let (mut decoder, mut events, mut rest) = (Decoder::new(), Vec::new(), stream);
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*size));
            rest = later;
            let mut piece = piece.to_vec();
            let mut piece = &mut piece[..];
            loop {
                match decoder.decode(piece, limits) {
                    Ok((consumed, Some(event))) => {
                        events.push(owned(event));
                        piece = &mut piece[consumed..];
                    }
                    Ok((consumed, None)) => {
                        assert_eq!(consumed, piece.len(), "without an event all is consumed");
                        break;
                    }
                    Err(fault) => return (events, Some(fault), decoder.is_idle()),
                }
            }
            if rest.is_empty() {
                break;
            }
        }
        (events, None, decoder.is_idle())
    }

    /// The events of this stream, the same in one piece and byte by byte.
    fn decoded(stream: &[u8], limits: &Limits) -> (Vec<Event<'static>>, Option<u16>, bool) {
        let (whole, fault, idle) = events(stream, &[stream.len()], limits);
        let (single, single_fault, single_idle) = events(stream, &[1], limits);
        assert_eq!((&single, single_fault), (&whole, fault), "byte by byte");
        if fault.is_none() {
            assert_eq!(idle, single_idle);
        }
        (whole, fault.map(|fault| fault.code), idle)
    }

    fn text(data: &str) -> Event<'static> {
        Event::Text(Cow::Owned(data.to_owned()))
    }

    #[test]
    fn an_idle_decoder_is_a_null_pointer() {
        assert_eq!(size_of::<Decoder>(), 8);
        assert!(size_of::<Partial>() <= 160, "{}", size_of::<Partial>());
    }

    #[test]
    fn a_whole_message_is_lent_from_the_input() {
        let mut input = [masked(true, Opcode::Text, "4hello"), masked(true, Opcode::Binary, [1, 2])].concat();
        let range = input.as_ptr_range();
        let mut decoder = Decoder::new();
        let (consumed, event) = decoder.decode(&mut input, &SERVER).unwrap();
        let Some(Event::Text(Cow::Borrowed("4hello"))) = &event else { panic!("{event:?}") };
        assert_eq!(consumed, 12);
        assert!(decoder.is_idle());
        let (consumed, event) = decoder.decode(&mut input[consumed..], &SERVER).unwrap();
        let Some(Event::Binary(Cow::Borrowed(data @ [1, 2]))) = event else { panic!("{event:?}") };
        assert!(range.contains(&data.as_ptr()));
        assert_eq!(consumed, 8);
        assert!(decoder.is_idle());
    }

    #[test]
    fn fragments_are_joined_and_control_frames_come_between() {
        let stream = [
            masked(false, Opcode::Text, "héll".as_bytes().split_at(2).0),
            masked(true, Opcode::Ping, "p"),
            masked(false, Opcode::Continuation, "héll".as_bytes().split_at(2).1),
            masked(false, Opcode::Continuation, ""),
            masked(true, Opcode::Pong, ""),
            masked(true, Opcode::Continuation, "o"),
            masked(true, Opcode::Close, b"\x03\xe8bye"),
        ]
        .concat();
        let expected = vec![
            Event::Ping(Cow::Owned(b"p".to_vec())),
            Event::Pong(Cow::Owned(Vec::new())),
            text("héllo"),
            Event::Close(Some((1000, Cow::Borrowed("bye")))),
        ];
        assert_eq!(decoded(&stream, &SERVER), (expected, None, true));
    }

    #[test]
    fn memory_is_held_only_while_something_is_unfinished() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.decode(&mut [], &SERVER), Ok((0, None)));
        assert!(decoder.is_idle());
        for mut piece in [
            masked(false, Opcode::Binary, [1; 10]),
            masked(true, Opcode::Ping, ""),
            masked(true, Opcode::Continuation, [1; 10])[..15].to_vec(),
        ] {
            decoder.decode(&mut piece, &SERVER).unwrap();
            assert!(!decoder.is_idle());
        }
        let mut last = masked(true, Opcode::Continuation, [1; 10])[15..].to_vec();
        let (_, event) = decoder.decode(&mut last, &SERVER).unwrap();
        assert_eq!(event, Some(Event::Binary(Cow::Owned(vec![1; 20]))));
        assert!(decoder.is_idle());
    }

    #[test]
    fn memory_grows_with_what_arrives_not_with_what_is_claimed() {
        let limits = Limits { max_message: 1 << 30, ..SERVER };
        let mut input = Vec::new();
        FrameHeader { fin: true, rsv1: false, opcode: Opcode::Binary, mask: Some(KEY), len: 1 << 30 }
            .encode(&mut input);
        input.resize(input.len() + 100, 0);
        let mut decoder = Decoder::new();
        for _ in 0..10 {
            decoder.decode(&mut input, &limits).unwrap();
            let data = &decoder.partial.as_ref().unwrap().message.as_ref().unwrap().data;
            assert!(data.capacity() <= 2 * data.len(), "{} for {}", data.capacity(), data.len());
            input = vec![0; 100];
        }
    }

    #[test]
    fn a_message_of_the_limit_takes_no_more_than_the_limit() {
        let mut decoder = Decoder::new();
        let mut input = masked(true, Opcode::Binary, [7; 1000]);
        for piece in input.chunks_mut(300) {
            if let (_, Some(Event::Binary(Cow::Owned(data)))) = decoder.decode(piece, &SERVER).unwrap() {
                assert_eq!((data.len(), data.capacity()), (1000, 1000));
                return;
            }
        }
        panic!("no message");
    }

    #[test]
    fn compressed_messages_are_passed_on_as_they_came() {
        let limits = Limits { allow_rsv1: true, ..SERVER };
        let stream = [
            frame(true, true, Opcode::Text, b"\xff\xfe", Some(KEY)),
            frame(false, true, Opcode::Binary, b"\xff", Some(KEY)),
            frame(true, false, Opcode::Continuation, b"\xfe", Some(KEY)),
            frame(true, false, Opcode::Text, b"plain", Some(KEY)),
        ]
        .concat();
        let data = || Cow::Owned(b"\xff\xfe".to_vec());
        let expected = vec![
            Event::Compressed { text: true, data: data() },
            Event::Compressed { text: false, data: data() },
            text("plain"),
        ];
        assert_eq!(decoded(&stream, &limits), (expected, None, true));
        assert_eq!(decoded(&stream, &SERVER), (vec![], Some(1002), true));
    }

    #[test]
    fn faults() {
        let unfinished = |text: &[u8]| masked(false, Opcode::Text, text);
        for (stream, code) in [
            (frame(true, false, Opcode::Text, b"a", None), 1002),
            (masked(true, Opcode::Continuation, "a"), 1002),
            ([unfinished(b"a"), masked(true, Opcode::Text, "b")].concat(), 1002),
            ([unfinished(b"a"), masked(false, Opcode::Binary, "b")].concat(), 1002),
            (masked(true, Opcode::Close, [3]), 1002),
            (masked(true, Opcode::Close, [3, 0xed]), 1002),
            (masked(true, Opcode::Close, b"\x03\xe8\xff"), 1007),
            // The length alone is enough.
            (masked(true, Opcode::Binary, [0; 1001])[..8].to_vec(), 1009),
            (
                [masked(false, Opcode::Binary, [0; 999]), masked(true, Opcode::Continuation, [0; 2])]
                    .concat(),
                1009,
            ),
            (masked(true, Opcode::Text, b"\xe4\xbd"), 1007),
            (masked(true, Opcode::Text, b"a\x80"), 1007),
            ([unfinished(b"\xe4"), masked(true, Opcode::Continuation, b"\xbd")].concat(), 1007),
            // Wrong text is told before its message, or its frame, is whole.
            (unfinished(b"a\xff"), 1007),
            ([unfinished(b"\xed"), masked(false, Opcode::Continuation, b"\xa0")].concat(), 1007),
            (masked(true, Opcode::Text, [b"a\xff".as_slice(), &[b'a'; 900]].concat())[..10].to_vec(), 1007),
        ] {
            let (_, fault, _) = decoded(&stream, &SERVER);
            assert_eq!(fault, Some(code), "{stream:x?}");
        }
        let client = Limits { role: Role::Client, ..SERVER };
        assert_eq!(decoded(&masked(true, Opcode::Text, "a"), &client).1, Some(1002));
        assert_eq!(decoded(&frame(true, false, Opcode::Text, b"a", None), &client).0, [text("a")]);
    }

    /// A message with control frames between its fragments, as frames and as events.
    fn message(role: Role) -> impl Strategy<Value = (Vec<u8>, Vec<Event<'static>>)> {
        let payload = prop_oneof![
            ".{0,60}".prop_map(|data| (Opcode::Text, data.into_bytes())),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|data| (Opcode::Binary, data)),
        ];
        let between =
            prop_oneof![3 => Just(None), 1 => proptest::collection::vec(any::<u8>(), 0..=125).prop_map(Some)];
        let cuts = proptest::collection::vec((any::<prop::sample::Index>(), between), 0..4);
        (payload, cuts, any::<[u8; 4]>(), any::<bool>()).prop_map(move |((kind, data), cuts, key, rsv1)| {
            let mask = (role == Role::Server).then_some(key);
            let mut cuts: Vec<_> =
                cuts.into_iter().map(|(at, ping)| (at.index(data.len() + 1), ping)).collect();
            cuts.sort_by_key(|(at, _)| *at);
            let (mut stream, mut events, mut start, mut opcode) = (Vec::new(), Vec::new(), 0, kind);
            for (at, ping) in cuts {
                stream.extend(frame(
                    false,
                    rsv1 && start == 0 && opcode == kind,
                    opcode,
                    &data[start..at],
                    mask,
                ));
                if let Some(ping) = ping {
                    stream.extend(frame(true, false, Opcode::Ping, &ping, mask));
                    events.push(Event::Ping(Cow::Owned(ping)));
                }
                (start, opcode) = (at, Opcode::Continuation);
            }
            stream.extend(frame(true, rsv1 && opcode == kind, opcode, &data[start..], mask));
            events.push(match kind {
                _ if rsv1 => Event::Compressed { text: kind == Opcode::Text, data: Cow::Owned(data) },
                Opcode::Text => Event::Text(Cow::Owned(String::from_utf8(data).expect("made of text"))),
                _ => Event::Binary(Cow::Owned(data)),
            });
            (stream, events)
        })
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_were_sent_in_any_pieces(
            (role, messages) in prop_oneof![Just(Role::Server), Just(Role::Client)]
                .prop_flat_map(|role| (Just(role), proptest::collection::vec(message(role), 1..5))),
            sizes in proptest::collection::vec(1..90_usize, 1..6),
        ) {
            let limits = Limits { max_message: 300, allow_rsv1: true, role };
            let (stream, expected): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let (stream, expected) = (stream.concat(), expected.concat());
            for sizes in [&[stream.len()][..], &[1], &sizes] {
                prop_assert_eq!(events(&stream, sizes, &limits), (expected.clone(), None, true));
            }
        }

        #[test]
        fn damaged_frames_give_the_same_in_any_pieces(
            messages in proptest::collection::vec(message(Role::Server), 1..4),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            sizes in proptest::collection::vec(1..90_usize, 1..6),
            max_message in 0..300_usize,
            allow_rsv1: bool,
        ) {
            let limits = Limits { max_message, allow_rsv1, role: Role::Server };
            let mut stream: Vec<u8> = messages.into_iter().flat_map(|(stream, _)| stream).collect();
            for (at, byte) in damage {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            let (whole, fault, _) = events(&stream, &[stream.len()], &limits);
            for sizes in [&[1][..], &sizes] {
                let (pieces, pieces_fault, _) = events(&stream, sizes, &limits);
                prop_assert_eq!((&pieces, pieces_fault), (&whole, fault));
            }
        }
    }
}
