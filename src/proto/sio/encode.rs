//! Writing packets: the header here, the JSON by whoever has it.

use super::{Kind, ROOT};
use crate::proto::decimal::push_decimal;

/// Appends everything of a packet that stands before its JSON. `attachments` makes it a binary packet,
/// which only events and acks can be.
pub fn encode_head(
    out: &mut Vec<u8>,
    kind: Kind,
    attachments: Option<usize>,
    namespace: &str,
    id: Option<u64>,
) {
    out.push(match (kind, attachments) {
        (Kind::Connect, _) => b'0',
        (Kind::Disconnect, _) => b'1',
        (Kind::Event, None) => b'2',
        (Kind::Ack, None) => b'3',
        (Kind::ConnectError, _) => b'4',
        (Kind::Event, Some(_)) => b'5',
        (Kind::Ack, Some(_)) => b'6',
    });
    if let Some(count) = attachments {
        push_decimal(out, count as u64);
        out.push(b'-');
    }
    if namespace != ROOT {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        push_decimal(out, id);
    }
}

/// Appends a JSON string.
pub fn encode_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory has no way to fail.
    let _ = serde_json::to_writer(out, text);
}
