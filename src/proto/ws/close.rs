//! Close frames (RFC 6455 sections 5.5.1 and 7.4).

use std::borrow::Cow;

use super::{Event, Fault, MAX_CONTROL_BYTES, Opcode, encode_header};

/// Whether a peer may send this code in a close frame: those of RFC 6455 section 7.4 and of the IANA
/// registry, except the ones that never stand in a frame (1005, 1006, 1015).
pub const fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends a server's close frame. The reason is cut to the 123 bytes that fit, at a character's end.
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut length = reason.len().min(MAX_CONTROL_BYTES - 2);
    while !reason.is_char_boundary(length) {
        length -= 1;
    }
    encode_header(out, Opcode::Close, 2 + length, false);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..length]);
}

/// Reads a close frame's payload.
pub(super) fn decode_close(payload: Cow<'_, [u8]>) -> Result<Event<'_>, Fault> {
    let code = match *payload {
        [] => return Ok(Event::Close(None)),
        [high, low, ..] => u16::from_be_bytes([high, low]),
        [_] => return Err(Fault::protocol("close payload of one byte")),
    };
    if !is_valid_close_code(code) {
        return Err(Fault::protocol("close code"));
    }
    let reason = match payload {
        Cow::Borrowed(payload) => std::str::from_utf8(&payload[2..]).map(Cow::Borrowed),
        Cow::Owned(payload) => std::str::from_utf8(&payload[2..]).map(|reason| Cow::Owned(reason.to_owned())),
    };
    Ok(Event::Close(Some((code, reason.map_err(|_| Fault::NOT_UTF8)?))))
}
