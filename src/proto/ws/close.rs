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

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(payload: &[u8]) -> Result<Event<'_>, u16> {
        decode_close(Cow::Borrowed(payload)).map_err(|fault| fault.code)
    }

    #[test]
    fn payloads() {
        assert_eq!(decode(b""), Ok(Event::Close(None)));
        assert_eq!(decode(b"\x03\xe8"), Ok(Event::Close(Some((1000, "".into())))));
        assert_eq!(decode("\u{3}\u{f}谢".as_bytes()), Err(1002));
        assert_eq!(decode("\u{f}\u{7f}谢".as_bytes()), Ok(Event::Close(Some((3967, "谢".into())))));
        assert_eq!(decode(b"\x03"), Err(1002));
        assert_eq!(decode(b"\x03\xe8\xff"), Err(1007));
    }

    #[test]
    fn codes() {
        for (code, valid) in [
            (0, false),
            (999, false),
            (1000, true),
            (1003, true),
            (1004, false),
            (1005, false),
            (1006, false),
            (1007, true),
            (1014, true),
            (1015, false),
            (2999, false),
            (3000, true),
            (4999, true),
            (5000, false),
            (u16::MAX, false),
        ] {
            assert_eq!(is_valid_close_code(code), valid, "{code}");
            assert_eq!(decode(&code.to_be_bytes()).is_ok(), valid, "{code}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let mut out = Vec::new();
        encode_close(&mut out, 1009, &"é".repeat(100));
        assert_eq!(&out[..4], [0x88, 124, 0x03, 0xf1]);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok(&*"é".repeat(61)));
        out.clear();
        encode_close(&mut out, 1000, "");
        assert_eq!(out, [0x88, 2, 0x03, 0xe8]);
    }
}
