//! Socket.IO packets: no panic; the header survives being encoded again; the scan for the event's name agrees with a
//! whole JSON parser wherever the JSON is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio_socketio::proto::sio::{Kind, Packet, encode_head};

fuzz_target!(|data: &[u8]| {
    let Some((limit, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let limit = usize::from(*limit);
    let Ok(packet) = Packet::decode(text, limit) else { return };
    assert!(packet.attachments.is_none_or(|count| (1..=limit).contains(&count)));

    let mut again = Vec::new();
    encode_head(&mut again, packet.kind, packet.attachments, packet.namespace, packet.id);
    again.extend_from_slice(packet.data.as_bytes());
    let again = String::from_utf8(again).expect("packets are text");
    assert_eq!(Packet::decode(&again, limit).as_ref(), Ok(&packet));

    if !matches!(packet.kind, Kind::Event | Kind::Ack) {
        return;
    }
    let Ok(args) = packet.args() else { return };
    assert!(packet.data.ends_with(args.list));
    let Ok(Value::Array(mut whole)) = serde_json::from_str(args.array) else { return };
    assert!(args.is_json());
    if packet.kind == Kind::Event {
        match whole.remove(0) {
            Value::String(name) => assert_eq!(name, args.name),
            Value::Number(_) => (),
            other => panic!("{other} is no event name"),
        }
    }
    let list: Vec<Value> =
        serde_json::from_str(&format!("[{}", args.list)).expect("the rest of valid JSON is valid");
    assert_eq!(list, whole);
});
