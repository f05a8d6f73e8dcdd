//! Engine.IO payloads: no panic, and what was decoded, encoded again, decodes to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio_socketio::proto::eio::{Packet, PayloadWriter, decode_payload};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(packets) = decode_payload(text).collect::<Result<Vec<_>, _>>() else { return };
    assert!(!packets.is_empty(), "a payload has at least one packet");
    let mut writer = PayloadWriter::default();
    for packet in &packets {
        match packet {
            Packet::Binary(data) => writer.push_binary(data),
            other => {
                let mut encoded = Vec::new();
                other.encode_text(&mut encoded);
                writer.push_text(&encoded);
            }
        }
    }
    let again = String::from_utf8(writer.finish()).expect("packets are text");
    let decoded: Vec<_> =
        decode_payload(&again).map(|packet| packet.expect("it was a packet before")).collect();
    assert_eq!(decoded, packets);
});
