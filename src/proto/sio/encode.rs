//! Writing packets: the header here, the JSON by whoever has it.

use super::{Kind, ROOT};

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
        encode_number(out, count as u64);
        out.push(b'-');
    }
    if namespace != ROOT {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
    if let Some(id) = id {
        encode_number(out, id);
    }
}

/// Appends a JSON string.
pub fn encode_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

fn encode_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
