//! Messages between nodes, and the sessions that they leave to each other: no panic; what is read has one encoding, so writing it gives the same bytes again; and
//! texts, JSON and attachments together are no longer than the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio_socketio::bus::wire::{Body, Message, Session};

fuzz_target!(|data: &[u8]| {
    let bytes = data.to_vec().into();
    if let Ok(session) = Session::decode(&bytes) {
        assert_eq!(session.encode(), bytes);
    }
    let Ok(message) = Message::decode(&bytes) else { return };
    assert_eq!(message.encode(), bytes);
    if let Body::Emit { packet, .. } = &message.body {
        let attachments: usize = packet.attachments.iter().map(|attachment| attachment.len()).sum();
        assert!(packet.json.len() + attachments < bytes.len());
    }
});
