//! WebSocket messages: no panic, never past the limit, the same events and fault however they are cut.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use tokio_socketio::proto::ws::{Decoder, Event, Fault, Limits, Role};
use tokio_socketio_fuzz::{Input, assert_alike};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let limits = Limits {
        max_message: usize::from(input.limit) * 4,
        allow_rsv1: input.variant & 2 != 0,
        role: if input.variant & 1 == 0 { Role::Server } else { Role::Client },
    };
    assert_alike(&input, |pieces| {
        let mut events = Vec::new();
        let fault = decode(pieces, &limits, &mut events).err();
        (events, fault)
    });
});

fn decode(pieces: &[&[u8]], limits: &Limits, events: &mut Vec<Event<'static>>) -> Result<(), Fault> {
    let mut decoder = Decoder::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let missing = piece.len() - at;
            let (consumed, event) = decoder.decode(&mut piece[at..], limits)?;
            at += consumed;
            let Some(event) = event else {
                assert_eq!(consumed, missing);
                break;
            };
            events.push(owned(event, limits));
        }
    }
    Ok(())
}

fn owned(event: Event<'_>, limits: &Limits) -> Event<'static> {
    let bytes = |data: Cow<'_, [u8]>, most: usize| {
        assert!(data.len() <= most);
        if let Cow::Owned(data) = &data {
            assert!(data.capacity() <= most.max(256));
        }
        Cow::Owned(data.into_owned())
    };
    let message = limits.max_message;
    match event {
        Event::Text(Cow::Borrowed(data)) => {
            assert!(data.len() <= message);
            Event::Text(Cow::Owned(data.to_owned()))
        }
        Event::Text(Cow::Owned(data)) => {
            assert!(data.capacity() <= message);
            Event::Text(Cow::Owned(data))
        }
        Event::Binary(data) => Event::Binary(bytes(data, message)),
        Event::Compressed { text, data } => Event::Compressed { text, data: bytes(data, message) },
        Event::Ping(data) => Event::Ping(bytes(data, 125)),
        Event::Pong(data) => Event::Pong(bytes(data, 125)),
        Event::Close(reason) => Event::Close(reason.map(|(code, reason)| {
            assert!(reason.len() <= 123);
            (code, Cow::Owned(reason.into_owned()))
        })),
    }
}
